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
#include <string_view>
#include <utility>
#include <vector>

#include "base/embedded_files.h"
#include "base/error.h"
#include "base/json.h"
#include "cli/chat/commands.h"
#include "cli/chat/line_reader.h"
#include "cli/chat/preset_option.h"
#include "cli/chat/remote.h"
#include "cli/chat/session.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generation.h"
#include "cli/help.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "qwen3/engine.h"
#include "qwen3/text.h"

namespace qwen3::cli {
namespace {

struct ChatCliOptions {
  std::vector<std::string> words;  // [MODEL] [TEXT]
  std::string file, url, api_key_env, preset = "none";
  bool interactive = false, model_typed = false;
  ModelOptions model;
  SamplingOptions sampling;
  OutputOptions output;
  FormOptions form;
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
    begun_ = true;
    print_out(piece.text);
  }

  void finish() {
    end_thinking();
    print_out("\n");
    begun_ = false;
  }

  // An answer that failed: the terminal is as it was.
  void give_up() {
    if (begun_) finish();
  }

 private:
  void end_thinking() {
    if (thinking_) print_out(dims_ ? "\x1b[0m\n\n" : "\n</think>\n\n");
    thinking_ = false;
  }

  bool hide_thinking_;
  bool dims_;
  bool thinking_ = false, begun_ = false;
};

// The conversation, and how its answers are shown.
struct Chat {
  const ChatCliOptions& options;
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
                {"timing", chat.session.answerer().timing(result.outcome)}});
  } else {
    AnswerPrinter printer(chat.options.hide_thinking);
    try {
      result = chat.session.ask(
          question, chat.interrupt, [&](const AnswerPiece& piece) { printer.piece(piece); });
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::io) printer.give_up();
      throw;
    }
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
      const LineKind kind = obey(line, chat.session);
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

// A word that can hardly be a message: the name of a model that is here, or that its hub has.
bool names_a_model(const std::string& word) {
  if (word.empty() || word.find_first_of(" \t\r\n") != word.npos) return false;
  if (word.find('/') == word.npos && folder_exists("embedded:" + word)) return true;
  return is_model_name(word);
}

constexpr size_t kMaxTextBytes = size_t{64} << 20;

// What is asked once, before or instead of a conversation; nothing: a conversation.
std::optional<std::string> question_of(const ChatCliOptions& options,
                                       const std::optional<std::string>& text) {
  std::string question = text.value_or("");
  const auto join = [&](std::string_view more) {
    question += (question.empty() || more.empty() ? "" : "\n\n") + std::string(more);
  };
  if (!options.file.empty()) {
    std::string more = read_input_file(options.file, kMaxTextBytes);
    while (more.ends_with('\n') || more.ends_with('\r')) more.pop_back();
    join(more);
  }
  if (!text && options.file.empty()) return std::nullopt;
  if (!options.interactive) join(text_beside());
  if (question.find_first_not_of(" \t\r\n") == question.npos) {
    throw UsageError("qwen3 chat: expected a message; got an empty text");
  }
  return question;
}

// A conversation, or the answer to TEXT, with whoever answers.
ExitCode chat_with(Answerer& answerer,
                   const ChatSettings& settings,
                   const ChatCliOptions& options,
                   const std::optional<std::string>& question) {
  ChatSession session(answerer, settings);
  session.conversation.set_system(options.system);
  InterruptGuard interrupt;
  Chat chat{options, session, interrupt};
  ExitCode code = kDone;
  if (question) code = answer(chat, *question) ? kDone : kFailed;
  if (!question || (options.interactive && code == kDone)) {
    if (stdin_is_terminal()) {
      if (options.output.talk()) print_note("/help lists the commands");
      code =
          converse(chat,
                   *make_terminal_reader(default_history_file(), interrupt, &command_completions),
                   true);
    } else {
      code = converse(chat, *make_pipe_reader(interrupt), false);
    }
  }
  if (options.output.talk() && session.last_outcome) {
    print_note(answerer.speed(*session.last_outcome));
  }
  return code;
}

ChatSettings settings_of(const ChatCliOptions& options) {
  ChatSettings settings;
  settings.asked = asked_sampling(options.sampling);
  settings.defaults.seed = options.sampling.seed;
  settings.defaults.ignore_eos = options.sampling.ignore_eos;
  settings.stop = options.sampling.stop;
  settings.preset = options.preset;
  if (options.thinking) settings.thinking = *options.thinking == "on";
  return settings;
}

