// qwen3 generate: raw completion of a prompt or of token ids. With --ids no tokenizer is needed:
// the answer is ids then, and text as well when there is a tokenizer.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/output_file.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "cli/chat/answer_form.h"
#include "cli/chat/batch.h"
#include "cli/chat/batch_book.h"
#include "cli/chat/preset_option.h"
#include "cli/chat/session.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generation.h"
#include "cli/input.h"
#include "cli/numbers.h"
#include "cli/options.h"
#include "cli/ranks.h"
#include "cli/signals.h"
#include "eval/run/engine_source.h"
#include "qwen3/engine.h"
#include "qwen3/sampling.h"
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
  std::string file, preset = "none";
  BatchOptions batch;
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

std::string prompt_source(const GenerateOptions& options) {
  return options.ids             ? "--ids"
         : options.prompt        ? "--prompt"
         : !options.file.empty() ? options.file
                                 : "standard input";
}

std::string prompt_text(const GenerateOptions& options) {
  if (options.prompt) return *options.prompt;
  std::string text;
  if (!options.file.empty()) {
    text = read_input_file(options.file, kMaxInputBytes);
    if (text.ends_with('\n')) text.pop_back();  // that editors end a file with
  } else {
    if (stdin_is_terminal()) print_note("reading the prompt from the terminal; Ctrl-D ends it");
    text = read_stdin();
  }
  QWEN3_CHECK(utf8_valid(text),
              ErrorKind::invalid_argument,
              "{}: not valid UTF-8 at byte {}; convert the text to UTF-8",
              prompt_source(options),
              utf8_first_invalid(text));
  return text;
}

// What the tokens are drawn with: the checkpoint's settings, the preset's over them, and what was given over these.
SamplingParams sampling_of(const GenerateOptions& options, const Text* text, const Model& model) {
  ChatSettings settings{.defaults = with_defaults(model.generation_defaults(), DoSample::no)};
  settings.defaults.seed = options.sampling.seed;
  settings.defaults.ignore_eos = options.sampling.ignore_eos;
  settings.asked = asked_sampling(options.sampling);
  settings.preset = options.preset;
  if (text != nullptr) settings.presets = presets_of(*text, model.info());
  try {
    return settings.sampling();
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("qwen3 generate: --{}", error.what()));
  }
}

std::filesystem::path book_of(const GenerateOptions& options) {
  return options.batch.out.empty() ? std::filesystem::path() : book_path(options.batch.out);
}

Json file_digest(const std::optional<std::filesystem::path>& file) {
  if (!file) return {};
  if (!std::filesystem::is_regular_file(*file)) return "a pipe";  // which is read once
  return sha256_hex(read_input_file(*file, kMaxInputBytes));
}

// All that shapes the answers to a file of prompts.
Json shape_of_answers(const GenerateOptions& options,
                      const SamplingParams& sampling,
                      const Model& model,
                      const std::filesystem::path& directory) {
  const ModelInfo& info = model.info();
  Json shape = {{"model", info.name},
                {"model_files", eval::model_fingerprint(directory)},
                {"hf_overrides", options.model.hf_overrides},
                {"dtype", info.dtype},
                {"backend", info.backend.substr(0, info.backend.find(' '))},
                {"kv_dtype", options.model.kv_dtype},
                {"context", options.model.context}};
  for (const SamplingField& field : sampling_fields()) {
    shape[std::string(field.name)] = field.get(sampling);
  }
  shape["seed"] = sampling.seed ? Json(*sampling.seed) : Json();
  shape["ignore_eos"] = sampling.ignore_eos;
  shape["stop"] = options.sampling.stop;
  shape["json_schema"] = file_digest(options.form.json_schema);
  shape["grammar"] = file_digest(options.form.grammar);
  shape["regex"] = options.form.regex ? Json(*options.form.regex) : Json();
  shape["choice"] = options.form.choices;
  return shape;
}

ExitCode generate_batch(const GenerateOptions& options) {
  const std::filesystem::path directory = resolve_model(options.model.model);
  const Text text = Text::load(directory);
  const std::vector<BatchPrompt> prompts = read_prompts(options.batch.prompts);
  check_no_output_is_an_input("qwen3 generate",
                              {{"--prompts", options.batch.prompts}},
                              {{"--out", options.batch.out}, {"--out's book", book_of(options)}});
  if (!options.batch.out.empty()) check_writable(options.batch.out);
  const AnswerForm form = compile_form(options.form, text);
  const std::shared_ptr<Model> model = load_model(options.model, options.output);
  const SamplingParams sampling = sampling_of(options, &text, *model);
  BatchRun run{.text = text, .form = form, .sampling = sampling, .stop = options.sampling.stop};
  if (!options.batch.out.empty()) {
    run.shape = shape_of_answers(options, sampling, *model, directory);
  }
  return answer_prompts(run, model, options.model, options.batch, prompts, options.output);
}

ExitCode generate(const GenerateOptions& options) {
  if (!options.batch.prompts.empty()) return generate_batch(options);
  if (!options.batch.out.empty()) throw UsageError("qwen3 generate: --out needs --prompts");
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
              "{}: expected a text to continue; got none; give one, or --prompt or --ids",
              prompt_source(options));

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
              prompt_source(options),
              n_prompt,
              engine->max_model_len());

  const SamplingParams sampling = sampling_of(options, text ? &*text : nullptr, *model);
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
  CLI::App* command =
      app.add_subcommand("generate",
                         "Continue a prompt: --prompt TEXT, --file FILE, --ids 1,2,3 (needs no "
                         "tokenizer), or standard "
                         "input; or the prompts of a file, many at once: --prompts FILE");
  const auto options = std::make_shared<GenerateOptions>();
  add_model_option(*command, options->model);
  auto* prompt = command->add_option("-p,--prompt", options->prompt, "The text to continue")
                     ->check(some_text());
  auto* ids = command->add_option(
      "--ids", options->ids, "Token ids to continue: 1,2,3, or @FILE with such a list");
  auto* file = command->add_option("-f,--file", options->file, "A file with the text to continue")
                   ->check(some_name())
                   ->type_name("FILE");
  prompt->excludes(ids)->excludes(file);
  file->excludes(ids);
  auto* prompts = add_batch_options(*command, options->batch);
  prompts->excludes(prompt)->excludes(ids)->excludes(file);
  add_sampling_options(*command, options->sampling);
  add_preset_option(*command, options->preset);
  add_form_options(*command, options->form);
  add_context_option(*command, options->model);
  add_kv_dtype_option(*command, options->model.kv_dtype);
  add_compute_options(*command, options->model);
  add_override_options(*command, options->model);
  add_output_options(
      *command,
      options->output,
      "One line {\"ids\":…,\"text\":…,\"finish_reason\":…,\"timing\":…}; ids are the new tokens, "
      "text is null without a tokenizer");
  add_ranks_options(*command, options->model);
  command->callback([options, &action] {
    action = [options] {
      return on_ranks(
          options->model, WeightsFrom::checkpoint, [options] { return generate(*options); });
    };
  });
}

}  // namespace qwen3::cli
