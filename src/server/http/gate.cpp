#include "server/http/gate.h"

#include <algorithm>
#include <atomic>
#include <random>

#include "base/error.h"
#include "base/text.h"
#include "base/utf8.h"
#include "server/http/html_error.h"
#include "server/http/response.h"

namespace qwen3::server {

namespace {

bool is_preflight(const RequestHead& head, const Verdict& verdict) {
  return head.method == "OPTIONS" && !verdict.allowed_origin.empty() &&
         head.count("access-control-request-method") == 1;
}

// The star does not cover Authorization, which therefore stands beside it (Fetch standard, 4.8).
HttpResponse preflight_answer(const std::string& allowed) {
  HttpResponse response;
  response.status = 204;
  response.headers = {{"access-control-allow-methods", allowed},
                      {"access-control-allow-headers", "authorization, *"},
                      {"access-control-max-age", "600"}};
  return response;
}

bool takes_body(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

// Fixed, whatever was wrong with the credentials.
HttpResponse key_refusal() {
  HttpResponse response =
      error_response(401, "expected a valid API key as a bearer token", "invalid_api_key");
  response.headers.emplace_back("www-authenticate", "Bearer");
  return response;
}

}  // namespace

Gate::Gate(const HttpOptions& options, std::vector<Route> routes)
    : options_(options),
      routes_(std::move(routes)),
      origin_(options.allow_hosts,
              options.allow_origins,
              !options.keys.empty(),
              !options.tls_certificate.empty()),
      keys_(options.keys),
      failures_(options.limits.failures_per_minute) {}

Verdict Gate::judge(const RequestHead& head,
                    const Peer& peer,
                    std::chrono::steady_clock::time_point now) {
  Verdict verdict;
  auto target = parse_target(head.target);
  const bool any_host = target && routes_.any_host(head.method, target->path);
  OriginRules::Finding finding =
      origin_.check(head, target ? std::string_view(target->authority) : "", peer.local, any_host);
  verdict.allowed_origin = finding.allowed_origin;
  if (finding.status != 0) {
    verdict.answer = error_response(finding.status, finding.message, "forbidden_origin");
    verdict.close = finding.status == 400;
    return verdict;
  }
  if (!target) {
    verdict.answer = no_such_path(head, "");
    return verdict;
  }
  verdict.target = std::move(*target);
  verdict.answer = find_route(head, verdict);
  if (!verdict.answer) verdict.answer = check_key(head, peer, now, verdict);
  if (!verdict.answer) verdict.answer = check_body(head, verdict);
  return verdict;
}

// Base addresses are often given with a slash too many. Paths are not mended: a proxy in front may
// allow some and not others, and must see the one that counts.
HttpResponse Gate::no_such_path(const RequestHead& head, std::string_view path) const {
  std::string message = "no such path";
  const auto meant = parse_target(without_empty_segments(head.target));
  if (!path.empty()) {
    const std::string hint = options_.hint ? options_.hint(path) : std::string();
    if (!hint.empty()) message += ": " + hint;
  } else if (meant && !routes_.find(head.method, meant->path).allowed.empty()) {
    message += fmt::format(
        ": it has a \"//\", or a \"/\" at its end; use {}, and see how the base address ends",
        meant->path);
  }
  return for_reader(error_response(404, message, "unknown_url"), head.method, head.value("accept"));
}

std::optional<HttpResponse> Gate::find_route(const RequestHead& head, Verdict& verdict) const {
  RouteTable::Match match = routes_.find(head.method, verdict.target.path);
  if (match.allowed.empty()) return no_such_path(head, verdict.target.path);
  if (is_preflight(head, verdict)) return preflight_answer(match.allowed);
  if (match.route == nullptr) {
    HttpResponse response = error_response(
        405, "this path does not allow that method; use " + match.allowed, "method_not_allowed");
    response.headers.emplace_back("allow", match.allowed);
    return response;
  }
  verdict.route = match.route;
  verdict.tail = std::move(match.tail);
  return std::nullopt;
}

std::optional<HttpResponse> Gate::check_key(const RequestHead& head,
                                            const Peer& peer,
                                            std::chrono::steady_clock::time_point now,
                                            Verdict& verdict) {
  if (keys_.empty()) return std::nullopt;
  if (auto client = keys_.identify(head)) {
    verdict.client = std::move(*client);
    return std::nullopt;
  }
  if (verdict.route->access == Route::Access::open) return std::nullopt;
  const int wait = failures_.record(peer.remote.network(), now);
  if (wait == 0) return key_refusal();
  HttpResponse response =
      error_response(429, "too many requests without a valid API key", "too_many_failures");
  response.headers.emplace_back("retry-after", std::to_string(wait));
  return response;
}

std::optional<HttpResponse> Gate::check_body(const RequestHead& head, Verdict& verdict) const {
  if (head.count("content-encoding") > 0 && head.value("content-encoding") != "identity") {
    return error_response(415, "content-encoding: compressed requests are not supported");
  }
  if (!takes_body(head.method)) {
    if (head.has_body()) return error_response(400, "a " + head.method + " request has no body");
    return std::nullopt;
  }
  if (head.count("content-type") != 1 || !is_json_content_type(head.value("content-type"))) {
    const size_t n = head.count("content-type");
    const std::string came =
        n == 0   ? "none"
        : n == 1 ? "\"" + utf8_lossy(head.value("content-type").substr(0, 60)) + "\""
                 : fmt::format("{} of them", n);
    return error_response(415,
                          fmt::format("content-type: expected application/json in UTF-8; got {}; "
                                      "with curl: -H 'content-type: application/json'",
                                      came));
  }
  const BodyLimit limit = body_limit(*verdict.route);
  verdict.most_body_bytes = static_cast<size_t>(limit.bytes);
  if (head.content_length > verdict.most_body_bytes) {
    return error_response(413,
                          fmt::format("the request's body is {} bytes; the limit is {}{}",
                                      head.content_length,
                                      limit.bytes,
                                      limit.why.empty() ? "" : ", because " + limit.why));
  }
  return std::nullopt;
}

BodyLimit Gate::body_limit(const Route& route) const {
  const auto most = static_cast<int64_t>(options_.limits.body_bytes);
  if (route.body_limit) {
    if (BodyLimit limit = route.body_limit(); limit.bytes < most) return limit;
  }
  return {.bytes = most, .why = {}};
}

bool is_json_content_type(std::string_view value) {
  const size_t semicolon = value.find(';');
  if (!equals_ignoring_case(trim(value.substr(0, semicolon)), "application/json")) return false;
  if (semicolon == std::string_view::npos) return true;
  const std::string parameter = ascii_lower(trim(value.substr(semicolon + 1)));
  return parameter.empty() || parameter == "charset=utf-8" || parameter == "charset=\"utf-8\"" ||
         parameter == "charset=utf8";
}

std::string choose_request_id(const RequestHead& head) {
  const std::string_view given = head.value("x-request-id");
  const bool plain = std::all_of(given.begin(), given.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_';
  });
  if (head.count("x-request-id") == 1 && plain && !given.empty() && given.size() <= 64) {
    return std::string(given);
  }
  // Unlike those of another start of the server, counted within this one.
  static const uint64_t start = (uint64_t{std::random_device{}()} << 16) ^ std::random_device{}();
  static std::atomic<uint64_t> counter{0};
  return fmt::format("req-{:012x}-{:08x}", start & 0xFFFF'FFFF'FFFF, ++counter);
}

}  // namespace qwen3::server
