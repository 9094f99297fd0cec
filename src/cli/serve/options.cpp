#include "cli/serve/options.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <chrono>
#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "cli/help.h"
#include "cli/numbers.h"
#include "cli/options.h"
#include "server/http/auth.h"
#include "server/http/socket_address.h"

namespace qwen3::cli {
namespace {

CLI::Option* add_size(CLI::App& command,
                      const std::string& name,
                      int64_t& target,
                      const std::string& help) {
  const auto check = [](std::string& word) {
    return parse_byte_size(word)
               ? std::string()
               : fmt::format("expected a size such as 512M or 4G; got \"{}\"", word);
  };
  return command
      .add_option_function<std::string>(
          name, [&target](const std::string& word) { target = *parse_byte_size(word); }, help)
      ->check(CLI::Validator(check, "", ""))
      ->type_name("SIZE");
}

void add_front_options(CLI::App& command, ServeOptions& options) {
  const OptionGroup group(command, "Network");
  command
      .add_option("--host",
                  options.http.addresses,
                  "Numeric addresses to listen on; all but loopback need --api-key-file")
      ->default_str("127.0.0.1 ::1");
  command.add_option("--port", options.port, "Port; 0: a free one")
      ->check(integer_in(0, 65535))
      ->capture_default_str();
  command
      .add_option("--api-key-file",
                  options.key_file,
                  "File of keys, one per line (KEY or NAME:KEY), readable by its owner alone")
      ->type_name("FILE");
  command.add_option("--allow-host",
                     options.http.allow_hosts,
                     "Further names to accept in the Host header, with their port if it differs");
  command.add_option("--allow-origin",
                     options.http.allow_origins,
                     "Origins of web pages that may call this server");
  command.add_option("--tls-cert", options.http.tls_certificate, "PEM file: serve HTTPS")
      ->type_name("FILE");
  command.add_option("--tls-key", options.http.tls_key, "PEM file with the certificate's key")
      ->type_name("FILE");
  command.add_option("--max-body", options.body_mib, "Largest request body in MiB")
      ->check(integer_in(1, 64))
      ->capture_default_str();
  command
      .add_option("--request-seconds", options.request_seconds, "A request ends after this time")
      ->check(integer_in(1, 1'000'000))
      ->capture_default_str();
  command
      .add_option("--keep-alive-seconds",
                  options.keep_alive_seconds,
                  "An idle connection closes after this time")
      ->check(integer_in(1, 86'400))
      ->capture_default_str();
  command.add_flag("!--no-access-log", options.access_log, "No JSON line per request on stderr");
}

void add_end_options(CLI::App& command, ServeOptions& options) {
  const OptionGroup group(command, "The end");
  command
      .add_option(
          "--drain-notice-seconds",
          options.drain_notice_seconds,
          "After SIGTERM, Ctrl-C or SIGHUP, time in which /health says 503 while requests are "
          "still taken")
      ->check(integer_in(0, 86'400))
      ->capture_default_str();
  command
      .add_option(
          "--drain-seconds", options.drain_seconds, "After that, time for the requests under way")
      ->check(integer_in(0, 86'400))
      ->capture_default_str();
  command
      .add_option("--step-seconds",
                  options.step_seconds,
                  "End the process when one step of the engine takes longer; 0: never")
      ->check(integer_in(0, 86'400))
      ->capture_default_str();
}

void add_api_options(CLI::App& command, ServeOptions& options) {
  const OptionGroup group(command, "API");
  command
      .add_option("--served-model-name",
                  options.service.model_names,
                  "Model names that clients may use; answers report the first")
      ->default_str("the model's");
  command.add_flag("--any-model-name",
                   options.service.any_model_name,
                   "Accept every name in a request's \"model\"");
  command
      .add_option(
          "--task", options.task, "What the checkpoint is for: auto, generate, embed or rerank")
      ->check(one_of({"auto", "generate", "embed", "rerank"}))
      ->capture_default_str();
  command
      .add_option("--reasoning-field",
                  options.reasoning_field,
                  "Where a chat answer gives its reasoning; none: in the content, with its tags")
      ->check(one_of({"reasoning_content", "reasoning", "both", "none"}))
      ->capture_default_str();
  command
      .add_option("--tool-format",
                  options.tool_format,
                  "How the model writes tool calls: auto, hermes or qwen3_coder")
      ->check(one_of({"auto", "hermes", "qwen3_coder"}))
      ->capture_default_str();
  command
      .add_option("--chat-template",
                  options.chat_template,
                  "Jinja file to use instead of the model's chat template")
      ->type_name("FILE");
  command
      .add_option("--default-chat-template-kwargs",
                  options.service.default_template_kwargs,
                  "Variables of the template where a request sets none, such as "
                  "'{\"enable_thinking\":false}'")
      ->type_name("JSON");
  command
      .add_option("--preset",
                  options.service.preset,
                  "Sampling that the model's card recommends, for requests that name no preset of "
                  "their own: for this mode, or auto: for the mode that a request thinks in")
      ->check(one_of({"none", "auto", "thinking", "non_thinking"}))
      ->capture_default_str();
  command
      .add_option("--default-max-tokens",
                  options.service.default_max_tokens,
                  "max_tokens for requests that set none; 0: the rest of the context")
      ->check(integer_in(0, int64_t{1} << 30))
      ->capture_default_str();
  command.add_flag("--clamp-max-tokens",
                   options.service.clamp_max_tokens,
                   "Cut a max_tokens that the context cannot hold instead of refusing it");
  command
      .add_option("--loop-guard",
                  options.service.loop_guard.min_tokens,
                  "End an answer that repeats itself for this many tokens; 0: never")
      ->check(integer_in(0, 1 << 20))
      ->capture_default_str();
  command
      .add_option(
          "--max-stops", options.service.limits.max_stops, "Most stop strings of one request")
      ->check(integer_in(0, 256))
      ->capture_default_str();
  command.add_flag("!--no-page", options.service.page, "No chat page at /");
  command
      .add_option("--traces",
                  options.service.traces.count,
                  "Let requests ask for a trace and keep the last N; 0: none")
      ->check(integer_in(0, 1000))
      ->capture_default_str();
  add_size(
      command, "--trace-memory", options.service.traces.bytes, "Memory for all traces together")
      ->default_str("64M");
  command
      .add_option_function<int64_t>(
          "--trace-seconds",
          [&options](int64_t seconds) {
            options.service.traces.max_age = std::chrono::seconds(seconds);
          },
          "Traces older than this are dropped")
      ->check(integer_in(1, 1'000'000))
      ->default_str("3600");
  command
      .add_option("--responses",
                  options.service.responses.count,
                  "Keep the last N answers of /v1/responses for an hour, to go on from; 0: none")
      ->check(integer_in(0, 100'000))
      ->capture_default_str();
  command.add_flag("--metrics", options.service.metrics, "Serve /metrics (Prometheus)");
  command.add_flag("--metrics-compat",
                   options.service.metrics_compat,
                   "Also export the metrics under vLLM's names");
  command
      .add_option("--metrics-host",
                  options.metrics_host,
                  "Serve /metrics and /health on a listener of their own, ADDRESS or ADDRESS:PORT, "
                  "without keys")
      ->type_name("ADDRESS");
}

void add_engine_options(CLI::App& command, ServeOptions& options) {
  const OptionGroup group(command, "Memory and batches");
  command
      .add_option("--max-sequences,--max-num-seqs,--parallel",
                  options.engine.max_sequences,
                  "Requests that run together")
      ->check(integer_in(1, 4096))
      ->capture_default_str();
  command
      .add_option(
          "--max-waiting", options.engine.max_waiting, "Requests that may wait; more get 429")
      ->check(integer_in(1, 1'000'000))
      ->capture_default_str();
  command
      .add_option("--max-waiting-tokens",
                  options.max_waiting_tokens,
                  "Prompt tokens that may wait together; more get 429; 0: no limit")
      ->check(integer_in(0, int64_t{1} << 40))
      ->default_str("4 contexts");
  command
      .add_option("--max-batch-tokens,--max-num-batched-tokens",
                  options.engine.max_batch_tokens,
                  "Most tokens of one step")
      ->check(integer_in(16, 65'536))
      ->default_str("512; 2048 on cuda");
  add_kv_dtype_option(command, options.engine.kv_dtype);
  add_size(command,
           "--kv-cache-bytes,--kv-cache-size",
           options.engine.kv_cache_bytes,
           "Memory for keys and values, such as 512M or 4G")
      ->default_str("enough for the sequences, at most half of the free memory");
  add_size(command,
           "--memory-limit",
           options.memory_limit,
           "Memory for the whole process; what does not fit is refused before it is loaded")
      ->default_str("what is free");
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

// No access log: what asks here asks every few seconds.
server::HttpOptions metrics_listener(const ServeOptions& options) {
  const bool any_port = options.port == 0 || options.port == 65535;
  const auto next_port = static_cast<uint16_t>(any_port ? 0 : options.port + 1);
  const auto at = parse_host_and_port(options.metrics_host, next_port);
  QWEN3_CHECK(at,
              ErrorKind::invalid_argument,
              "--metrics-host {}: expected an address such as 127.0.0.1, 127.0.0.1:9400 or "
              "[::1]:9400",
              quote_for_message(options.metrics_host));
  server::HttpOptions http;
  http.addresses = {at->host};
  http.port = at->port;
  http.address_option = "--metrics-host";
  http.keyless_network = true;
  http.io_threads = http.worker_threads = 1;
  http.limits.connections = 64;
  http.limits.idle_time = options.http.limits.idle_time;
  return http;
}

}  // namespace

std::optional<int64_t> parse_byte_size(std::string_view word) {
  int shift = 0;
  if (!word.empty()) {
    const size_t unit = std::string_view("KMGT").find(word.back());
    if (unit != std::string_view::npos) {
      shift = 10 * (static_cast<int>(unit) + 1);
      word.remove_suffix(1);
    }
  }
  const std::optional<int64_t> number = parse_integer(word);
  if (!number || *number < 0 || *number > (int64_t{1} << 50) >> shift) return std::nullopt;
  return *number << shift;
}

std::optional<HostAndPort> parse_host_and_port(std::string_view word, uint16_t default_port) {
  std::string_view host = word, port;
  const size_t colon = word.rfind(':');
  if (word.starts_with('[')) {
    const size_t end = word.find(']');
    if (end == word.npos) return std::nullopt;
    host = word.substr(1, end - 1);
    port = word.substr(end + 1);
    if (host.find(':') == host.npos) return std::nullopt;
  } else if (colon != word.npos && word.find(':') == colon) {
    host = word.substr(0, colon);
    port = word.substr(colon);
  }
  if (host != "localhost" && !server::parse_address(host, 0)) return std::nullopt;
  if (port.empty()) return HostAndPort{std::string(host), default_port};
  const std::optional<int64_t> number = parse_integer(port.substr(1));
  if (port.front() != ':' || !number || *number < 0 || *number > 65535) return std::nullopt;
  return HostAndPort{std::string(host), static_cast<uint16_t>(*number)};
}

void add_serve_options(CLI::App& command, ServeOptions& options) {
  add_model_option(command, options.model, ModelStands::alone_too);
  add_compute_options(command, options.model);
  add_ranks_options(command, options.model);
  add_override_options(command, options.model);
  add_context_option(command, options.model);
  add_front_options(command, options);
  add_end_options(command, options);
  add_api_options(command, options);
  add_engine_options(command, options);
  add_quiet_option(command, options.output);
}

void resolve_serve_options(ServeOptions& options) {
  resolve_choices(options);
  QWEN3_CHECK(
      options.service.metrics || !options.metrics_host.empty() || !options.service.metrics_compat,
      ErrorKind::invalid_argument,
      "--metrics-compat: needs --metrics or --metrics-host");
  if (!options.key_file.empty()) options.http.keys = server::read_key_file(options.key_file);
  options.http.port = static_cast<uint16_t>(options.port);
  options.http.limits.body_bytes = static_cast<size_t>(options.body_mib) << 20;
  options.service.request_timeout = std::chrono::seconds(options.request_seconds);
  options.http.limits.idle_time = std::chrono::seconds(options.keep_alive_seconds);
  if (!options.metrics_host.empty()) options.metrics_http = metrics_listener(options);
  options.service.version = QWEN3_VERSION;
  for (std::string& name : options.service.model_names) name = utf8_lossy(name);
  if (options.service.model_names.empty()) {
    options.service.model_names = {name_of_model(options.model.model)};
  }
}

}  // namespace qwen3::cli
