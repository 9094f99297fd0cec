// qwen3 trace: one forward pass, or the passes of a generation, seen from inside.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/help.h"
#include "cli/numbers.h"
#include "cli/options.h"
#include "cli/trace/demo.h"
#include "cli/trace/moe_block.h"
#include "cli/trace/options.h"
#include "cli/trace/output.h"
#include "cli/trace/run.h"

namespace qwen3::cli {
namespace {

constexpr int64_t kReportLensRows = 64;  // the head costs as much per row as a few layers
constexpr int64_t kMaxLensRows = 1 << 20;
constexpr int64_t kMaxGenerated = 1 << 20;

// The language that the environment asks for, by POSIX's order: zh, or English.
bool environment_is_chinese() {
  for (const char* name : {"LC_ALL", "LC_MESSAGES", "LANG"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return std::string_view(value).starts_with("zh");
  }
  return false;
}

void check_level(const TraceOptions& options) {
  if (!options.level) return;
  try {
    parse_trace_level(*options.level, "qwen3 trace: --level");
  } catch (const Error& error) {  // a wrong word on the command line, not failed work
    throw UsageError(error.what());
  }
}

// What stands for one pass over all ids has no meaning for the passes of a generation.
void check_generate(const TraceOptions& options) {
  if (options.generate == 0) return;
  for (const auto& [given, name] : {std::pair(!options.out.empty(), "--out"),
                                    std::pair(!options.compare.empty(), "--compare"),
                                    std::pair(options.labels.has_value(), "--labels")}) {
    if (!given) continue;
    throw UsageError(fmt::format(
        "qwen3 trace: {}: expected it without --generate, because it is about a single pass; "
        "got both; run trace again with --ids of all tokens",
        name));
  }
}

ExitCode trace(TraceOptions options) {
  if (options.demo || options.moe_block) {
    if (options.demo && options.moe_block) {
      throw UsageError("qwen3 trace: expected one of --demo and --moe-block; got both");
    }
    if (options.prompt || options.chat || options.ids) {
      throw UsageError(
          "qwen3 trace: --demo and --moe-block run a model of their own: expected no --prompt, "
          "--chat "
          "or --ids with them");
    }
    const bool english = trace_language(options) == TraceLanguage::english;
    print_out(options.demo ? dimension_flow_demo(english) : moe_block_demo(english));
    return kDone;
  }
  const int n_inputs =
      options.prompt.has_value() + options.chat.has_value() + options.ids.has_value();
  if (n_inputs != 1) {
    throw UsageError(fmt::format("qwen3 trace: expected one of --prompt, --chat and --ids; got {}",
                                 n_inputs == 0 ? "none" : "several"));
  }
  if (options.thinking && !options.chat) {
    throw UsageError("qwen3 trace: --thinking: expected it with --chat, whose template it is for");
  }
  check_level(options);
  check_generate(options);
  options.lens_given = options.lens > 0;
  if (!options.html.empty() && !options.lens_given) options.lens = kReportLensRows;
  Trace seen;
  run_trace(options, seen);
  return report_trace(options, seen);
}

void add_what_to_see(CLI::App& command, TraceOptions& o) {
  const OptionGroup group(command, "What to see");
  command.add_option("--level",
                     o.level,
                     "Lines of text: input_flow (shapes into and out of each module), compact "
                     "(intermediate shapes, routing) or verbose (every tensor)");
  command
      .add_option("--lang",
                  o.language,
                  "en or zh; auto: by LC_ALL, LC_MESSAGES or LANG; original: as the original "
                  "writes its lines")
      ->check(one_of({"auto", "en", "zh", "original"}))
      ->capture_default_str();
  command
      .add_option(
          "--taps",
          o.taps,
          "Statistics of the tensors whose name matches, for example 'layers.*.output'; may "
          "be given several times")
      ->allow_extra_args(false);
  command.add_flag("--watch", o.watch, "Name the first tensor with a NaN or an infinity");
  command.add_flag("--routing", o.routing, "Which experts each token went to, and how evenly");
  command.add_flag("--attention", o.attention, "What each attention head looks at");
  command
      .add_option("--lens", o.lens, "What each layer would predict after each of the last N tokens")
      ->check(integer_in(0, kMaxLensRows))
      ->capture_default_str();
}

void add_files(CLI::App& command, TraceOptions& o) {
  const OptionGroup group(command, "Files");
  command
      .add_option("--out", o.out, "Write the tensors (of --taps, or all) as .npy to this directory")
      ->type_name("DIR");
  command
      .add_option(
          "--compare",
          o.compare,
          "Compare with the .npy files of this directory; names the first tensor that diverges")
      ->type_name("DIR");
  command.add_option("--tolerance", o.tolerance, "|difference| / |reference| that still agrees")
      ->check(number_in(0, 1e9))
      ->capture_default_str();
  command
      .add_option("--routing-out",
                  o.routing_out,
                  "Write routing.json, experts.npy and weights.npy [tokens, layers, top_k] to this "
                  "directory")
      ->type_name("DIR");
  command
      .add_option("--attention-out",
                  o.attention_out,
                  "Write the full attention maps as .npy to this directory")
      ->type_name("DIR");
  command
      .add_option("--timeline",
                  o.timeline,
                  "Write the time of each operation, and with --generate of each step of the "
                  "request, for Perfetto or chrome://tracing")
      ->type_name("FILE");
  command.add_option("--html", o.html, "Write the report: one page with everything")
      ->type_name("FILE");
}

}  // namespace

TraceLanguage trace_language(const TraceOptions& options) {
  if (options.language == "original") return TraceLanguage::as_original;
  const bool automatic = options.language == "auto";
  const bool chinese = automatic ? environment_is_chinese() : options.language == "zh";
  return chinese ? TraceLanguage::chinese : TraceLanguage::english;
}

void add_trace(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "trace", "Forward passes seen from inside: shapes, tensors, experts, attention, time");
  const auto options = std::make_shared<TraceOptions>();
  add_model_option(*command, options->model);
  command->add_option("--prompt", options->prompt, "Text to run, as it is")->check(some_text());
  command->add_option("--chat", options->chat, "A message to the model, put into its chat template")
      ->check(some_text());
  command
      ->add_option("--thinking",
                   options->thinking,
                   "on or off: whether the template asks for thinking first")
      ->check(one_of({"on", "off"}))
      ->default_str("the template's");
  command->add_option("--ids", options->ids, "Token ids instead: 1,2,3, or @FILE with such a list");
  command->add_option("--labels",
                      options->labels,
                      "As many labels as ids: adds the losses to the lines of the level");
  command
      ->add_option("--generate",
                   options->generate,
                   "Trace this many generated tokens too (greedy), served by an engine")
      ->check(integer_in(0, kMaxGenerated))
      ->capture_default_str();
  add_what_to_see(*command, *options);
  add_files(*command, *options);
  command->add_flag(
      "--demo", options->demo, "The dimension-flow demo: a small made-up model, module by module");
  command->add_flag("--moe-block", options->moe_block, "One expert block on its own, step by step");
  add_compute_options(*command, options->model);
  add_override_options(*command, options->model);
  add_output_options(*command, options->output, "Everything as JSON lines");
  command->callback([options, &action] { action = [options] { return trace(*options); }; });
}

}  // namespace qwen3::cli
