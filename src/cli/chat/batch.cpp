#include "cli/chat/batch.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/output_file.h"
#include "base/text.h"
#include "base/utf8.h"
#include "cli/chat/batch_book.h"
#include "cli/console.h"
#include "cli/generation.h"
#include "cli/help.h"
#include "cli/input.h"
#include "cli/numbers.h"
#include "cli/signals.h"

namespace qwen3::cli {
namespace {

constexpr std::chrono::milliseconds kBatchPatience{20};
constexpr int64_t kWaitingPerSequence = 4;  // so that a place that gets free is taken at once

BatchPrompt prompt_of_json(std::string_view line, const std::string& where) {
  try {
    const Json json = parse_json(line, where);
    const Json* text = &json;
    if (json.is_object()) {
      const auto found = json.find("prompt");
      QWEN3_CHECK(found != json.end(),
                  ErrorKind::invalid_argument,
                  "{}: \"prompt\": missing; expected {{\"prompt\":\"…\"}} or a text",
                  where);
      text = &*found;
    }
    QWEN3_CHECK(text->is_string() && !text->get_ref<const std::string&>().empty(),
                ErrorKind::invalid_argument,
                "{}: expected a text; got {}",
                where,
                text->is_string() ? "\"\"" : text->type_name());
    return {.text = text->get<std::string>(), .error = {}};
  } catch (const Error& error) {
    return {.text = {}, .error = error.what()};
  }
}

BatchPrompt prompt_of_line(std::string_view line, const std::string& where, bool is_json) {
  if (const size_t at = utf8_first_invalid(line); at != line.npos) {
    return {.text = {},
            .error = fmt::format(
                "{}: not valid UTF-8 at byte {}; convert the file to UTF-8", where, at)};
  }
  if (is_json) return prompt_of_json(line, where);
  return {.text = std::string(line), .error = {}};
}

// One prompt on its way to its line.
struct Place {
  size_t index = 0;
  std::optional<EventStream> stream = {};
  std::optional<AnswerStream> answer = {};
  std::string text = {};
  Json line = {};  // not null: done
};

class Batch {
 public:
  // `book`, if not null, is told of every answer, and asked for those that it has.
  Batch(const BatchRun& run,
        Engine& engine,
        const std::vector<BatchPrompt>& prompts,
        BatchBook* book)
      : run_(run), engine_(engine), prompts_(prompts), book_(book) {}

  // Told each line, in order. False when Ctrl-C came.
  bool answer(size_t most_under_way, const std::function<void(const Json& line)>& on_line) {
    const InterruptGuard interrupt;
    size_t next = 0;
    while (next < prompts_.size() || !places_.empty()) {
      if (interrupt.interrupted()) return false;
      while (next < prompts_.size() && places_.size() < most_under_way) begin(next++);
      bool moved = false;
      for (Place& place : places_) moved = look_at(place, std::chrono::milliseconds(0)) || moved;
      while (!places_.empty() && !places_.front().line.is_null()) {
        on_line(places_.front().line);
        places_.pop_front();
        moved = true;
      }
      if (!moved && !places_.empty()) look_at(places_.front(), kBatchPatience);
    }
    return true;
  }

  int64_t n_failed() const { return n_failed_; }
  int64_t n_tokens() const { return n_tokens_; }

 private:
  void begin(size_t index) {
    Place& place = places_.emplace_back();
    place.index = index;
    const BatchPrompt& prompt = prompts_[index];
    if (book_ != nullptr && !book_->line(index).is_null()) {
      place.line = book_->line(index);
      return;
    }
    try {
      if (!prompt.error.empty()) return fail_place(place, prompt.error);
      std::vector<int32_t> ids = run_.text.encode(prompt.text);
      const auto n_prompt = static_cast<int64_t>(ids.size());
      QWEN3_CHECK(n_prompt > 0 && n_prompt < engine_.max_model_len(),
                  ErrorKind::invalid_argument,
                  "prompt {}: {} tokens; the context holds {}, answer included",
                  index,
                  n_prompt,
                  engine_.max_model_len());
      place.answer.emplace(run_.text.answer({.split_reasoning = false, .stop = run_.stop}));
      place.stream.emplace(engine_.submit(
          {.prompt_ids = std::move(ids),
           .sampling = run_.sampling,
           .constraint = constraint_of(run_.form, run_.text, PromptState::thinking_is_over)}));
    } catch (const Error& error) {
      fail_place(place, error.what());
    }
  }

  void fail_place(Place& place, const std::string& why) {
    place.line = {{"index", place.index}, {"error", why}};
    ++n_failed_;
  }

  // Takes what has come for it, or comes in time; whether anything did.
  bool look_at(Place& place, std::chrono::milliseconds patience) {
    if (!place.line.is_null()) return false;
    bool moved = false;
    while (const std::optional<Event> event = place.stream->next_for(patience)) {
      moved = true;
      patience = std::chrono::milliseconds(0);  // the others have waited
      const bool ended = event->finish.has_value();
      take(place, *event);
      if (ended) break;
    }
    return moved;
  }

