#include "cli/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/embedded_files.h"
#include "base/json.h"
#include "base/nearest.h"
#include "cli/console.h"
#include "cli/options.h"

namespace qwen3::cli {
namespace {

struct ConfigOptions {
  std::vector<std::string> command;
  bool json = false;
};

struct Setting {
  std::string name, value, from;  // "--threads", "8", "QWEN3_THREADS" or "default"
};

// Options of this command, those that have their default only where `all`.
std::vector<Setting> option_settings(const CLI::App& command, const GivenOptions& given, bool all) {
  std::vector<Setting> settings;
  for (const CLI::Option* option : command.get_options()) {
    if (!may_be_preset(*option)) continue;
    const std::string from = given.origin_of(*option);
    if (from.empty() && !all) continue;
    const bool is_flag = option->get_items_expected_max() == 0;
    std::string value = option->get_default_str();
    if (is_flag) {
      value = option->count() > 0 ? "on" : "off";
    } else if (option->count() > 0) {
      value = fmt::format("{}", fmt::join(option->results(), " "));
    }
    settings.push_back({"--" + option->get_lnames().front(),
                        quote_for_message(value, 1024),
                        from.empty() ? "default" : from});
  }
  return settings;
}

void print_settings(const std::string& command, const std::vector<Setting>& settings) {
  if (settings.empty()) return;
  size_t name = 0, value = 0;
  for (const Setting& s : settings) {
    name = std::max(name, s.name.size());
    value = std::max(value, std::min<size_t>(s.value.size(), 32));
  }
  print_out(fmt::format("qwen3 {}\n", command));
  for (const Setting& s : settings) {
    print_out(fmt::format(
        "  {:<{}}  {:<{}}  {}\n", s.name, name, s.value.empty() ? "-" : s.value, value, s.from));
  }
}

Json settings_json(const std::vector<Setting>& settings) {
  Json object = Json::object();
  for (const Setting& s : settings) {
    object[s.name.substr(2)] = {{"value", s.value}, {"from", s.from}};
  }
  return object;
}

// Every command below `group`, or the one that `wanted` names.
void collect_commands(CLI::App& group,
                      const std::string& name,
                      std::vector<std::pair<std::string, CLI::App*>>& out) {
  const auto subcommands = group.get_subcommands([](CLI::App*) { return true; });
  if (subcommands.empty()) out.emplace_back(name, &group);
  for (CLI::App* sub : subcommands) {
    collect_commands(*sub, name.empty() ? sub->get_name() : name + " " + sub->get_name(), out);
  }
}

ExitCode run_config(const ConfigOptions& options, const ConfigSubject& subject) {
  std::vector<std::pair<std::string, CLI::App*>> commands;
  collect_commands(subject.app, "", commands);
  const std::string wanted = fmt::format("{}", fmt::join(options.command, " "));
  const auto is_wanted = [&](const std::string& name) {
    return wanted.empty() || name == wanted || name.starts_with(wanted + " ");
  };
  std::vector<std::string> names;
  for (const auto& [name, command] : commands) names.push_back(name);
  if (std::none_of(names.begin(), names.end(), is_wanted)) {
    throw UsageError(fmt::format("qwen3 config: unknown command \"{}\"{}",
                                 quote_for_message(wanted),
                                 did_you_mean(wanted, names)));
  }
  const std::string path = config_file_path(subject.config_file).string();
  const bool there = !path.empty() && file_exists(path);
  Json json = Json::object();
  if (!options.json) {
    print_out(fmt::format("config file  {}{}\n",
                          path.empty() ? "none" : quote_for_message(path, 4096),
                          path.empty() || there ? "" : " (not there)"));
  }
  for (const auto& [name, command] : commands) {
    if (!is_wanted(name)) continue;
    if (name != "config") subject.given->apply(*command, name);
    const auto settings = option_settings(*command, *subject.given, !wanted.empty());
    if (options.json) {
      json[name] = settings_json(settings);
    } else {
      print_settings(name, settings);
    }
  }
  if (options.json) {
    print_json({{"config_file", path.empty() ? Json() : Json(path)},
                {"exists", there},
                {"commands", std::move(json)}});
  }
  return kDone;
}

}  // namespace

std::filesystem::path config_file_path(const std::string& named) {
  const char* variable = std::getenv("QWEN3_CONFIG_FILE");
  const bool set = variable != nullptr && *variable != '\0';
  const std::string path = !named.empty() ? named : set ? variable : "";
  if (path == "none") return {};
  return path.empty() ? default_config_file() : std::filesystem::path(path);
}

void add_config(CLI::App& app, Action& action, ConfigSubject subject) {
  CLI::App* command = app.add_subcommand(
      "config", "What the options are when nothing is typed, and where each value comes from");
  const auto options = std::make_shared<ConfigOptions>();
  command->add_option("COMMAND",
                      options->command,
                      "Every option of this command; without it: of all commands, those that the "
                      "environment or the config file sets");
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options, subject, &action] {
    action = [options, subject] { return run_config(*options, subject); };
  });
}

}  // namespace qwen3::cli
