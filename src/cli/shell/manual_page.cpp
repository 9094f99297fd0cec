// qwen3(1): the same commands, groups and texts as --help, on one page.
#include <fmt/format.h>

#include <algorithm>

#include "cli/shell/command_tree.h"

namespace qwen3::cli {
namespace {

// Text that roff takes as it is: no escapes, no requests, and hyphens that can be searched for and copied.
std::string roff(std::string_view text) {
  std::string out;
  bool at_begin = true;
  for (const char c : text) {
    if (at_begin && (c == '.' || c == '\'')) out += "\\&";
    at_begin = c == '\n';
    switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '`':
        out += "\\(ga";
        break;
      case '^':
        out += "\\(ha";
        break;
      case '~':
        out += "\\(ti";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// "qwen3 eval score [OPTIONS]"
std::string man_usage(const CommandInfo& command) {
  std::string text = "qwen3";
  if (!command.path.empty()) text += " " + command.path;
  if (!command.options.empty()) text += " [OPTIONS]";
  for (const OptionInfo& argument : command.arguments) {
    const std::string& name = argument.names.front();
    text += argument.required ? " " + name : " [" + name + "]";
  }
  if (!command.commands.empty()) text += " COMMAND";
  return text;
}

std::string man_entry(const OptionInfo& option) {
  std::string names;
  for (const std::string& name : option.names) {
    names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", roff(name));
  }
  if (!option.value.empty() && option.value != option.names.front()) {
    names += fmt::format(" \\fI{}\\fR", roff(option.value));
  }
  std::string out = fmt::format(".TP\n{}\n{}", names, roff(option.description));
  if (!option.default_text.empty()) out += fmt::format(" (default: {})", roff(option.default_text));
  if (option.required) out += " (required)";
  return out + "\n";
}

// The options in their groups, in the order in which each is first met.
std::string man_entries(const CommandInfo& command) {
  std::vector<std::string> groups;
  for (const OptionInfo& option : command.options) {
    if (std::find(groups.begin(), groups.end(), option.group) == groups.end())
      groups.push_back(option.group);
  }
  std::string out;
  for (const OptionInfo& argument : command.arguments) out += man_entry(argument);
  for (const std::string& group : groups) {
    out += fmt::format(".PP\n{}:\n", roff(group));
    for (const OptionInfo& option : command.options) {
      if (option.group == group) out += man_entry(option);
    }
  }
  return out;
}

// Each line a paragraph of its own.
std::string paragraphs(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    out += fmt::format(".PP\n{}\n", roff(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string man_section(const CommandInfo& command) {
  return fmt::format(".SS {}\n{}\n{}{}",
                     roff(man_usage(command)),
                     roff(command.description),
                     man_entries(command),
                     paragraphs(command.footer));
}

}  // namespace

std::string manual_page(const CommandInfo& program, const std::string& version) {
  std::string description = program.description;
  if (description.ends_with('.')) description.pop_back();
  std::string out = fmt::format(
      ".\\\" Written by: qwen3 manual\n.TH QWEN3 1 \"\" \"qwen3 {}\" \"User Commands\"\n"
      ".SH NAME\nqwen3 \\- {}\n.SH SYNOPSIS\n.B {}\n.SH OPTIONS\n{}.SH COMMANDS\n",
      version,
      roff(description),
      roff(man_usage(program)),
      man_entries(program));
  for (const CommandInfo* command : flattened(program)) {
    if (command != &program) out += man_section(*command);
  }
  return out + ".SH NOTES" + paragraphs(program.footer).substr(3);
}

}  // namespace qwen3::cli
