// qwen3 eval perplexity: how surprised a model is by a text.
#include "eval/likelihood/perplexity.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cmath>
#include <memory>
#include <numbers>
#include <string>
#include <vector>

#include "chat/text.h"
#include "cli/console.h"
#include "cli/eval/commands.h"
#include "cli/eval/text_options.h"
#include "cli/generation.h"
#include "cli/options.h"
#include "cli/signals.h"

namespace qwen3::cli {
namespace {

struct PerplexityOptions {
  ModelOptions model;
  OutputOptions output;
  TextOptions text;
};

void print_result(const Perplexity& result) {
  const BlockMean& nll = result.nll;
  print_out(fmt::format("perplexity       {}\n",
                        with_error(result.perplexity(), result.perplexity_error())));
  print_out(fmt::format("nats per token   {}\n", with_error(nll.mean(), nll.standard_error())));
  print_out(fmt::format("bits per token   {:.5g}\n", nll.mean() / std::numbers::ln2));
  if (result.text.n_bytes > 0) {
    print_out(fmt::format("bits per byte    {:.5g}\n", result.bits_per_byte()));
  }
  if (result.text.n_words > 0) {
    print_out(fmt::format("nats per word    {:.5g}\n",
                          nll.sum() / static_cast<double>(result.text.n_words)));
  }
  print_out(fmt::format("log-likelihood   {:.8g}\n", -nll.sum()));
  print_out(fmt::format("scored           {} of {} tokens, {} bytes, {} words\n",
                        nll.count(),
                        result.n_tokens,
                        result.text.n_bytes,
                        result.text.n_words));
  print_out(fmt::format("windows          {} of up to {} tokens, stride {}\n",
                        result.n_windows,
                        result.context,
                        result.stride));
}

ExitCode perplexity(const PerplexityOptions& options) {
  const Text text = load_text(options.model);
  const Tokenizer& tokenizer = tokenizer_of(text);
  const std::vector<int32_t> ids = read_text_ids(options.text.file, tokenizer);
  const std::shared_ptr<Model> model = load_model(options.model, options.output);
  if (options.output.talk()) print_note(model_line(model->info()));
  Perplexity result;
  {
    ProgressBar bar(options.output.talk());
    InterruptGuard guard;
    result = measure_perplexity(model, tokenizer, ids, window_options(options.text, bar, guard));
  }
  if (options.output.json) {
    Json line{{"model", model->info().name},
              {"dtype", model->info().dtype},
              {"backend", model->info().backend},
              {"file", options.text.file}};
    line.update(perplexity_json(result));
    print_json(line);
  } else {
    print_result(result);
  }
  return kDone;
}

}  // namespace

void add_eval_perplexity(CLI::App& eval, Action& action) {
  CLI::App* command = eval.add_subcommand(
      "perplexity", "Perplexity and log-likelihood of a text, per token, byte and word");
  const auto options = std::make_shared<PerplexityOptions>();
  add_model_option(*command, options->model);
  add_text_options(*command, options->text);
  add_compute_options(*command, options->model);
  add_override_options(*command, options->model);
  add_output_options(*command, options->output, "One line of JSON");
  command->callback([options, &action] { action = [options] { return perplexity(*options); }; });
}

}  // namespace qwen3::cli
