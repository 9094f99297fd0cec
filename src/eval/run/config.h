// The YAML file of an evaluation. The official files are read unchanged, with the official
// defaults; the keys of ours come on top. docs/evaluation.md has the table.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace qwen3::eval {

// How a sample comes about. lm-evaluation-harness 0.4.13 calls the accuracies of the last three
// acc, acc_norm and acc_bytes (eval/run/choices.h has the definitions).
enum class ChooseBy {
  text,  // the model generates an answer
  loglikelihood,
  loglikelihood_per_character,
  loglikelihood_per_byte,
};

// Where choose_prompt takes the row's prompt in.
inline constexpr std::string_view kPromptPlace = "{prompt}";

// The sampling that the official scripts send, in their order, and their defaults.
struct OfficialSampling {
  const char* name;
  double value;
};
inline constexpr OfficialSampling kOfficialSampling[] = {{"temperature", 0.8},
                                                         {"top_p", 0.7},
                                                         {"max_tokens", 32768},
                                                         {"presence_penalty", 1.0},
                                                         {"top_k", 20}};

Json official_sampling();  // {"temperature":0.8, …}

struct EvalConfig {
  std::string name;  // of the file, for messages

  // Official keys. Paths are relative to the working directory.
  std::string input_file, output_file;  // "": not given
  int64_t n_samples = 1;
  int64_t max_workers = 128;
  std::vector<std::string> base_urls = {"http://10.77.249.36:8030/v1"};  // base_url
  std::string model_name = "Qwen/QwQ-32B";
  std::string eval_input_path, details_path, task_name;  // of the scorer; "": not given

  // Fields of sampling_fields() by name: the official five, always, and those that the file has.
  Json sampling = official_sampling();

  // Ours, part of every request.
  std::optional<int64_t> seed;  // sample k asks with seed + k
  std::vector<std::string> stop;
  std::optional<bool> thinking;  // chat_template_kwargs.enable_thinking
  Json chat_template_kwargs = Json::object();
  Json extra_body = Json::object();  // laid over the request
  std::string system;                // a system message; "": none

  // Ours, for rows with choices (eval/run/choice_source.h).
  ChooseBy choose_by = ChooseBy::text;
  std::string choose_prompt{kPromptPlace};  // the context, made of the row's prompt
  std::string choose_delimiter = " ";       // between it and a choice

  // Ours, about the requests.
  int64_t attempts = 10;             // of one sample
  double retry_base_seconds = 1;     // waits grow from this,
  double retry_max_seconds = 60;     // up to this
  double timeout_seconds = 0;        // of one request ("timeout"); 0: the official 99999
  double deadline_seconds = 0;       // of one sample with all its attempts ("deadline"); 0: none
  double server_wait_seconds = 600;  // ("server_wait") how long no server may be there
  int64_t max_response_bytes = int64_t{64} << 20;

  // Keys that nobody knows, with their lines. The official scripts ignore them.
  struct UnknownKey {
    std::string key;
    int line;
  };
  std::vector<UnknownKey> unknown_keys;
  // Lines of the keys that are there, for messages.
  std::vector<std::pair<std::string, int>> lines;

  bool scores_choices() const { return choose_by != ChooseBy::text; }
};

std::string_view choose_by_name(ChooseBy by);  // as the key has it

// Throws Error{not_found, corrupt_file} naming file, line, key, what was expected and what is
// there.
EvalConfig load_eval_config(const std::filesystem::path& path);
EvalConfig parse_eval_config(const std::string& text, const std::string& name);

// Throws Error{invalid_argument} when the key is missing: "input_file", "output_file" …
const std::string& require_path(const EvalConfig& config,
                                const std::string EvalConfig::*member,
                                std::string_view key);

std::span<const std::string> known_config_keys();

}  // namespace qwen3::eval
