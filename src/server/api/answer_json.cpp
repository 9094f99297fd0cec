#include "server/api/answer_json.h"

#include <fmt/format.h>

#include <chrono>

#include "server/api/json_writer.h"

namespace qwen3::server {

std::string usage_json(const TokenUsage& usage) {
  return fmt::format(R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},)"
                     R"("prompt_tokens_details":{{"cached_tokens":{}}},)"
                     R"("completion_tokens_details":{{"reasoning_tokens":{}}}}})",
                     usage.prompt_tokens,
                     usage.completion_tokens,
                     usage.prompt_tokens + usage.completion_tokens,
                     usage.cached_tokens,
                     usage.reasoning_tokens);
}

void note_usage(Exchange& exchange, const TokenUsage& usage, std::string_view finish_reason) {
  exchange.note("prompt_tokens", int64_t{usage.prompt_tokens});
  exchange.note("cached_tokens", int64_t{usage.cached_tokens});
  exchange.note("completion_tokens", int64_t{usage.completion_tokens});
  exchange.note("finish_reason", std::string(finish_reason));
}

std::string answer_head(const Service& service, std::string_view id, std::string_view object) {
  const auto created = std::chrono::duration_cast<std::chrono::seconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
  std::string out = R"({"id":)";
  append_json_string(out, id);
  out += R"(,"object":)";
  append_json_string(out, object);
  out += R"(,"created":)";
  append_json_number(out, created);
  out += R"(,"model":)";
  append_json_string(out, service.model_name());
  out += R"(,"system_fingerprint":)";
  append_json_string(out, service.fingerprint());
  return out + R"(,"choices":[)";
}

void append_finish(std::string& out,
                   std::string_view reason,
                   std::string_view stop_reason,
                   std::string_view detail) {
  out += R"(,"finish_reason":)";
  append_json_string(out, reason);
  out += R"(,"stop_reason":)";
  out += stop_reason;
  if (detail.empty()) return;
  out += R"(,"finish_detail":)";
  append_json_string(out, detail);
}

std::string stream_end(const ApiError* error) {
  std::string out;
  if (error != nullptr) out = "data: " + error_json(*error) + "\n\n";
  return out + "data: [DONE]\n\n";
}

}  // namespace qwen3::server
