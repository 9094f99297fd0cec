// Anthropic's Messages API as rows of the route table: POST /v1/messages and
// /v1/messages/count_tokens.
#pragma once

#include <vector>

#include "server/api/service.h"
#include "server/http/http.h"

namespace qwen3::server {

// `service` must outlive the routes.
std::vector<Route> make_messages_routes(Service& service);

}  // namespace qwen3::server
