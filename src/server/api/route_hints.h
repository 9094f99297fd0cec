// What to use instead of a path that is not served: clients come with a base address that ends a
// segment too early or too late, with the routes of other servers, and with typing errors.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/http.h"

namespace qwen3::server {

// For HttpOptions::hint: what completes "no such path: …". Of the rows it takes method and path.
std::function<std::string(std::string_view path)> make_route_hint(const std::vector<Route>& routes);

}  // namespace qwen3::server
