#include "cli/chat/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/nearest.h"
#include "base/text.h"
#include "cli/chat/preset_option.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/help.h"
#include "cli/numbers.h"

namespace qwen3::cli {
namespace {

constexpr std::string_view kSpace = " \t";

struct Context {
  ChatSession& session;
};

struct Command {
  const char* name;
  const char* arguments;
  const char* help;
  void (*run)(Context&, const std::string& argument);
};

void show_help(Context&, const std::string&);

std::string show_thinking(const ChatSettings& settings) {
  if (!settings.thinking) return "the template's default";
  return *settings.thinking ? "on" : "off";
}

void set_thinking(Context& context, bool on) {
  context.session.settings.thinking = on;
  print_note(on ? "thinking is on" : "thinking is off");
}

// "on", "off"; false when the word is neither.
bool apply_thinking(Context& context, std::string_view word) {
  if (word != "on" && word != "off") return false;
  set_thinking(context, word == "on");
  return true;
}

void show_settings(const ChatSession& session) {
  const ChatSettings& settings = session.settings;
  const auto show = [](std::string_view name, const std::string& value, std::string_view help) {
    constexpr size_t kHelpColumn = 46;
    print_note(fmt::format("{:<20} {:<24} ", name, value) +
               wrapped(help, kHelpColumn, kHelpColumn, terminal_columns()));
  };
  const SamplingParams sampling = settings.sampling();
  for (const SamplingField& field : sampling_fields()) {
    show(field.name, fmt::format("{}", field.get(sampling)), field.help);
  }
  const auto& seed = sampling.seed;
  show("seed",
       seed ? fmt::format("{}", *seed) : "a fresh one",
       "The same seed draws the same tokens");
  show("thinking", show_thinking(settings), "Whether the model reasons before it answers");
  show(
      "preset", settings.preset, "Sampling of the model's card: none, auto, or one of its presets");
}

void set_seed(Context& context, const std::string& word) {
  auto& seed = context.session.settings.defaults.seed;
  if (word.empty()) {
    print_note(seed ? fmt::format("seed: {}", *seed) : "seed: a fresh one per answer");
    return;
  }
  if (word == "off") {
    seed.reset();
    print_note("seed: a fresh one per answer");
    return;
  }
  const std::optional<uint64_t> value = parse_unsigned(word);
  if (!value) {
    print_error(
        fmt::format("/seed: expected an integer from 0 to 2^64 - 1, or off; got \"{}\"", word));
    return;
  }
  seed = *value;
  print_note(fmt::format("seed: {}", *value));
}

void set_number(Context& context, const SamplingField& field, const std::string& word) {
  if (word.empty()) {
    return print_note(fmt::format(
        "{}: {}; {}", field.name, field.get(context.session.settings.sampling()), field.help));
  }
  if (const std::string why = problem(field, word); !why.empty()) {
    return print_error(fmt::format("/set {}: {}", field.name, why));
  }
  context.session.settings.asked[std::string(field.name)] = *parse_number(word);
  print_note(fmt::format("{}: {}", field.name, field.get(context.session.settings.sampling())));
}

void set_preset(Context& context, const std::string& name) {
  ChatSettings& settings = context.session.settings;
  if (!name.empty()) {
    try {
      const server::Preset* preset = chosen_preset(settings.presets, name, settings.thinking);
      if (preset != nullptr && name != "auto" && preset->enable_thinking)
        settings.thinking = preset->enable_thinking;
    } catch (const UsageError& error) {
      return print_error(fmt::format("/set {}", error.what()));
    }
    settings.preset = name;
  }
  print_note("preset: " + settings.preset);
}

void set_setting(Context& context, const std::string& argument) {
  if (argument.empty()) return show_settings(context.session);
  const size_t end = std::min(argument.find_first_of(kSpace), argument.size());
  std::string name = argument.substr(0, end);
  std::replace(name.begin(), name.end(), '-', '_');
  const size_t value_begin = argument.find_first_not_of(kSpace, end);
  const std::string value = value_begin == argument.npos ? "" : argument.substr(value_begin);
  if (name == "seed") return set_seed(context, value);
  if (name == "thinking") {
    if (value.empty()) {
      print_note("thinking: " + show_thinking(context.session.settings));
    } else if (!apply_thinking(context, value)) {
      print_error(fmt::format("/set thinking: expected on or off; got \"{}\"", value));
    }
    return;
  }
  if (name == "preset") return set_preset(context, value);
  std::vector<std::string> known = {"seed", "thinking", "preset"};
  for (const SamplingField& field : sampling_fields()) {
    if (name == field.name) return set_number(context, field, value);
    known.emplace_back(field.name);
  }
  print_error(fmt::format(
      "/set: unknown setting \"{}\"{}; /set lists them", name, did_you_mean(name, known)));
}

void show_history(Context& context, const std::string&) {
  const Json& messages = context.session.conversation.messages();
  if (messages.empty()) print_note("no messages yet");
  for (const Json& entry : messages) {
    const Json content = entry.value("content", Json());
    print_note(fmt::format("{}: {}",
                           entry.at("role").get<std::string>(),
                           content.is_string() ? content.get<std::string>() : dump_json(content)));
  }
}

void clear(Context& context, const std::string&) {
  context.session.conversation.clear();
  print_note("the conversation is empty");
}

void set_system(Context& context, const std::string& text) {
  context.session.conversation.set_system(text);
  print_note(text.empty() ? "no system message" : "system message set");
}

void save(Context& context, const std::string& path) {
  if (path.empty()) return print_error("/save: expected a file name; got none; write /save FILE");
  context.session.conversation.save(path);
  print_note(
      fmt::format("saved {} messages to {}", context.session.conversation.messages().size(), path));
}

void load(Context& context, const std::string& path) {
  if (path.empty()) return print_error("/load: expected a file name; got none; write /load FILE");
  context.session.conversation.load(path);
  print_note(fmt::format(
      "loaded {} messages from {}", context.session.conversation.messages().size(), path));
}

void show_stats(Context& context, const std::string&) {
  const auto& last = context.session.last_outcome;
  print_note(last ? context.session.answerer().speed(*last) : "no answer yet");
}

void undo(Context& context, const std::string&) {
  const auto question = context.session.conversation.undo();
  if (!question) return print_error("/undo: no message to take back");
  print_note(fmt::format("taken back: \"{}\"", quote_for_message(*question)));
}

// /exit and /regenerate are listed here and obeyed by their caller.
constexpr std::array kCommands = {
    Command{"help", "", "Show this list", show_help},
    Command{"clear", "", "Forget the conversation, keep the system message", clear},
    Command{"regenerate", "", "Answer the last message anew", nullptr},
    Command{"undo", "", "Take the last message and its answer back", undo},
    Command{"history", "", "Show the conversation", show_history},
    Command{"set", "[NAME VALUE]", "Show or change the generation settings", set_setting},
    Command{"reset",
            "",
            "Settings as they were at the start",
            [](Context& context, const std::string&) {
              context.session.reset_settings();
              print_note("the settings are as at the start");
            }},
    Command{"seed", "N|off", "Fix the seed of the answers", set_seed},
    Command{"think",
            "",
            "Let the model reason before it answers",
            [](Context& context, const std::string&) { set_thinking(context, true); }},
    Command{"no_think",
            "",
            "Answer at once",
            [](Context& context, const std::string&) { set_thinking(context, false); }},
    Command{"system", "TEXT", "Set the system message; without text: remove it", set_system},
    Command{"save", "FILE", "Write the conversation as a JSON array of messages", save},
    Command{"load", "FILE", "Continue a saved conversation", load},
    Command{"stats", "", "Tokens and speed of the last answer", show_stats},
    Command{"exit", "", "Leave; so do Ctrl-D, and Ctrl-C twice", nullptr},
};

void show_help(Context&, const std::string&) {
  for (const Command& command : kCommands) {
    const std::string usage = fmt::format("/{} {}", command.name, command.arguments);
    print_note(fmt::format("{:<20} {}", usage, command.help));
  }
  print_note(
      "Ctrl-C stops an answer. A line that ends in \\ continues on the next one, and "
      "\"\"\" begins and ends a message of several lines. Pasted lines are one message.");
  print_note("// begins a message that starts with a slash.");
}

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// The command's word, if the line is one: "/word" at the end or before white space.
std::string command_word(std::string_view line) {
  if (!line.starts_with('/')) return {};
  size_t end = 1;
  while (end < line.size() && is_word_character(line[end])) ++end;
  if (end == 1) return {};
  if (end < line.size() && kSpace.find(line[end]) == kSpace.npos) return {};
  return std::string(line.substr(1, end - 1));
}

}  // namespace

LineKind obey(std::string_view line, ChatSession& session) {
  const std::string word = trim(line) == "/?" ? "help" : command_word(line);
  if (word.empty()) return LineKind::message;
  const std::string argument(trim(line.substr(std::min(word.size() + 1, line.size()))));
  if ((word == "think" || word == "no_think") && !argument.empty()) return LineKind::message;
  if (word == "exit" || word == "quit" || word == "bye") return LineKind::exit;
  if (word == "regenerate") return LineKind::again;
  Context context{session};
  for (const Command& command : kCommands) {
    if (word != command.name) continue;
    try {
      command.run(context, argument);
    } catch (const Error& error) {
      print_error(error.what());
    }
    return LineKind::command;
  }
  std::vector<std::string> known;
  for (const Command& command : kCommands) known.push_back(std::string("/") + command.name);
  const std::string typed = "/" + word;
  print_error(
      fmt::format("unknown command \"{}\"{}; /help lists them, // begins a message with a slash",
                  typed,
                  did_you_mean(typed, known)));
  return LineKind::command;
}

std::vector<std::string> command_completions(std::string_view begin) {
  std::vector<std::string> all;
  const auto offer = [&](std::string line) {
    if (line.starts_with(begin)) all.push_back(std::move(line));
  };
  constexpr std::string_view kSet = "/set ";
  if (begin.starts_with(kSet)) {
    for (const SamplingField& field : sampling_fields())
      offer(fmt::format("{}{} ", kSet, field.name));
    for (const char* name : {"seed", "thinking", "preset"}) offer(fmt::format("{}{} ", kSet, name));
  } else if (begin.starts_with('/')) {
    for (const Command& command : kCommands) {
      offer(fmt::format("/{}{}", command.name, *command.arguments == '\0' ? "" : " "));
    }
  }
  return all;
}

std::string message_text(std::string_view line) {
  return std::string(line.starts_with("//") ? line.substr(1) : line);
}

}  // namespace qwen3::cli
