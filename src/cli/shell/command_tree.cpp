#include "cli/shell/command_tree.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "cli/help.h"

namespace qwen3::cli {
namespace {

// "{on,off}": on, off.
std::vector<std::string> enum_words(const std::string& value) {
  std::vector<std::string> words(1);
  for (const char c : value.substr(1, value.size() - 2)) {
    if (c == ',') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

ValueKind value_kind(const std::string& value) {
  if (value.empty()) return ValueKind::none;
  if (value.starts_with('{') && value.ends_with('}')) return ValueKind::words;
  if (value == "FILE") return ValueKind::file;
  if (value == "DIR") return ValueKind::directory;
  if (value == "PATH") return ValueKind::file_or_directory;
  if (value == "MODEL") return ValueKind::model;
  return ValueKind::other;
}

OptionInfo info_of(const CLI::Option& option) {
  OptionInfo info;
  for (const std::string& name : option.get_snames()) info.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) info.names.push_back("--" + name);
  const bool positional = info.names.empty();
  if (positional) info.names.push_back(option.get_name(true));
  info.description = option.get_description();
  info.group = option.get_group();
  info.value = value_name(option);
  info.default_text = option.get_default_str();
  // An argument without a type of its own is what its name says.
  const bool named = positional && value_kind(info.value) == ValueKind::other;
  info.kind = value_kind(named ? info.names.front() : info.value);
  if (info.kind == ValueKind::words) info.words = enum_words(info.value);
  info.repeatable = option.get_items_expected_max() > 1;
  info.required = option.get_required();
  return info;
}

CommandInfo tree_of(const CLI::App& app, const std::string& path) {
  CommandInfo command;
  command.name = app.get_name();
  command.path = path;
  command.description = app.get_description();
  command.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    OptionInfo info = info_of(*option);
    (option->get_positional() ? command.arguments : command.options).push_back(std::move(info));
  }
  for (const CLI::App* sub : visible_commands(app)) {
    command.commands.push_back(
        tree_of(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name()));
  }
  return command;
}

void flatten(const CommandInfo& command, std::vector<const CommandInfo*>& into) {
  into.push_back(&command);
  for (const CommandInfo& sub : command.commands) flatten(sub, into);
}

}  // namespace

CommandInfo command_tree(const CLI::App& app) { return tree_of(app, ""); }

std::vector<const CommandInfo*> flattened(const CommandInfo& command) {
  std::vector<const CommandInfo*> all;
  flatten(command, all);
  return all;
}

}  // namespace qwen3::cli
