// Answers as bytes: the head with the headers that every answer carries, and errors in the shape
// of the OpenAI API. No byte of a request reaches a head, but for a request id that was checked.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/http/http.h"

namespace qwen3::server {

// What an answer's head needs to know of its request.
struct AnswerFrame {
  bool http_1_0 = false;
  bool head_only = false;  // the request was HEAD
  bool keep_alive = true;
  std::string request_id;
  std::string allowed_origin;  // of the CORS header; "" sends none
};

// The head up to and with its empty line. Without `content_length` the body follows in chunks, or
// on HTTP/1.0 until the connection closes. Throws Error{internal} when a header of `response` is
// not a legal one.
std::string format_head(const HttpResponse& response,
                        const AnswerFrame& frame,
                        std::optional<size_t> content_length);

// The type of an error in OpenAI's shape, for its status.
std::string_view error_type(int status);

// {"error":{"message","type","param":null,"code"}}; the type follows from the status. An empty
// `code` becomes null.
HttpResponse error_response(int status, std::string_view message, std::string_view code = {});

// The same as the last events of a stream that has begun: the error, then [DONE], as after every
// other failure.
std::string error_event(std::string_view message, std::string_view code);

std::string_view reason_phrase(int status);

// RFC 9110 token: the characters of a header name or a method.
bool is_token(std::string_view text);

bool equals_ignoring_case(std::string_view a, std::string_view b);

}  // namespace qwen3::server
