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
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generation.h"
#include "cli/numbers.h"
#include "cli/options.h"
#include "engine/model_impl.h"
#include "qwen3/engine.h"
#include "qwen3/text.h"
#include "server/api.h"
#include "server/auth.h"
#include "server/http_server.h"
#include "server/served_model.h"
#include "server/service.h"

namespace qwen3::cli {
namespace {

struct ServeOptions {
  ModelOptions model;
  OutputOptions output;
  server::HttpOptions http;
  server::ServiceOptions service;
  EngineOptions engine;
  std::string key_file;
  std::string task = "auto";
  std::string reasoning_field = "reasoning_content";
  std::string tool_format = "auto";
  int64_t port = 8000;
  int64_t body_mib = 4;
  int64_t request_seconds = 600;
  int64_t drain_seconds = 30;
  int64_t step_seconds = 120;
  bool access_log = true;
};

std::unique_ptr<server::ServedModel> load(const ServeOptions& options) {
  const std::filesystem::path directory = resolve_model(options.model.model);
  Text text = Text::load(directory);
  const std::shared_ptr<Model> model = load_model(options.model, options.output);
  check_context(options.model, model->impl().config);
  EngineOptions engine = options.engine;
  engine.max_model_len = options.model.context;
  engine.n_real_tokens = text.n_tokens();
  server::ModelParts parts{
      .text = std::move(text),
      .generator = std::make_unique<server::EngineGenerator<Engine>>(model, engine),
      .defaults = model->generation_defaults(),
      .info = model->info(),
      .hidden_size = model->impl().config.hidden_size,
      .task = options.service.task == server::Task::automatic ? server::detect_task(directory)
                                                              : options.service.task};
  return server::make_served_model(std::move(parts), options.service);
}

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

// Ends the process when a step of the engine hangs: its threads cannot be joined any more.
void watch(const server::Service& service, const ServeOptions& options) {
  const server::ServedModel* model = service.loaded();
  if (model == nullptr || options.step_seconds == 0) return;
  const EngineStats stats = model->generator->stats();
  if (stats.step_seconds < static_cast<double>(options.step_seconds)) return;
  print_error(
      fmt::format("qwen3 serve: a step of the engine runs for {:.0f} s with {} sequences; expected "
                  "at most {} s "
                  "(--step-seconds); the process ends so that a supervisor can start it again",
                  stats.step_seconds,
                  stats.n_running,
                  options.step_seconds));
  std::_Exit(kFailed);
}

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

ExitCode serve(ServeOptions& options) {
  if (!options.key_file.empty()) options.http.keys = server::read_key_file(options.key_file);
  options.http.port = static_cast<uint16_t>(options.port);
  options.http.limits.body_bytes = static_cast<size_t>(options.body_mib) << 20;
  options.service.request_timeout = std::chrono::seconds(options.request_seconds);
  options.service.version = QWEN3_VERSION;
  if (options.service.model_names.empty()) {
    const std::string name = std::filesystem::path(options.model.model).filename().string();
    options.service.model_names = {name.empty() ? options.model.model : name};
  }
  if (options.access_log && !options.output.quiet) {
    options.http.access_log = [](std::string_view line) { print_note(line); };
  }

  const Signals signals;
  server::Service service(options.service);
  server::HttpServer front(options.http, server::make_routes(service));
  const char* scheme = options.http.tls_certificate.empty() ? "http" : "https";
  for (const std::string& address : front.addresses()) {
    if (!options.output.quiet) print_note(fmt::format("listening on {}://{}", scheme, address));
  }

  std::future<std::unique_ptr<server::ServedModel>> loading =
      std::async(std::launch::async, [&options] { return load(options); });
  const auto take_model = [&] {
    service.set_model(loading.get());
    const server::ServedModel& model = *service.loaded();
    if (options.output.quiet) return;
    print_note(model_line(model.info));
    print_note(
        fmt::format("ready: {} with {} tokens of context, {} blocks of {} tokens for keys "
                    "and values",
                    fmt::join(options.service.model_names, ", "),
                    model.max_model_len,
                    model.generator->stats().n_blocks,
                    options.engine.block_size));
  };
  while (!signals.wait(kTick)) {
    if (loading.valid() && loading.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
      take_model();
    }
    watch(service, options);
  }
  if (!options.output.quiet) print_note("shutting down; a second signal does not wait");
  shut_down(front, service, signals, std::chrono::seconds(options.drain_seconds));
  return kDone;
}

void add_front_options(CLI::App& command, ServeOptions& options) {
  command
      .add_option("--host",
                  options.http.addresses,
                  "Numeric addresses to listen on; others than loopback need --api-key-file")
      ->default_str("127.0.0.1 ::1");
  command.add_option("--port", options.port, "Port; 0: a free one")
      ->check(integer_in(0, 65535))
      ->capture_default_str();
  command.add_option("--api-key-file",
                     options.key_file,
                     "File of keys, one a line (KEY or NAME:KEY), readable by its owner alone");
  command.add_option("--allow-host",
                     options.http.allow_hosts,
                     "Further values of the Host header to accept, exactly as sent");
  command.add_option("--allow-origin",
                     options.http.allow_origins,
                     "Origins of web pages that may call this server, exactly as sent");
  command.add_option("--tls-cert", options.http.tls_certificate, "PEM file: serve HTTPS");
  command.add_option("--tls-key", options.http.tls_key, "PEM file with the certificate's key");
  command.add_option("--max-body", options.body_mib, "Largest request body in MiB")
      ->check(integer_in(1, 64))
      ->capture_default_str();
  command
      .add_option("--request-seconds", options.request_seconds, "A request ends after this time")
      ->check(integer_in(1, 1'000'000))
      ->capture_default_str();
  command
      .add_option("--drain-seconds",
                  options.drain_seconds,
                  "After SIGTERM or Ctrl-C, time for the requests under way")
      ->check(integer_in(0, 86'400))
      ->capture_default_str();
  command
      .add_option("--step-seconds",
                  options.step_seconds,
                  "End the process when one step of the engine takes longer; 0: never")
      ->check(integer_in(0, 86'400))
      ->capture_default_str();
  command.add_flag("!--no-access-log", options.access_log, "No JSON line per request on stderr");
}

void add_api_options(CLI::App& command, ServeOptions& options) {
  command
      .add_option("--served-model-name",
                  options.service.model_names,
                  "Names that requests may use; the first stands in answers")
      ->default_str("the model's");
  command.add_flag("--any-model-name",
                   options.service.any_model_name,
                   "Accept every name in a request's \"model\"");
  command
      .add_option(
          "--task", options.task, "What the checkpoint is for: auto, generate, embed or rerank")
      ->check(CLI::IsMember({"auto", "generate", "embed", "rerank"}))
      ->capture_default_str();
  command
      .add_option("--reasoning-field",
                  options.reasoning_field,
                  "Where a chat answer gives its reasoning; none: in the content, with its tags")
      ->check(CLI::IsMember({"reasoning_content", "reasoning", "both", "none"}))
      ->capture_default_str();
  command
      .add_option("--tool-format",
                  options.tool_format,
                  "How the model writes tool calls: auto, hermes or qwen3_coder")
      ->check(CLI::IsMember({"auto", "hermes", "qwen3_coder"}))
      ->capture_default_str();
  command
      .add_option("--default-max-tokens",
                  options.service.default_max_tokens,
                  "Of requests that name none; 0: what the context has left")
      ->check(integer_in(0, int64_t{1} << 30))
      ->capture_default_str();
  command.add_flag("--clamp-max-tokens",
                   options.service.clamp_max_tokens,
                   "Cut a max_tokens that the context cannot hold instead of refusing it");
  command.add_flag("--metrics", options.service.metrics, "Serve /metrics (Prometheus)");
  command.add_flag("--metrics-compat", options.service.metrics_compat, "Give vLLM's names too");
}

void add_engine_options(CLI::App& command, ServeOptions& options) {
  command.add_option("--max-sequences", options.engine.max_sequences, "Requests that run together")
      ->check(integer_in(1, 4096))
      ->capture_default_str();
  command
      .add_option(
          "--max-waiting", options.engine.max_waiting, "Requests that may wait; beyond, 429")
      ->check(integer_in(1, 1'000'000))
      ->capture_default_str();
  command
      .add_option("--max-waiting-tokens",
                  options.engine.max_waiting_tokens,
                  "Prompt tokens that may wait together; beyond, 429; 0: no limit")
      ->check(integer_in(0, int64_t{1} << 40))
      ->capture_default_str();
  command.add_option("--max-batch-tokens", options.engine.max_batch_tokens, "Tokens of one step")
      ->check(integer_in(16, 65'536))
      ->capture_default_str();
  command
      .add_option("--kv-cache-bytes",
                  options.engine.kv_cache_bytes,
                  "Memory for keys and values; 0: enough for the sequences, at most half of the "
                  "free memory")
      ->check(integer_in(0, int64_t{1} << 50))
      ->capture_default_str();
}

void resolve_choices(ServeOptions& options) {
  using server::ReasoningField;
  using server::Task;
  if (options.task == "generate") options.service.task = Task::generate;
  if (options.task == "embed") options.service.task = Task::embed;
  if (options.task == "rerank") options.service.task = Task::rerank;
  if (options.reasoning_field == "reasoning")
    options.service.reasoning_field = ReasoningField::reasoning;
  if (options.reasoning_field == "both") options.service.reasoning_field = ReasoningField::both;
  if (options.reasoning_field == "none") options.service.reasoning_field = ReasoningField::none;
  if (options.tool_format == "hermes") options.service.tool_format = ToolFormat::hermes;
  if (options.tool_format == "qwen3_coder") options.service.tool_format = ToolFormat::qwen3_coder;
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "serve", "Serve the model over the OpenAI API, on loopback unless told otherwise");
  const auto options = std::make_shared<ServeOptions>();
  add_model_option(*command, options->model);
  add_compute_options(*command, options->model);
  add_context_option(*command, options->model);
  add_front_options(*command, *options);
  add_api_options(*command, *options);
  add_engine_options(*command, *options);
  add_quiet_option(*command, options->output);
  command->callback([options, &action] {
    action = [options] {
      resolve_choices(*options);
      return serve(*options);
    };
  });
}

}  // namespace qwen3::cli
