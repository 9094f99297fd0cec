#include "server/messages/errors.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "server/api/json_writer.h"

namespace qwen3::server {
namespace {

constexpr int kOverloaded = 529;

std::string_view messages_error_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
    case 421:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
    case kOverloaded:
      return "overloaded_error";
    default:
      return status >= 500 || status == 408 ? "api_error" : "invalid_request_error";
  }
}

std::string messages_error_json(int status, std::string_view message, std::string_view request_id) {
  std::string out = R"({"type":"error","error":{"type":)";
  append_json_string(out, messages_error_type(status));
  out += R"(,"message":)";
  append_json_string(out, utf8_lossy(message));
  out += R"(},"request_id":)";
  append_json_string(out, request_id);
  return out + "}";
}

// The words of an error object of OpenAI's form.
std::string message_in(const std::string& body) {
  try {
    const Json json = parse_json(body, "refusal");
    return json.at("error").at("message").get<std::string>();
  } catch (const std::exception&) {
    return "the server refused this request";
  }
}

}  // namespace

HttpResponse messages_error(const ApiError& error, std::string_view request_id) {
  HttpResponse response = error_response(error);
  as_messages_error(response, request_id);
  return response;
}

void as_messages_error(HttpResponse& refusal, std::string_view request_id) {
  refusal.body = messages_error_json(refusal.status, message_in(refusal.body), request_id);
  if (refusal.status == 503) refusal.status = kOverloaded;
  refusal.headers.emplace_back("request-id", request_id);
}

std::string messages_error_event(int status,
                                 std::string_view message,
                                 std::string_view request_id) {
  return "event: error\ndata: " + messages_error_json(status, message, request_id) + "\n\n";
}

}  // namespace qwen3::server
