// qwen3 eval divergence: how far one model's predictions are from another's on a text.
#include "eval/likelihood/divergence.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/text.h"
#include "cli/console.h"
#include "cli/eval/commands.h"
#include "cli/eval/divergence_report.h"
#include "cli/eval/text_options.h"
#include "cli/generation.h"
#include "cli/options.h"
#include "cli/signals.h"

namespace qwen3::cli {
namespace {

struct DivergenceOptions {
  ModelOptions model;
  OutputOptions output;
  TextOptions text;
  std::optional<std::string> other, other_dtype, other_backend, other_overrides;

  ModelOptions other_model() const {
    ModelOptions options = model;
    if (other) options.model = *other;
    if (other_dtype) options.dtype = *other_dtype;
    if (other_backend) options.backend = *other_backend;
    if (other_overrides) options.hf_overrides = *other_overrides;
    return options;
  }
};

Json model_json(const ModelInfo& info) {
  return {{"model", info.name}, {"dtype", info.dtype}, {"backend", info.backend}};
}

ExitCode divergence(const DivergenceOptions& options) {
  const ModelOptions other = options.other_model();
  const Text text = load_text(options.model);
  const Tokenizer& tokenizer = tokenizer_of(text);
  if (options.other) check_same_vocabulary(tokenizer, tokenizer_of(load_text(other)));
  const std::vector<int32_t> ids = read_text_ids(options.text.file, tokenizer);
  const std::shared_ptr<Model> p = load_model(options.model, options.output);
  if (options.output.talk()) print_note("P: " + model_line(p->info()));
  const std::shared_ptr<Model> q = load_model(other, options.output);
  if (options.output.talk()) print_note("Q: " + model_line(q->info()));
  Divergence result;
  {
    ProgressBar bar(options.output.talk());
    InterruptGuard guard;
    result = measure_divergence(p, q, tokenizer, ids, window_options(options.text, bar, guard));
  }
  if (options.output.json) {
    Json line = divergence_json(result);
    line["file"] = options.text.file;
    for (const auto& [side, model] : {std::pair{"p", p}, std::pair{"q", q}}) {
      line[side].update(model_json(model->info()));
    }
    print_json(line);
  } else {
    print_out(divergence_report(result));
  }
  return kDone;
}

}  // namespace

void add_eval_divergence(CLI::App& eval, Action& action) {
  CLI::App* command = eval.add_subcommand("divergence",
                                          "How much a model Q (--other, --other-dtype, --kv-dtype) "
                                          "diverges from a model P (--model) on a text: "
                                          "KL divergence, agreement, perplexities");
  const auto options = std::make_shared<DivergenceOptions>();
  add_model_option(*command, options->model);
  command->add_option("--other", options->other, "The model that is judged")
      ->type_name("MODEL")
      ->default_str("that of --model");
  add_text_options(*command, options->text);
  add_compute_options(*command, options->model);
  add_override_options(*command, options->model);
  command->add_option("--other-dtype", options->other_dtype, "Its weights, as --dtype")
      ->check(one_of({"auto", "float32", "bfloat16"}))
      ->default_str("that of --dtype");
  command->add_option("--other-backend", options->other_backend, "Its backend, as --backend")
      ->check(one_of({"auto", "reference", "cpu", "cuda"}))
      ->default_str("that of --backend");
  command
      ->add_option("--other-hf-overrides",
                   options->other_overrides,
                   "JSON over its config.json, as --hf-overrides; {}: none")
      ->check(overrides_json())
      ->type_name("JSON")
      ->default_str("that of --hf-overrides");
  add_output_options(*command, options->output, "One line of JSON");
  command->callback([options, &action] { action = [options] { return divergence(*options); }; });
}

}  // namespace qwen3::cli
