// --hf-overrides, vLLM's word for what is laid over config.json, and the words of llama.cpp for the part of it that is
// changed most: how positions are stretched.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "cli/help.h"
#include "cli/numbers.h"
#include "cli/options.h"
#include "formats/config_overrides.h"

namespace qwen3::cli {
namespace {

// What each option adds to what the others have said.
void lay_over(std::string& overrides, const Json& more) {
  Json all = overrides.empty() ? Json::object() : parse_config_overrides(overrides);
  add_overrides(all, more);
  overrides = dump_json(all);
}

// "none", "linear", "yarn", or the object itself, as vLLM took it; nothing for another word.
std::optional<Json> rope_scaling(const std::string& word) {
  // Not null, which would hide that a factor was given as well.
  if (word == "none") return Json{{"rope_type", "default"}, {"factor", nullptr}};
  if (word == "linear" || word == "yarn") return Json{{"rope_type", word}};
  if (!word.starts_with('{')) return std::nullopt;
  try {
    return parse_config_overrides(word);
  } catch (const Error&) {
    return std::nullopt;
  }
}

CLI::Validator rope_scaling_validator() {
  const auto check = [](std::string& word) {
    if (rope_scaling(word)) return std::string();
    return fmt::format("expected none, linear, yarn or a JSON object; got \"{}\"",
                       quote_for_message(word, 60));
  };
  return CLI::Validator(check, "", "");
}

}  // namespace

CLI::Validator overrides_json() {
  const auto check = [](std::string& word) {
    try {
      parse_config_overrides(word);
      return std::string();
    } catch (const Error& error) {
      const std::string_view message = error.what();  // "hf_overrides: …", after the option's name
      return std::string(message.substr(std::min(message.find(": ") + 2, message.size())));
    }
  };
  return CLI::Validator(check, "", "");
}

void add_override_options(CLI::App& command, ModelOptions& options) {
  const OptionGroup group(command, "Model");
  std::string& overrides = options.hf_overrides;
  command
      .add_option_function<std::string>(
          "--hf-overrides,--json-model-override-args",
          [&overrides](const std::string& word) {
            lay_over(overrides, parse_config_overrides(word));
          },
          "JSON laid over config.json, objects in it key by key, such as "
          "'{\"rope_theta\":5e6}'")
      ->check(overrides_json())
      ->type_name("JSON");
  command
      .add_option_function<std::string>(
          "--rope-scaling",
          [&overrides](const std::string& word) {
            lay_over(overrides, {{"rope_scaling", *rope_scaling(word)}});
          },
          "How positions are stretched: none, linear, yarn, or config.json's object")
      ->check(rope_scaling_validator())
      ->default_str("the model's");
  const auto number = [&](const char* names, const char* key, double low, const char* help) {
    command
        .add_option_function<double>(
            names,
            [&overrides, key = std::string(key)](const double& value) {
              const bool inside = key != "rope_theta";
              const Json entry = {{key, value}};
              lay_over(overrides, inside ? Json{{"rope_scaling", entry}} : entry);
            },
            help)
        ->check(number_in(low, 1e12))
        ->default_str("the model's");
  };
  number("--rope-scale", "factor", 1, "By how much yarn or linear stretches them");
  number("--rope-theta,--rope-freq-base", "rope_theta", 1, "Base of the angles");
  command
      .add_option_function<int64_t>(
          "--yarn-orig-ctx",
          [&overrides](const int64_t& tokens) {
            lay_over(overrides, {{"rope_scaling", {{"original_max_position_embeddings", tokens}}}});
          },
          "Context in tokens that the model was trained with, for yarn")
      ->check(integer_in(1, int64_t{1} << 26))
      ->default_str("the model's");
}

}  // namespace qwen3::cli
