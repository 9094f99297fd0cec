// The API as a route table for the HTTP front.
#pragma once

#include <vector>

#include "server/api/service.h"
#include "server/http/http.h"

namespace qwen3::server {

// `service` must outlive the routes. Handlers answer every error of theirs themselves.
std::vector<Route> make_routes(Service& service);

// /metrics and /health alone, open to everybody: for a listener of their own.
std::vector<Route> make_metrics_routes(Service& service);

}  // namespace qwen3::server
