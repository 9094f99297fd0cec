#include "cli/eval/options.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "base/nearest.h"
#include "cli/console.h"
#include "cli/model_path.h"
#include "cli/numbers.h"

namespace qwen3::cli {

void add_eval_config_options(CLI::App& command, EvalOptions& options) {
  command.add_option("--config", options.config, "The evaluation's YAML file")
      ->type_name("FILE")
      ->required();
  command.add_flag("--strict",
                   options.strict,
                   "Reproduce the files and numbers of the official scripts; ignore our own keys");
  command.add_option("--output", options.output, "Instead of the config's output_file")
      ->type_name("FILE");
  command.add_option("--input", options.input, "Instead of the config's input_file")
      ->type_name("FILE");
}

void add_eval_generate_options(CLI::App& command, EvalOptions& options) {
  command
      .add_option("--base-url",
                  options.base_urls,
                  "Instead of the config's base_url; may be given several times")
      ->allow_extra_args(false);
  command.add_option("--limit", options.limit, "The first rows only; 0: all")
      ->check(integer_in(0, int64_t{1} << 30))
      ->capture_default_str();
  command.add_flag("--accept-changed-server",
                   options.accept_changed_server,
                   "Resume although the servers report another version or model than before");
  add_eval_model_option(
      command,
      options,
      "Answer in this process, with this model directory or embedded model, without a server");
  add_context_option(command, options.model);
  add_kv_dtype_option(command, options.model.kv_dtype);
  add_compute_options(command, options.model);
  add_override_options(command, options.model);
  add_quiet_option(command, options.console);
}

void add_eval_model_option(CLI::App& command, EvalOptions& options, const std::string& help) {
  command
      .add_option_function<std::string>(
          "-m,--model",
          [&options](const std::string& name) {
            options.model.model = name;
            options.in_process = true;
          },
          help)
      ->type_name("MODEL");
}

eval::Mode eval_mode(const EvalOptions& options) {
  return options.strict ? eval::Mode::strict : eval::Mode::standard;
}

eval::EvalConfig eval_config(const EvalOptions& options) {
  eval::EvalConfig config = eval::load_eval_config(options.config);
  for (const auto& unknown : config.unknown_keys) {
    print_note(fmt::format("{}: line {}: unknown key \"{}\" is ignored{}",
                           config.name,
                           unknown.line,
                           quote_for_message(unknown.key),
                           did_you_mean(unknown.key, eval::known_config_keys())));
  }
  if (!options.input.empty()) config.input_file = options.input;
  if (!options.output.empty()) config.output_file = options.output;
  if (!options.base_urls.empty()) config.base_urls = options.base_urls;
  if (options.in_process) {
    config.model_name = name_of_model(resolve_model(options.model.model));
  }
  return config;
}

eval::Shard parse_shard(const std::string& text) {
  if (text.empty()) return {};
  const size_t slash = text.find('/');
  const int64_t index = parse_integer(text.substr(0, slash)).value_or(0);
  const int64_t count = slash == text.npos ? 0 : parse_integer(text.substr(slash + 1)).value_or(0);
  if (index < 1 || index > count || count > 1'000'000) {
    throw UsageError(
        fmt::format("--shard: expected i/n with 1 <= i <= n, such as 2/4; got \"{}\"", text));
  }
  return {index, count};
}

}  // namespace qwen3::cli
