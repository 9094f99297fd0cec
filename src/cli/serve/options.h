// The options of `qwen3 serve`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cli/options.h"
#include "qwen3/engine.h"
#include "server/api/options.h"
#include "server/http/http_server.h"

namespace CLI {
class App;
}

namespace qwen3::cli {

struct ServeOptions {
  ModelOptions model;
  OutputOptions output;
  server::HttpOptions http;
  std::optional<server::HttpOptions> metrics_http = {};  // a listener for /metrics and /health
  server::ServiceOptions service;
  EngineOptions engine;
  std::string key_file;
  std::string chat_template;  // a file; "": the model's
  std::string metrics_host;
  std::string task = "auto";
  std::string reasoning_field = "reasoning_content";
  std::string tool_format = "auto";
  int64_t port = 8000;
  int64_t body_mib = 4;
  int64_t request_seconds = 600;
  int64_t drain_seconds = 30;
  int64_t drain_notice_seconds = 0;
  int64_t keep_alive_seconds = 75;
  int64_t step_seconds = 120;
  std::optional<int64_t> max_waiting_tokens = {};  // absent: 4 contexts
  int64_t memory_limit = 0;                        // bytes; 0: what is free
  bool access_log = true;
};

void add_serve_options(CLI::App& command, ServeOptions& options);

// What the words of the command line mean; reads the key file. Throws Error.
void resolve_serve_options(ServeOptions& options);

// "127.0.0.1:9400", "[::1]:9400", or an address alone, then `default_port`. Empty for anything
// else.
struct HostAndPort {
  std::string host;
  uint16_t port = 0;
};
std::optional<HostAndPort> parse_host_and_port(std::string_view word, uint16_t default_port);

// "512M", "4G", "1048576": bytes; K, M, G and T are powers of 1024. Empty for anything else.
std::optional<int64_t> parse_byte_size(std::string_view word);

}  // namespace qwen3::cli
