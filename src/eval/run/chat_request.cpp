#include "eval/run/chat_request.h"

#include "qwen3/sampling.h"

namespace qwen3::eval {

namespace {

// One token is asked for, because servers need not accept none (lm-evaluation-harness does so too);
// how it is drawn changes nothing.
Json scoring_settings(const EvalConfig& config) {
  Json settings = {{"model", config.model_name}, {"temperature", 0}, {"max_tokens", 1}};
  for (const auto& [key, value] : config.extra_body.items()) settings[key] = value;
  return settings;
}

}  // namespace

Json request_settings(const EvalConfig& config, Mode mode) {
  if (config.scores_choices()) return scoring_settings(config);
  Json settings = {{"model", config.model_name}};
  for (const OfficialSampling& one : kOfficialSampling) {
    settings[one.name] = config.sampling.at(one.name);
  }
  if (mode == Mode::strict) return settings;
  for (const SamplingField& field : sampling_fields()) {  // ours, in the order of the table
    const auto given = config.sampling.find(std::string(field.name));
    if (given != config.sampling.end()) settings[std::string(field.name)] = *given;
  }
  if (!config.stop.empty()) settings["stop"] = config.stop;
  if (!config.chat_template_kwargs.empty()) {
    settings["chat_template_kwargs"] = config.chat_template_kwargs;
  }
  for (const auto& [key, value] : config.extra_body.items()) settings[key] = value;
  return settings;
}

Json request_messages(const EvalConfig& config, Mode mode, const std::string& prompt) {
  Json messages = Json::array();
  if (mode == Mode::standard && !config.system.empty()) {
    messages.push_back({{"role", "system"}, {"content", config.system}});
  }
  messages.push_back({{"role", "user"}, {"content", prompt}});
  return messages;
}

Json request_body(const EvalConfig& config,
                  Mode mode,
                  const Json& settings,
                  const std::string& prompt,
                  int64_t sample) {
  Json body = {{"messages", request_messages(config, mode, prompt)}};
  for (const auto& [key, value] : settings.items()) body[key] = value;
  if (mode == Mode::standard && config.seed && !body.contains("seed")) {
    body["seed"] = *config.seed + sample;
  }
  return body;
}

// The prompt comes back with its log probabilities.
Json completion_body(const Json& settings, const std::string& text) {
  Json body = {{"prompt", text}, {"echo", true}, {"logprobs", 1}};
  for (const auto& [key, value] : settings.items()) body[key] = value;
  return body;
}

}  // namespace qwen3::eval
