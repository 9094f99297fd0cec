#include "capi/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "capi/structs.h"
#include "chat/steering.h"
#include "grammar/grammar.h"
#include "grammar/limits.h"

namespace qwen3::capi {
namespace {

constexpr size_t kMostValues = size_t{1} << 30;
constexpr size_t kMostStops = 1024;

void check_list(const void* values, size_t n, std::string_view name, size_t most = kMostValues) {
  if (n > 0) check_given(values, name);
  QWEN3_CHECK(n <= most,
              ErrorKind::invalid_argument,
              "{}: expected at most {} entries; got {}",
              name,
              most,
              n);
}

template <typename T>
std::vector<T> list_of(const T* values, size_t n, std::string_view name) {
  check_list(values, n, name);
  return n == 0 ? std::vector<T>() : std::vector<T>(values, values + n);
}

// Of C's flags and enumerations.
void check_number(int32_t value, int32_t low, int32_t high, std::string_view name) {
  QWEN3_CHECK(value >= low && value <= high,
              ErrorKind::invalid_argument,
              "{}: expected {} to {}; got {}",
              name,
              low,
              high,
              value);
}

std::string text_of(const char* text, std::string_view name, int64_t most) {
  check_given(text, name);
  const size_t n = std::char_traits<char>::length(text);
  QWEN3_CHECK(n <= static_cast<size_t>(most),
              ErrorKind::invalid_argument,
              "{}: expected at most {} bytes; got {}",
              name,
              most,
              n);
  return {text, n};
}

// Of a caller, not of a file.
Json json_of(const std::string& text) {
  try {
    return parse_json(text, "format_text");
  } catch (const Error& error) {
    throw Error(ErrorKind::invalid_argument, error.what());
  }
}

std::vector<std::string> choices_of(const std::string& text) {
  const Json list = json_of(text);
  QWEN3_CHECK(
      list.is_array() && !list.empty() &&
          std::all_of(list.begin(), list.end(), [](const Json& one) { return one.is_string(); }),
      ErrorKind::invalid_argument,
      "format_text: expected a JSON array of texts, at least one");
  return list.get<std::vector<std::string>>();
}

GrammarPtr compile(ModelObject& model, int32_t format, const std::string& text) {
  const auto compile_now = [&]() -> CompiledGrammar {
    const auto trie = model.trie();
    GrammarPtr grammar;
    if (format == QWEN3_FORMAT_JSON_OBJECT) {
      grammar = compile_json_object();
    } else if (format == QWEN3_FORMAT_JSON_SCHEMA) {
      const Json schema = json_of(text);
      JsonSchemaOptions form;
      form.numbers.add_for(schema, text);
      grammar = compile_json_schema(schema, form);
    } else if (format == QWEN3_FORMAT_REGEX) {
      grammar = compile_regex(text);
    } else if (format == QWEN3_FORMAT_GBNF) {
      grammar = compile_gbnf(text, *trie);
    } else {
      grammar = compile_choice(choices_of(text));
    }
    check_start(grammar, trie);
    return {grammar};
  };
  return model.grammars.get(fmt::format("{}", format), text, "", compile_now).grammar;
}

std::shared_ptr<TokenConstraint> constraint_of(ModelObject& model, const qwen3_request& given) {
  check_number(given.format, QWEN3_FORMAT_ANY, QWEN3_FORMAT_CHOICE, "format");
  if (given.format == QWEN3_FORMAT_ANY) return nullptr;
  const Text& text = model.need_text();
  std::string source;
  if (given.format != QWEN3_FORMAT_JSON_OBJECT) {
    source = text_of(given.format_text, "format_text", kMaxSchemaBytes);
  }
  try {
    SteeringPlan plan = steering_plan(text, static_cast<PromptState>(given.prompt_state));
    plan.grammar = compile(model, given.format, source);
    plan.trie = model.trie();
    return make_steering(std::move(plan));
  } catch (const GrammarError& error) {
    fail(error.kind(), "format_text: {}", error.what());
  }
}

AnswerOptions answer_options(const qwen3_request& given) {
  AnswerOptions options;
  options.state = static_cast<PromptState>(given.prompt_state);
  options.split_reasoning = options.trim_newlines = given.split_reasoning != 0;
  options.skip_special_tokens = given.skip_special_tokens != 0;
  options.include_stop = given.include_stop != 0;
  for (size_t i = 0; i < given.n_stop; ++i) {
    options.stop.push_back(text_of(given.stop[i], "stop", int64_t{1} << 20));
  }
  return options;
}

}  // namespace

SamplingParams read_sampling(const qwen3_sampling& given) {
  SamplingParams params;
  params.temperature = given.temperature;
  params.top_k = given.top_k;
  params.top_p = given.top_p;
  params.min_p = given.min_p;
  params.presence_penalty = given.presence_penalty;
  params.frequency_penalty = given.frequency_penalty;
  params.repetition_penalty = given.repetition_penalty;
  params.max_tokens = given.max_tokens;
  params.min_tokens = given.min_tokens;
  if (given.has_seed != 0) params.seed = given.seed;
  params.ignore_eos = given.ignore_eos != 0;
  params.n_logprobs = given.n_logprobs;
  check_list(given.logit_bias_ids, given.n_logit_bias, "sampling.logit_bias_ids");
  check_list(given.logit_bias_values, given.n_logit_bias, "sampling.logit_bias_values");
  for (size_t i = 0; i < given.n_logit_bias; ++i) {
    params.logit_bias.emplace_back(given.logit_bias_ids[i], given.logit_bias_values[i]);
  }
  params.allowed_token_ids =
      list_of(given.allowed_token_ids, given.n_allowed_token_ids, "sampling.allowed_token_ids");
  params.stop_token_ids =
      list_of(given.stop_token_ids, given.n_stop_token_ids, "sampling.stop_token_ids");
  return params;
}

qwen3_sampling write_sampling(const SamplingParams& params) {
  auto out = defaults<qwen3_sampling>();
  out.temperature = params.temperature;
  out.top_k = params.top_k;
  out.top_p = params.top_p;
  out.min_p = params.min_p;
  out.presence_penalty = params.presence_penalty;
  out.frequency_penalty = params.frequency_penalty;
  out.repetition_penalty = params.repetition_penalty;
  out.max_tokens = params.max_tokens;
  out.min_tokens = params.min_tokens;
  return out;
}

std::optional<std::chrono::steady_clock::time_point> deadline_of(int64_t timeout_ms) {
  constexpr int64_t kMostMs = int64_t{1000} * 3600 * 24 * 365;
  if (timeout_ms < 0) return std::nullopt;
  return std::chrono::steady_clock::now() +
         std::chrono::milliseconds(std::min(timeout_ms, kMostMs));
}

ReadRequest read_request(ModelObject& model, const qwen3_request* pointer) {
  const auto given = read_struct(pointer, "request");
  check_number(
      given.prompt_state, QWEN3_PROMPT_PLAIN, QWEN3_PROMPT_THINKING_IS_OVER, "prompt_state");
  check_list(given.stop, given.n_stop, "stop", kMostStops);
  ReadRequest read;
  Request& request = read.request;
  request.prompt_ids = list_of(given.prompt_ids, given.n_prompt_ids, "prompt_ids");
  request.sampling = read_sampling(read_optional_struct(given.sampling, "sampling"));
  request.embed = given.embed != 0;
  request.n_prompt_logprobs = given.n_prompt_logprobs;
  request.priority = given.priority;
  if (given.cache_salt != nullptr)
    request.cache_salt = text_of(given.cache_salt, "cache_salt", 1024);
  request.deadline = deadline_of(given.timeout_ms);
  request.constraint = constraint_of(model, given);
  QWEN3_CHECK(model.text || given.n_stop == 0,
              ErrorKind::unsupported,
              "stop: {} has no tokenizer; leave stop strings out",
              model.name);
  if (model.text && !request.embed) {
    AnswerOptions options = answer_options(given);
    options.min_tokens = request.sampling.min_tokens;
    read.answer.emplace(model.text->answer(options));
  }
  return read;
}

}  // namespace qwen3::capi
