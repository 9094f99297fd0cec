// qwen3 list, show and rm: the models that are in the cache.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/available_memory.h"
#include "base/embedded_files.h"
#include "base/error.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/hub_environment.h"
#include "cli/hub_model.h"
#include "cli/input.h"
#include "cli/options.h"

namespace qwen3::cli {
namespace {

struct ModelsCommand {
  std::string model;
  bool yes = false;
  OutputOptions output;
};

hub::ModelRef ref_of(const std::string& command, const std::string& name) {
  if (auto ref = hub::parse_model_ref(name)) return *ref;
  throw UsageError(fmt::format(
      "qwen3 {}: expected the name of a model in the cache, such as Qwen/Qwen3-0.6B; got \"{}\"; "
      "qwen3 list shows them",
      command,
      quote_for_message(name)));
}

std::vector<std::string> paths_of(const std::vector<hub::CachedFile>& files) {
  std::vector<std::string> paths;
  for (const hub::CachedFile& file : files) paths.push_back(file.path);
  return paths;
}

// What -m would find: "safetensors", or the quantisations of its GGUF files; "" for neither.
std::vector<std::string> formats_of(const std::vector<std::string>& paths) {
  std::vector<std::string> formats;
  const auto is_weights = [](const std::string& path) { return path.ends_with(".safetensors"); };
  if (std::any_of(paths.begin(), paths.end(), is_weights)) formats.emplace_back("safetensors");
  for (const hub::GgufModel& model : hub::gguf_models(paths)) {
    formats.push_back(hub::quantisation_of(model));
  }
  return formats;
}

Json json_of(const hub::Cache& cache, const std::string& repo) {
  const hub::Cache::Usage usage = cache.usage(repo);
  Json snapshots = Json::array();
  for (const hub::Snapshot& snapshot : cache.snapshots(repo)) {
    const auto paths = paths_of(cache.files(snapshot));
    snapshots.push_back({{"commit", snapshot.commit},
                         {"refs", snapshot.refs},
                         {"path", snapshot.path.string()},
                         {"formats", formats_of(paths)},
                         {"files", paths}});
  }
  return {{"model", repo},
          {"bytes", usage.bytes},
          {"incomplete_bytes", usage.incomplete_bytes},
          {"snapshots", std::move(snapshots)}};
}

// The words may be those of a foreign cache: fit for a terminal.
std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : ", ") + quote_for_message(word);
  return text;
}

// "main (safetensors)"; a commit's first digits where nothing points to it.
std::string revisions_text(const hub::Cache& cache, const std::string& repo) {
  std::vector<std::string> texts;
  for (const hub::Snapshot& snapshot : cache.snapshots(repo)) {
    const auto formats = formats_of(paths_of(cache.files(snapshot)));
    texts.push_back(
        fmt::format("{} ({})",
                    snapshot.refs.empty() ? snapshot.commit.substr(0, 8) : joined(snapshot.refs),
                    formats.empty() ? "no weights" : joined(formats)));
  }
  if (cache.usage(repo).n_incomplete > 0) texts.emplace_back("a download that has not ended");
  return joined(texts);
}

ExitCode run_list(const ModelsCommand& options) {
  const hub::Cache cache = hub_cache();
  const std::vector<std::string> repos = cache.repos();
  if (options.output.json) {
    for (const std::string& repo : repos) print_json(json_of(cache, repo));
    return kDone;
  }
  const std::vector<std::string> names = embedded_folders();
  size_t width = 5;
  for (const auto* list : {&names, &repos}) {
    for (const std::string& name : *list) width = std::max(width, name.size());
  }
  const auto row = [&](const std::string& name, const std::string& size, const std::string& rest) {
    print_out(fmt::format("{:<{}}  {:>9}  {}\n", name, width, size, rest));
  };
  row("model", "size", "revisions");
  for (const std::string& name : names) row(name, "", "built in");
  for (const std::string& repo : repos) {
    row(repo, format_bytes(cache.usage(repo).bytes), revisions_text(cache, repo));
  }
  if (options.output.talk()) print_note(cache.root().string());
  return kDone;
}

