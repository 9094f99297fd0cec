// The Responses API as rows of the route table:
//
//   POST /v1/responses, /v1/responses/input_tokens
//   GET, DELETE /v1/responses/{id}      GET /v1/responses/{id}/input_items
#pragma once

#include <vector>

#include "server/api/service.h"
#include "server/http/http.h"

namespace qwen3::server {

// `service` must outlive the routes, which own what is kept of responses.
std::vector<Route> make_responses_routes(Service& service);

}  // namespace qwen3::server
