#include "server/api/generation_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <random>
#include <utility>

#include "qwen3/sampling.h"
#include "server/api/routed_experts.h"

namespace qwen3::server {
namespace {

constexpr int64_t kMaxTokens = int64_t{1} << 30;
constexpr size_t kMaxSaltBytes = 256;

// Fields that clients send and that change nothing here.
constexpr const char* kIgnored[] = {"user",
                                    "metadata",
                                    "store",
                                    "service_tier",
                                    "safety_identifier",
                                    "prompt_cache_key",
                                    "prompt_cache_retention",
                                    "verbosity",
                                    "timings_per_token",
                                    "spaces_between_special_tokens",
                                    "detokenize"};

struct Unsupported {
  const char* name;
  const char* reason;
};

constexpr const char* kTensors = "prompts are text or token ids; tensors are not accepted";

constexpr Unsupported kUnsupported[] = {
    {"stop_regex", "not supported; stop takes strings"},
    {"bad_words", "not supported; forbid single tokens with logit_bias -100"},
    {"logits_processors", "code of clients is not run"},
    {"use_beam_search", "not supported; sample with n instead"},
    {"prompt_embeds", kTensors},
    {"input_embeds", kTensors},
    {"input_embeddings", kTensors},
    {"truncate_prompt_tokens", "prompts are never cut silently; shorten the prompt"}};

void refuse_what_we_cannot(Fields& fields) {
  for (const auto& [name, reason] : kUnsupported) {
    if (fields.used(name)) refuse_unsupported(name, reason);
  }
  for (const char* name : kIgnored) fields.value(name);
}

// llama.cpp's spelling of a field; the field's own name where it has no other.
std::string_view other_name(const SamplingField& field) {
  return field.name == "repetition_penalty" ? "repeat_penalty" : field.name;
}

void read_numbers(Fields& fields, SamplingParams& p, const ApiLimits& limits) {
  for (const SamplingField& field : sampling_fields()) {
    if (field.name == "max_tokens") continue;  // it has several names, and must fit the context
    const std::string_view name = fields.one_of({field.name, other_name(field)});
    if (name.empty()) continue;
    const double high = highest_of(field, limits);
    field.set(p,
              field.is_integer()
                  ? static_cast<double>(*fields.integer(
                        name, static_cast<int64_t>(field.low), static_cast<int64_t>(high)))
                  : *fields.number(name, field.low, high));
  }
  p.top_p = std::max(p.top_p, 1e-9);  // 0: the likeliest token
  p.min_tokens = fields.integer("min_tokens", 0, kMaxTokens).value_or(0);
  p.ignore_eos = fields.boolean("ignore_eos").value_or(false);
}

// int64 of OpenAI, and the upper half of uint64 as some clients draw it.
void read_seed(Fields& fields, SamplingParams& p) {
  const Json* seed = fields.value("seed");
  if (seed == nullptr) return;
  if (seed->is_number_unsigned()) {
    p.seed = seed->get<uint64_t>();
  } else {
    p.seed = static_cast<uint64_t>(read_integer(*seed, "seed", INT64_MIN, INT64_MAX));
  }
}

void read_logit_bias(Fields& fields,
                     SamplingParams& p,
                     const ServedModel& model,
                     const ApiLimits& limits) {
  const Json* bias = fields.object("logit_bias");
  if (bias == nullptr) return;
  if (bias->size() > static_cast<size_t>(limits.max_logit_bias)) {
    refuse("logit_bias",
           fmt::format("expected at most {} tokens, got {}", limits.max_logit_bias, bias->size()));
  }
  for (const auto& [key, value] : bias->items()) {
    int32_t id = -1;
    const char* end = key.data() + key.size();
    const auto [stop, error] = std::from_chars(key.data(), end, id);
    if (error != std::errc() || stop != end || id < 0 || id >= model.n_tokens) {
      refuse("logit_bias",
             fmt::format("expected token ids from 0 to {} as keys, got \"{}\"",
                         model.n_tokens - 1,
                         quote_for_message(key, 60)));
    }
    const std::string path = fmt::format("logit_bias.{}", id);
    p.logit_bias.emplace_back(id, read_number(value, path, -100, 100));
  }
}

std::vector<int32_t> read_ids(Fields& fields,
                              const char* name,
                              const ServedModel& model,
                              int64_t most) {
  const Json* list = fields.array(name, static_cast<size_t>(most));
  return list == nullptr ? std::vector<int32_t>() : read_token_ids(*list, name, model.n_tokens);
}

std::string read_stop(const Json& value, const std::string& path, const ApiLimits& limits) {
  if (!value.is_string()) refuse(path, fmt::format("expected a string, got {}", describe(value)));
  const auto& text = value.get_ref<const std::string&>();
  if (text.empty() || text.size() > static_cast<size_t>(limits.max_stop_bytes)) {
    refuse(path, fmt::format("expected 1 to {} bytes, got {}", limits.max_stop_bytes, text.size()));
  }
  return text;
}

std::vector<std::string> read_stops(Fields& fields, const ApiLimits& limits) {
  const Json* stop = fields.value("stop");
  if (stop == nullptr) return {};
  if (!stop->is_array()) return {read_stop(*stop, "stop", limits)};
  std::vector<std::string> stops;
  for (const Json& one : *fields.array("stop", static_cast<size_t>(limits.max_stops))) {
    stops.push_back(read_stop(one, fmt::format("stop[{}]", stops.size()), limits));
  }
  return stops;
}

void read_streaming(Fields& fields, GenerationFields& out) {
  out.stream = fields.boolean("stream").value_or(false);
  const Json* options = fields.object("stream_options");
  if (options == nullptr) return;
  if (!out.stream) refuse("stream_options", "only allowed when stream is true");
  Fields inner(*options, "stream_options");
  out.include_usage = inner.boolean("include_usage").value_or(false);
  out.continuous_usage =
      inner.boolean("continuous_usage_stats").value_or(false) && out.include_usage;
}

std::string unguessable() {
  std::random_device device;
  std::string out = "\n";
  for (int word = 0; word < 4; ++word) out += fmt::format("{:08x}", device());
  return out;
}

void read_queueing(Fields& fields, GenerationFields& out, const ApiLimits& limits) {
  if (!fields.boolean("cache_prompt").value_or(true)) out.private_salt = unguessable();
  out.cache_salt = fields.text("cache_salt", kMaxSaltBytes).value_or("");
  out.priority =
      static_cast<int32_t>(fields.integer("priority", limits.min_priority, INT32_MAX).value_or(0));
}

void read_limits(Fields& fields, GenerationFields& out, const ApiLimits& limits) {
  out.n = fields.integer("n", 1, limits.max_n).value_or(1);
  const auto best_of = fields.integer("best_of", 1, limits.max_n);
  if (best_of && *best_of != out.n) {
    refuse_unsupported("best_of", "only the value of n is supported: every choice is returned");
  }
  out.n_prompt_logprobs =
      static_cast<int>(fields.integer("prompt_logprobs", 0, limits.max_logprobs).value_or(-1));
}

}  // namespace

std::span<const char* const> ignored_fields() { return kIgnored; }

std::vector<std::string> refused_fields() {
  std::vector<std::string> names;
  for (const Unsupported& field : kUnsupported) names.push_back(field.name);
  return names;
}

// What this server allows: all of the range, but OpenAI ends temperature at 2 (and what lies above
// is noise), and includes 0 in top_p.
double highest_of(const SamplingField& field, const ApiLimits& limits) {
  return field.name == "temperature" ? std::min(field.high, limits.max_temperature) : field.high;
}

GenerationFields read_generation_fields(Fields& fields,
                                        const ServedModel& model,
                                        const ServiceOptions& options,
                                        std::optional<bool> thinking) {
  const ApiLimits& limits = options.limits;
  GenerationFields out{.sampling = with_defaults(model.defaults, DoSample::yes)};  // as OpenAI
  refuse_what_we_cannot(fields);
  read_limits(fields, out, limits);
  out.preset = read_preset(fields, model.presets, options.preset, thinking);
  if (out.preset.preset != nullptr) out.preset.preset->apply(out.sampling);
  read_numbers(fields, out.sampling, limits);
  read_seed(fields, out.sampling);
  read_logit_bias(fields, out.sampling, model, limits);
  out.sampling.stop_token_ids =
      read_ids(fields, "stop_token_ids", model, limits.max_stop_token_ids);
  out.sampling.allowed_token_ids = read_ids(fields, "allowed_token_ids", model, model.n_tokens);
  if (!out.sampling.allowed_token_ids.empty() && out.sampling.min_tokens > 0) {
    refuse("allowed_token_ids", "not together with min_tokens: no token might be left");
  }
  out.format = read_answer_format(fields);
  check_answer_format(out.format, out.sampling);
  out.stop = read_stops(fields, limits);
  out.include_stop = fields.boolean("include_stop_str_in_output").value_or(false);
  out.skip_special_tokens = fields.boolean("skip_special_tokens").value_or(true);
  out.return_token_ids = fields.boolean("return_token_ids").value_or(false);
  out.loop_guard = fields.boolean("loop_guard").value_or(true) && !out.sampling.ignore_eos;
  out.close_on_length = fields.boolean("close_on_length").value_or(false);
  out.trace = fields.boolean("trace").value_or(false);
  if (out.trace && options.traces.count <= 0) {
    refuse_unsupported("trace", "this server keeps no traces (--traces)");
  }
  if (out.trace && out.n > 1) refuse("trace", "only of one choice; leave n out");
  out.routed_experts = read_routed_experts(fields, expert_shape(model.shape), out.n);
  out.return_progress = fields.boolean("return_progress").value_or(false);
  read_streaming(fields, out);
  read_queueing(fields, out, limits);
  return out;
}

int64_t fit_max_tokens(const std::optional<int64_t>& asked,
                       int64_t when_absent,
                       int64_t n_prompt,
                       const ServedModel& model,
                       const ServiceOptions& options,
                       std::string_view param) {
  const int64_t room = model.max_model_len - n_prompt;
  if (room < 1) refuse_context(param, model.max_model_len, n_prompt, asked.value_or(0));
  if (!asked) return when_absent > 0 ? std::min(when_absent, room) : room;
  if (*asked > room && !options.clamp_max_tokens) {
    refuse_context(param, model.max_model_len, n_prompt, *asked);
  }
  return std::min(*asked, room);
}

Request make_request(const GenerationFields& fields,
                     std::vector<int32_t> prompt_ids,
                     const HttpRequest& http,
                     const ServiceOptions& options) {
  Request request{.prompt_ids = std::move(prompt_ids), .sampling = fields.sampling};
  // The client's part first and of a length that it cannot choose: no two clients share a salt.
  request.cache_salt = fmt::format("{}:{}{}{}",
                                   http.client.salt.size(),
                                   http.client.salt,
                                   fields.cache_salt,
                                   fields.private_salt);
  request.fair_key = http.client.name;
  request.priority = fields.priority;
  request.n_prompt_logprobs = fields.n_prompt_logprobs;
  request.deadline = http.received + options.request_timeout;
  request.routed_experts = fields.routed_experts;
  request.report_progress = fields.return_progress && fields.stream;
  return request;
}

std::shared_ptr<std::atomic<bool>> closed_flag(const GenerationFields& fields, size_t index) {
  if (fields.closed == nullptr) return nullptr;
  return {fields.closed, &fields.closed->at(index)};
}

std::string read_model_name(Fields& fields) { return fields.text("model", 1024).value_or(""); }

void note_unread(const Fields& fields, Exchange& exchange) {
  constexpr size_t kMaxNames = 16;
  std::vector<std::string> names = fields.unread();
  if (names.empty()) return;
  std::ranges::sort(names);
  if (names.size() > kMaxNames) names.resize(kMaxNames);
  for (std::string& name : names) name = quote_for_message(name, 60);
  exchange.note("ignored_fields", fmt::format("{}", fmt::join(names, ",")));
}

}  // namespace qwen3::server
