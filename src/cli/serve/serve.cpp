// qwen3 serve: the OpenAI-compatible server. It listens when the model's small files and the memory plan
// have been found good, and before the weights are loaded (health says 503 until then). It ends on
// SIGTERM, SIGINT or SIGHUP: at once for new requests (unless balancers get notice first), after
// --drain-seconds at the latest for those under way.
//
// Threads: the main one waits for signals and watches the engine; one loads the model; one writes
// to stderr; the rest are the front's and the engine's. All are started with the signals blocked.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/ranks.h"
#include "cli/serve/background_log.h"
#include "cli/serve/end.h"
#include "cli/serve/heap.h"
#include "cli/serve/model.h"
#include "cli/serve/notify_socket.h"
#include "cli/serve/options.h"
#include "cli/serve/signals.h"
#include "cli/serve/watchdog.h"
#include "cli/signals.h"
#include "qwen3/engine.h"
#include "server/api/api.h"
#include "server/api/route_hints.h"
#include "server/api/service.h"
#include "server/http/http_server.h"
#include "server/messages/routes.h"
#include "server/responses/routes.h"

namespace qwen3::cli {
namespace {

struct Parts {
  server::HttpServer& front;
  server::Service& service;
  Watchdog& watchdog;
  ServeHeap& heap;
  NotifySocket& manager;
};

// Told how loading ends; returns when a signal comes.
void run_until_signal(EndSignals& signals,
                      std::future<LoadedModel>& loading,
                      const Parts& parts,
                      const ServeOptions& options) {
  while (!signals.wait(kTick)) {
    if (loading.valid() && loading.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
      LoadedModel loaded = loading.get();
      parts.front.set_request_memory(loaded.request_bytes);
      parts.service.set_model(std::move(loaded.served));
      parts.manager.send("READY=1\nSTATUS=serving");
      if (!options.output.quiet) {
        print_note(loaded.description);
        print_note(fmt::format("ready: {}", fmt::join(options.service.model_names, ", ")));
      }
    }
    parts.watchdog.look();
    parts.heap.look(Clock::now());
  }
}

// What is said from now on never waits for the reader of stderr.
void log_in_background(ServeOptions& options) {
  auto owned = std::make_unique<BackgroundLog>(STDERR_FILENO);
  BackgroundLog& log = *owned;
  send_notes_to(std::move(owned));
  options.service.n_lost_log_lines = [&log] { return log.n_lost(); };
  if (options.access_log && !options.output.quiet) {
    options.http.access_log = [&log](std::string_view line) { log.write_log_line(line); };
  }
}

// Stays until the end: /health says so while the rest drains. Null when nobody asked for it.
std::unique_ptr<server::HttpServer> listen_for_metrics(const ServeOptions& options,
                                                       server::Service& service) {
  if (!options.metrics_http) return nullptr;
  auto front = std::make_unique<server::HttpServer>(*options.metrics_http,
                                                    server::make_metrics_routes(service));
  for (const std::string& address : front->addresses()) {
    if (!options.output.quiet) print_note(fmt::format("metrics on http://{}/metrics", address));
  }
  return front;
}

std::vector<server::Route> all_routes(server::Service& service) {
  std::vector<server::Route> routes = server::make_routes(service);
  for (auto more :
       {server::make_responses_routes(service), server::make_messages_routes(service)}) {
    std::ranges::move(more, std::back_inserter(routes));
  }
  return routes;
}

ExitCode serve(ServeOptions& options) {
  resolve_serve_options(options);
  if (options.service.traces.count > 0 && group_of_ranks() != nullptr) {
    throw UsageError(
        "qwen3 serve: --traces: ranks have parts of tensors; expected one process, which has the "
        "same bits");
  }
  // What is wrong with the model or its options is said before anything listens; only the weights take time.
  PreparedModel prepared = [&options] {
    const SignalsBlocked blocked;  // for the threads that a card's driver starts
    return prepare_served_model(options);
  }();
  NotifySocket manager(std::getenv("NOTIFY_SOCKET"));
  EndSignals signals;
  log_in_background(options);
  EndGuard guard;  // outlives what may hang
  ServeHeap heap;
  server::Service service(options.service);
  std::vector<server::Route> routes = all_routes(service);
  options.http.hint = server::make_route_hint(routes);
  server::HttpServer front(options.http, std::move(routes));
  service.watch_front([&front] { return front.counters(); });
  const char* scheme = options.http.tls_certificate.empty() ? "http" : "https";
  for (const std::string& address : front.addresses()) {
    if (!options.output.quiet) print_note(fmt::format("listening on {}://{}", scheme, address));
  }
  const auto metrics_front = listen_for_metrics(options, service);
  Watchdog watchdog(service, options.step_seconds);
  ReadyThread stopper;
  std::future<LoadedModel> loading = std::async(std::launch::async, [&options, &prepared] {
    return load_served_model(options, std::move(prepared));
  });
  manager.send("STATUS=loading the model");
  run_until_signal(signals, loading, {front, service, watchdog, heap, manager}, options);
  manager.send("STOPPING=1\nSTATUS=ending; what is under way may finish");
  if (loading.valid()) {
    // Nothing is under way, and loading cannot be interrupted: leave it behind.
    guard.within(std::chrono::milliseconds(0));
    front.stop(std::chrono::milliseconds(0));
    leave_ranks();
    flush_notes();
    std::_Exit(kDone);
  }
  if (!options.output.quiet) print_note("shutting down; a second signal stops at once");
  end_service(front,
              service,
              watchdog,
              signals,
              guard,
              stopper,
              {.notice = std::chrono::seconds(options.drain_notice_seconds),
               .drain = std::chrono::seconds(options.drain_seconds)});
  return kDone;
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "serve", "Serve the model over the OpenAI API, on loopback unless told otherwise");
  const auto options = std::make_shared<ServeOptions>();
  add_serve_options(*command, *options);
  command->callback([options, &action] {
    action = [options] {
      return on_ranks(
          options->model, WeightsFrom::checkpoint, [options] { return serve(*options); });
    };
  });
}

}  // namespace qwen3::cli