ExitCode chat_with_server(const ChatCliOptions& options,
                          const std::optional<std::string>& question) {
  const auto refuse = [](const char* option) {
    throw UsageError(fmt::format(
        "qwen3 chat: {} is for a model in this process, not together with --url", option));
  };
  if (options.form.any()) refuse("a form of the answer");
  if (!options.chat_template.empty()) refuse("--chat-template");
  if (!options.model.hf_overrides.empty()) refuse("--hf-overrides");
  std::string key;
  if (!options.api_key_env.empty()) {
    const char* value = std::getenv(options.api_key_env.c_str());
    QWEN3_CHECK(value != nullptr && *value != '\0',
                ErrorKind::not_found,
                "--api-key-env: the environment has no variable {}",
                quote_for_message(options.api_key_env));
    key = value;
  }
  const RemoteServer server = connect({.url = options.url,
                                       .api_key = key,
                                       .model = options.model.model,
                                       .model_typed = options.model_typed});
  if (options.output.talk()) print_note(server.description);
  return chat_with(*server.answerer, settings_of(options), options, question);
}

ExitCode chat_with_model(const ChatCliOptions& options,
                         const std::optional<std::string>& question) {
  const std::filesystem::path directory = resolve_model(options.model.model);
  const Text text = Text::load(directory, options.chat_template);
  QWEN3_CHECK(text.has_chat_template(),
              ErrorKind::not_found,
              "{}: no chat template; expected chat_template.jinja, or chat_template in "
              "tokenizer_config.json; use qwen3 generate for a base model",
              directory.string());
  ChatSettings settings = settings_of(options);
  settings.form = compile_form(options.form, text);
  const std::shared_ptr<Model> model = load_model(options.model, options.output);
  const std::unique_ptr<Engine> engine = start_engine(model, options.model, &text);
  if (options.output.talk()) print_note(model_line(model->info(), *engine));
  SamplingParams defaults = with_defaults(model->generation_defaults(), DoSample::no);
  defaults.seed = settings.defaults.seed;
  defaults.ignore_eos = settings.defaults.ignore_eos;
  settings.defaults = std::move(defaults);
  settings.presets = presets_of(text, model->info());
  try {
    const server::Preset* named =
        chosen_preset(settings.presets, settings.preset, settings.thinking);
    if (named != nullptr && settings.preset != "auto" && !settings.thinking)
      settings.thinking = named->enable_thinking;
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("qwen3 chat: --{}", error.what()));
  }
  const std::unique_ptr<Answerer> answerer = make_local_answerer(*engine, text, model->info());
  return chat_with(*answerer, settings, options, question);
}

ExitCode run_chat(ChatCliOptions options) {
  std::vector<std::string> words = options.words;
  const bool first_is_model = !words.empty() && !options.model_typed &&
                              (options.url.empty() || words.size() > 1) &&
                              names_a_model(words.front());
  if (first_is_model) {
    options.model.model = words.front();
    words.erase(words.begin());
  }
  if (words.size() > 1) {
    throw UsageError(
        fmt::format("qwen3 chat: unexpected argument \"{}\"; put a text of several "
                    "words in quotes{}",
                    quote_for_message(words[1]),
                    options.model_typed ? "" : ", and a model behind -m"));
  }
  std::optional<std::string> text;
  if (!words.empty()) text = words.front();
  const auto question = question_of(options, text);
  return options.url.empty() ? chat_with_model(options, question)
                             : chat_with_server(options, question);
}

void add_server_options(CLI::App& command, ChatCliOptions& options) {
  const OptionGroup group(command, "Server");
  command
      .add_option("--url",
                  options.url,
                  "Talk to a server that is running, this program's or another with OpenAI's API, "
                  "such as http://127.0.0.1:8000")
      ->check(some_text())
      ->type_name("URL");
  command
      .add_option(
          "--api-key-env", options.api_key_env, "Environment variable with the key for --url")
      ->check(some_text())
      ->type_name("NAME");
}

}  // namespace

void add_chat(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("chat",
                                         "Answer TEXT, and after it what standard input holds; "
                                         "without TEXT, chat interactively, or answer each line "
                                         "read from a pipe");
  const auto options = std::make_shared<ChatCliOptions>();
  command
      ->add_option("TEXT",
                   options->words,
                   "The message to answer; before it, or alone, a model may stand without -m")
      ->check(any_text());
  add_model_option(*command, options->model);
  command->add_option("-f,--file", options->file, "A message from a file, after TEXT")
      ->check(some_name())
      ->type_name("FILE");
  command->add_flag(
      "-i,--interactive", options->interactive, "Go on as a conversation after TEXT or --file");
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
  add_preset_option(*command, options->preset);
  add_form_options(*command, options->form);
  add_context_option(*command, options->model);
  add_kv_dtype_option(*command, options->model.kv_dtype);
  add_compute_options(*command, options->model);
  add_override_options(*command, options->model);
  add_server_options(*command, *options);
  add_output_options(
      *command,
      options->output,
      "One line {\"content\":…,\"reasoning_content\":…,\"finish_reason\":…,\"timing\":…} per "
      "answer");
  command->callback([options, command, &action] {
    options->model_typed =
        command->count("--model") > 0;  // before others than the user have their say
    action = [options] { return run_chat(*options); };
  });
}

}  // namespace qwen3::cli
