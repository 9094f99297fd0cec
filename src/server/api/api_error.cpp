#include "server/api/api_error.h"

#include <fmt/format.h>

#include <new>

#include "base/utf8.h"
#include "server/api/json_writer.h"
#include "server/http/response.h"

namespace qwen3::server {
namespace {

constexpr size_t kMaxMessageBytes = 2000;

bool is_path(std::string_view text) {
  return !text.empty() && text.find_first_not_of(
                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
                              "XYZ0123456789_[].") == text.npos;
}

// Messages of the library begin with the field they are about: "messages[1].role: is missing".
std::string field_of(std::string_view message) {
  const size_t colon = message.find(": ");
  if (colon == message.npos) return {};
  const std::string_view field = message.substr(0, colon);
  return is_path(field) ? std::string(field) : std::string();
}

// "/models/nano/chat_template.jinja: line 3: …": about a file of the server.
bool begins_with_file(std::string_view message) {
  const std::string_view head = message.substr(0, message.find(": "));
  for (const std::string_view root : {"/", "./", "../", "~/", "embedded:"}) {
    if (head.starts_with(root)) return true;
  }
  for (const std::string_view type : {".jinja", ".json", ".txt", ".safetensors"}) {
    if (head.ends_with(type)) return true;
  }
  return false;
}

ApiError our_fault(const std::exception& error) {
  ApiError api(500, "internal_error", "the server failed to answer this request");
  api.detail = error.what();
  return api;
}

// No message that begins with a file passes: where it lies is the operator's business.
ApiError about_a_file(const Error& error) {
  if (error.kind() != ErrorKind::invalid_argument) return our_fault(error);
  ApiError api(400, "invalid_value", "this model's files do not allow this request");
  api.detail = error.what();
  return api;
}

ApiError from_library(const Error& error) {
  if (begins_with_file(error.what())) return about_a_file(error);
  switch (error.kind()) {
    case ErrorKind::invalid_argument: {
      ApiError api(400, "invalid_value", error.what());
      api.param = field_of(error.what());
      return api;
    }
    case ErrorKind::corrupt_file:  // the request's JSON
      return ApiError(400, "invalid_json", error.what());
    case ErrorKind::unsupported:
      return ApiError(400, "unsupported_parameter", error.what());
    case ErrorKind::busy: {
      ApiError api(429, "server_busy", error.what());
      api.retry_after_seconds = 1;
      return api;
    }
    case ErrorKind::out_of_memory:
      return no_memory();
    case ErrorKind::not_found:
    case ErrorKind::io:
    case ErrorKind::device:
    case ErrorKind::internal:
      break;
  }
  return our_fault(error);
}

}  // namespace

void refuse(std::string_view param, const std::string& message) {
  ApiError error(400, "invalid_value", fmt::format("{}: {}", param, message));
  error.param = param;
  throw error;
}

void refuse_unsupported(std::string_view param, const std::string& message) {
  ApiError error(400, "unsupported_parameter", fmt::format("{}: {}", param, message));
  error.param = param;
  throw error;
}

void refuse_context(std::string_view param,
                    int64_t max_model_len,
                    int64_t n_prompt,
                    int64_t n_completion) {
  const std::string asked =
      n_completion > 0
          ? fmt::format("you requested {} tokens ({} in the {}, {} for the completion)",
                        n_prompt + n_completion,
                        n_prompt,
                        param,
                        n_completion)
          : fmt::format("your {} has {} tokens{}",
                        param,
                        n_prompt,
                        n_prompt <= max_model_len ? ", which leaves no room for a new one" : "");
  ApiError error(400,
                 "context_length_exceeded",
                 fmt::format("This model's maximum context length is {} tokens. However, {}. "
                             "Please reduce the length of the {}{}.",
                             max_model_len,
                             asked,
                             param,
                             n_completion > 0 ? " or max_tokens" : ""));
  error.param = param;
  throw error;
}

ApiError no_memory() {
  ApiError error(503, "out_of_memory", "the server has no memory for this request now");
  error.retry_after_seconds = 5;
  return error;
}

ApiError to_api_error(const std::exception& error) {
  if (const auto* api = dynamic_cast<const ApiError*>(&error)) return *api;
  if (const auto* ours = dynamic_cast<const Error*>(&error)) return from_library(*ours);
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return no_memory();
  }
  return our_fault(error);
}

ApiError renamed(const ApiError& error, FieldNames names) {
  for (const auto& [from, to] : names) {
    const std::string_view param = error.param;
    const bool below =
        param.size() > from.size() && (param[from.size()] == '.' || param[from.size()] == '[');
    if (!param.starts_with(from) || (param.size() != from.size() && !below)) continue;
    std::string message = error.what();
    if (message.starts_with(param)) message.replace(0, from.size(), to);
    ApiError made(error.status, error.code, message);
    made.param = std::string(to) + error.param.substr(from.size());
    made.retry_after_seconds = error.retry_after_seconds;
    made.detail = error.detail;
    return made;
  }
  return error;
}

std::string error_json(const ApiError& error) {
  std::string message = utf8_lossy(error.what());
  if (message.size() > kMaxMessageBytes) {
    message = utf8_lossy(message.substr(0, kMaxMessageBytes)) + " …";
  }
  std::string out = R"({"error":{"message":)";
  append_json_string(out, message);
  out += R"(,"type":)";
  append_json_string(out, error_type(error.status));
  out += R"(,"param":)";
  if (error.param.empty()) {
    out += "null";
  } else {
    append_json_string(out, utf8_lossy(error.param));
  }
  out += R"(,"code":)";
  append_json_string(out, error.code);
  return out + "}}";
}

HttpResponse error_response(const ApiError& error) {
  HttpResponse response{.status = error.status, .body = error_json(error)};
  if (error.retry_after_seconds >= 0) {
    response.headers.emplace_back("Retry-After", fmt::format("{}", error.retry_after_seconds));
  }
  // Official clients send a request again after 408; it would take as long again.
  if (error.status == 408) response.headers.emplace_back("x-should-retry", "false");
  return response;
}

}  // namespace qwen3::server
