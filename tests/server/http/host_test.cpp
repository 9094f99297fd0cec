// Names of the server and pages of other origins: Host, Origin, preflights, probes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "qwen3/error.h"
#include "server/http/gate_fixture.h"

namespace qwen3::server {
namespace {

using namespace testing;

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

}  // namespace
}  // namespace qwen3::server
