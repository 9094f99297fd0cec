// qwen3 verify: whether a model computes here what its weights say.
#include "verify/verify.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "chat/text.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generation.h"
#include "cli/model_path.h"
#include "cli/numbers.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/verify/report.h"
#include "eval/likelihood/text_windows.h"
#include "trace/tap_name.h"
#include "verify/foreign_taps.h"

namespace qwen3::cli {
namespace {

constexpr int64_t kMaxVerifiedTokens = 4096;

// What the vocabulary's three large parts are asked for.
constexpr std::string_view kVerifiedText =
    "The river reaches the sea.\n"
    "人工智能正在改变世界。\n"
    "def mean(x):\n    return sum(x) / len(x)\n";

struct VerifyCommand {
  ModelOptions model;
  OutputOptions output;
  std::string text, against;
  std::optional<std::string> ids;
  int64_t tokens = 64;
  bool tensors = false;
};

struct ChosenIds {
  std::vector<int32_t> ids;
  std::string text;
};

std::vector<int32_t> encoded(const VerifyCommand& options) {
  const std::filesystem::path model = resolve_model(options.model.model);
  QWEN3_CHECK(Text::available(model),
              ErrorKind::not_found,
              "{}: no tokenizer.json; expected one, or token ids: qwen3 verify --ids 1,2,3",
              options.model.model);
  const Text text = Text::load(model);
  if (!options.text.empty()) return read_text_ids(options.text, tokenizer_of(text));
  return tokenizer_of(text).encode(kVerifiedText);
}

// Ids of another program's pass are all run; of a text the first ones.
ChosenIds verified_ids(const VerifyCommand& options) {
  ChosenIds chosen;
  if (options.ids) {
    chosen = {parse_id_list(*options.ids, "qwen3 verify: --ids"), "of --ids"};
  } else if (options.text.empty() && !options.against.empty()) {
    if (auto ids = foreign_ids(options.against)) {
      chosen = {*std::move(ids), options.against + "/input_ids.npy"};
    }
  }
  if (!chosen.ids.empty()) {
    QWEN3_CHECK(
        std::ssize(chosen.ids) <= kMaxVerifiedTokens,
        ErrorKind::invalid_argument,
        "qwen3 verify: expected at most {} token ids, because the reference is slow; got {}",
        kMaxVerifiedTokens,
        chosen.ids.size());
    return chosen;
  }
  chosen.ids = encoded(options);
  chosen.text = options.text.empty() ? "built in: English, Chinese, code" : options.text;
  if (std::ssize(chosen.ids) > options.tokens) {
    chosen.text += fmt::format(" (the first of {}; --tokens)", chosen.ids.size());
    chosen.ids.resize(static_cast<size_t>(options.tokens));
  }
  return chosen;
}

ExitCode verify_command(const VerifyCommand& options) {
  if (options.ids && !options.text.empty()) {
    throw UsageError("qwen3 verify: expected one of --ids and --text; got both");
  }
  const ChosenIds chosen = verified_ids(options);
  ProgressBar bar(options.output.talk());
  const Progress draw = bar.callback();
  LoadOptions load = load_options(options.model);
  load.progress = draw;
  VerifiedModel model = VerifiedModel::load(
      resolve_model(options.model.model), load, name_of_model(options.model.model));
  check_ids(chosen.ids, model.judged().shape().vocab_size, "qwen3 verify");
  const InterruptGuard guard;
  const int64_t n_layers = model.judged().shape().num_hidden_layers;
  std::optional<std::filesystem::path> against;
  if (!options.against.empty()) against = options.against;
  const Verification found = model.run(chosen.ids, against, [&](std::string_view name) {
    QWEN3_CHECK(!guard.interrupted(), ErrorKind::io, "interrupted; nothing was verified");
    const int64_t layer = parse_tap_name(name).layer;
    if (draw && layer >= 0) draw("layers compared", layer, n_layers);
  });
  if (draw) draw("layers compared", n_layers, n_layers);
  const VerifiedPass pass{
      .text = chosen.text, .against = options.against, .n_tokens = std::ssize(chosen.ids)};
  if (options.output.json) {
    print_json(verification_json(model, pass, found));
  } else {
    if (options.tensors) print_out(verification_tensors(found));
    print_out(verification_report(model, pass, found));
  }
  return found.within() ? kDone : kFailed;
}

}  // namespace

void add_verify(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "verify",
      "Whether a model computes here what its weights say: each tensor of a pass against the "
      "reference, with bounds (docs/verify.md)");
  const auto options = std::make_shared<VerifyCommand>();
  add_model_option(*command, options->model, ModelStands::alone_too);
  command->add_option("--text", options->text, "A text in UTF-8 instead of the built-in one")
      ->type_name("FILE")
      ->check(some_name());
  command->add_option("--ids", options->ids, "Token ids instead: 1,2,3, or @FILE with such a list");
  command
      ->add_option(
          "--tokens", options->tokens, "How many tokens of the text at most; the reference is slow")
      ->check(integer_in(2, kMaxVerifiedTokens))
      ->capture_default_str();
  command
      ->add_option("--against",
                   options->against,
                   "Compare with the .npy files of this directory, another program's tensors "
                   "(script/transformers-taps), and run over its input_ids.npy")
      ->type_name("DIR")
      ->check(some_name());
  command->add_flag("--tensors", options->tensors, "Also a line for each tensor");
  add_compute_options(*command, options->model);
  add_override_options(*command, options->model);
  add_output_options(*command, options->output, "One JSON object");
  command->callback(
      [options, &action] { action = [options] { return verify_command(*options); }; });
}

}  // namespace qwen3::cli
