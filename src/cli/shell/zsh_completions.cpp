// For zsh: one function for each command, over _arguments. The script serves as a file of $fpath and when it is sourced.
#include <fmt/format.h>

#include "cli/shell/command_tree.h"

namespace qwen3::cli {
namespace {

constexpr std::string_view kZshHead = R"sh(#compdef qwen3
# Completion of qwen3 for zsh, written by: qwen3 completions zsh

# The built-in models and those of the cache, and files.
_qwen3_models() {
  local -a names
  names=(${${(f)"$(_call_program models ${(q)service_program} list --quiet 2>/dev/null)"}[2,-1]%% *})
  names=(${(M)names:#[A-Za-z0-9._/-]##})
  _alternative 'models:model:compadd -a names' 'files:file:_files'
}
)sh";

constexpr std::string_view kZshTail = R"sh(
if [[ "$funcstack[1]" == _qwen3 ]]; then
  _qwen3 "$@"
else
  compdef _qwen3 qwen3
fi
)sh";

// `text` inside of single quotes, where `special` characters need a backslash for _arguments.
std::string zsh_quoted(std::string_view text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      if (c == '\\' || special.find(c) != special.npos) out += '\\';
      out += c == '\n' ? ' ' : c;
    }
  }
  return out;
}

std::string zsh_action(const OptionInfo& option) {
  switch (option.kind) {
    case ValueKind::words:
      return fmt::format("({})", fmt::join(option.words, " "));
    case ValueKind::file:
    case ValueKind::file_or_directory:
      return "_files";
    case ValueKind::directory:
      return "_files -/";
    case ValueKind::model:
      return "_qwen3_models";
    case ValueKind::none:
    case ValueKind::other:
      break;
  }
  return " ";
}

// '(-m --model)-m+[…]:MODEL:_qwen3_models', one for each name.
std::string zsh_specs(const OptionInfo& option) {
  std::string specs;
  for (const std::string& name : option.names) {
    const std::string exclude =
        option.repeatable ? "*" : fmt::format("({})", fmt::join(option.names, " "));
    std::string spec = exclude + name;
    if (option.kind != ValueKind::none) spec += name.starts_with("--") ? "=" : "+";
    spec += fmt::format("[{}]", zsh_quoted(option.description, "[]:"));
    if (option.kind != ValueKind::none) {
      const bool words = option.kind == ValueKind::words;
      spec += fmt::format(
          ":{}:{}", words ? "value" : zsh_quoted(option.value, ":"), zsh_action(option));
    }
    specs += fmt::format(" \\\n    '{}'", spec);
  }
  return specs;
}

std::string zsh_function(const CommandInfo& command) {
  std::string name = "_qwen3";
  for (const char c : command.path.empty() ? std::string() : " " + command.path) {
    name += c == ' ' ? '_' : c;
  }
  std::string specs;
  for (const OptionInfo& option : command.options) specs += zsh_specs(option);
  if (command.commands.empty()) {
    for (const OptionInfo& argument : command.arguments) {
      const std::string shown = zsh_quoted(argument.names.front(), ":");
      // What nobody can complete is named; it fails, so that options are offered there too.
      const bool free = argument.kind == ValueKind::other;
      specs +=
          fmt::format(" \\\n    '{}:{}:{}'",
                      argument.repeatable ? "*" : "",
                      shown,
                      free ? fmt::format("{{_message {}; false}}", shown) : zsh_action(argument));
    }
    return fmt::format("\n{}() {{\n  _arguments -s{}\n}}\n", name, specs);
  }
  std::string names, branches;
  for (const CommandInfo& sub : command.commands) {
    names += fmt::format("\n        '{}:{}'", sub.name, zsh_quoted(sub.description, ":"));
    branches += fmt::format("\n        {}) {}_{} ;;", sub.name, name, sub.name);
  }
  const std::string service = command.path.empty() ? "  local service_program=$words[1]\n" : "";
  return fmt::format(
      "\n{}() {{\n  local curcontext=\"$curcontext\" state line\n  local -A opt_args\n"
      "  local -a commands\n{}"
      "  _arguments -s -C{} \\\n    '1:command:->command' \\\n    '*::argument:->argument'\n"
      "  case \"$state\" in\n    command)\n      commands=({}\n      )\n"
      "      _describe -t commands command commands\n      ;;\n"
      "    argument)\n      case \"$line[1]\" in{}\n      esac\n      ;;\n  esac\n}}\n",
      name,
      service,
      specs,
      names,
      branches);
}

}  // namespace

std::string zsh_completions(const CommandInfo& program) {
  std::string out(kZshHead);
  for (const CommandInfo* command : flattened(program)) out += zsh_function(*command);
  out += kZshTail;
  return out;
}

}  // namespace qwen3::cli
