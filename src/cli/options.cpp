#include "cli/options.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <limits>

#include "base/json.h"
#include "base/utf8.h"
#include "cli/numbers.h"
#include "hardware/cpu_info.h"

namespace qwen3::cli {
namespace {

// Integers in the table go through double: far above any context, far below 2^53.
constexpr double kMaxTokens = 1 << 30;

constexpr std::array kSettings = {
    SamplingSetting{.name = "max_tokens",
                    .help = "Most new tokens; -1: until the context is full",
                    .low = -1,
                    .high = kMaxTokens,
                    .integer = &SamplingParams::max_tokens},
    SamplingSetting{.name = "temperature",
                    .help = "Divides the logits; 0: greedy",
                    .low = 0,
                    .high = 100,
                    .number = &SamplingParams::temperature},
    SamplingSetting{.name = "top_k",
                    .help = "Draw from the k most probable tokens only; 0: off",
                    .low = 0,
                    .high = kMaxTokens,
                    .integer = &SamplingParams::top_k},
    SamplingSetting{.name = "top_p",
                    .help = "Draw from the smallest set with this probability; 1: off",
                    .low = 1e-9,
                    .high = 1,
                    .number = &SamplingParams::top_p},
    SamplingSetting{.name = "min_p",
                    .help = "Drop tokens below this share of the best one's probability; 0: off",
                    .low = 0,
                    .high = 1,
                    .number = &SamplingParams::min_p},
    SamplingSetting{.name = "presence_penalty",
                    .help = "Subtracted once from the logit of each generated token; 0: off",
                    .low = -2,
                    .high = 2,
                    .number = &SamplingParams::presence_penalty},
    SamplingSetting{.name = "frequency_penalty",
                    .help = "Subtracted per occurrence of each generated token; 0: off",
                    .low = -2,
                    .high = 2,
                    .number = &SamplingParams::frequency_penalty},
    SamplingSetting{.name = "repetition_penalty",
                    .help = "Divides the logits of tokens seen in prompt or answer; 1: off",
                    .low = 0.01,
                    .high = 100,
                    .number = &SamplingParams::repetition_penalty},
};

// What --help shows: the value, or that generation_config.json decides.
const char* default_text(std::string_view name) {
  if (name == "max_tokens") return "-1";
  if (name == "presence_penalty" || name == "frequency_penalty") return "0";
  return "the model's";
}

CLI::Validator known_isa() {
  const auto check = [](std::string& word) {
    try {
      parse_isa(word);
      return std::string();
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  return CLI::Validator(check, "", "");
}

}  // namespace

CLI::Validator any_text() {
  const auto check = [](std::string& text) {
    const size_t at = utf8_first_invalid(text);
    if (at == text.npos) return std::string();
    return fmt::format("expected UTF-8; got \"{}\", wrong at byte {}; convert the text to UTF-8",
                       quote_for_message(text),
                       at);
  };
  return CLI::Validator(check, "", "");
}

CLI::Validator some_text() {
  const auto check = [all = any_text()](std::string& text) {
    return text.empty() ? std::string("expected a text; got \"\"") : all(text);
  };
  return CLI::Validator(check, "", "");
}

CLI::Validator some_name() {
  const auto check = [](std::string& name) {
    return std::string(name.empty() ? "expected the name of a file or directory; got \"\"" : "");
  };
  return CLI::Validator(check, "", "");
}

void add_model_option(CLI::App& command, ModelOptions& options) {
  command
      .add_option("-m,--model",
                  options.model,
                  "Hugging Face model directory, or the name of a model that comes with qwen3")
      ->check(some_name())
      ->capture_default_str();
}

void add_compute_options(CLI::App& command, ModelOptions& options) {
  command
      .add_option(
          "--backend", options.backend, "auto (the fastest), reference (float32 oracle) or cpu")
      ->check(CLI::IsMember({"auto", "reference", "cpu"}))
      ->capture_default_str();
  command.add_option("--dtype", options.dtype, "Weights: auto (as stored), float32 or bfloat16")
      ->check(CLI::IsMember({"auto", "float32", "bfloat16"}))
      ->capture_default_str();
  command.add_option("--threads", options.threads, "Threads; 0: one per core this process may use")
      ->check(integer_in(0, 4096))
      ->capture_default_str();
  command.add_option("--cpu-isa", options.cpu_isa, "Instruction set: " + isa_names())
      ->check(known_isa())
      ->default_str("the best");
}

void add_context_option(CLI::App& command, ModelOptions& options) {
  command
      .add_option("--context",
                  options.context,
                  "Longest sequence in tokens; 0: the model's limit, or what fits in memory")
      ->check(integer_in(0, int64_t{1} << 30))
      ->capture_default_str();
}

LoadOptions load_options(const ModelOptions& options) {
  LoadOptions load;
  load.backend = options.backend;
  load.dtype = options.dtype;
  load.n_threads = options.threads;
  load.cpu_isa = options.cpu_isa;
  return load;
}

void add_quiet_option(CLI::App& command, OutputOptions& options) {
  command.add_flag("--quiet", options.quiet, "No lines about model and speed on stderr");
}

void add_output_options(CLI::App& command, OutputOptions& options, std::string_view json_help) {
  command.add_flag("--json", options.json, std::string(json_help));
  add_quiet_option(command, options);
}

std::string SamplingSetting::option() const {
  std::string text = std::string("--") + name;
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

std::string SamplingSetting::problem(std::string_view word) const {
  const std::optional<double> value = parse_number(word);
  const bool whole = integer == nullptr || parse_integer(word).has_value();
  const bool some = integer != &SamplingParams::max_tokens || value != 0;  // no tokens: no answer
  if (value && whole && some && *value >= low && *value <= high) return {};
  return fmt::format("expected {} from {} to {}{}; got \"{}\"",
                     integer != nullptr ? "an integer" : "a number",
                     low,
                     high,
                     some ? "" : ", not 0",
                     word);
}

std::string SamplingSetting::show(const SamplingParams& sampling) const {
  return integer != nullptr ? fmt::format("{}", sampling.*integer)
                            : fmt::format("{}", sampling.*number);
}

std::span<const SamplingSetting> sampling_settings() { return kSettings; }

void add_sampling_options(CLI::App& command, SamplingOptions& options) {
  options.values.assign(kSettings.size(), std::nullopt);
  for (size_t i = 0; i < kSettings.size(); ++i) {
    const SamplingSetting& setting = kSettings[i];
    const auto store = [&value = options.values[i]](const double& given) { value = given; };
    auto* option = command.add_option_function<double>(setting.option(), store, setting.help)
                       ->default_str(default_text(setting.name));
    option->type_name(setting.integer != nullptr ? "INT" : "FLOAT");
    const auto check = [&setting](std::string& word) { return setting.problem(word); };
    option->check(CLI::Validator(check, "", ""));
  }
  command
      .add_option_function<uint64_t>(
          "--seed",
          [&options](const uint64_t& seed) { options.seed = seed; },
          "The same seed draws the same tokens")
      ->check(any_unsigned())
      ->default_str("a fresh one");
  command.add_option("--stop", options.stop, "End before this text; may be given several times")
      ->check(some_text())
      ->allow_extra_args(false);
  command.add_flag("--ignore-eos", options.ignore_eos, "Do not end at the model's end tokens");
}

SamplingParams resolve_sampling(const SamplingOptions& options,
                                const GenerationDefaults& defaults) {
  SamplingParams sampling;
  if (defaults.do_sample.value_or(false)) sampling.temperature = defaults.temperature.value_or(1.0);
  sampling.top_k = defaults.top_k.value_or(0);
  sampling.top_p = defaults.top_p.value_or(1.0);
  sampling.min_p = defaults.min_p.value_or(0.0);
  sampling.repetition_penalty = defaults.repetition_penalty.value_or(1.0);
  for (size_t i = 0; i < kSettings.size(); ++i) {
    if (!options.values[i]) continue;
    if (kSettings[i].integer != nullptr) {
      sampling.*kSettings[i].integer = static_cast<int64_t>(*options.values[i]);
    } else {
      sampling.*kSettings[i].number = *options.values[i];
    }
  }
  sampling.seed = options.seed;
  sampling.ignore_eos = options.ignore_eos;
  return sampling;
}

}  // namespace qwen3::cli
