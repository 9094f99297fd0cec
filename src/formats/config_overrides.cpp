#include "formats/config_overrides.h"

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/nearest.h"

namespace qwen3 {
namespace {

constexpr std::string_view kWhere = "hf_overrides";

using Spellings = std::pair<const char*, const char*>;
constexpr Spellings kRope = {"rope_scaling", "rope_parameters"};
constexpr Spellings kTopLevel[] = {kRope,
                                   {"dtype", "torch_dtype"},
                                   {"num_experts", "num_local_experts"},
                                   {"decoder_sparse_step", "moe_layer_freq"}};
constexpr Spellings kInRope[] = {{"rope_type", "type"}};
constexpr const char* kTheta = "rope_theta";

// The objects that the rules of kInRope are for.
const Json* rope_of(const Json& config) {
  for (const char* name : {kRope.first, kRope.second}) {
    const auto found = config.find(name);
    if (found != config.end() && found->is_object()) return &*found;
  }
  return nullptr;
}

Json* rope_of(Json& config) { return const_cast<Json*>(rope_of(std::as_const(config))); }

void refuse_both(const Json& object, std::span<const Spellings> pairs) {
  for (const auto& [one, other] : pairs) {
    QWEN3_CHECK(!object.contains(one) || !object.contains(other),
                ErrorKind::invalid_argument,
                "{}: {} and {} are one key; expected one of them",
                kWhere,
                one,
                other);
  }
}

void rename(Json& object, const char* from, const char* to) {
  if (!object.contains(from)) return;
  Json value = std::move(object[from]);
  object.erase(from);
  object[to] = std::move(value);
}

// A key that `config` has under one spelling gets it in `overrides`.
void follow_spelling(const Json& config, Json& overrides, std::span<const Spellings> pairs) {
  for (const auto& [one, other] : pairs) {
    if (config.contains(one) && !config.contains(other)) rename(overrides, other, one);
    if (config.contains(other) && !config.contains(one)) rename(overrides, one, other);
  }
}

// rope_theta stands at the top level or among the parameters: where it is said anew, the old one goes.
void move_theta(Json& config, const Json& overrides) {
  const Json* said = rope_of(overrides);
  if (said != nullptr && said->contains(kTheta)) config.erase(kTheta);
  if (!overrides.contains(kTheta)) return;
  if (Json* rope = rope_of(config)) rope->erase(kTheta);
}

// "rope_parameters": null takes the scaling away, and not the rope_theta that transformers 5 keeps beside it.
void keep_theta(Json& config, const Json& overrides) {
  for (const char* name : {kRope.first, kRope.second}) {
    const auto said = overrides.find(name);
    if (said == overrides.end() || !said->is_null()) continue;
    const auto old = config.find(name);
    if (old == config.end() || !old->is_object() || !old->contains(kTheta)) continue;
    if (!config.contains(kTheta)) config[kTheta] = (*old)[kTheta];
  }
}

[[noreturn]] void refuse_unread(const std::string& path,
                                const FieldLog& read,
                                std::string_view where) {
  const std::vector<std::string> known(read.begin(), read.end());
  fail(ErrorKind::invalid_argument,
       "{}: {}: {}: no key that this model's config is read for{}; leave it out",
       kWhere,
       quote_for_message(path),
       where,
       did_you_mean(path, known));
}

}  // namespace

Json parse_config_overrides(std::string_view text) {
  Json overrides;
  try {
    overrides = parse_json(text, kWhere);
  } catch (const Error& error) {
    fail(ErrorKind::invalid_argument, "{}", error.what());
  }
  QWEN3_CHECK(overrides.is_object(),
              ErrorKind::invalid_argument,
              "{}: expected a JSON object such as {{\"rope_scaling\":{{…}}}}; got {}",
              kWhere,
              quote_for_message(text, 60));
  refuse_both(overrides, kTopLevel);
  if (const Json* rope = rope_of(overrides)) refuse_both(*rope, kInRope);
  return overrides;
}

void add_overrides(Json& overrides, const Json& more) {
  for (const auto& [key, value] : more.items()) {
    Json& place = overrides[key];
    if (place.is_object() && value.is_object()) {
      add_overrides(place, value);
    } else {
      place = value;
    }
  }
}

void override_config(Json& config, Json& overrides) {
  if (!config.is_object()) return;
  follow_spelling(config, overrides, kTopLevel);
  Json* said = rope_of(overrides);
  const Json* old = rope_of(std::as_const(config));
  if (said != nullptr && old != nullptr) follow_spelling(*old, *said, kInRope);
  keep_theta(config, overrides);
  move_theta(config, overrides);
  config.merge_patch(overrides);
}

void check_overrides_are_read(const Json& overrides, const FieldLog& read, std::string_view where) {
  for (const auto& [key, value] : overrides.items()) {
    if (!read.contains(key)) refuse_unread(key, read, where);
    if ((key != kRope.first && key != kRope.second) || !value.is_object()) continue;
    for (const auto& [inner, inside] : value.items()) {
      const std::string path = key + "." + inner;
      if (!inside.is_null() && !read.contains(path)) refuse_unread(path, read, where);
    }
  }
}

}  // namespace qwen3