[[noreturn]] void fail_not_there(const hub::Cache& cache, const hub::ModelRef& ref) {
  QWEN3_CHECK(cache.usage(ref.repo).n_incomplete == 0,
              ErrorKind::not_found,
              "{}: a download of it has not ended; qwen3 pull {} goes on with it",
              ref.text(),
              ref.text());
  fail(ErrorKind::not_found,
       "{}: not in the cache {}; qwen3 list shows what is",
       ref.text(),
       cache.root().string());
}

// What is wrong with a model that is there, and what to do; empty: nothing.
std::string fault_of(const hub::ModelRef& ref,
                     const std::vector<hub::CachedFile>& files,
                     const std::vector<std::string>& broken) {
  const std::string again = fmt::format("qwen3 pull {} downloads what is missing", ref.text());
  if (!broken.empty()) {
    return fmt::format("{}: {} of its files lead nowhere ({}{}); {}",
                       ref.text(),
                       broken.size(),
                       quote_for_message(broken.front(), 200),
                       broken.size() > 1 ? ", …" : "",
                       again);
  }
  const std::vector<std::string> paths = paths_of(files);
  const bool has_config = std::find(paths.begin(), paths.end(), "config.json") != paths.end();
  if (formats_of(paths).empty())
    return fmt::format("{}: no weights are here; {}", ref.text(), again);
  if (!has_config && hub::gguf_models(paths).empty()) {
    return fmt::format("{}: no config.json is here; {}", ref.text(), again);
  }
  return {};
}

ExitCode run_show(const ModelsCommand& options) {
  const hub::ModelRef ref = ref_of("show", options.model);
  const hub::Cache cache = hub_cache();
  const auto snapshot = cache.find(ref);
  if (!snapshot) fail_not_there(cache, ref);
  const std::vector<hub::CachedFile> files = cache.files(*snapshot);
  const std::vector<std::string> broken = cache.broken_files(*snapshot);
  const std::string fault = fault_of(ref, files, broken);
  const std::string model =
      (fault.empty() ? model_in_snapshot(cache, *snapshot, ref) : snapshot->path).string();
  if (options.output.json) {
    Json listed = Json::array();
    int64_t bytes = 0;
    for (const hub::CachedFile& file : files) {
      listed.push_back({{"path", file.path}, {"bytes", file.size}});
      bytes += file.size;
    }
    print_json({{"model", ref.repo},
                {"path", model},
                {"commit", snapshot->commit},
                {"refs", snapshot->refs},
                {"formats", formats_of(paths_of(files))},
                {"bytes", bytes},
                {"files", std::move(listed)},
                {"broken", broken},
                {"fault", fault.empty() ? Json() : Json(fault)}});
    return fault.empty() ? kDone : kFailed;
  }
  print_out(fmt::format("path     {}\ncommit   {}{}\nformat   {}\n",
                        model,
                        snapshot->commit,
                        snapshot->refs.empty() ? "" : " (" + joined(snapshot->refs) + ")",
                        joined(formats_of(paths_of(files)))));
  for (const hub::CachedFile& file : files) {
    print_out(
        fmt::format("{:>12}  {}\n", format_bytes(file.size), quote_for_message(file.path, 500)));
  }
  for (const std::string& path : broken) {
    print_out(fmt::format("{:>12}  {}\n", "nowhere", quote_for_message(path, 500)));
  }
  if (fault.empty()) return kDone;
  print_error(fault);
  return kFailed;
}

