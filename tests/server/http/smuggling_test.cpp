// Requests that two parsers could read differently. Each is sent with a whole second request behind
// it; the server must refuse the first, close, and never answer the second.
#include <gtest/gtest.h>

#include "server/http/http_server.h"
#include "server/http/support.h"

namespace qwen3::server {
namespace {

using namespace testing;
using namespace std::string_literals;

constexpr std::string_view kSmuggled = "smuggled-request";

size_t count_of(std::string_view text, std::string_view what) {
  size_t n = 0;
  for (size_t pos = text.find(what); pos != std::string_view::npos;
       pos = text.find(what, pos + 1)) {
    ++n;
  }
  return n;
}

class HttpSmuggling : public ::testing::Test {
 protected:
  // `request` without the Host line, for which "@" stands.
  void expect_refused(std::string request, int status = 400) {
    SCOPED_TRACE(request);
    const size_t at = request.find('@');
    if (at != std::string::npos) request.replace(at, 1, host_line(server_.port()));
    RawClient client(server_.port());
    client.send(request + get(server_.port(), "/v1/models/" + std::string(kSmuggled)));
    ASSERT_TRUE(client.receive_all()) << "the connection stays open";
    const std::string& got = client.received();
    EXPECT_EQ(count_of(got, "HTTP/1.1 "), 1u) << got;
    EXPECT_EQ(got.find(kSmuggled), std::string::npos);
    EXPECT_EQ(got.substr(0, 12), "HTTP/1.1 " + std::to_string(status));
    EXPECT_NE(got.find("connection: close"), std::string::npos);
    EXPECT_NE(got.find("\"error\""), std::string::npos);
  }

  void expect_refused_framing(const std::string& headers, const std::string& body) {
    expect_refused("POST /v1/echo HTTP/1.1\r\n@Content-Type: application/json\r\n" + headers +
                   "\r\n\r\n" + body);
  }

  void expect_refused_chunks(const std::string& body) {
    expect_refused_framing("Transfer-Encoding: chunked", body);
  }

  uint16_t port() const { return server_.port(); }

