#include "server/http/route_table.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "server/http/response.h"

namespace qwen3::server {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

bool is_clean_path(std::string_view path) {
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F || c == '\\') return false;
  }
  if (path == "/") return true;
  // Every segment has a name.
  size_t start = 1;
  while (start <= path.size()) {
    const size_t end = std::min(path.find('/', start), path.size());
    const std::string_view segment = path.substr(start, end - start);
    if (segment.empty() || segment == "." || segment == "..") return false;
    start = end + 1;
  }
  return true;
}

// The stem of "/v1/models/*" is "/v1/models/".
bool path_matches(const Route& route, std::string_view path, std::string* tail) {
  if (!route.path.ends_with("/*")) return route.path == path;
  const std::string_view stem = std::string_view(route.path).substr(0, route.path.size() - 1);
  if (!path.starts_with(stem) || path.size() == stem.size()) return false;
  *tail = path.substr(stem.size());
  return true;
}

bool method_matches(const Route& route, std::string_view method) {
  return route.method == method || (route.method == "GET" && method == "HEAD");
}

}  // namespace

std::optional<Target> parse_target(std::string_view target) {
  Target out;
  static constexpr std::string_view kScheme = "http://";
  if (target.starts_with(kScheme)) {
    target.remove_prefix(kScheme.size());
    const size_t slash = target.find('/');
    if (slash == 0 || slash == std::string_view::npos) return std::nullopt;
    out.authority = target.substr(0, slash);
    target.remove_prefix(slash);
  }
  if (!target.starts_with('/') || target.find('#') != std::string_view::npos) return std::nullopt;
  const size_t mark = target.find('?');
  if (mark != std::string_view::npos) out.query = target.substr(mark + 1);
  const auto path = percent_decode(target.substr(0, mark));
  if (!path || !is_clean_path(*path)) return std::nullopt;
  out.path = *path;
  return out;
}

std::string without_empty_segments(std::string_view target) {
  std::string out;
  for (const char c : target.substr(0, target.find_first_of("?#"))) {
    if (c != '/' || !out.ends_with('/')) out += c;
  }
  if (out.size() > 1 && out.ends_with('/')) out.pop_back();
  return out;
}

RouteTable::RouteTable(std::vector<Route> routes) : routes_(std::move(routes)) {
  for (size_t i = 0; i < routes_.size(); ++i) {
    const Route& route = routes_[i];
    const std::string_view stem =
        route.path.ends_with("/*") ? std::string_view(route.path).substr(0, route.path.size() - 2)
                                   : std::string_view(route.path);
    QWEN3_CHECK(route.handler && is_token(route.method) && route.path.starts_with('/') &&
                    (stem.empty() || is_clean_path(stem)),
                ErrorKind::internal,
                "route {} {}: expected a method, a clean path and a handler",
                route.method,
                route.path);
    for (size_t j = 0; j < i; ++j) {
      QWEN3_CHECK(routes_[j].method != route.method || routes_[j].path != route.path,
                  ErrorKind::internal,
                  "route {} {}: is there twice",
                  route.method,
                  route.path);
    }
  }
}

// An exact row wins over one that ends in "/*", a longer stem over a shorter one.
RouteTable::Match RouteTable::find(std::string_view method, std::string_view path) const {
  Match match;
  size_t best = 0;
  for (const Route& route : routes_) {
    std::string tail;
    if (!path_matches(route, path, &tail)) continue;
    match.allowed.append(match.allowed.empty() ? "" : ", ").append(route.method);
    if (route.method == "GET") match.allowed.append(", HEAD");
    if (!method_matches(route, method)) continue;
    const size_t rank = 2 * route.path.size() + (tail.empty() ? 1 : 0);
    const bool exact_method = route.method == method;
    if (match.route == nullptr || rank > best || (rank == best && exact_method)) {
      match.route = &route;
      match.tail = std::move(tail);
      best = rank;
    }
  }
  return match;
}

bool RouteTable::any_host(std::string_view method, std::string_view path) const {
  const Match match = find(method, path);
  return match.route != nullptr && match.route->any_host;
}

}  // namespace qwen3::server
