#include "cli/config_file.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdlib>

#include "base/input_file.h"
#include "base/json.h"
#include "base/nearest.h"
#include "cli/commands.h"
#include "eval/run/yaml_values.h"

namespace qwen3::cli {
namespace {

constexpr size_t kMaxListedValues = 1024;

std::string with_dashes(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

void collect_names(const CLI::App& command, bool below, std::vector<std::string>& names) {
  for (const CLI::Option* option : command.get_options()) {
    if (!may_be_preset(*option)) continue;
    for (const std::string& name : option->get_lnames()) names.push_back(name);
  }
  for (const CLI::App* sub : command.get_subcommands({})) {
    names.push_back(sub->get_name());
    if (below) collect_names(*sub, true, names);
  }
}

// The option of that name: of the command, or, of a group of commands, of the first that has it.
const CLI::Option* find_option(const CLI::App& command, const std::string& name) {
  for (const CLI::Option* option : command.get_options()) {
    const auto& names = option->get_lnames();
    if (may_be_preset(*option) && std::find(names.begin(), names.end(), name) != names.end()) {
      return option;
    }
  }
  for (const CLI::App* sub : command.get_subcommands({})) {
    if (const CLI::Option* option = find_option(*sub, name)) return option;
  }
  return nullptr;
}

const CLI::App* find_command(const CLI::App& command, const std::string& name) {
  for (const CLI::App* sub : command.get_subcommands({})) {
    if (sub->get_name() == name) return sub;
  }
  return nullptr;
}

}  // namespace

class ConfigFile::Reader {
 public:
  Reader(ConfigFile& out, std::string file) : out_(out), file_(std::move(file)) {}

  // `path`: "", "eval", "eval run".
  void read(const YAML::Node& node, const CLI::App& command, const std::string& path) {
    if (!node || node.IsNull()) return;
    if (!node.IsMap()) refuse(node, path, "expected options, NAME: VALUE", shown(node));
    for (const auto& entry : node) {
      const std::string name = with_dashes(entry.first.Scalar());
      if (const CLI::App* sub = find_command(command, name)) {
        read(entry.second, *sub, path.empty() ? name : path + " " + name);
        continue;
      }
      const CLI::Option* option = find_option(command, name);
      if (option == nullptr) refuse_unknown(entry.first, command, path);
      keep(entry.first, entry.second, *option, path);
    }
  }

 private:
  void keep(const YAML::Node& key,
            const YAML::Node& value,
            const CLI::Option& option,
            const std::string& path) {
    const std::string in = path.empty() ? key.Scalar() : path + ": " + key.Scalar();
    if (option.get_required()) {
      throw UsageError(fmt::format("{}: {}: the command needs it each time; give --{} to it",
                                   eval::yaml_place(file_, key),
                                   quote_for_message(in),
                                   option.get_lnames().front()));
    }
    Value read{.words = words_of(value, option, in), .where = eval::yaml_place(file_, key)};
    const auto [at, fresh] =
        out_.sections_[path].emplace(option.get_lnames().front(), std::move(read));
    if (!fresh) {
      throw UsageError(fmt::format("{}: {}: given before, in {}; keep one",
                                   eval::yaml_place(file_, key),
                                   quote_for_message(in),
                                   at->second.where));
    }
  }

  std::vector<std::string> words_of(const YAML::Node& value,
                                    const CLI::Option& option,
                                    const std::string& in) const {
    if (value.IsMap() && option.get_type_name() == "JSON") {
      return {dump_json(eval::yaml_to_json(value, file_))};
    }
    if (value.IsSequence() && option.get_items_expected_max() > 1) {
      std::vector<std::string> words;
      for (const YAML::Node& item : value) words.push_back(word_of(item, in));
      if (words.empty() || words.size() > kMaxListedValues) {
        refuse(value, in, fmt::format("expected 1 to {} values", kMaxListedValues), shown(value));
      }
      return words;
    }
    return {word_of(value, in)};
  }

  std::string word_of(const YAML::Node& value, const std::string& in) const {
    const bool quoted = value.Tag() == "!";
    if (!value.IsScalar() || (!quoted && eval::read_plain_scalar(value.Scalar()).is_null())) {
      refuse(value, in, "expected one value", shown(value));
    }
    return value.Scalar();
  }

  static std::string shown(const YAML::Node& node) {
    return node.IsMap()        ? "a map"
           : node.IsSequence() ? "a list"
           : node.IsScalar()   ? "text"
                               : "nothing";
  }

  [[noreturn]] void refuse(const YAML::Node& node,
                           const std::string& in,
                           std::string_view expected,
                           std::string_view got) const {
    throw UsageError(fmt::format("{}: {}{}{}; got {}",
                                 eval::yaml_place(file_, node),
                                 quote_for_message(in),
                                 in.empty() ? "" : ": ",
                                 expected,
                                 got));
  }

  [[noreturn]] void refuse_unknown(const YAML::Node& key,
                                   const CLI::App& command,
                                   const std::string& path) const {
    std::vector<std::string> known;
    collect_names(command, path.empty(), known);
    const std::string name = with_dashes(key.Scalar());
    throw UsageError(
        fmt::format("{}: {}unknown option \"{}\"{}; qwen3{}{} --help lists the options",
                    eval::yaml_place(file_, key),
                    path.empty() ? "" : path + ": ",
                    quote_for_message(key.Scalar()),
                    did_you_mean(name, known),
                    path.empty() ? "" : " ",
                    path.empty() ? " COMMAND" : path));
  }

  ConfigFile& out_;
  const std::string file_;
};

ConfigFile::ConfigFile(const std::filesystem::path& path, const CLI::App& app) {
  const std::string text = InputFile(path).read_all(eval::kMaxConfigBytes);
  const std::string file = quote_for_message(path.string(), 200);
  const YAML::Node root = eval::parse_yaml(text, file);
  eval::yaml_to_json(root,
                     file);  // throws for keys that are no text or stand twice, and for too much
  Reader(*this, file).read(root, app, "");
}

const ConfigFile::Value* ConfigFile::find(std::string_view command,
                                          const CLI::Option& option) const {
  if (option.get_lnames().empty() || !may_be_preset(option)) return nullptr;
  std::string path(command);
  for (;;) {
    const auto section = sections_.find(path);
    if (section != sections_.end()) {
      for (const std::string& name : option.get_lnames()) {
        const auto value = section->second.find(name);
        if (value != section->second.end()) return &value->second;
      }
    }
    if (path.empty()) return nullptr;
    const size_t space = path.rfind(' ');
    path.resize(space == path.npos ? 0 : space);
  }
}

std::filesystem::path default_config_file() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  if (config != nullptr && std::filesystem::path(config).is_absolute()) {
    return std::filesystem::path(config) / "qwen3/config.yaml";
  }
  const char* home = std::getenv("HOME");
  if (home != nullptr && std::filesystem::path(home).is_absolute()) {
    return std::filesystem::path(home) / ".config/qwen3/config.yaml";
  }
  return {};
}

bool may_be_preset(const CLI::Option& option) {
  const std::vector<std::string>& names = option.get_lnames();
  return !names.empty() && names.front() != "help" && names.front() != "version" &&
         names.front() != "yes" && names.front() != "config-file";
}

}  // namespace qwen3::cli
