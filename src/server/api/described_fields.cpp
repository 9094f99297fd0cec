#include "server/api/described_fields.h"

#include <fmt/format.h>

#include "qwen3/sampling.h"
#include "server/api/generation_fields.h"

namespace qwen3::server {
namespace {

constexpr auto kRequired = DescribedField::Need::required;
constexpr auto kOptional = DescribedField::Need::optional;
constexpr double kMostTokens = 1 << 30;

DescribedField bounded(
    std::string name, std::string_view types, std::string what, double low, double high) {
  return {std::move(name), types, std::move(what), kOptional, low, high};
}

DescribedField same_as(std::string name, std::string_view types, std::string_view other) {
  return {std::move(name), types, fmt::format("Another name of {}.", other)};
}

void add(DescribedFields& to, DescribedFields more) {
  for (DescribedField& field : more) to.push_back(std::move(field));
}

DescribedField model_field() {
  return {"model", "string", "A name that the server serves (GET /v1/models); absent: its first."};
}

void add_sampling(DescribedFields& out, const ApiLimits& limits) {
  for (const SamplingField& field : sampling_fields()) {
    if (field.name == "max_tokens") continue;
    out.push_back(bounded(std::string(field.name),
                          field.is_integer() ? "integer" : "number",
                          std::string(field.help) + ".",
                          field.low,
                          highest_of(field, limits)));
  }
  out.push_back(same_as("repeat_penalty", "number", "repetition_penalty"));
}

DescribedFields token_limit_fields() {
  return {bounded("max_tokens", "integer", "Most new tokens; -1: no limit.", -1, kMostTokens),
          same_as("max_completion_tokens", "integer", "max_tokens"),
          same_as("n_predict", "integer", "max_tokens"),
          bounded("thinking_token_budget",
                  "integer",
                  "Most tokens of the thought, which is then closed; -1: no limit.",
                  -1,
                  kMostTokens),
          same_as("thinking_budget", "integer", "thinking_token_budget"),
          same_as("reasoning_budget", "integer", "thinking_token_budget")};
}

DescribedFields streaming_fields() {
  return {
      {"stream", "boolean", "Answer with server-sent events."},
      {"stream_options",
       "object",
       "include_usage: the usage in a chunk of its own; continuous_usage_stats: in every chunk."},
      {"return_progress",
       "boolean",
       "In a stream: chunks without choices and with prompt_progress {total, cache, processed, "
       "time_ms}, at most four a second."},
      {"return_routed_experts",
       "boolean",
       "choices[i].routed_experts: which experts chose each token, as base64 of a .npy [tokens, "
       "layers, k]; in a stream of the chunk's numbers alone, with routed_experts_shape [layers, "
       "k] once. Mixture-of-experts models only."},
      {"routed_experts_prompt",
       "boolean",
       "And, before them, of the prompt's tokens; the prompt is then computed whole."}};
}

// One of them at most.
DescribedFields format_fields() {
  return {{"response_format",
           "object",
           "The form of the answer: {\"type\": \"text\"}, json_object, json_schema with "
           "{\"json_schema\": {\"schema\": …}}, or structural_tag with {\"format\": …}."},
          {"structured_outputs",
           "object",
           "vLLM's: one of json, regex, choice, grammar, structural_tag, json_object; "
           "disable_any_whitespace, "
           "disable_additional_properties, whitespace_pattern beside it."},
          {"json_schema", "object|string", "A JSON Schema that the answer obeys."},
          same_as("guided_json", "object|string", "json_schema"),
          {"regex", "string", "A regular expression of the whole answer."},
          same_as("guided_regex", "string", "regex"),
          {"grammar", "string", "A grammar of the answer in GBNF."},
          same_as("ebnf", "string", "grammar"),
          same_as("guided_grammar", "string", "grammar"),
          {"structural_tag", "object|string", "Text with tags in it, as of response_format."},
          {"guided_choice", "array", "Texts, of which the answer is one."},
          {"guided_whitespace_pattern",
           "string",
           "A regular expression of the white space between the parts of JSON."},
          {"guided_decoding_backend", "", "Accepted, and without effect here."}};
}

}  // namespace

DescribedFields generation_field_descriptions(const ApiLimits& limits) {
  DescribedFields out{model_field()};
  add_sampling(out, limits);
  add(out, token_limit_fields());
  add(out,
      {{"preset",
        "string",
        "Sampling that the model's card recommends: one of meta.presets of GET /v1/models, "
        "\"auto\" "
        "for that of the mode in which the request thinks, or \"none\"; absent: meta.preset. What "
        "the "
        "request says itself goes before it."},
       bounded("n", "integer", "Choices.", 1, static_cast<double>(limits.max_n)),
       bounded("best_of", "integer", "Only the value of n.", 1, static_cast<double>(limits.max_n)),
       {"seed", "integer", "64 bits; choice i draws with seed + i."},
       bounded("min_tokens", "integer", "No end before.", 0, kMostTokens),
       {"ignore_eos", "boolean", "End tokens do not end the answer."},
       {"logit_bias", "object", "Token ids and what is added to their logits, -100 to 100."},
       {"stop_token_ids", "array", "Token ids that end the answer."},
       {"allowed_token_ids", "array", "Nothing else is sampled."},
       {"stop", "string|array", "Texts that end the answer."},
       {"include_stop_str_in_output", "boolean", "The stop string is part of the answer."},
       {"skip_special_tokens", "boolean", "No text for control tokens; true when absent."},
       bounded("prompt_logprobs",
               "integer",
               "Log probabilities of the prompt, and of so many others at each place.",
               0,
               static_cast<double>(limits.max_logprobs)),
       {"loop_guard", "boolean", "End an answer that repeats itself; true when absent."},
       {"close_on_length", "boolean", "An answer with a form is closed before max_tokens cuts it."},
       {"trace", "boolean", "Keep a trace, GET /v1/traces/ID (--traces)."},
       {"cache_prompt", "boolean", "false: share no cached prefix."},
       {"cache_salt", "string", "Prefixes are shared only under the same salt."},
       bounded("priority",
               "integer",
               "Lower goes first.",
               static_cast<double>(limits.min_priority),
               INT32_MAX),
       {"return_token_ids", "boolean", "The ids of prompt and answer, too."}});
  add(out, format_fields());
  add(out, streaming_fields());
  for (const char* name : ignored_fields()) {
    out.push_back({name, "", "Accepted, and without effect here."});
  }
  return out;
}

DescribedFields prompt_field_descriptions(const ApiLimits& limits) {
  return {
      {"messages",
       "array",
       fmt::format("The conversation, at most {} messages.", limits.max_messages),
       kRequired},
      {"tools", "array", fmt::format("At most {} functions.", limits.max_tools)},
      {"continue_final_message", "boolean", "The answer goes on with the last message."},
      {"add_generation_prompt", "boolean", "true when absent."},
      {"enable_thinking", "boolean", "Whether the model thinks first, where it has the choice."},
      {"reasoning_effort",
       "string",
       "none: as enable_thinking false; others where the chat template reads it."},
      {"chat_template_kwargs",
       "object",
       "Variables that the chat template reads: true, false, numbers, texts of at most 1 KiB."}};
}

DescribedFields chat_field_descriptions(const ApiLimits& limits) {
  DescribedFields out = prompt_field_descriptions(limits);
  add(out,
      {{"tool_choice", "string|object", "auto, none, required, or a function to be called."},
       {"parallel_tool_calls", "boolean", "false: at most one call."},
       {"logprobs", "boolean", "Log probabilities of the content."},
       bounded("top_logprobs",
               "integer",
               "And of so many others at each place.",
               0,
               static_cast<double>(limits.max_logprobs)),
       {"include_reasoning", "boolean", "false: the thought is made and not shown."},
       {"reasoning_control",
        "boolean",
        "Lets POST /v1/chat/completions/control end the thought of this answer."}});
  for (const char* name :
       {"modalities", "audio", "prediction", "web_search_options", "documents"}) {
    out.push_back({name, "", "Accepted, and without effect here."});
  }
  return out;
}

DescribedFields completion_field_descriptions(const ApiLimits& limits) {
  return {{"prompt", "string|array", "A text, token ids, or a list of either.", kRequired},
          {"echo", "boolean", "The prompt stands before the answer."},
          {"add_special_tokens", "boolean", "Only where the tokenizer adds none."},
          {"chat_template_kwargs",
           "object",
           "Of it only thinking_budget, another name of thinking_token_budget."},
          bounded("logprobs",
                  "integer",
                  "Log probabilities, and of so many others at each place.",
                  0,
                  static_cast<double>(limits.max_logprobs))};
}

DescribedFields control_field_descriptions() {
  return {
      {"id", "string", "Of an answer that is under way.", kRequired},
      {"action", "string", "reasoning_end: the thought is closed, the answer begins.", kRequired}};
}

DescribedFields decision_field_descriptions() {
  return {
      model_field(),
      {"input", "string|array", "A text, or messages, calls and their outputs.", kRequired},
      {"questions",
       "array",
       "{type predicate, choice or score, instructions, name, choices [{value, description}] or "
       "levels [{label, description}]}; at most 64.",
       kRequired},
      {"prompt_cache_key", "", "Accepted, and without effect here."},
      {"prompt_cache_options", "", "Accepted, and without effect here."},
      {"safety_identifier", "", "Accepted, and without effect here."}};
}

DescribedFields systemone_field_descriptions() {
  return {{"model", "string", "Any name."},
          {"state", "", "A text or any JSON: what the questions are about.", kRequired},
          {"questions",
           "object",
           "By name: {type noul, choice or score, instructions, criteria}; at most 64.",
           kRequired}};
}

DescribedFields responses_field_descriptions() {
  return {model_field(),
          {"input", "string|array", "A text, or messages, calls, their outputs and reasoning."},
          {"instructions", "string", "The first system message."},
          {"tools", "array", "Functions, namespaces and custom tools; others are skipped."},
          {"tool_choice", "string|object", "auto, none, required, or a tool to be called."},
          {"text", "object", "format: text, json_object or json_schema."},
          {"reasoning", "object", "effort, and summary: whether thoughts come as summaries."},
          {"max_output_tokens", "integer", "Most new tokens."},
          {"stream", "boolean", "Answer with server-sent events."},
          {"store", "boolean", "Keep the answer (--responses N)."},
          {"previous_response_id", "string", "Go on from a kept answer."}};
}

DescribedFields messages_field_descriptions() {
  return {model_field(),
          {"messages", "array", "Of user, assistant and system; texts or blocks.", kRequired},
          {"max_tokens",
           "integer",
           "Most new tokens; cut to what the context has room for.",
           kRequired},
          {"system", "string|array", "The system prompt."},
          {"tools", "array", "With input_schema; typed server tools are skipped."},
          {"tool_choice", "object", "auto, any, tool or none."},
          {"thinking", "object", "enabled with budget_tokens, adaptive, or disabled."},
          {"stop_sequences", "array", "Texts that end the answer."},
          {"stream", "boolean", "Answer with server-sent events."}};
}

DescribedFields embedding_field_descriptions() {
  return {model_field(),
          {"input", "string|array", "A text, token ids, or a list of either.", kRequired},
          {"encoding_format", "string", "float or base64."},
          {"dimensions", "integer", "So many of the first, normalised."},
          {"user", "", "Accepted, and without effect here."}};
}

DescribedFields rerank_field_descriptions() {
  return {model_field(),
          {"query", "string", "What is looked for.", kRequired},
          {"documents", "string|array", "Texts, or objects with a text.", kRequired},
          {"top_n", "integer", "So many results."},
          {"return_documents", "boolean", "true when absent."},
          {"instruction", "string", "What makes a document fit the query."},
          same_as("instruct", "string", "instruction")};
}

DescribedFields score_field_descriptions() {
  return {model_field(),
          {"text_1", "string|array", "One query, or as many as text_2 has.", kRequired},
          {"text_2", "string|array", "Texts to be scored.", kRequired},
          {"instruction", "string", "What makes a text fit the query."},
          same_as("instruct", "string", "instruction")};
}

DescribedFields tokenize_field_descriptions() {
  return {
      model_field(),
      {"prompt", "string", "A text; or content, or messages."},
      same_as("content", "string", "prompt"),
      {"add_special_tokens", "boolean", "Those that the tokenizer puts around a text."},
      same_as("add_special", "boolean", "add_special_tokens"),
      {"parse_special", "boolean", "Control tokens in the text are recognised; true when absent."},
      {"with_pieces", "boolean", "Tokens as {id, piece}."},
      {"return_token_strs", "boolean", "The text of each token, too."}};
}

DescribedFields detokenize_field_descriptions() {
  return {model_field(), {"tokens", "array", "Token ids.", kRequired}};
}

}  // namespace qwen3::server
