// The one table of what the server does. Access belongs to the row that answers, so no spelling of
// a path can reach a handler past its guard: path, row and guard come from the same lookup.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/http.h"

namespace qwen3::server {

// A request target taken apart. The path is percent-decoded once and never normalised: a spelling
// with "//", "." or ".." segments, a backslash or a control character is not a path at all.
struct Target {
  std::string path;
  std::string query;      // raw, without '?'
  std::string authority;  // of the absolute form "http://authority/path"; else ""
};
std::optional<Target> parse_target(std::string_view target);

// "/v1//models/?a=b" as "/v1/models": without what parse_target refuses as empty segments.
std::string without_empty_segments(std::string_view target);

class RouteTable {
 public:
  // Throws Error{internal} for a row that could never match or that stands twice.
  explicit RouteTable(std::vector<Route> routes);

  struct Match {
    const Route* route = nullptr;  // for this method; null when the path has only others
    std::string tail;
    std::string allowed;  // methods of the path, for the Allow header; "" when no row has the path
  };
  Match find(std::string_view method, std::string_view path) const;
  // Whether the row that answers is one for any Host.
  bool any_host(std::string_view method, std::string_view path) const;

  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace qwen3::server
