// What --help prints: options in groups, a text beside each that is wrapped to the terminal, and an
// example at the end.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qwen3::cli {

// Columns of the terminal that stdout or stderr is; 100 when neither is one.
size_t terminal_columns();

// `text` in lines of at most `columns` characters, broken at spaces; a word that is longer has a line
// of its own. Lines after the first begin with `indent` spaces, which count.
std::string wrapped(std::string_view text, size_t first_column, size_t indent, size_t columns);

// What stands for an option's value: "FILE", "{on,off}" where only some words are taken; empty for a flag.
std::string value_name(const CLI::Option& option);

// The subcommands that --help lists.
std::vector<const CLI::App*> visible_commands(const CLI::App& app);

class HelpFormatter final : public CLI::Formatter {
 public:
  HelpFormatter() : columns_(terminal_columns()) {}

  std::string make_group(std::string name,
                         bool is_positional,
                         std::vector<const CLI::Option*> options) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_subcommand(const CLI::App* command) const override;
  std::string make_description(const CLI::App* command) const override;

 private:
  std::string row(const std::string& name, const std::string& text) const;

  const size_t columns_;
};

// The options that are added while it lives are one group of --help.
class OptionGroup {
 public:
  OptionGroup(CLI::App& command, std::string name)
      : command_(command), name_(std::move(name)), n_before_(command.get_options().size()) {}
  ~OptionGroup();
  OptionGroup(const OptionGroup&) = delete;
  OptionGroup& operator=(const OptionGroup&) = delete;

 private:
  CLI::App& command_;
  const std::string name_;
  const size_t n_before_;
};

}  // namespace qwen3::cli
