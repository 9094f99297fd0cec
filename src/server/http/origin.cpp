#include "server/http/origin.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "server/http/response.h"

namespace qwen3::server {

namespace {

bool has_port(std::string_view host) {
  const size_t colon = host.rfind(':');
  return colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos &&
         (host.front() == '[' || host.find(':') == colon);
}

bool is_host_text(std::string_view host) {
  return !host.empty() && host.size() <= 261 && std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_' || c == ':' || c == '[' || c == ']';
  });
}

bool is_origin_text(std::string_view origin) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.starts_with(scheme)) return is_host_text(origin.substr(scheme.size()));
  }
  return false;
}

// As browsers write it: in lower case, without the scheme's own port.
std::string canonical_origin(std::string_view origin) {
  std::string out = ascii_lower(origin);
  const auto drop = [&out](std::string_view scheme, std::string_view port) {
    if (out.starts_with(scheme) && out.ends_with(port)) out.resize(out.size() - port.size());
  };
  drop("http://", ":80");
  drop("https://", ":443");
  return out;
}

// The name without a port that clients leave out; "" when it has none of these.
std::string without_default_port(std::string_view host) {
  for (const std::string_view port : {":80", ":443"}) {
    if (!has_port(host) || !host.ends_with(port)) continue;
    return std::string(host.substr(0, host.size() - port.size()));
  }
  return {};
}

// A page's request has one of these headers, unless its name was rebound to this server: then the
// page learns that a server is here, and no more.
bool is_probe(const RequestHead& head) {
  return !head.has_body() && head.count("origin") == 0 && head.count("sec-fetch-site") == 0;
}

// "*" leaves `entries` and is reported.
bool take_wildcard(std::vector<std::string>& entries, const char* option, bool has_keys) {
  const bool found = std::erase(entries, "*") > 0;
  QWEN3_CHECK(!found || has_keys,
              ErrorKind::invalid_argument,
              "{} *: would let any web page use this server; expected exact names, or keys "
              "(--api-key-file)",
              option);
  return found;
}

}  // namespace

OriginRules::OriginRules(std::vector<std::string> allow_hosts,
                         std::vector<std::string> allow_origins,
                         bool has_keys,
                         bool tls)
    : allow_hosts_(std::move(allow_hosts)), allow_origins_(std::move(allow_origins)), tls_(tls) {
  any_host_ = take_wildcard(allow_hosts_, "--allow-host", has_keys);
  any_origin_ = take_wildcard(allow_origins_, "--allow-origin", has_keys);
  std::vector<std::string> names;
  for (const std::string& host : allow_hosts_) {
    QWEN3_CHECK(is_host_text(host),
                ErrorKind::invalid_argument,
                "--allow-host {}: expected a name such as llm.example.org or llm.example.org:8443",
                quote_for_message(host));
    names.push_back(ascii_lower(host));
    std::string bare = without_default_port(names.back());
    if (!bare.empty()) names.push_back(std::move(bare));
  }
  allow_hosts_ = std::move(names);
  for (std::string& origin : allow_origins_) {
    QWEN3_CHECK(is_origin_text(ascii_lower(origin)),
                ErrorKind::invalid_argument,
                "--allow-origin {}: expected scheme and host such as https://app.example.org, "
                "without a path",
                quote_for_message(origin));
    origin = canonical_origin(origin);
  }
}

bool OriginRules::host_allowed(std::string_view host_as_sent, const SocketAddress& local) const {
  if (any_host_) return true;
  const std::string host = ascii_lower(host_as_sent);
  const std::string port = ":" + std::to_string(local.port);
  const bool default_port = local.port == (tls_ ? 443 : 80);
  const auto is = [&](std::string_view name) {
    return host == std::string(name) + port || (default_port && host == name);
  };
  if (is("localhost") || is("127.0.0.1") || is("[::1]")) return true;
  // An address is not a name that DNS could rebind.
  if (!local.address.empty() && is(local.host())) return true;
  return std::any_of(allow_hosts_.begin(), allow_hosts_.end(), [&](const std::string& name) {
    return host == name || (!has_port(name) && host == name + port);
  });
}

OriginRules::Finding OriginRules::check_host(const RequestHead& head,
                                             std::string_view authority,
                                             const SocketAddress& local,
                                             bool any_host) const {
  // HTTP/1.0, which HAProxy's checks speak, has no Host.
  if (any_host && head.http_1_0 && head.count("host") == 0) return {};
  if (head.count("host") != 1) return {400, "host: expected exactly one", {}};
  const std::string_view host = head.value("host");
  if (!is_host_text(host)) return {400, "host: malformed", {}};
  if (!authority.empty() && !equals_ignoring_case(authority, host)) {
    return {400, "host: differs from the request target's", {}};
  }
  if (!any_host && !host_allowed(host, local)) {
    return {421,
            fmt::format("host: not an allowed name of this server; to allow it, start with "
                        "--allow-host {}",
                        host),
            {}};
  }
  return {};
}

OriginRules::Finding OriginRules::check_origin(const RequestHead& head) const {
  if (head.count("origin") > 1 || head.count("sec-fetch-site") > 1) {
    return {400, "origin: expected at most one", {}};
  }
  if (head.count("origin") == 1) {
    const std::string_view as_sent = head.value("origin");
    const std::string origin = canonical_origin(as_sent);
    const std::string host(head.value("host"));
    if (origin == canonical_origin("http://" + host)) return {};
    if (origin == canonical_origin("https://" + host)) return {};
    if (any_origin_) return {0, {}, "*"};
    if (std::find(allow_origins_.begin(), allow_origins_.end(), origin) != allow_origins_.end()) {
      return {0, {}, std::string(as_sent)};
    }
    return {403, "origin: pages of other sites may not use this server (--allow-origin)", {}};
  }
  if (head.value("sec-fetch-site") == "cross-site") {
    return {403, "sec-fetch-site: pages of other sites may not use this server", {}};
  }
  return {};
}

OriginRules::Finding OriginRules::check(const RequestHead& head,
                                        std::string_view authority,
                                        const SocketAddress& local,
                                        bool any_host) const {
  Finding finding = check_host(head, authority, local, any_host && is_probe(head));
  return finding.status != 0 ? finding : check_origin(head);
}

}  // namespace qwen3::server
