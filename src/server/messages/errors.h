// Errors in the form of Anthropic's API:
//
//   {"type":"error","error":{"type":"invalid_request_error","message":…},"request_id":…}
//
// with the header request-id. The types follow from the status; 503 becomes 529, overloaded.
#pragma once

#include <string>
#include <string_view>

#include "server/api/api_error.h"
#include "server/http/http.h"

namespace qwen3::server {

HttpResponse messages_error(const ApiError& error, std::string_view request_id);

// For the front's own refusals (http.h, RefusalForm).
void as_messages_error(HttpResponse& refusal, std::string_view request_id);

// The event that ends a stream: event: error.
std::string messages_error_event(int status, std::string_view message, std::string_view request_id);

}  // namespace qwen3::server