// Whether a person says so: on a terminal when asked, elsewhere by --yes.
bool confirmed(const ModelsCommand& options, const std::string& question) {
  if (options.yes) return true;
  if (!stdin_is_terminal() || !stderr_is_terminal()) {
    throw UsageError(fmt::format("qwen3 rm: {} Say so with --yes", question));
  }
  print_raw_note(question + " [y/N] ");
  LineInput input;
  std::string answer;
  return input.read(answer) == LineInput::Status::line && (answer == "y" || answer == "yes");
}

// The GGUF model's files of a name with ':'.
std::vector<hub::CachedFile> files_of(const hub::Cache& cache,
                                      const hub::Snapshot& snapshot,
                                      const hub::ModelRef& ref) {
  std::vector<hub::CachedFile> files = cache.files(snapshot);
  const std::vector<hub::GgufModel> models = hub::gguf_models(paths_of(files));
  const hub::GgufModel& model = hub::choose_gguf(models, ref.file, ref.text());
  std::erase_if(files, [&](const hub::CachedFile& file) {
    return std::find(model.parts.begin(), model.parts.end(), file.path) == model.parts.end();
  });
  return files;
}

ExitCode run_rm(const ModelsCommand& options) {
  const hub::ModelRef ref = ref_of("rm", options.model);
  const hub::Cache cache = hub_cache();
  if (!ref.revision.empty()) {
    throw UsageError("qwen3 rm: a revision alone cannot be removed; name the model without \"@\"");
  }
  const std::vector<std::string> repos = cache.repos();
  if (std::find(repos.begin(), repos.end(), ref.repo) == repos.end()) fail_not_there(cache, ref);
  std::vector<hub::CachedFile> files;
  std::optional<hub::Snapshot> snapshot;
  int64_t bytes = cache.usage(ref.repo).bytes;
  if (!ref.file.empty()) {
    snapshot = cache.find(ref);
    if (!snapshot) fail_not_there(cache, ref);
    files = files_of(cache, *snapshot, ref);
    bytes = 0;
    for (const hub::CachedFile& file : files) bytes += file.size;
  }
  const std::string question = fmt::format(
      "Remove {} from the cache that other programs share, {}?", ref.text(), format_bytes(bytes));
  if (!confirmed(options, question)) {
    print_error("nothing was removed");
    return kFailed;
  }
  if (snapshot) {
    cache.remove_files(ref.repo, *snapshot, files);
  } else {
    cache.remove(ref.repo);
  }
  if (options.output.talk()) {
    print_note(fmt::format("{}: removed, {}", ref.text(), format_bytes(bytes)));
  }
  return kDone;
}

}  // namespace

void add_list(CLI::App& app, Action& action) {
  auto options = std::make_shared<ModelsCommand>();
  CLI::App* command = app.add_subcommand("list", "The models in the cache, and the built-in ones");
  add_output_options(*command,
                     options->output,
                     "Print one line of JSON for each model in the cache",
                     "Not the cache's folder on stderr");
  command->callback([options, &action] { action = [options] { return run_list(*options); }; });
}

void add_show(CLI::App& app, Action& action) {
  auto options = std::make_shared<ModelsCommand>();
  CLI::App* command =
      app.add_subcommand("show", "A model in the cache: where it is, and its files");
  command->add_option("MODEL", options->model, "As given to pull")->check(some_text())->required();
  add_output_options(
      *command, options->output, "Print it as JSON", "No notes on stderr; errors still are");
  command->callback([options, &action] { action = [options] { return run_show(*options); }; });
}

void add_rm(CLI::App& app, Action& action) {
  auto options = std::make_shared<ModelsCommand>();
  CLI::App* command =
      app.add_subcommand("rm", "Remove a model, or one GGUF file of it, from the cache");
  command->add_option("MODEL", options->model, "As given to pull")->check(some_text())->required();
  command->add_flag("--yes", options->yes, "Do not ask");
  add_quiet_option(*command, options->output, "Do not say what was removed");
  command->callback([options, &action] { action = [options] { return run_rm(*options); }; });
}

}  // namespace qwen3::cli
