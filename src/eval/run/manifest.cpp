#include "eval/run/manifest.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/input_file.h"
#include "base/output_file.h"
#include "base/sha256.h"
#include "base/utc_time.h"
#include "eval/run/append_file.h"
#include "eval/run/chat_request.h"

namespace qwen3::eval {
namespace {

constexpr size_t kMaxManifestBytes = size_t{16} << 20;
constexpr int kFormat = 1;

std::string shown(const Json* value) {
  return value == nullptr ? "absent" : quote_for_message(dump_json(*value), 80);
}

// The place and values of the first difference, members of objects one by one.
std::string first_difference(const std::string& place, const Json* before, const Json* now) {
  if (before != nullptr && now != nullptr && before->is_object() && now->is_object()) {
    const auto inside = [&](const std::string& key) { return fmt::format("{}.{}", place, key); };
    for (const auto& [key, value] : before->items()) {
      const auto other = now->find(key);
      std::string difference =
          first_difference(inside(key), &value, other == now->end() ? nullptr : &*other);
      if (!difference.empty()) return difference;
    }
    for (const auto& [key, value] : now->items()) {
      if (!before->contains(key)) return first_difference(inside(key), nullptr, &value);
    }
    return {};
  }
  if (before != nullptr && now != nullptr && *before == *now) return {};
  return fmt::format("{}: was {}, is {}", place, shown(before), shown(now));
}

const Json* member(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

std::string served_difference(const Json& before, const Json& now) {
  if (!before.is_array() || !now.is_array() || before.empty()) return {};
  for (const Json& facts : now) {
    if (std::find(before.begin(), before.end(), facts) == before.end()) {
      return first_difference("served", &before.front(), &facts);
    }
  }
  return {};
}

}  // namespace

std::filesystem::path shard_path(const std::filesystem::path& output, const Shard& shard) {
  if (shard.whole()) return output;
  const std::string name = fmt::format("{}.shard-{}-of-{}{}",
                                       output.stem().string(),
                                       shard.index,
                                       shard.count,
                                       output.extension().string());
  return output.parent_path() / name;
}

Json run_identity(const EvalConfig& config, Mode mode) {
  QWEN3_CHECK(mode == Mode::standard || !config.scores_choices(),
              ErrorKind::invalid_argument,
              "{}: choose_by: {}: the official scripts do not support it; remove --strict",
              config.name,
              choose_by_name(config.choose_by));
  Json identity = {{"mode", mode == Mode::strict ? "strict" : "standard"},
                   {"request", request_settings(config, mode)}};
  if (config.scores_choices()) {
    identity["choose"] = {{"by", choose_by_name(config.choose_by)},
                          {"prompt", config.choose_prompt},
                          {"delimiter", config.choose_delimiter}};
    return identity;
  }
  if (mode == Mode::standard && !config.system.empty()) identity["system"] = config.system;
  if (mode == Mode::standard && config.seed) identity["seed"] = *config.seed;
  return identity;
}

std::string identity_hash(const Json& identity) { return sha256_hex(dump_json(identity)); }

Json make_manifest(const RunFacts& facts) {
  const EvalConfig& config = facts.config;
  Json manifest = {{"format", kFormat},
                   {"identity", run_identity(config, facts.mode)},
                   {"dataset",
                    {{"path", config.input_file},
                     {"sha256", facts.dataset.sha256()},
                     {"rows", facts.dataset.size()}}},
                   {"served", facts.served}};
  if (!facts.shard.whole()) manifest["shard"] = {facts.shard.index, facts.shard.count};
  manifest["n_samples"] = config.n_samples;
  manifest["config"] = {{"file", config.name},
                        {"max_workers", config.max_workers},
                        {"attempts", config.attempts},
                        {"timeout", config.timeout_seconds},
                        {"deadline", config.deadline_seconds}};
  manifest["version"] = facts.version;
  manifest["runs"] = Json::array();
  manifest["totals"] = Json::object();
  return manifest;
}

std::optional<Json> read_manifest(const std::filesystem::path& path) {
  const std::optional<std::string> text = read_text_file_if_there(path, kMaxManifestBytes);
  if (!text) return std::nullopt;
  const std::string name = path.string();
  Json manifest = parse_json(*text, name);
  const bool known = manifest.is_object() && manifest.contains("format") &&
                     manifest["format"] == kFormat && manifest.contains("identity") &&
                     manifest["identity"].is_object() && manifest.contains("runs") &&
                     manifest["runs"].is_array();
  QWEN3_CHECK(known,
              ErrorKind::corrupt_file,
              "{}: expected a manifest of format {}; restore it, or move the output file and its "
              "companions away to start over",
              name,
              kFormat);
  return manifest;
}

void write_manifest(const std::filesystem::path& path, const Json& manifest) {
  OutputFile file(path);
  file.write(manifest.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  file.sync();
  file.commit();
  sync_directory_of(path);
}

std::string manifest_difference(const Json& before, const Json& now) {
  std::string difference =
      first_difference("identity", member(before, "identity"), member(now, "identity"));
  if (!difference.empty()) return difference;
  const auto dataset_hash = [](const Json& manifest) {
    const Json* dataset = member(manifest, "dataset");
    return dataset != nullptr && dataset->is_object() ? member(*dataset, "sha256") : nullptr;
  };
  difference = first_difference("dataset.sha256", dataset_hash(before), dataset_hash(now));
  if (!difference.empty()) return difference;
  const Json* shard_before = member(before, "shard");
  const Json* shard_now = member(now, "shard");
  if (shard_before != nullptr || shard_now != nullptr) {
    difference = first_difference("shard", shard_before, shard_now);
    if (!difference.empty()) return difference;
  }
  const Json* served_before = member(before, "served");
  const Json* served_now = member(now, "served");
  if (served_before == nullptr || served_now == nullptr) return {};
  return served_difference(*served_before, *served_now);
}

std::string utc_now() { return utc_text(std::chrono::system_clock::now(), UtcPrecision::seconds); }

}  // namespace qwen3::eval
