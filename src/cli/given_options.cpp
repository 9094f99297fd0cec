#include "cli/given_options.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"

namespace qwen3::cli {
namespace {

std::optional<std::string> from_environment(const CLI::Option& option) {
  if (!may_be_preset(option)) return std::nullopt;
  const char* value = std::getenv(variable_of(option.get_lnames().front()).c_str());
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

bool is_set_by(const std::string& value, const std::string& command, const std::string& origin) {
  const std::string word = ascii_lower(value);
  const auto is_one_of = [&](std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  if (is_one_of({"1", "on", "yes", "true"})) return true;
  if (is_one_of({"0", "off", "no", "false"})) return false;
  throw UsageError(fmt::format(
      "{}: {}: expected 1 or 0, on or off; got \"{}\"", command, origin, quote_for_message(value)));
}

const CLI::Option* excluder_of(const CLI::Option& option) {
  for (const CLI::Option* other : option.get_excludes()) {
    if (other->count() > 0) return other;
  }
  return nullptr;
}

}  // namespace

void GivenOptions::give(CLI::Option& option,
                        const std::string& command,
                        const std::vector<std::string>& words,
                        const std::string& origin) {
  const std::string where = "qwen3 " + command;
  const std::string& name = option.get_lnames().front();
  const bool is_flag = option.get_items_expected_max() == 0;
  origins_[&option] = origin;
  if (is_flag && !is_set_by(words.front(), where, origin)) return;
  try {
    if (is_flag) {
      option.add_result(option.get_flag_value(name, ""));
    } else {
      for (const std::string& word : words) option.add_result(word);
    }
    option.run_callback();
  } catch (const CLI::ParseError& error) {
    std::string what = error.what();
    if (!what.starts_with("--")) what = fmt::format("--{}: {}", name, what);
    throw UsageError(fmt::format("{}: {} (from {})", where, what, origin));
  }
}

void GivenOptions::apply(CLI::App& command, const std::string& name) {
  const std::vector<CLI::Option*> options = command.get_options([](CLI::Option*) { return true; });
  for (CLI::Option* option : options) {
    const auto value = from_environment(*option);
    if (!value || option->count() > 0) continue;
    const std::string variable = variable_of(option->get_lnames().front());
    if (const CLI::Option* other = excluder_of(*option)) {
      if (origin_of(*other).empty()) continue;  // typed
      throw UsageError(fmt::format(
          "qwen3 {}: {} and {} exclude each other; unset one", name, origin_of(*other), variable));
    }
    give(*option, name, {*value}, variable);
  }
  for (CLI::Option* option : options) {
    const ConfigFile::Value* value = file_.find(name, *option);
    if (value == nullptr || option->count() > 0 || origins_.contains(option)) continue;
    if (const CLI::Option* other = excluder_of(*option)) {
      if (!origin_of(*other).starts_with(value->where.substr(0, value->where.rfind(": "))))
        continue;
      throw UsageError(fmt::format("{}: --{} and --{} exclude each other; keep one",
                                   value->where,
                                   option->get_lnames().front(),
                                   other->get_lnames().front()));
    }
    give(*option, name, value->words, value->where);
  }
}

std::string GivenOptions::origin_of(const CLI::Option& option) const {
  const auto found = origins_.find(&option);
  return found == origins_.end() ? std::string() : found->second;
}

std::string variable_of(std::string_view option) {
  std::string variable = "QWEN3_";
  for (const char c : option) {
    variable += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return variable;
}

void relax_required(CLI::App& command) {
  for (CLI::Option* option : command.get_options([](CLI::Option*) { return true; })) {
    if (option->get_required() && from_environment(*option)) option->required(false);
  }
  for (CLI::App* sub : command.get_subcommands([](CLI::App*) { return true; }))
    relax_required(*sub);
}

}  // namespace qwen3::cli
