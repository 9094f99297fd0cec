// For fish 3: one line for each option of each command, which applies where that command is typed.
#include <fmt/format.h>

#include "cli/shell/command_tree.h"

namespace qwen3::cli {
namespace {

constexpr std::string_view kFishHead =
    R"sh(# Completion of qwen3 for fish, written by: qwen3 completions fish

# The built-in models and those of the cache, then files.
function __qwen3_models
    set -l program (commandline -opc)[1]
    $program list --quiet 2>/dev/null | string match -rg '^([A-Za-z0-9._/-]+) ' | string match -v model
    __fish_complete_path (commandline -ct)
end

# __qwen3_at COMMAND: whether that is the command typed so far.
function __qwen3_at
    set -l typed ''
    for word in (commandline -opc)[2..-1]
        set -l longer (string trim -- "$typed $word")
        contains -- $longer $__qwen3_commands; or break
        set typed $longer
    end
    test "$argv[1]" = "$typed"
end

)sh";

std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out + "'";
}

// What makes fish offer values of this kind.
std::string fish_values(const OptionInfo& option) {
  switch (option.kind) {
    case ValueKind::words:
      return fmt::format(" -x -a {}", fish_quoted(fmt::format("{}", fmt::join(option.words, " "))));
    case ValueKind::file:
    case ValueKind::file_or_directory:
      return " -r -F";
    case ValueKind::directory:
      return " -x -a '(__fish_complete_directories)'";
    case ValueKind::model:
      return " -x -a '(__qwen3_models)'";
    case ValueKind::other:
      return " -x";
    case ValueKind::none:
      break;
  }
  return "";
}

std::string fish_lines(const CommandInfo& command) {
  const std::string at =
      fmt::format("complete -c qwen3 -n {}", fish_quoted("__qwen3_at \"" + command.path + "\""));
  std::string out;
  for (const OptionInfo& option : command.options) {
    std::string names;
    for (const std::string& name : option.names) {
      const bool is_long = name.starts_with("--");
      names += is_long ? " -l " + name.substr(2) : " -s " + name.substr(1);
    }
    out += fmt::format(
        "{}{}{} -d {}\n", at, names, fish_values(option), fish_quoted(option.description));
  }
  for (const CommandInfo& sub : command.commands) {
    out += fmt::format("{} -a {} -d {}\n", at, sub.name, fish_quoted(sub.description));
  }
  if (command.commands.empty() && !command.arguments.empty()) {
    const OptionInfo& argument = command.arguments.front();
    if (argument.kind != ValueKind::other) out += at + fish_values(argument) + "\n";
  }
  return out;
}

}  // namespace

std::string fish_completions(const CommandInfo& program) {
  std::string paths, lines;
  for (const CommandInfo* command : flattened(program)) {
    if (!command->path.empty()) paths += " " + fish_quoted(command->path);
    lines += fish_lines(*command);
  }
  return fmt::format(
      "{}set -g __qwen3_commands{}\n\ncomplete -c qwen3 -f\n{}", kFishHead, paths, lines);
}

}  // namespace qwen3::cli
