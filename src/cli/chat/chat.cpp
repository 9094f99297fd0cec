// qwen3 chat: one answer to TEXT, a conversation on a terminal, or one answer per line of a pipe.
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/chat/commands.h"
#include "cli/chat/line_reader.h"
#include "cli/chat/session.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generation.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "qwen3/engine.h"
#include "qwen3/text.h"

namespace qwen3::cli {
namespace {

struct ChatCliOptions {
  ModelOptions model;
  SamplingOptions sampling;
  OutputOptions output;
  FormOptions form;
  std::optional<std::string> text;
  std::string system;
  std::string chat_template;
  std::optional<std::string> thinking;  // "on", "off"
  bool hide_thinking = false;
};

// As no-color.org has it: set, and not empty.
bool no_colour() {
  const char* value = std::getenv("NO_COLOR");
  return value != nullptr && *value != '\0';
}

// Shows an answer while it comes. On a terminal thinking is dimmed; elsewhere, and with NO_COLOR, it stands between
// <think> tags, as the model wrote it.
class AnswerPrinter {
 public:
  explicit AnswerPrinter(bool hide_thinking)
      : hide_thinking_(hide_thinking), dims_(stdout_is_terminal() && !no_colour()) {}

  void piece(const AnswerPiece& piece) {
    const bool reasoning = piece.kind == AnswerPiece::Kind::reasoning;
    if (reasoning && hide_thinking_) return;
    if (reasoning && !thinking_) print_out(dims_ ? "\x1b[2m" : "<think>\n");
    if (!reasoning) end_thinking();
    thinking_ = reasoning;
    print_out(piece.text);
  }

  void finish() {
    end_thinking();
    print_out("\n");
  }

 private:
  void end_thinking() {
    if (thinking_) print_out(dims_ ? "\x1b[0m\n\n" : "\n</think>\n\n");
    thinking_ = false;
  }

