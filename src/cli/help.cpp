#include "cli/help.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace qwen3::cli {
namespace {

constexpr size_t kNameColumns = 32;
constexpr size_t kUsualColumns = 100, kLeastColumns = 60;

// Characters, which here are columns: no text of ours has wide ones.
size_t n_characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

// "-m,--model TEXT=nano", "{on,off}" in the place of a type where only some words are taken.
std::string name_of(const CLI::Option& option, bool is_positional) {
  std::string text;
  if (is_positional) {
    text = option.get_name(true);
  } else {
    for (const std::string& name : option.get_snames()) text += (text.empty() ? "-" : ",-") + name;
    for (const std::string& name : option.get_lnames())
      text += (text.empty() ? "--" : ",--") + name;
  }
  const std::string value = value_name(option);
  if (value.empty()) return text;  // a flag
  if (!is_positional || value.starts_with('{')) text += " " + value;
  if (!option.get_default_str().empty()) text += "=" + option.get_default_str();
  if (option.get_expected_max() == CLI::detail::expected_max_vector_size) text += " ...";
  if (option.get_required()) text += " REQUIRED";
  return text;
}

}  // namespace

std::string value_name(const CLI::Option& option) {
  if (option.get_type_size() == 0) return {};
  const std::string type = option.get_type_name();
  const size_t words = type.find(":{");
  return words != type.npos ? type.substr(words + 1) : type.substr(0, type.find(':'));
}

std::vector<const CLI::App*> visible_commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

size_t terminal_columns() {
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    winsize size{};
    if (::isatty(fd) == 1 && ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
      return std::max<size_t>(size.ws_col, kLeastColumns);
    }
  }
  return kUsualColumns;
}

std::string wrapped(std::string_view text, size_t first_column, size_t indent, size_t columns) {
  std::string out;
  size_t column = first_column;
  bool at_begin = true;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(" \n"), text.size());
    const std::string_view word = text.substr(0, end);
    const bool new_line = end < text.size() && text[end] == '\n';
    const size_t width = n_characters(word);
    if (!at_begin && column + 1 + width > columns) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
      at_begin = true;
    }
    if (!at_begin) {
      out += ' ';
      ++column;
    }
    out += word;
    column += width;
    at_begin = false;
    text.remove_prefix(std::min(end + 1, text.size()));
    if (new_line) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
      at_begin = true;
    }
  }
  return out;
}

std::string HelpFormatter::row(const std::string& name, const std::string& text) const {
  std::string out = "  " + name;
  const size_t used = n_characters(out);
  if (used + 2 > kNameColumns) {
    out += "\n" + std::string(kNameColumns, ' ');
  } else {
    out.append(kNameColumns - used, ' ');
  }
  return out + wrapped(text, kNameColumns, kNameColumns, columns_) + "\n";
}

// One empty line between groups: the parser's own would be two.
std::string HelpFormatter::make_group(std::string name,
                                      bool is_positional,
                                      std::vector<const CLI::Option*> options) const {
  const bool is_first = is_positional || name == "Options";
  const std::string text = CLI::Formatter::make_group(std::move(name), is_positional, options);
  return is_first || !text.starts_with('\n') ? text : text.substr(1);
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  return row(name_of(*option, is_positional), option->get_description());
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  return row(command->get_name(), command->get_description());
}

std::string HelpFormatter::make_description(const CLI::App* command) const {
  return wrapped(command->get_description(), 0, 0, columns_) + "\n";
}

OptionGroup::~OptionGroup() {
  const std::vector<CLI::Option*> options = command_.get_options();
  for (size_t i = n_before_; i < options.size(); ++i) options[i]->group(name_);
}

}  // namespace qwen3::cli
