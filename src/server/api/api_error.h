// What the API says when it cannot do what was asked: OpenAI's error object, one place for status,
// type and code.
#pragma once

#include <exception>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "qwen3/error.h"
#include "server/http/http.h"

namespace qwen3::server {

class ApiError : public std::runtime_error {
 public:
  ApiError(int http_status, std::string error_code, const std::string& message)
      : std::runtime_error(message), status(http_status), code(std::move(error_code)) {}

  int status;
  std::string code;              // "model_not_found"
  std::string param = {};        // the field of the request: "messages[2].content"; "": none
  int retry_after_seconds = -1;  // -1: no such header
  std::string detail = {};       // for the log, never for the client
};

// 400: the request names something impossible. `param` is the field's path.
[[noreturn]] void refuse(std::string_view param, const std::string& message);
// 400 for what this server cannot do (yet): code "unsupported_parameter".
[[noreturn]] void refuse_unsupported(std::string_view param, const std::string& message);
// 400 context_length_exceeded, in the words that clients look for. `n_completion` 0: not asked for.
[[noreturn]] void refuse_context(std::string_view param,
                                 int64_t max_model_len,
                                 int64_t n_prompt,
                                 int64_t n_completion);

// What an exception of libqwen3 (or any other) means for a client: invalid_argument is 400 and its
// field becomes `param`, busy is 429, and what is our fault is 500 without the inside's words. A
// message that begins with a file of the server goes to the log only.
ApiError to_api_error(const std::exception& error);

// Fields of a chat request by their names in another API: {"response_format", "text.format"}.
using FieldNames = std::span<const std::pair<std::string_view, std::string_view>>;
// The error with the first of the names that its param is, or lies below, changed.
ApiError renamed(const ApiError& error, FieldNames names);

// {"error":{"message":…,"type":…,"param":…,"code":…}}
std::string error_json(const ApiError& error);
// 503: there is no memory for this request now.
ApiError no_memory();

HttpResponse error_response(const ApiError& error);

}  // namespace qwen3::server