  bool hide_thinking_;
  bool dims_;
  bool thinking_ = false;
};

// The conversation, and how its answers are shown.
struct Chat {
  const ChatCliOptions& options;
  const ModelInfo& info;
  ChatSession& session;
  InterruptGuard& interrupt;
};

// False when Ctrl-C stopped the answer.
bool answer(Chat& chat, const std::string& question) {
  chat.interrupt.clear();
  Answer result;
  if (chat.options.output.json) {
    result = chat.session.ask(question, chat.interrupt, [](const AnswerPiece&) {});
    print_json({{"content", result.content},
                {"reasoning_content", result.reasoning},
                {"finish_reason", finish_name(result.outcome.finish)},
                {"timing", timing_json(result.outcome, chat.info)}});
  } else {
    AnswerPrinter printer(chat.options.hide_thinking);
    result = chat.session.ask(
        question, chat.interrupt, [&](const AnswerPiece& piece) { printer.piece(piece); });
    printer.finish();
  }
  const bool complete = result.outcome.finish != FinishReason::cancelled;
  if (!complete) print_note("stopped");
  if (result.outcome.finish == FinishReason::length) {
    print_note("the answer stopped at the length limit (see --max-tokens and --context)");
  }
  chat.interrupt.clear();
  return complete;
}

// Reads a line and the lines that continue it.
LineReader::Status read_lines(LineReader& reader, std::string& message) {
  constexpr std::string_view kQuotes = "\"\"\"";
  message.clear();
  std::string line;
  std::string prompt = "> ";
  bool quoted = false;
  for (;;) {
    const LineReader::Status status = reader.read(prompt, line);
    if (status != LineReader::Status::line) return status;
    if (quoted) {
      if (line.ends_with(kQuotes)) {
        message += line.substr(0, line.size() - kQuotes.size());
        return LineReader::Status::line;
      }
      message += line + "\n";
      continue;
    }
    if (message.empty() && line.starts_with(kQuotes)) {
      line.erase(0, kQuotes.size());
      if (line.ends_with(kQuotes)) {
        message = line.substr(0, line.size() - kQuotes.size());
        return LineReader::Status::line;
      }
      message = line.empty() ? "" : line + "\n";
      quoted = true;
      prompt = "… ";
      continue;
    }
    if (!line.ends_with('\\')) {
      message += line;
      return LineReader::Status::line;
    }
    line.pop_back();
    message += line + "\n";
    prompt = "… ";
  }
}

// The history has the message as one line, however many it was typed in.
LineReader::Status read_message(LineReader& reader, std::string& message) {
  const LineReader::Status status = read_lines(reader, message);
  if (status == LineReader::Status::line) reader.remember(message);
  return status;
}

// The conversation until its end. A message that fails is reported and the next one read; on a pipe
// the exit code remembers it.
ExitCode converse(Chat& chat, LineReader& reader, bool on_terminal) {
  ExitCode code = kDone;
  bool warned = false;
  std::string line;
  for (;;) {
    const LineReader::Status status = read_message(reader, line);
    if (status == LineReader::Status::end) return code;
    if (status == LineReader::Status::interrupted) {
      if (!on_terminal) return kFailed;
      if (warned) return code;
      print_note("Ctrl-C again, Ctrl-D or /exit leaves");
      warned = true;
      continue;
    }
    warned = false;
    if (line.find_first_not_of(" \t") == line.npos) continue;
    try {
      if (on_terminal && (line == "exit" || line == "quit")) return code;
      const LineKind kind = obey(line, chat.session, chat.info);
      if (kind == LineKind::exit) return code;
      if (kind == LineKind::command) continue;
      if (kind == LineKind::again) {
        const std::optional<std::string> question = chat.session.conversation.undo();
        if (!question) {
          print_error("/regenerate: no answer yet");
        } else if (!answer(chat, *question) && !on_terminal) {
          return kFailed;
        }
        continue;
      }
      if (!answer(chat, message_text(line)) && !on_terminal) return kFailed;
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::io) throw;  // nobody listens any more
      print_error(error.what());
      if (!on_terminal) code = kFailed;
    }
  }
}

// What comes on standard input beside a text: `qwen3 chat "Summarise:" < file`. A pipe on which
// nothing comes for a while belongs to somebody else (ssh, a runner of tests): that is said.
std::string text_beside() {
  constexpr int kPatienceMs = 5000;
  struct stat input {};
  if (::fstat(STDIN_FILENO, &input) != 0) return {};
  if (S_ISFIFO(input.st_mode) || S_ISSOCK(input.st_mode)) {
    pollfd state{STDIN_FILENO, POLLIN, 0};
    if (::poll(&state, 1, kPatienceMs) == 0) {
      print_note(
          "nothing came on standard input within 5 s; answering without it (< /dev/null says that "
          "there is nothing)");
      return {};
    }
  } else if (!S_ISREG(input.st_mode)) {
    return {};
  }
  std::string text = read_stdin();
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

ExitCode run_chat(const ChatCliOptions& options) {
  const std::filesystem::path directory = resolve_model(options.model.model);
  const Text text = Text::load(directory, options.chat_template);
  QWEN3_CHECK(text.has_chat_template(),
              ErrorKind::not_found,
              "{}: no chat template; expected chat_template.jinja, or chat_template in "
              "tokenizer_config.json; use qwen3 generate for a base model",
              directory.string());
  const std::shared_ptr<Model> model = load_model(options.model, options.output);
  const std::unique_ptr<Engine> engine = start_engine(model, options.model, &text);
  if (options.output.talk()) print_note(model_line(model->info(), *engine));

  ChatSettings settings{
      .sampling = resolve_sampling(options.sampling, model->generation_defaults()),
      .stop = options.sampling.stop,
      .thinking = {},
      .form = compile_form(options.form, text)};
  if (options.thinking) settings.thinking = *options.thinking == "on";
  ChatSession session(*engine, text, settings);
  session.conversation.set_system(options.system);
  InterruptGuard interrupt;
  Chat chat{options, model->info(), session, interrupt};

  ExitCode code = kDone;
  if (options.text) {
    std::string question = *options.text;
    if (const std::string beside = text_beside(); !beside.empty()) {
      question += (question.empty() ? "" : "\n\n") + beside;
    }
    if (question.find_first_not_of(" \t\r\n") == question.npos) {
      throw UsageError("qwen3 chat: expected a message; got an empty text");
    }
    code = answer(chat, question) ? kDone : kFailed;
  } else if (stdin_is_terminal()) {
    if (options.output.talk()) print_note("/help lists the commands");
    code = converse(
        chat, *make_terminal_reader(default_history_file(), interrupt, &command_completions), true);
  } else {
    code = converse(chat, *make_pipe_reader(interrupt), false);
  }
  if (options.output.talk() && session.last_outcome) {
    print_note(speed_line(*session.last_outcome, model->info()));
  }
  return code;
}

}  // namespace

void add_chat(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("chat",
                                         "Answer TEXT, and after it what standard input holds; "
                                         "without TEXT, chat interactively, or answer each line "
                                         "read from a pipe");
  const auto options = std::make_shared<ChatCliOptions>();
  command->add_option("TEXT", options->text, "The message to answer")->check(any_text());
  add_model_option(*command, options->model);
  command->add_option("--system", options->system, "The system message")->check(any_text());
  command
      ->add_option("--thinking",
                   options->thinking,
                   "on or off: whether the model reasons before it answers (enable_thinking)")
      ->check(one_of({"on", "off"}))
      ->default_str("the template's");
  command
      ->add_option("--chat-template",
                   options->chat_template,
                   "Jinja file to use instead of the model's chat template")
      ->type_name("FILE");
  command->add_flag("--hide-thinking", options->hide_thinking, "Show the answer only");
  add_sampling_options(*command, options->sampling);
  add_form_options(*command, options->form);
  add_context_option(*command, options->model);
  add_compute_options(*command, options->model);
  add_output_options(
      *command,
      options->output,
      "One line {\"content\":…,\"reasoning_content\":…,\"finish_reason\":…,\"timing\":…} per "
      "answer");
  command->callback([options, &action] { action = [options] { return run_chat(*options); }; });
}

}  // namespace qwen3::cli
