// qwen3 generate: raw completion of a prompt or of token ids. With --ids no tokenizer is needed:
// the answer is ids then, and text as well when there is a tokenizer.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "cli/chat/answer_form.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generation.h"
#include "cli/input.h"
#include "cli/numbers.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "qwen3/engine.h"
#include "qwen3/text.h"

namespace qwen3::cli {
namespace {

struct GenerateOptions {
  ModelOptions model;
  SamplingOptions sampling;
  OutputOptions output;
  FormOptions form;
  std::optional<std::string> prompt;
  std::optional<std::string> ids;
};

// Text made by an answer, with or without a tokenizer.
class Writer {
 public:
  Writer(const Text* text, const GenerateOptions& options) : json_(options.output.json) {
    if (text == nullptr) return;
    stream_.emplace(text->answer({.split_reasoning = false, .stop = options.sampling.stop}));
  }

  // False when a stop string was found.
  bool token(int32_t id, bool is_end_token) {
    if (!stream_) {
      if (!json_) print_out(fmt::format("{}{}", first_ ? "" : ",", id));
      first_ = false;
      return true;
    }
    if (!is_end_token) deliver(stream_->push(id));
    return !stream_->stopped();
  }

  void finish() {
    if (stream_) deliver(stream_->finish());
    if (!json_) print_out("\n");
  }

  Json text() const { return stream_ ? Json(text_) : Json(); }

 private:
  void deliver(const std::vector<AnswerPiece>& pieces) {
    for (const AnswerPiece& piece : pieces) {
      text_ += piece.text;
      if (!json_) print_out(piece.text);
    }
  }

  bool json_;
  bool first_ = true;
  std::optional<AnswerStream> stream_;
  std::string text_;
};

std::string prompt_text(const GenerateOptions& options) {
  if (options.prompt) return *options.prompt;
  if (stdin_is_terminal()) print_note("reading the prompt from the terminal; Ctrl-D ends it");
  std::string text = read_stdin();
  QWEN3_CHECK(utf8_valid(text),
              ErrorKind::invalid_argument,
              "standard input: not valid UTF-8 at byte {}; convert the text to UTF-8",
              utf8_first_invalid(text));
  return text;
}

ExitCode generate(const GenerateOptions& options) {
  std::vector<int32_t> prompt_ids;
  if (options.ids) prompt_ids = parse_id_list(*options.ids, "qwen3 generate: --ids");
  const std::filesystem::path directory = resolve_model(options.model.model);
  std::optional<Text> text;
  if (!options.ids || Text::available(directory)) text.emplace(Text::load(directory));
  if (!text && (options.form.any() || !options.sampling.stop.empty())) {
    const char* option = options.form.any() ? "a form of the answer" : "--stop";
    throw UsageError(fmt::format(
        "qwen3 generate: {0} needs a tokenizer; {1} has no tokenizer.json; leave it out",
        option,
        directory.string()));
  }
  const AnswerForm form = text ? compile_form(options.form, *text) : AnswerForm{};
  if (!options.ids) prompt_ids = text->encode(prompt_text(options));
  QWEN3_CHECK(!prompt_ids.empty(),
              ErrorKind::invalid_argument,
              "standard input: expected a text to continue; got none; give one, or --prompt or "
              "--ids");

  const std::shared_ptr<Model> model = load_model(options.model, options.output);
  const std::unique_ptr<Engine> engine =
      start_engine(model, options.model, text ? &*text : nullptr);
  if (options.output.talk()) print_note(model_line(model->info(), *engine));
  if (options.ids) {
    check_ids(prompt_ids, text ? text->n_tokens() : model->info().vocab_size, "--ids");
  }
  const auto n_prompt = static_cast<int64_t>(prompt_ids.size());
  QWEN3_CHECK(n_prompt < engine->max_model_len(),
              ErrorKind::invalid_argument,
              "{}: {} tokens; the context holds {}, answer included; give fewer, or a larger "
              "--context",
              options.ids      ? "--ids"
              : options.prompt ? "--prompt"
                               : "standard input",
              n_prompt,
              engine->max_model_len());

  const SamplingParams sampling = resolve_sampling(options.sampling, model->generation_defaults());
  Writer writer(text ? &*text : nullptr, options);
  const InterruptGuard interrupt;
  const Outcome outcome = run_request(
      *engine,
      {.prompt_ids = prompt_ids,
       .sampling = sampling,
       .constraint = text ? constraint_of(form, *text, PromptState::thinking_is_over) : nullptr},
      &interrupt,
      [&](int32_t id, bool is_end_token) { return writer.token(id, is_end_token); });
  writer.finish();
  if (options.output.json) {
    print_json({{"ids", outcome.ids},
                {"text", writer.text()},
                {"finish_reason", finish_name(outcome.finish)},
                {"timing", timing_json(outcome, model->info())}});
  }
  if (options.output.talk()) print_note(speed_line(outcome, model->info()));
  return outcome.finish == FinishReason::cancelled ? kFailed : kDone;
}

}  // namespace

void add_generate(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "generate",
      "Continue a prompt: --prompt TEXT, --ids 1,2,3 (needs no tokenizer), or standard input");
  const auto options = std::make_shared<GenerateOptions>();
  add_model_option(*command, options->model);
  auto* prompt = command->add_option("-p,--prompt", options->prompt, "The text to continue")
                     ->check(some_text());
  auto* ids = command->add_option(
      "--ids", options->ids, "Token ids to continue: 1,2,3, or @FILE with such a list");
  prompt->excludes(ids);
  add_sampling_options(*command, options->sampling);
  add_form_options(*command, options->form);
  add_context_option(*command, options->model);
  add_compute_options(*command, options->model);
  add_output_options(
      *command,
      options->output,
      "One line {\"ids\":…,\"text\":…,\"finish_reason\":…,\"timing\":…}; ids are the new tokens, "
      "text is null without a tokenizer");
  command->callback([options, &action] { action = [options] { return generate(*options); }; });
}

}  // namespace qwen3::cli