  void take(Place& place, const Event& event) {
    const auto deliver = [&](const std::vector<AnswerPiece>& pieces) {
      for (const AnswerPiece& piece : pieces) place.text += piece.text;
    };
    const bool stopped_before = place.answer->stopped();
    if (event.token_id >= 0 && !stopped_before && !event.is_end_token) {
      deliver(place.answer->push(event.token_id));
      if (place.answer->stopped() && !event.finish) place.stream->cancel();
    }
    if (!event.finish) return;
    if (*event.finish == FinishReason::error) return fail_place(place, event.error);
    deliver(place.answer->finish());
    const FinishReason reason = place.answer->stopped() ? FinishReason::stop : *event.finish;
    n_tokens_ += event.usage.completion_tokens;
    place.line = {{"index", place.index},
                  {"text", std::move(place.text)},
                  {"finish_reason", finish_name(reason)},
                  {"prompt_tokens", event.usage.prompt_tokens},
                  {"completion_tokens", event.usage.completion_tokens}};
    place.stream.reset();
    if (book_ != nullptr) book_->add(place.index, place.line);
  }

  const BatchRun& run_;
  Engine& engine_;
  const std::vector<BatchPrompt>& prompts_;
  BatchBook* const book_;
  std::deque<Place> places_;
  int64_t n_failed_ = 0, n_tokens_ = 0;
};

}  // namespace

CLI::Option* add_batch_options(CLI::App& command, BatchOptions& options) {
  const OptionGroup group(command, "Batch");
  CLI::Option* prompts =
      command
          .add_option("--prompts",
                      options.prompts,
                      "A file of prompts, answered many at once: .jsonl with a text or "
                      "{\"prompt\":…} per line, or any other with one prompt per line. A line "
                      "{\"index\":…,\"text\":…,\"finish_reason\":…,…} or {\"index\":…,\"error\":…} "
                      "for each")
          ->check(some_name())
          ->type_name("FILE");
  command.add_option("--batch", options.size, "Prompts of --prompts that run together")
      ->check(integer_in(1, 1024))
      ->capture_default_str();
  command
      .add_option(
          "--out",
          options.out,
          "File for the lines of --prompts, written whole at the end; until then answers are in "
          "FILE.partial, from which the same command goes on")
      ->check(some_name())
      ->type_name("FILE")
      ->default_str("stdout");
  return prompts;
}

std::vector<BatchPrompt> read_prompts(const std::filesystem::path& file) {
  const std::string all = read_input_file(file, kMaxInputBytes);
  const std::string name = quote_for_message(file.string(), 200);
  const bool is_json = ascii_lower(file.extension().string()) == ".jsonl";
  std::vector<BatchPrompt> prompts;
  std::string_view rest = all;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == line.npos) continue;
    prompts.push_back(prompt_of_line(line, fmt::format("{}: line {}", name, number), is_json));
  }
  QWEN3_CHECK(!prompts.empty(),
              ErrorKind::invalid_argument,
              "{}: expected a prompt per line; got none",
              name);
  return prompts;
}

ExitCode answer_prompts(const BatchRun& run,
                        const std::shared_ptr<Model>& model,
                        const ModelOptions& model_options,
                        const BatchOptions& options,
                        const std::vector<BatchPrompt>& prompts,
                        const OutputOptions& output) {
  check_context(model_options, model->shape());
  EngineOptions engine_options;
  engine_options.max_model_len = model_options.context;
  engine_options.max_sequences = options.size;
  engine_options.max_waiting = kWaitingPerSequence * options.size;
  tell_engine(engine_options, &run.text);
  Engine engine(model, engine_options);
  if (output.talk()) print_note(model_line(model->info(), engine));
  std::optional<BatchBook> book;
  if (!options.out.empty() && may_have_book(options.out)) {
    book.emplace(options.out, run.shape, prompts);
    if (output.talk() && book->n_found() > 0) {
      print_note(fmt::format(
          "{}: goes on with {} of {} answers", book->name(), book->n_found(), prompts.size()));
    }
  }
  std::string lines;  // for a file
  StatusLine status(output.talk() && !options.out.empty());
  int64_t n_done = 0;
  const auto begin = std::chrono::steady_clock::now();
  Batch batch(run, engine, prompts, book ? &*book : nullptr);
  const bool whole =
      batch.answer(static_cast<size_t>(kWaitingPerSequence * options.size), [&](const Json& line) {
        if (options.out.empty()) {
          print_json(line);
        } else {
          lines += dump_json(line) + "\n";
        }
        status.show(fmt::format("{} of {} prompts", ++n_done, prompts.size()));
      });
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  if (!whole) {
    print_error(book ? fmt::format("qwen3 generate: stopped; {} has {} of {} answers, and the same "
                                   "command goes on from there",
                                   book->name(),
                                   book->n_lines(),
                                   prompts.size())
                     : "qwen3 generate: stopped");
    return kFailed;
  }
  if (!options.out.empty()) write_file(options.out, lines);
  if (book && batch.n_failed() == 0) book->remove();
  if (output.talk()) {
    print_note(fmt::format("{} prompts, {} tokens in {:.1f} s, {:.1f} tok/s",
                           prompts.size(),
                           batch.n_tokens(),
                           took.count(),
                           static_cast<double>(batch.n_tokens()) / took.count()));
  }
  if (batch.n_failed() == 0) return kDone;
  print_error(fmt::format("{}: {} of {} prompts have no answer; their lines say why",
                          options.prompts,
                          batch.n_failed(),
                          prompts.size()));
  return kFailed;
}

}  // namespace qwen3::cli
