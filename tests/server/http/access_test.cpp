// Who may do what: keys, content types, and that no spelling of a path gets past (hosts: host_test.cpp).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "qwen3/error.h"
#include "server/http/gate_fixture.h"

namespace qwen3::server {
namespace {

using namespace testing;
using ::testing::HasSubstr;

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

TEST(HttpAccess, AContentTypeThatIsNoneIsSaid) {
  const HttpOptions options = test_options();
  Gate gate(options, full_routes());
  const auto said = [&](const std::string& lines) {
    const std::string head = "POST /v1/jobs HTTP/1.1\r\nHost: localhost:8080\r\n" + lines + "\r\n";
    return judge(gate, head)->answer->body;
  };
  const std::string json = "Content-Type: application/json\r\n";
  EXPECT_THAT(said(""), HasSubstr("expected application/json in UTF-8; got none; with curl"));
  EXPECT_THAT(said(json + json), HasSubstr("got 2 of them; with curl"));
  EXPECT_THAT(said("Content-Type: text/plain\r\n"), HasSubstr("got \\\"text/plain\\\";"));
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
