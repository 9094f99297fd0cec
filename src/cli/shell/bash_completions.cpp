// For bash 4 and newer. Names of files are completed by readline itself, which knows how to quote them: the function
// offers nothing then and says so with compopt.
#include <fmt/format.h>

#include "cli/shell/command_tree.h"

namespace qwen3::cli {
namespace {

constexpr std::string_view kBashHead =
    R"sh(# Completion of qwen3 for bash, written by: qwen3 completions bash

# _qwen3_offer WORD...: those that begin with what is typed.
_qwen3_offer() {
  local word
  for word in "$@"; do
    if [[ "$word" == "$cur"* ]]; then COMPREPLY+=("$word"); fi
  done
}

# The built-in models and those of the cache; where none begins so, files.
_qwen3_models() {
  local name _
  while read -r name _; do
    if [[ "$name" =~ ^[A-Za-z0-9._/-]+$ && "$name" != model ]]; then _qwen3_offer "$name"; fi
  done < <("${COMP_WORDS[0]}" list --quiet 2>/dev/null)
  if ((${#COMPREPLY[@]} == 0)); then compopt -o default; fi
}

_qwen3() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev="" command="" path i
  COMPREPLY=()
  if ((COMP_CWORD > 1)); then prev=${COMP_WORDS[COMP_CWORD - 1]}; fi
  # --option=value comes as three words.
  if [[ "$cur" == "=" ]]; then
    cur=""
  elif [[ "$prev" == "=" ]] && ((COMP_CWORD > 2)); then
    prev=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    path="${command:+$command }${COMP_WORDS[i]}"
    case "$path" in
)sh";

constexpr std::string_view kBashTail = R"sh(}

complete -F _qwen3 qwen3
)sh";

// The command that offers the values of this kind.
std::string bash_offer(const OptionInfo& option) {
  switch (option.kind) {
    case ValueKind::words:
      return fmt::format("_qwen3_offer {}", fmt::join(option.words, " "));
    case ValueKind::file:
    case ValueKind::file_or_directory:
      return "compopt -o default";
    case ValueKind::directory:
      return "compopt -o dirnames";
    case ValueKind::model:
      return "_qwen3_models";
    case ValueKind::none:
    case ValueKind::other:
      break;
  }
  return ":";
}

// "chat -m" | "chat --model", after which a value is typed.
std::string bash_value_case(const CommandInfo& command, const OptionInfo& option) {
  std::string pattern;
  for (const std::string& name : option.names) {
    pattern += fmt::format("{}\"{} {}\"", pattern.empty() ? "" : " | ", command.path, name);
  }
  return fmt::format("    {})\n      {}\n      return\n      ;;\n", pattern, bash_offer(option));
}

// What may begin with "-", and what may stand where it does not.
std::string bash_words_case(const CommandInfo& command) {
  std::string options;
  for (const OptionInfo& option : command.options) {
    for (const std::string& name : option.names) options += " " + name;
  }
  std::string plain;
  for (const CommandInfo& sub : command.commands) plain += " " + sub.name;
  plain = plain.empty() ? ":" : "_qwen3_offer" + plain;
  if (command.commands.empty() && !command.arguments.empty()) {
    plain = bash_offer(command.arguments.front());
  }
  return fmt::format(
      "    \"{}\")\n      if [[ \"$cur\" == -* ]]; then\n        _qwen3_offer{}\n      else\n"
      "        {}\n      fi\n      ;;\n",
      command.path,
      options,
      plain);
}

}  // namespace

std::string bash_completions(const CommandInfo& program) {
  std::string paths, values, words;
  for (const CommandInfo* command : flattened(program)) {
    if (!command->path.empty()) {
      paths += fmt::format("{}\"{}\"", paths.empty() ? "      " : " | ", command->path);
    }
    for (const OptionInfo& option : command->options) {
      if (option.kind != ValueKind::none) values += bash_value_case(*command, option);
    }
    words += bash_words_case(*command);
  }
  std::string out(kBashHead);
  out += paths + ") command=$path ;;\n      *) break ;;\n    esac\n  done\n";
  out += "  case \"$command $prev\" in\n" + values + "  esac\n";
  out += "  case \"$command\" in\n" + words + "  esac\n";
  out += kBashTail;
  return out;
}

}  // namespace qwen3::cli