 private:
  HttpServer server_{test_options(), basic_routes()};
};

// The smuggled request stands where the bytes of the tunnel or of the other protocol would.
TEST_F(HttpSmuggling, RefusedTunnelsAndUpgrades) {
  expect_refused("CONNECT 127.0.0.1:22 HTTP/1.1\r\n@\r\n", 404);
  expect_refused("CONNECT /v1/echo HTTP/1.1\r\n@\r\n", 405);
  expect_refused("GET /socket HTTP/1.1\r\n@Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 404);
  expect_refused("GET /v1/echo HTTP/1.1\r\n@Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 405);
}

// Clients that offer another protocol with every request, as Java's does, keep their connection.
TEST_F(HttpSmuggling, OffersOfAnUpgradeAreNoReasonToClose) {
  RawClient client(port());
  for (int i = 0; i < 2; ++i) {
    client.send(get(port(), "/health", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"));
    const auto answer = client.answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_NE(answer->header("connection"), "close");
  }
}

TEST_F(HttpSmuggling, UnderlinesInTheNamesOfTheFraming) {
  expect_refused_framing("Content_Length: 500", "");
  expect_refused_framing("Transfer_Encoding: chunked", "0\r\n\r\n");
  expect_refused_framing("Content-Length: 2\r\ntransfer_encoding: chunked", "{}");
}

TEST_F(HttpSmuggling, TwoStatementsOfTheLength) {
  const std::string chunks = "5\r\n01234\r\n0\r\n\r\n";
  for (const char* headers : {
           "Content-Length: 15\r\nTransfer-Encoding: chunked",
           "Transfer-Encoding: chunked\r\nContent-Length: 15",
           "Transfer-Encoding: chunked\r\nContent-Length: 0",
           "content-length: 15\r\nTRANSFER-ENCODING: CHUNKED",
           "Content-Length: 15\r\nTransfer-Encoding: identity",
           "Content-Length: 15\r\nTransfer-Encoding: x",
           "Content-Length: 15\r\nTransfer-Encoding:",
           "Content-Length: 15\r\nContent-Length: 15",
           "Content-Length: 15\r\nContent-Length: 6",
           "Content-Length: 6\r\nX-Other: a\r\nContent-Length: 15",
           "Content-Length: 15\r\ncontent-length: 015",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
           "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
           "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
       }) {
    expect_refused_framing(headers, chunks);
  }
}

TEST_F(HttpSmuggling, LengthsThatAreNoNumber) {
  for (const char* value : {"",
                            "+5",
                            "-5",
                            "5 5",
                            "5, 5",
                            "5,6",
                            ",5",
                            "5,",
                            "0x5",
                            "5h",
                            "5.0",
                            "1e1",
                            "five",
                            "5;",
                            "\"5\"",
                            "\xEF\xBC\x95",
                            "18446744073709551616",
                            "99999999999999999999999999",
                            "5\t5",
                            "--5"}) {
    expect_refused_framing("Content-Length: "s + value, "01234");
  }
}

TEST_F(HttpSmuggling, CodingsOtherThanChunked) {
  for (const char* value : {"chunked, chunked",
                            "gzip, chunked",
                            "chunked, gzip",
                            "gzip",
                            "identity",
                            "xchunked",
                            "chunkedx",
                            "chunked;q=1",
                            "\"chunked\"",
                            "chunked chunked",
                            ", chunked",
                            "chunked,",
                            "",
                            "deflate",
                            "chunked, identity",
                            "\\chunked",
                            "c\xC2\xADhunked"}) {
    expect_refused_framing("Transfer-Encoding: "s + value, "5\r\n01234\r\n0\r\n\r\n");
  }
  expect_refused_framing(
      "Transfer-Encoding: \x0B"
      "chunked",
      "0\r\n\r\n");
  expect_refused_framing(
      "Transfer-Encoding: \x0C"
      "chunked",
      "0\r\n\r\n");
  expect_refused_framing("Transfer-Encoding: chunked\0"s, "0\r\n\r\n");
  expect_refused(
      "POST /v1/echo HTTP/1.0\r\n@Content-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

TEST_F(HttpSmuggling, HeaderLinesOfDoubtfulShape) {
  for (const std::string& line : {
           "Transfer-Encoding : chunked"s,
           "Transfer-Encoding\t: chunked"s,
           "Content-Length : 5"s,
           " Content-Length: 5"s,
           "\tContent-Length: 5"s,
           "X-A: b\r\n c"s,
           "X-A: b\r\n\tc"s,
           "X-A:\r\n b"s,
           "Transfer-Encoding:\r\n chunked"s,
           "Transfer-Encoding: chun\r\n ked"s,
           "X-A"s,
           ": b"s,
           "X A: b"s,
           "X\"A: b"s,
           "X(A): b"s,
           "X@A: b"s,
           "X\\A: b"s,
           "X[A]: b"s,
           "X\x80: b"s,
           "X\0A: b"s,
           "X-A: b\0c"s,
           "X-A: b\x01"s,
           "X-A: b\x7F"s,
           "X-A: b\x1B[31m"s,
           "X-A: b\rc"s,
           "X-A: b\r"s,
           "\rX-A: b"s,
           "X-A: b\nTransfer-Encoding: chunked"s,
           "X-A: b\n"s,
           "X-A: b\n\r"s,
           "X-A: b\r\r\nX-B: c"s,
           "Connection: close, \"x"s,
       }) {
    expect_refused_framing(line + "\r\nContent-Length: 5", "01234");
  }
}

TEST_F(HttpSmuggling, HeadsThatEndInDoubt) {
  expect_refused("GET /health HTTP/1.1\n@\r\n");
  expect_refused("GET /health HTTP/1.1\r\n@\n");
  expect_refused("GET /health HTTP/1.1\r\n@X-A: b\n\n");
  expect_refused("GET /health HTTP/1.1\r\n@X-A: b\n\r\n");
  expect_refused("GET /health HTTP/1.1\r@\r\n");
  expect_refused("GET /health HTTP/1.1\r\n@X-A: b\r\n\r\r\n");
  expect_refused("\r\n\r\nGET /health HTTP/1.1\r\n@\r\n");
  expect_refused("\nGET /health HTTP/1.1\r\n@\r\n");
  expect_refused(" GET /health HTTP/1.1\r\n@\r\n");
  expect_refused("\0GET /health HTTP/1.1\r\n@\r\n"s);
  expect_refused("GET /health HTTP/1.1\r\n @\r\n");
}

TEST_F(HttpSmuggling, RequestLinesOfDoubtfulShape) {
  for (const std::string& line : {
           "GET  /health HTTP/1.1"s,
           "GET /health  HTTP/1.1"s,
           "GET /health HTTP/1.1 "s,
           "GET /health HTTP/1.1\t"s,
           "GET\t/health HTTP/1.1"s,
           "GET /health\tHTTP/1.1"s,
           "GET /health"s,
           "GET /health "s,
           "GET"s,
           "GET /hea lth HTTP/1.1"s,
           "GET /hea\0lth HTTP/1.1"s,
           "GET /hea\x80lth HTTP/1.1"s,
           "GET /health HTTP/11"s,
           "GET /health HTTP/1.1x"s,
           "GET /health HTTP/1."s,
           "GET /health http/1.1"s,
           "GET /health XTTP/1.1"s,
           "G(T /health HTTP/1.1"s,
           "G\xC3\x89T /health HTTP/1.1"s,
           "GET: /health HTTP/1.1"s,
           "/health HTTP/1.1"s,
       }) {
    expect_refused(line + "\r\n@\r\n");
  }
  for (const char* version : {"HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3.1", "HTTP/9.9"}) {
    expect_refused("GET /health "s + version + "\r\n@\r\n", 505);
  }
}

TEST_F(HttpSmuggling, ChunksOfDoubtfulShape) {
  for (const std::string& body : {
           "-1\r\n01234\r\n0\r\n\r\n"s,
           "-2\r\n\r\n0\r\n\r\n"s,
           "+5\r\n01234\r\n0\r\n\r\n"s,
           " 5\r\n01234\r\n0\r\n\r\n"s,
           "5 \r\n01234\r\n0\r\n\r\n"s,
           "\t5\r\n01234\r\n0\r\n\r\n"s,
           "0x5\r\n01234\r\n0\r\n\r\n"s,
           "5h\r\n01234\r\n0\r\n\r\n"s,
           "five\r\n01234\r\n0\r\n\r\n"s,
           "\r\n01234\r\n0\r\n\r\n"s,
           "5;\r\n01234\r\n0\r\n\r\n"s,
           "5;a=b\r\n01234\r\n0\r\n\r\n"s,
           "5;a=\"\n\"\r\n01234\r\n0\r\n\r\n"s,
           "5\n01234\r\n0\r\n\r\n"s,
           "5\r01234\r\n0\r\n\r\n"s,
           "5\r\r\n01234\r\n0\r\n\r\n"s,
           "5\0\r\n01234\r\n0\r\n\r\n"s,
           "5\r\n0123401\r\n0\r\n\r\n"s,
           "5\r\n01234\n0\r\n\r\n"s,
           "5\r\n012340\r\n\r\n"s,
           "5\r\n01234\r\n\r\n0\r\n\r\n"s,
           "4\r\n01234\r\n0\r\n\r\n"s,
           "5\r\n01234\r\n0\r\nX-A: b\r\n\r\n"s,
           "5\r\n01234\r\n0\r\nContent-Length: 5\r\n\r\n"s,
           "5\r\n01234\r\n0\r\nHost: evil\r\n\r\n"s,
           "5\r\n01234\r\n0;a=b\r\n\r\n"s,
           "0\r\nX"s + "\r\n\r\n",
           "10000000000000000\r\n01234\r\n0\r\n\r\n"s,
           std::string(16, '0') + "5\r\n01234\r\n0\r\n\r\n",
           "5\r\n01234\r\n" + std::string(17, '0') + "\r\n\r\n",
           std::string(100, '0') + "5\r\n01234\r\n0\r\n\r\n",
       }) {
    expect_refused_chunks(body);
  }
  for (const char* size : {"FFFFFFFFFFFFFFFF", "8000000000000000", "7FFFFFFFFFFFFFFF", "400001"}) {
    expect_refused(
        "POST /v1/echo HTTP/1.1\r\n@Content-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"s +
            size + "\r\n01234\r\n0\r\n\r\n",
        413);
  }
  expect_refused_chunks("FFFFFFFFFFFFFFFFF\r\n01234\r\n0\r\n\r\n");
}

// The counterpart: what is unusual but clear is served.
TEST(HttpFraming, ServesWhatIsClear) {
  HttpServer server(test_options(), basic_routes());
  const std::string host = host_line(server.port());
  const std::string json = "Content-Type: application/json\r\n";
  for (const std::string& request : {
           "\r\nPOST /v1/echo HTTP/1.1\r\n" + host + json + "Content-Length: 5\r\n\r\n01234",
           "POST /v1/echo HTTP/1.1\r\n" + host + json + "Content-Length:5\r\n\r\n01234",
           "POST /v1/echo HTTP/1.1\r\n" + host + json + "Content-Length: \t 5 \t\r\n\r\n01234",
           "POST /v1/echo HTTP/1.1\r\n" + host + json + "Content-Length: 0005\r\n\r\n01234",
           "POST /v1/echo HTTP/1.1\r\n" + host + json +
               "TRANSFER-ENCODING: cHuNkEd\r\n\r\n05\r\n01234\r\n0\r\n\r\n",
           "POST /v1/echo HTTP/1.1\r\n" + host + json +
               "Transfer-Encoding: chunked\r\n\r\n1\r\n0\r\n4\r\n1234\r\n000\r\n\r\n",
           "POST /v1/echo HTTP/1.1\r\n" + host + json +
               "X-Empty:\r\nX-Latin: \xE9\r\nX-Tab: a\tb\r\nContent-Length: 5\r\n\r\n01234",
           "POST http://127.0.0.1:" + std::to_string(server.port()) + "/v1/echo HTTP/1.1\r\n" +
               host + json + "Content-Length: 5\r\n\r\n01234",
           "POST /v1/%65cho?a=b HTTP/1.1\r\n" + host + json + "Content-Length: 5\r\n\r\n01234",
       }) {
    SCOPED_TRACE(request);
    RawClient client(server.port());
    client.send(request + get(server.port(), "/v1/models/next"));
    const auto answer = client.answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "01234");
    EXPECT_EQ(client.answer()->body, "next");
  }
}

}  // namespace
}  // namespace qwen3::server
