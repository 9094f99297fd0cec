// Who may do what: keys, Host and Origin, content types, and that no spelling of a path gets past.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "qwen3/error.h"
#include "server/http/gate.h"
#include "server/http/support.h"

namespace qwen3::server {
namespace {

using namespace testing;

const std::string kAlice(40, 'a');
const std::string kBob = "bob-0123456789-0123456789-0123456789";

HttpOptions keyed_options() {
  HttpOptions options = test_options();
  options.keys = {make_api_key("alice", kAlice, "test"), make_api_key("bob", kBob, "test")};
  return options;
}

// What a server has: open and keyed rows, exact ones and one with a tail, a path of two methods.
std::vector<Route> full_routes() {
  const Handler handler = [](const HttpRequest&, std::shared_ptr<Exchange> e) { e->send({}); };
  std::vector<Route> routes;
  const auto add = [&](std::string method, std::string path, Route::Access access) {
    routes.push_back({.method = std::move(method),
                      .path = std::move(path),
                      .access = access,
                      .handler = handler});
  };
  add("GET", "/", Route::Access::open);
  add("GET", "/health", Route::Access::open);
  for (const char* path : {"/v1/models", "/v1/models/*", "/metrics", "/v1/jobs"}) {
    add("GET", path, Route::Access::keyed);
  }
  for (const char* path : {"/v1/chat/completions", "/v1/completions", "/tokenize", "/v1/jobs"}) {
    add("POST", path, Route::Access::keyed);
  }
  return routes;
}

Peer loopback_peer() {
  return {.remote = *parse_address("127.0.0.1", 5000), .local = *parse_address("127.0.0.1", 8080)};
}

// Parses `raw` as a connection would; a head that does not parse is refused.
std::optional<Verdict> judge(Gate& gate, std::string raw, const Peer& peer = loopback_peer()) {
  const ServerLimits limits;
  RequestParser parser(limits);
  if (parser.read_head(raw) != RequestParser::Progress::done) return std::nullopt;
  return gate.judge(parser.head(), peer, std::chrono::steady_clock::now());
}

int status_of(const std::optional<Verdict>& verdict) {
  if (!verdict) return 400;
  return verdict->answer ? verdict->answer->status : 0;  // 0: goes to the handler
}

struct Credential {
  std::string lines;
  std::string owner;  // "" when it must not be accepted
};

std::vector<Credential> credentials() {
  std::string other = kAlice;
  other.back() = 'b';
  return {
      {"", ""},
      {"Authorization: Bearer " + kAlice + "\r\n", "alice"},
      {"authorization: bearer " + kBob + "\r\n", "bob"},
      {"x-api-key: " + kAlice + "\r\n", "alice"},
      {"Authorization: Bearer  " + kBob + " \r\n", "bob"},
      {"Authorization: Bearer " + other + "\r\n", ""},
      {"Authorization: Bearer " + kAlice.substr(1) + "\r\n", ""},
      {"Authorization: Bearer " + kAlice + "a\r\n", ""},
      {"Authorization: Bearer " + kAlice + " " + kAlice + "\r\n", ""},
      {"Authorization: Bearer\r\n", ""},
      {"Authorization: Bearer \r\n", ""},
      {"Authorization:\r\n", ""},
      {"Authorization: " + kAlice + "\r\n", ""},
      {"Authorization: Basic " + kAlice + "\r\n", ""},
      {"Authorization: Bearer:" + kAlice + "\r\n", ""},
      {"Authorization: BearerX " + kAlice + "\r\n", ""},
      {"Authorization: Bearer " + kAlice + "\r\nAuthorization: Bearer " + kAlice + "\r\n", ""},
      {"Authorization: Bearer wrong\r\nAuthorization: Bearer " + kAlice + "\r\n", ""},
      {"Authorization: Bearer wrong\r\nx-api-key: " + kAlice + "\r\n", ""},
      {"x-api-key: " + kAlice + "\r\nx-api-key: " + kAlice + "\r\n", ""},
      {"x-api-key: \r\n", ""},
      {"x-api-key: Bearer " + kAlice + "\r\n", ""},
      {"Proxy-Authorization: Bearer " + kAlice + "\r\n", ""},
      {"Cookie: key=" + kAlice + "\r\n", ""},
      {"X-Forwarded-For: 127.0.0.1\r\n", ""},
      {"X-Original-URL: /health\r\nX-Rewrite-URL: /health\r\n", ""},
  };
}

std::vector<std::string> spellings(const std::string& path) {
  std::string upper = path;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  std::string encoded;
  for (const char c : path) {
    encoded += c == '/' ? std::string("/") : fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  return {path,
          encoded,
          upper,
          path + "/",
          path + "?a=b",
          path + "?key=" + kAlice,
          path + "?api_key=" + kAlice + "&x-api-key=" + kAlice,
          path + ";x",
          path + ";/health",
          path + "#/health",
          path + "%23/health",
          path + "%00",
          path + "%00/health",
          path + "%20",
          path + "%0d%0a",
          path + ".json",
          path + "\\",
          path + "%5c",
          path + "%2f",
          path + "/.",
          path + "/..",
          path + "/../health",
          path + "/%2e%2e/health",
          path + "//",
          path + "%3f",
          path + "?/health",
          path + "*",
          "/" + path,
          "//" + path,
          "/." + path,
          "/%2e" + path,
          "/.." + path,
          "/%2e%2e" + path,
          "/health/.." + path,
          "/health/%2e%2e" + path,
          "/health%2f.." + path,
          "/health" + path,
          "/health;" + path,
          "/health?" + path,
          "/health%3f" + path,
          "/health%00" + path,
          "/v1/models/x/../.." + path,
          "/x/.." + path,
          "/%252e" + path,
          "/%c0%ae" + path,
          "/%u002e" + path,
          "/%" + path,
          "/%g0" + path,
          "\\" + path,
          "http://127.0.0.1:8080" + path,
          "http://localhost:8080" + path,
          "http://evil.example" + path,
          "http://127.0.0.1:8080/health/.." + path,
          "http://" + path,
          "https://127.0.0.1:8080" + path,
          "//127.0.0.1:8080" + path,
          "127.0.0.1:8080" + path,
          path.substr(1),
          "*" + path,
          "file://" + path};
}

// 60 spellings × methods × credentials of every row: nobody without a key reaches a keyed row, and
// whoever is admitted was judged by the row that will answer.
TEST(HttpAccess, NoSpellingGetsPastTheKey) {
  const HttpOptions options = keyed_options();
  Gate gate(options, full_routes());
  int n_cases = 0;
  int n_admitted = 0;
  for (const Route& row : full_routes()) {
    std::string path = row.path;
    if (path.ends_with("/*")) path.replace(path.size() - 1, 1, "qwen3");
    for (const std::string& spelling : spellings(path)) {
      for (const char* method : {"GET", "HEAD", "POST", "PUT", "OPTIONS", "get", "TRACE"}) {
        for (const Credential& credential : credentials()) {
          ++n_cases;
          const auto verdict =
              judge(gate,
                    std::string(method) + " " + spelling +
                        " HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n" +
                        credential.lines + "\r\n");
          if (status_of(verdict) != 0) continue;
          ++n_admitted;
          ASSERT_NE(verdict->route, nullptr);
          EXPECT_EQ(verdict->client.name, credential.owner);
          if (verdict->route->access == Route::Access::keyed) {
            ASSERT_FALSE(credential.owner.empty()) << method << " " << spelling << credential.lines;
          }
          const bool same_method =
              verdict->route->method == method ||
              (std::string(method) == "HEAD" && verdict->route->method == "GET");
          EXPECT_TRUE(same_method);
        }
      }
    }
  }
  EXPECT_GE(n_cases, 100'000);
  EXPECT_GE(n_admitted, 1'000);
}

TEST(HttpAccess, EveryRowServesTheRightKeyAndRefusesOthers) {
  HttpOptions options = keyed_options();
  options.limits.failures_per_minute = 1000;
  Gate gate(options, full_routes());
  for (const Route& row : full_routes()) {
    std::string path = row.path;
    if (path.ends_with("/*")) path.replace(path.size() - 1, 1, "Qwen/Qwen3-8B");
    const std::string head = row.method + " " + path +
                             " HTTP/1.1\r\nHost: localhost:8080\r\n"
                             "Content-Type: application/json\r\n";
    const bool open = row.access == Route::Access::open;
    EXPECT_EQ(status_of(judge(gate, head + "\r\n")), open ? 0 : 401) << path;
    for (const Credential& credential : credentials()) {
      const int status = status_of(judge(gate, head + credential.lines + "\r\n"));
      if (open || !credential.owner.empty()) {
        EXPECT_EQ(status, 0) << path << credential.lines;
      } else {
        EXPECT_EQ(status, 401) << path << credential.lines;
      }
    }
  }
}

TEST(HttpAccess, RefusalsOfKeysAreAllAlikeAndTellNothing) {
  HttpOptions options = keyed_options();
  options.limits.failures_per_minute = 1000;
  HttpServer server(options, full_routes());
  RawClient client(server.port());
  std::string first;
  for (const Credential& credential : credentials()) {
    if (!credential.owner.empty()) continue;
    client.send(get(server.port(), "/v1/models", credential.lines));
    const auto answer = client.answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 401);
    EXPECT_EQ(answer->header("www-authenticate"), "Bearer");
    if (first.empty()) first = answer->body;
    EXPECT_EQ(answer->body, first);
  }
  EXPECT_EQ(parse_json(first, "body").at("error").at("code"), "invalid_api_key");
}

TEST(HttpAccess, WrongKeysAreCountedPerAddress) {
  const HttpOptions options = keyed_options();
  Gate gate(options, full_routes());
  const std::string head = "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n";
  const std::string wrong = head + "Authorization: Bearer wrong\r\n\r\n";
  for (int i = 0; i < 20; ++i) EXPECT_EQ(status_of(judge(gate, wrong)), 401) << i;
  const auto refused = judge(gate, wrong);
  EXPECT_EQ(status_of(refused), 429);
  const auto& headers = refused->answer->headers;
  ASSERT_FALSE(headers.empty());
  EXPECT_EQ(headers.back().first, "retry-after");
  EXPECT_EQ(status_of(judge(gate, head + "Authorization: Bearer " + kAlice + "\r\n\r\n")), 0)
      << "a right key is never locked out";
  Peer other = loopback_peer();
  other.remote = *parse_address("10.0.0.1", 1);
  EXPECT_EQ(status_of(judge(gate, wrong, other)), 401);
}

TEST(FailureLimiter, ForgetsAfterAMinuteAndStaysSmall) {
  FailureLimiter limiter(2);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(limiter.record("a", start), 0);
  EXPECT_EQ(limiter.record("a", start + 10s), 0);
  EXPECT_EQ(limiter.record("a", start + 10s), 50);
  EXPECT_EQ(limiter.record("a", start + 59s + 500ms), 1);
  EXPECT_EQ(limiter.record("a", start + 61s), 0);
  // Far more addresses than are kept: the late ones share a window, so they are limited too.
  for (int i = 0; i < 10'000; ++i) limiter.record(std::to_string(i), start + 61s);
  EXPECT_GT(limiter.record("new", start + 62s), 0);
  EXPECT_EQ(limiter.record("newer", start + 200s), 0);
}

TEST(HttpAccess, ClientsDifferInNameAndSalt) {
  const HttpOptions options = keyed_options();
  Gate gate(options, full_routes());
  const auto client = [&](const std::string& key) {
    return judge(
               gate,
               "GET /v1/models HTTP/1.1\r\nHost: localhost:8080\r\nx-api-key: " + key + "\r\n\r\n")
        ->client;
  };
  const Client alice = client(kAlice);
  const Client bob = client(kBob);
  EXPECT_EQ(alice.name, "alice");
  EXPECT_EQ(bob.name, "bob");
  EXPECT_NE(alice.salt, bob.salt);
  EXPECT_EQ(alice.salt, client(kAlice).salt);
  EXPECT_EQ(alice.salt.size(), 64u);
  Gate restarted(options, full_routes());
  EXPECT_NE(
      judge(restarted,
            "GET /v1/models HTTP/1.1\r\nHost: localhost:8080\r\nx-api-key: " + kAlice + "\r\n\r\n")
          ->client.salt,
      alice.salt)
      << "a salt that could be computed outside";
  const HttpOptions keyless = test_options();
  Gate open(keyless, full_routes());
  const auto verdict = judge(open, "GET /v1/models HTTP/1.1\r\nHost: localhost:8080\r\n\r\n");
  EXPECT_EQ(status_of(verdict), 0);
  EXPECT_EQ(verdict->client.salt, "");
}

TEST(HttpAccess, HostMustBeANameOfTheServer) {
  const HttpOptions options = test_options();
  Gate gate(options, full_routes());
  const auto status = [&](const std::string& lines) {
    return status_of(judge(gate, "GET /health HTTP/1.1\r\n" + lines + "\r\n"));
  };
  for (const char* host :
       {"localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:8080", "LocalHost:8080"}) {
    EXPECT_EQ(status("Host: " + std::string(host) + "\r\n"), 0) << host;
  }
  for (const char* host : {
           "evil.com",
           "evil.com:8080",
           "localhost",
           "127.0.0.1",
           "[::1]",
           "localhost:80",
           "localhost:8081",
           "localhost:08080",
           "localhost:8080.",
           "localhost.:8080",
           "localhost.evil.com:8080",
           "evil.localhost:8080",
           "evillocalhost:8080",
           "localhost.localdomain:8080",
           "127.0.0.1.nip.io:8080",
           "127.0.0.1.:8080",
           "127.1:8080",
           "127.0.0.2:8080",
           "2130706433:8080",
           "0x7f000001:8080",
           "0177.0.0.1:8080",
           "0.0.0.0:8080",
           "0:8080",
           "::1:8080",
           "[::]:8080",
           "[::1]:80",
           "[0:0:0:0:0:0:0:1]:8080",
           "[::ffff:127.0.0.1]:8080",
           ":8080",
           "8080",
           ":",
           "[",
           "]",
           "localhost:8080:8080",
           "[::1]8080",
           "-",
           "_",
       }) {
    EXPECT_EQ(status("Host: " + std::string(host) + "\r\n"), 421) << host;
  }
  for (const char* host : {
           "",
           " ",
           "localhost:8080/",
           "localhost:8080?",
           "localhost:8080#",
           "localhost:8080/health",
           "user@localhost:8080",
           "localhost:8080, evil.com",
           "localhost:8080 evil.com",
           "http://localhost:8080",
           "localhost%00:8080",
           "localhost\\:8080",
           "*",
           "<script>",
           "\"localhost:8080\"",
           "localhost:8080;x",
           "l\xC3\xB6"
           "calhost:8080",
           "localhost\t:8080",
       }) {
    EXPECT_EQ(status("Host: " + std::string(host) + "\r\n"), 400) << host;
  }
  EXPECT_EQ(status(""), 400) << "no Host at all";
  EXPECT_EQ(status("Host: localhost:8080\r\nHost: localhost:8080\r\n"), 400);
  EXPECT_EQ(status("Host: localhost:8080\r\nHost: evil.com\r\n"), 400);
  EXPECT_EQ(status("X-Forwarded-Host: localhost:8080\r\nHost: evil.com\r\n"), 421);
  EXPECT_EQ(
      status_of(judge(gate, "GET http://evil.com/health HTTP/1.1\r\nHost: localhost:8080\r\n\r\n")),
      400);
  EXPECT_EQ(status_of(judge(gate, "GET http://evil.com/health HTTP/1.1\r\nHost: evil.com\r\n\r\n")),
            421);
  EXPECT_EQ(status_of(judge(gate, "GET /health HTTP/1.0\r\n\r\n")), 400) << "HTTP/1.0 too";
}

TEST(HttpAccess, FurtherHostsByName) {
  HttpOptions options = keyed_options();
  options.allow_hosts = {"llm.example.org", "other.example.org:8443"};
  Gate gate(options, full_routes());
  Peer peer = loopback_peer();
  peer.local = *parse_address("10.1.2.3", 8080);
  const auto status = [&](const std::string& host) {
    return status_of(judge(gate, "GET /health HTTP/1.1\r\nHost: " + host + "\r\n\r\n", peer));
  };
  EXPECT_EQ(status("llm.example.org"), 0) << "behind a proxy on the default port";
  EXPECT_EQ(status("llm.example.org:8080"), 0);
  EXPECT_EQ(status("llm.example.org:8081"), 421);
  EXPECT_EQ(status("other.example.org:8443"), 0);
  EXPECT_EQ(status("other.example.org"), 421);
  EXPECT_EQ(status("a.llm.example.org"), 421);
  EXPECT_EQ(status("10.1.2.3:8080"), 0) << "the address that was connected to";
  EXPECT_EQ(status("10.1.2.4:8080"), 421);
  options.allow_hosts = {"*"};
  Gate any(options, full_routes());
  EXPECT_EQ(status_of(judge(any, "GET /health HTTP/1.1\r\nHost: evil.com\r\n\r\n")), 0);
  EXPECT_EQ(status_of(judge(any, "GET /health HTTP/1.1\r\nHost: \r\n\r\n")), 400);
}

TEST(HttpAccess, NamesHaveNoCase) {
  HttpOptions options = keyed_options();
  options.allow_hosts = {"LLM.example.org", "Other.example.org:8443"};
  options.allow_origins = {"HTTPS://App.example.org:443", "http://App.example.org:80"};
  Gate gate(options, full_routes());
  const auto status = [&](const std::string& lines, const std::string& target = "/") {
    return status_of(judge(gate, "GET " + target + " HTTP/1.1\r\n" + lines + "\r\n"));
  };
  for (const char* host : {"LLM.example.org",
                           "llm.example.org:8080",
                           "Llm.Example.Org",
                           "OTHER.example.org:8443",
                           "LOCALHOST:8080"}) {
    EXPECT_EQ(status("Host: " + std::string(host) + "\r\n"), 0) << host;
  }
  EXPECT_EQ(status("Host: localhost:8080\r\n", "http://LocalHost:8080/"), 0);
  EXPECT_EQ(status("Host: localhost:8080\r\n", "http://LocalHost:8081/"), 400);
  for (const char* origin : {"https://app.example.org",
                             "https://app.example.org:443",
                             "http://app.example.org",
                             "HTTP://LOCALHOST:8080"}) {
    EXPECT_EQ(status("Host: localhost:8080\r\nOrigin: " + std::string(origin) + "\r\n"), 0)
        << origin;
  }
}

// A client leaves the port of its scheme out, or not.
TEST(HttpAccess, DefaultPortsMayStandOrNot) {
  for (const bool tls : {false, true}) {
    HttpOptions options = keyed_options();
    options.allow_hosts = {"a.example.org:443",
                           "b.example.org:80",
                           "[2001:db8::2]:443",
                           "[2001:db8::1]",
                           "c.example.org"};
    if (tls) options.tls_certificate = options.tls_key = "there";
    Gate gate(options, full_routes());
    const auto status = [&](const std::string& host, uint16_t port) {
      Peer peer = loopback_peer();
      peer.local.port = port;
      return status_of(judge(gate, "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n", peer));
    };
    const uint16_t own = tls ? 443 : 80, other = tls ? 80 : 443;
    for (const char* host : {"localhost", "127.0.0.1", "[::1]"}) {
      EXPECT_EQ(status(host, own), 0) << host << tls;
      EXPECT_EQ(status(host + (":" + std::to_string(own)), own), 0) << host << tls;
      EXPECT_EQ(status(host, other), 421) << host << tls;
      EXPECT_EQ(status(host, 8080), 421) << host << tls;
      EXPECT_EQ(status(host + (":" + std::to_string(own)), 8080), 421) << host << tls;
    }
    EXPECT_EQ(status("a.example.org:443:8080", 8080), 421);
    EXPECT_EQ(status("[2001:db8::2]", 8080), 0);
    EXPECT_EQ(status("[2001:db8::2]:443", 8080), 0);
    EXPECT_EQ(status("[2001:db8::2]:8080", 8080), 0);
    EXPECT_EQ(status("a.example.org", 8080), 0);
    EXPECT_EQ(status("a.example.org:443", 8080), 0);
    EXPECT_EQ(status("a.example.org:80", 8080), 421);
    EXPECT_EQ(status("b.example.org", 8080), 0);
    EXPECT_EQ(status("b.example.org:80", 8080), 0);
    EXPECT_EQ(status("[2001:db8::1]", 8080), 0);
    EXPECT_EQ(status("[2001:db8::1]:8080", 8080), 0);
    EXPECT_EQ(status("[2001:DB8::1]:8081", 8080), 421);
    EXPECT_EQ(status("c.example.org:8080", 8080), 0);
    EXPECT_EQ(status("c.example.org:443", 8080), 421);
  }
}

TEST(HttpAccess, RefusesEntriesThatCannotMatch) {
  const auto message = [](std::vector<std::string> hosts, std::vector<std::string> origins) {
    HttpOptions options = test_options();
    options.allow_hosts = std::move(hosts);
    options.allow_origins = std::move(origins);
    try {
      const Gate gate(options, full_routes());
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message({"a.example.org", std::string(261, 'a'), "[::1]:1", "A-b_c.9Z"},
                    {"http://a.example.org", "https://A:1"}),
            "");
  for (const char* host : {"", "a/b", "a b", "http://a", "a,b", "\xC3\xB6", "a@b", "**"}) {
    EXPECT_NE(message({host}, {}).find("--allow-host"), std::string::npos) << host;
  }
  EXPECT_NE(message({std::string(262, 'a')}, {}), "");
  for (const char* origin :
       {"", "a.example.org", "ftp://a", "http://", "https://a/", "http://a b", "null"}) {
    EXPECT_NE(message({}, {origin}).find("--allow-origin"), std::string::npos) << origin;
  }
  EXPECT_NE(message({"*"}, {}).find("--allow-host *"), std::string::npos) << "without keys";
  EXPECT_NE(message({}, {"*"}).find("--allow-origin *"), std::string::npos);
}

// Kubernetes, load balancers and HAProxy go by addresses and names that the server does not know.
TEST(HttpAccess, AProbeMayAskForHealthUnderAnyHost) {
  const HttpOptions options = keyed_options();
  std::vector<Route> routes = full_routes();
  for (Route& route : routes) route.any_host = route.path == "/health";
  Gate gate(options, routes);
  const auto status = [&](const std::string& head, const std::string& lines) {
    return status_of(judge(gate, head + "\r\n" + lines + "\r\n"));
  };
  for (const char* host : {"10.42.0.17:8080", "10.42.0.17", "node-1", "qwen3.svc:80", "evil.com"}) {
    const std::string line = "Host: " + std::string(host) + "\r\n";
    EXPECT_EQ(status("GET /health HTTP/1.1", line), 0) << host;
    EXPECT_EQ(status("HEAD /health HTTP/1.1", line), 0) << host;
    EXPECT_EQ(status("GET /health?verbose HTTP/1.0", line), 0) << host;
    EXPECT_EQ(status("GET / HTTP/1.1", line), 421) << "open, but not for probes";
    EXPECT_EQ(status("GET /v1/models HTTP/1.1", line + "x-api-key: " + kAlice + "\r\n"), 421);
    EXPECT_EQ(status("GET /nothing HTTP/1.1", line), 421);
    EXPECT_EQ(status("GET /health/../v1/models HTTP/1.1", line), 421);
    EXPECT_EQ(status("POST /health HTTP/1.1", line), 421) << "no row answers it";
    EXPECT_EQ(status("OPTIONS /health HTTP/1.1", line), 421);
    // A browser, or something that is no probe.
    EXPECT_EQ(status("GET /health HTTP/1.1", line + "Origin: http://" + host + "\r\n"), 421);
    EXPECT_EQ(status("GET /health HTTP/1.1", line + "Origin: null\r\n"), 421);
    EXPECT_EQ(status("GET /health HTTP/1.1", line + "Sec-Fetch-Site: same-origin\r\n"), 421);
    EXPECT_EQ(status("GET /health HTTP/1.1", line + "Sec-Fetch-Site: cross-site\r\n"), 421);
    EXPECT_EQ(status("GET /health HTTP/1.1", line + "Content-Length: 1\r\n"), 421);
    EXPECT_EQ(status("GET /health HTTP/1.1", line + "Transfer-Encoding: chunked\r\n"), 421);
    // What is malformed stays so.
    EXPECT_EQ(status("GET /health HTTP/1.1", line + line), 400);
    EXPECT_EQ(status("GET http://other/health HTTP/1.1", line), 400);
  }
  EXPECT_EQ(status("GET /health HTTP/1.0", ""), 0) << "HTTP/1.0 has no Host";
  EXPECT_EQ(status("GET /health HTTP/1.1", ""), 400);
  EXPECT_EQ(status("GET / HTTP/1.0", ""), 400);
  EXPECT_EQ(status("GET /health HTTP/1.0", "Origin: http://evil.com\r\n"), 400);
  EXPECT_EQ(status("GET /health HTTP/1.1", "Host: <script>\r\n"), 400);
}

TEST(HttpAccess, AMalformedHostEndsTheConnectionAndAWrongOneDoesNot) {
  const HttpOptions options = test_options();
  Gate gate(options, full_routes());
  const auto closes = [&](const std::string& lines) {
    return judge(gate, "GET / HTTP/1.1\r\n" + lines + "\r\n")->close;
  };
  EXPECT_TRUE(closes(""));
  EXPECT_TRUE(closes("Host: localhost:8080\r\nHost: localhost:8080\r\n"));
  EXPECT_TRUE(closes("Host: a/b\r\n"));
  EXPECT_TRUE(closes("Host: localhost:8080\r\nOrigin: http://a\r\nOrigin: http://a\r\n"));
  EXPECT_FALSE(closes("Host: evil.com\r\n"));
  EXPECT_FALSE(closes("Host: localhost:8080\r\nOrigin: http://evil.com\r\n"));
  EXPECT_FALSE(closes("Host: localhost:8080\r\n"));
}

TEST(HttpAccess, OriginMustBeTheServerOrNamed) {
  HttpOptions options = test_options();
  options.allow_origins = {"https://app.example.org", "http://localhost:3000"};
  Gate gate(options, full_routes());
  const auto verdict = [&](const std::string& lines) {
    return judge(gate, "GET /v1/models HTTP/1.1\r\nHost: localhost:8080\r\n" + lines + "\r\n");
  };
  const auto status = [&](const std::string& lines) { return status_of(verdict(lines)); };
  EXPECT_EQ(status("Origin: http://localhost:8080\r\n"), 0);
  EXPECT_EQ(status("Origin: http://localhost:8080\r\nSec-Fetch-Site: same-origin\r\n"), 0);
  EXPECT_EQ(status("Sec-Fetch-Site: none\r\n"), 0);
  EXPECT_EQ(verdict("Origin: http://localhost:8080\r\n")->allowed_origin, "");
  const auto named = verdict("Origin: https://app.example.org\r\nSec-Fetch-Site: cross-site\r\n");
  EXPECT_EQ(status_of(named), 0);
  EXPECT_EQ(named->allowed_origin, "https://app.example.org");
  EXPECT_EQ(verdict("Origin: https://APP.example.org:443\r\n")->allowed_origin,
            "https://APP.example.org:443")
      << "as sent, or the browser does not know it again";
  for (const char* origin : {
           "http://evil.com",
           "https://evil.com",
           "null",
           "",
           "http://localhost",
           "http://localhost:80",
           "http://localhost:8081",
           "http://127.0.0.1:8080",
           "http://localhost:8080/",
           "http://localhost:8080.evil.com",
           "http://evil.com/localhost:8080",
           "localhost:8080",
           "http://localhost:8080@evil.com",
           "https://app.example.org.evil.com",
           "https://app.example.org:8443",
           "http://app.example.org",
           "https://app.example.org:80",
           "http://app.example.org:443",
           "https://app.example.org https://evil.com",
           "https://app.example.org, null",
           "file://",
           "chrome-extension://abc",
           "moz-extension://abc",
           "*",
           "https://*.example.org",
       }) {
    EXPECT_EQ(status("Origin: " + std::string(origin) + "\r\n"), 403) << origin;
  }
  EXPECT_EQ(status("Sec-Fetch-Site: cross-site\r\n"), 403);
  EXPECT_EQ(status("Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n"), 400);
  EXPECT_EQ(status("Origin: http://localhost:8080\r\nOrigin: http://localhost:8080\r\n"), 400);
}

TEST(HttpAccess, PreflightsOfNamedOriginsOnly) {
  HttpOptions options = keyed_options();
  options.allow_origins = {"https://app.example.org"};
  HttpServer server(options, full_routes());
  RawClient client(server.port());
  const std::string preflight = "OPTIONS /v1/chat/completions HTTP/1.1\r\n" +
                                host_line(server.port()) +
                                "Access-Control-Request-Method: POST\r\n"
                                "Access-Control-Request-Headers: x-evil\r\n";
  client.send(preflight + "Origin: https://app.example.org\r\n\r\n");
  const auto allowed = client.answer();
  EXPECT_EQ(allowed->status, 204);
  EXPECT_EQ(allowed->header("access-control-allow-origin"), "https://app.example.org");
  EXPECT_EQ(allowed->header("access-control-allow-methods"), "POST");
  EXPECT_EQ(allowed->header("access-control-allow-headers"), "authorization, *");
  EXPECT_EQ(allowed->header("vary"), "origin");
  EXPECT_FALSE(allowed->headers.contains("access-control-allow-credentials"));
  client.send(preflight + "Origin: https://evil.example\r\n\r\n");
  const auto refused = client.answer();
  EXPECT_EQ(refused->status, 403);
  EXPECT_FALSE(refused->headers.contains("access-control-allow-origin"));
  client.send(preflight + "\r\n");
  EXPECT_EQ(client.answer()->status, 405);
  // A refusal for want of a key can be read by the page.
  client.send(get(server.port(), "/v1/models", "Origin: https://app.example.org\r\n"));
  const auto keyless = client.answer();
  EXPECT_EQ(keyless->status, 401);
  EXPECT_EQ(keyless->header("access-control-allow-origin"), "https://app.example.org");
}

TEST(HttpAccess, BodiesMustBePlainJson) {
  const HttpOptions options = test_options();
  Gate gate(options, full_routes());
  const auto status = [&](const std::string& method, const std::string& lines) {
    return status_of(
        judge(gate, method + " /v1/jobs HTTP/1.1\r\nHost: localhost:8080\r\n" + lines + "\r\n"));
  };
  for (const char* type : {
           "application/json",
           "Application/JSON",
           "application/json;charset=utf-8",
           "application/json; charset=UTF-8",
           "application/json; charset=\"utf-8\"",
           "application/json ;  charset=utf-8",
           "application/json;",
       }) {
    EXPECT_EQ(status("POST", "Content-Type: " + std::string(type) + "\r\n"), 0) << type;
  }
  for (const char* type : {
           "",
           "text/plain",
           "application/x-www-form-urlencoded",
           "multipart/form-data; boundary=x",
           "application/json; charset=utf-16",
           "application/json; charset=latin1",
           "application/jsonx",
           "xapplication/json",
           "application/json, text/plain",
           "text/plain; application/json",
           "application/json; boundary=x",
           "application/ld+json",
           "application/json; charset=utf-8; x=y",
       }) {
    EXPECT_EQ(status("POST", "Content-Type: " + std::string(type) + "\r\n"), 415) << type;
  }
  const std::string json = "Content-Type: application/json\r\n";
  EXPECT_EQ(status("POST", ""), 415);
  EXPECT_EQ(status("POST", json + json), 415);
  EXPECT_EQ(status("POST", json + "Content-Encoding: gzip\r\n"), 415);
  EXPECT_EQ(status("POST", json + "Content-Encoding: br, gzip\r\n"), 415);
  EXPECT_EQ(status("POST", json + "Content-Encoding: identity\r\n"), 0);
  EXPECT_EQ(status("GET", "Content-Length: 5\r\n"), 400);
  EXPECT_EQ(status("GET", "Transfer-Encoding: chunked\r\n"), 400);
  EXPECT_EQ(status("GET", "Content-Length: 0\r\n"), 0);
}

TEST(RouteTable, PrefersTheCloserRow) {
  const Handler handler = [](const HttpRequest&, std::shared_ptr<Exchange>) {};
  const auto row = [&](const char* method, const char* path) {
    return Route{.method = method, .path = path, .handler = handler};
  };
  const RouteTable table(
      {row("GET", "/a/*"), row("GET", "/a/b"), row("GET", "/a/b/*"), row("POST", "/a/c")});
  EXPECT_EQ(table.find("GET", "/a/b").route->path, "/a/b");
  EXPECT_EQ(table.find("GET", "/a/x").route->path, "/a/*");
  EXPECT_EQ(table.find("GET", "/a/x").tail, "x");
  EXPECT_EQ(table.find("GET", "/a/b/c/d").route->path, "/a/b/*");
  EXPECT_EQ(table.find("GET", "/a/b/c/d").tail, "c/d");
  EXPECT_EQ(table.find("GET", "/a").allowed, "");
  EXPECT_EQ(table.find("GET", "/a/").allowed, "");
  EXPECT_EQ(table.find("POST", "/a/b").route, nullptr);
  EXPECT_EQ(table.find("POST", "/a/c").route->path, "/a/c");
  EXPECT_EQ(table.find("HEAD", "/a/b").route->path, "/a/b");
  EXPECT_THROW(RouteTable({row("GET", "/a"), row("GET", "/a")}), Error);
  EXPECT_THROW(RouteTable({row("GET", "a")}), Error);
  EXPECT_THROW(RouteTable({row("GET", "/a/../b")}), Error);
  EXPECT_THROW(RouteTable({row("G T", "/a")}), Error);
  EXPECT_THROW(RouteTable({Route{.method = "GET", .path = "/a", .handler = nullptr}}), Error);
}

}  // namespace
}  // namespace qwen3::server
