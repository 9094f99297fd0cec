// qwen3 serve: the OpenAI-compatible server. It listens before the model is loaded (health says 503
// until then), and ends on SIGTERM or SIGINT: at once for new requests, after --drain-seconds at
// the latest for those under way; a second signal does not wait for them.
//
// Threads: the main one waits for signals and watches the engine; one loads the model; the rest are
// the front's and the engine's. All of them are started with the two signals blocked.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/serve_heap.h"
#include "cli/serve_model.h"
#include "cli/serve_options.h"
#include "cli/serve_watchdog.h"
#include "qwen3/engine.h"
#include "server/api.h"
#include "server/http_server.h"
#include "server/service.h"

namespace qwen3::cli {
namespace {

// Blocks SIGTERM and SIGINT in this thread and those that it starts from now on.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~Signals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // True when one of them came within `patience`.
  bool wait(std::chrono::milliseconds patience) const {
    const timespec time{static_cast<time_t>(patience.count() / 1000),
                        static_cast<long>(patience.count() % 1000 * 1'000'000)};
    return sigtimedwait(&set_, nullptr, &time) > 0;
  }

 private:
  sigset_t set_, before_;
};

constexpr std::chrono::milliseconds kTick{200};

// Stops the front within the grace; a second signal ends what is under way.
void shut_down(server::HttpServer& front,
               server::Service& service,
               const Signals& signals,
               std::chrono::seconds grace) {
  service.drain();
  std::future<void> stopped =
      std::async(std::launch::async, [&front, grace] { front.stop(grace); });
  while (stopped.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    if (!signals.wait(kTick)) continue;
    service.abort_all(server::ApiError(503, "draining", "the server is shutting down"));
    front.stop(std::chrono::milliseconds(0));
    break;
  }
  stopped.get();
}

// Told what becomes of loading; returns when a signal comes.
void run_until_signal(const Signals& signals,
                      std::future<LoadedModel>& loading,
                      server::Service& service,
                      ServeHeap& heap,
                      const ServeOptions& options) {
  Watchdog watchdog(service, options.step_seconds);
  while (!signals.wait(kTick)) {
    if (loading.valid() && loading.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
      LoadedModel loaded = loading.get();
      service.set_model(std::move(loaded.served));
      if (!options.output.quiet) {
        print_note(loaded.description);
        print_note(fmt::format("ready: {}", fmt::join(options.service.model_names, ", ")));
      }
    }
    watchdog.look();
    heap.look(ServeHeap::Clock::now());
  }
}

ExitCode serve(ServeOptions& options) {
  resolve_serve_options(options);
  if (options.access_log && !options.output.quiet) {
    options.http.access_log = [](std::string_view line) { print_note(line); };
  }
  ServeHeap heap;
  const Signals signals;
  server::Service service(options.service);
  server::HttpServer front(options.http, server::make_routes(service));
  const char* scheme = options.http.tls_certificate.empty() ? "http" : "https";
  for (const std::string& address : front.addresses()) {
    if (!options.output.quiet) print_note(fmt::format("listening on {}://{}", scheme, address));
  }
  std::future<LoadedModel> loading =
      std::async(std::launch::async, [&options] { return load_served_model(options); });
  run_until_signal(signals, loading, service, heap, options);
  if (loading.valid()) {
    // Nothing is under way, and loading cannot be interrupted: leave it behind.
    front.stop(std::chrono::milliseconds(0));
    std::_Exit(kDone);
  }
  if (!options.output.quiet) print_note("shutting down; a second signal does not wait");
  shut_down(front, service, signals, std::chrono::seconds(options.drain_seconds));
  return kDone;
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "serve", "Serve the model over the OpenAI API, on loopback unless told otherwise");
  const auto options = std::make_shared<ServeOptions>();
  add_serve_options(*command, *options);
  command->callback([options, &action] { action = [options] { return serve(*options); }; });
}

}  // namespace qwen3::cli
