// qwen3 pull: a model from a hub into the cache that transformers shares.
#include "hub/pull.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/available_memory.h"
#include "base/error.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/help.h"
#include "cli/hub_environment.h"
#include "cli/numbers.h"
#include "cli/options.h"
#include "cli/signals.h"

namespace qwen3::cli {
namespace {

struct PullCommand {
  std::string model, from = "huggingface", revision;
  std::vector<std::string> include, exclude;
  int connections = 4;
  OutputOptions output;
};

hub::ModelRef model_to_pull(const PullCommand& options) {
  auto ref = hub::parse_model_ref(options.model);
  if (!ref) {
    throw UsageError(
        fmt::format("qwen3 pull: expected a model's name on its hub, such as Qwen/Qwen3-0.6B or "
                    "Qwen/Qwen3-8B-GGUF:Q4_K_M; got \"{}\"",
                    quote_for_message(options.model)));
  }
  if (options.revision.empty()) return *ref;
  if (!ref->revision.empty() || !hub::is_revision(options.revision)) {
    throw UsageError(
        fmt::format("qwen3 pull: --revision: expected one branch, tag or commit; got \"{}\"{}",
                    quote_for_message(options.revision),
                    ref->revision.empty() ? "" : fmt::format(" and \"{}\"", ref->revision)));
  }
  ref->revision = options.revision;
  return *ref;
}

// "42 s", "3 min 20 s", "2 h 5 min"
std::string time_text(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s / 60 % 60);
}

// One line of a terminal: how far, how fast, how long still.
class PullLine {
 public:
  PullLine(std::string name, bool enabled) : name_(std::move(name)), line_(enabled) {}

  void show(const hub::PullProgress& p) { line_.show(text(p)); }

  // A note that stays.
  void note(const std::string& text) {
    line_.clear();
    print_note(fmt::format("{}: {}", name_, text));
  }

 private:
  std::string text(const hub::PullProgress& p) {
    if (p.files == 0) return fmt::format("{}: asking the hub", name_);
    const double rate = rate_of(p.bytes_received);
    std::string text =
        fmt::format("{}: {:.0f} %  {} of {}, {} of {} files",
                    name_,
                    p.bytes == 0 ? 100.0 : 100.0 * double(p.bytes_there) / double(p.bytes),
                    format_bytes(p.bytes_there),
                    format_bytes(p.bytes),
                    p.files_done,
                    p.files);
    if (rate > 0) {
      text += fmt::format("  {}/s  {} left",
                          format_bytes(static_cast<int64_t>(rate)),
                          time_text(double(p.bytes - p.bytes_there) / rate));
    } else if (p.waiting) {
      text += "  waiting for another process that downloads it";
    }
    const size_t columns = terminal_columns() - 1;  // a full line would wrap, and stay
    return text.size() <= columns ? text : text.substr(0, columns);
  }

  // Bytes per second, of the last seconds more than of those before.
  double rate_of(int64_t received) {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - then_).count();
    if (seconds < 0.5) return rate_;
    const double latest = double(received - received_) / seconds;
    constexpr double kSpan = 5;  // seconds that count
    const double share = rate_ < 0 ? 1 : std::min(1.0, seconds / kSpan);
    rate_ = (1 - share) * std::max(rate_, 0.0) + share * latest;
    then_ = now;
    received_ = received;
    return rate_ < 1 ? 0 : rate_;
  }

  const std::string name_;
  StatusLine line_;
  std::chrono::steady_clock::time_point then_ = std::chrono::steady_clock::now();
  int64_t received_ = 0;
  double rate_ = -1;
};

void report(const PullCommand& options,
            const hub::ModelRef& ref,
            const hub::Pulled& pulled,
            double seconds) {
  if (options.output.json) {
    return print_json({{"model", ref.repo},
                       {"commit", pulled.commit},
                       {"path", pulled.snapshot.string()},
                       {"files", pulled.files},
                       {"bytes", pulled.bytes},
                       {"bytes_received", pulled.bytes_received}});
  }
  if (options.output.talk()) {
    print_note(fmt::format(
        "{}: {} files, {}{}; next: qwen3 chat -m {}",
        ref.text(),
        pulled.files.size(),
        format_bytes(pulled.bytes),
        pulled.bytes_received == 0
            ? ", all there before"
            : fmt::format(
                  ", {} received in {}", format_bytes(pulled.bytes_received), time_text(seconds)),
        ref.text()));
  }
  print_out(pulled.snapshot.string() + "\n");
}

ExitCode run_pull(const PullCommand& options) {
  const hub::ModelRef ref = model_to_pull(options);
  QWEN3_CHECK(!hub_is_offline(),
              ErrorKind::invalid_argument,
              "{}: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set: nothing is downloaded",
              ref.text());
  hub::PullOptions pull_options;
  pull_options.ref = ref;
  pull_options.source =
      options.from == "modelscope" ? hub::Source::model_scope : hub::Source::hugging_face;
  pull_options.server = hub_server(pull_options.source);
  pull_options.wanted.include = options.include;
  pull_options.wanted.exclude = options.exclude;
  pull_options.connections = options.connections;
  const auto begin = std::chrono::steady_clock::now();
  const StopSignals stop;
  hub::Pulled pulled;
  {
    PullLine line(ref.text(), options.output.talk() && !hub_progress_is_unwelcome());
    pull_options.progress = [&](const hub::PullProgress& progress) {
      line.show(progress);
      return stop.interrupts() == 0 && !stop.terminated();
    };
    if (options.output.talk()) {
      pull_options.on_retry = [&](const std::string& why) { line.note(why); };
    }
    pulled = hub::pull(hub_cache(), pull_options);
  }
  if (pulled.stopped) {
    print_error(fmt::format("{}: stopped; the same command continues", ref.text()));
    return kFailed;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  report(options, ref, pulled, took.count());
  return kDone;
}

}  // namespace

void add_pull(CLI::App& app, Action& action) {
  auto options = std::make_shared<PullCommand>();
  CLI::App* command = app.add_subcommand(
      "pull", "Download a model into the cache of Hugging Face's client; its path goes to stdout");
  command
      ->add_option(
          "MODEL", options->model, "Qwen/Qwen3-0.6B; of a GGUF repository also :Q4_K_M or :FILE")
      ->check(some_text())
      ->required();
  command->add_option("--from", options->from, "The hub")
      ->check(one_of({"huggingface", "modelscope"}))
      ->capture_default_str();
  command
      ->add_option("--revision", options->revision, "Branch, tag or commit (the hub's main branch)")
      ->check(some_text());
  command
      ->add_option(
          "--include", options->include, "Only files that match this pattern; may be repeated")
      ->check(some_text())
      ->allow_extra_args(false);
  command
      ->add_option(
          "--exclude", options->exclude, "No files that match this pattern; may be repeated")
      ->check(some_text())
      ->allow_extra_args(false);
  command->add_option("--connections", options->connections, "Files at the same time")
      ->check(integer_in(1, 32))
      ->capture_default_str();
  add_output_options(*command,
                     options->output,
                     "Print what was pulled as JSON",
                     "No progress and no notes on stderr; errors still are");
  command->callback([options, &action] { action = [options] { return run_pull(*options); }; });
}

}  // namespace qwen3::cli
