#include "cli/options.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <initializer_list>
#include <utility>
#include <variant>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "base/utf8.h"
#include "cli/help.h"
#include "cli/numbers.h"
#include "hardware/cpu_info.h"

namespace qwen3::cli {
namespace {

// What --help shows: the value, or that generation_config.json decides.
std::string default_text(const SamplingField& field) {
  const bool fixed = std::holds_alternative<std::monostate>(field.of_checkpoint);
  return fixed ? fmt::format("{}", field.get({})) : "the model's";
}

// What hands that know other programs type.
std::string other_names(const SamplingField& field) {
  return field.name == std::string_view("max_tokens")    ? ",-n,--n-predict"
         : field.name == std::string_view("temperature") ? ",--temp"
                                                         : "";
}

CLI::Validator known_isa() {
  const auto check = [](std::string& word) {
    try {
      const CpuIsa isa = parse_isa(word);
      if (processor_has(isa)) return std::string();
      return fmt::format(
          "expected at most {}, which is what this processor has; got {}; leave it out for the "
          "best",
          isa_name(cpu_info().best_isa),
          isa_name(isa));
    } catch (const Error&) {
      return fmt::format("expected one of {}; got \"{}\"", isa_names(), quote_for_message(word));
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

CLI::Validator one_of(std::vector<std::string> words) {
  std::string listed;
  for (size_t i = 0; i < words.size(); ++i) {
    listed += i == 0 ? "" : i + 1 == words.size() ? " or " : ", ";
    listed += words[i];
  }
  std::string shown = fmt::format("{{{}}}", fmt::join(words, ","));
  const auto check = [words = std::move(words), listed](std::string& word) {
    if (std::find(words.begin(), words.end(), word) != words.end()) return std::string();
    const std::string lower = ascii_lower(word);
    const auto named = [&](std::initializer_list<std::string_view> names) {
      return std::find(names.begin(), names.end(), lower) != names.end();
    };
    const bool weights = std::find(words.begin(), words.end(), "bfloat16") != words.end();
    std::string remedy;
    if (named({"gpu", "nvidia", "cuda:0"})) {
      remedy = "; NVIDIA cards are cuda";
    } else if (named({"metal", "mps", "vulkan", "rocm", "hip", "sycl", "xpu", "npu", "tpu"})) {
      remedy = "; it runs on processors and NVIDIA cards only";
    } else if (weights && named({"float16", "f16", "fp16", "half"})) {
      remedy = "; checkpoints in float16 load as they are: leave the option out";
    } else if (weights && (lower.starts_with("int") || lower.starts_with("q") ||
                           lower.starts_with("fp8") || lower.starts_with("float8"))) {
      remedy = "; quantised checkpoints load as they are: leave the option out";
    }
    return fmt::format("expected {}; got \"{}\"{}", listed, quote_for_message(word), remedy);
  };
  return CLI::Validator(check, shown, "");
}

CLI::Validator some_name() {
  const auto check = [](std::string& name) {
    return std::string(name.empty() ? "expected the name of a file or directory; got \"\"" : "");
  };
  return CLI::Validator(check, "", "");
}

void add_model_option(CLI::App& command, ModelOptions& options, ModelStands where) {
  const OptionGroup group(command, "Model");
  command
      .add_option(
          where == ModelStands::alone_too ? "-m,--model,MODEL" : "-m,--model",
          options.model,
          "Hugging Face model directory, GGUF file (of a split one the first), the name of a "
          "downloaded model (qwen3 list), or of one that comes with qwen3")
      ->type_name("MODEL")
      ->check(some_name())
      ->capture_default_str();
}

void add_compute_options(CLI::App& command, ModelOptions& options) {
  const OptionGroup group(command, "Computation");
  command
      .add_option("--backend",
                  options.backend,
                  "auto (the fastest), reference (float32 oracle), cpu or cuda (NVIDIA H100, H200)")
      ->check(one_of({"auto", "reference", "cpu", "cuda"}))
      ->capture_default_str();
  command.add_option("--dtype", options.dtype, "Weights: auto (as stored), float32 or bfloat16")
      ->check(one_of({"auto", "float32", "bfloat16"}))
      ->capture_default_str();
  command
      .add_option("-t,--threads", options.threads, "Threads; 0: one per core this process may use")
      ->check(integer_in(0, 4096))
      ->capture_default_str();
  command.add_option("--cpu-isa", options.cpu_isa, "Instruction set: " + isa_names())
      ->check(known_isa())
      ->default_str("the best");
}

void add_context_option(CLI::App& command, ModelOptions& options) {
  const OptionGroup group(command, "Model");
  command
      .add_option("-c,--context,--ctx-size,--max-model-len",
                  options.context,
                  "Longest sequence in tokens; 0: the model's limit, or what fits in memory")
      ->check(integer_in(0, int64_t{1} << 30))
      ->capture_default_str();
}

void add_kv_dtype_option(CLI::App& command, std::string& kv_dtype) {
  const OptionGroup group(command, "Model");
  command
      .add_option("--kv-dtype,--kv-cache-dtype",
                  kv_dtype,
                  "Keys and values: auto (bfloat16 for 16-bit weights), float32, bfloat16 or q8 "
                  "(8 bits, half the memory of bfloat16)")
      ->check(one_of({"auto", "float32", "bfloat16", "q8"}))
      ->capture_default_str();
}

void add_ranks_options(CLI::App& command, ModelOptions& options) {
  const OptionGroup group(command, "Ranks");
  command
      .add_option(
          "--ranks",
          options.ranks,
          "Processes that hold the model together, 1 to 8, started by mpirun on this host; 0: "
          "as many as mpirun or srun started, else one")
      ->check(integer_in(0, 8))
      ->capture_default_str();
  command
      .add_option("--peer-seconds",
                  options.peer_seconds,
                  "A rank that gives no sign of life for so long is lost, and all end; 0: never")
      ->check(integer_in(0, 3600))
      ->capture_default_str();
}

LoadOptions load_options(const ModelOptions& options) {
  LoadOptions load;
  load.backend = options.backend;
  load.dtype = options.dtype;
  load.n_threads = options.threads;
  load.cpu_isa = options.cpu_isa;
  load.hf_overrides = options.hf_overrides;
  return load;
}

void add_quiet_option(CLI::App& command, OutputOptions& options, std::string_view quiet_help) {
  const OptionGroup group(command, "Output");
  command.add_flag("--quiet", options.quiet, std::string(quiet_help));
}

void add_output_options(CLI::App& command,
                        OutputOptions& options,
                        std::string_view json_help,
                        std::string_view quiet_help) {
  const OptionGroup group(command, "Output");
  command.add_flag("--json", options.json, std::string(json_help));
  add_quiet_option(command, options, quiet_help);
}

std::string option_name(const SamplingField& field) {
  std::string text = fmt::format("--{}", field.name);
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

std::string problem(const SamplingField& field, std::string_view word) {
  const std::optional<double> value = parse_number(word);
  const bool spelled = !field.is_integer() || parse_integer(word).has_value();
  if (value && spelled && field.accepts(*value)) return {};
  return fmt::format("expected {}; got \"{}\"", field.what_it_accepts(), word);
}

void add_sampling_options(CLI::App& command, SamplingOptions& options) {
  const OptionGroup group(command, "Sampling");
  const std::span<const SamplingField> fields = sampling_fields();
  options.values.assign(fields.size(), std::nullopt);
  for (size_t i = 0; i < fields.size(); ++i) {
    const SamplingField& field = fields[i];
    const auto store = [&value = options.values[i]](const double& given) { value = given; };
    auto* option = command
                       .add_option_function<double>(
                           option_name(field) + other_names(field), store, std::string(field.help))
                       ->default_str(default_text(field));
    option->type_name(field.is_integer() ? "INT" : "FLOAT");
    const auto check = [&field](std::string& word) { return problem(field, word); };
    option->check(CLI::Validator(check, "", ""));
  }
  command
      .add_option_function<uint64_t>(
          "-s,--seed",
          [&options](const uint64_t& seed) { options.seed = seed; },
          "The same seed draws the same tokens")
      ->check(any_unsigned())
      ->default_str("a fresh one");
  command.add_option("--stop", options.stop, "End before this text; may be given several times")
      ->check(some_text())
      ->allow_extra_args(false);
  command.add_flag("--ignore-eos", options.ignore_eos, "Do not end at the model's end tokens");
}

std::map<std::string, double> asked_sampling(const SamplingOptions& options) {
  std::map<std::string, double> asked;
  const std::span<const SamplingField> fields = sampling_fields();
  for (size_t i = 0; i < fields.size(); ++i) {
    if (options.values[i]) asked[std::string(fields[i].name)] = *options.values[i];
  }
  return asked;
}

}  // namespace qwen3::cli
