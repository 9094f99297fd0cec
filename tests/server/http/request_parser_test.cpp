// The parser alone: that how the bytes are cut never matters, and that nothing of one request is
// left for the next.
#include "server/http/request_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace qwen3::server {
namespace {

using Progress = RequestParser::Progress;
using Strings = std::vector<std::string>;

ServerLimits small_limits() {
  ServerLimits limits;
  limits.request_line_bytes = 64;
  limits.header_bytes = 256;
  limits.header_lines = 6;
  limits.body_bytes = 32;
  return limits;
}

// Everything that the requests of one connection say, one line each, until the first that fails.
class Reader {
 public:
  void receive(std::string_view bytes) {
    input_ += bytes;
    while (!failed_ && advance()) {
    }
  }
  const Strings& said() const { return said_; }

 private:
  bool advance() {
    if (input_.empty()) return false;
    const Progress progress = in_body_ ? parser_.read_body(input_) : parser_.read_head(input_);
    if (progress == Progress::needs_more) return false;
    failed_ = progress == Progress::failed;
    if (failed_) {
      said_.push_back("failed " + std::to_string(parser_.failure().status));
    } else if (!in_body_) {
      said_.push_back(describe(parser_.head()));
    }
    in_body_ = !in_body_ && !failed_ && parser_.head().has_body();
    if (failed_ || in_body_) return true;
    if (parser_.head().has_body()) said_.push_back("body " + parser_.take_body());
    parser_.reset();
    return true;
  }

  static std::string describe(const RequestHead& head) {
    std::string out = head.method + " " + head.target;
    for (const auto& [name, value] : head.headers) out += "|" + name + "=" + value;
    return out;
  }

  const ServerLimits limits_ = small_limits();
  RequestParser parser_{limits_};
  std::string input_;
  bool in_body_ = false;
  bool failed_ = false;
  Strings said_;
};

Strings read_at_once(std::string_view bytes) {
  Reader reader;
  reader.receive(bytes);
  return reader.said();
}

Strings read_in_pieces(std::string_view bytes, size_t piece) {
  Reader reader;
  for (size_t pos = 0; pos < bytes.size(); pos += piece) reader.receive(bytes.substr(pos, piece));
  return reader.said();
}

Strings read_in_two(std::string_view bytes, size_t cut) {
  Reader reader;
  reader.receive(bytes.substr(0, cut));
  reader.receive(bytes.substr(cut));
  return reader.said();
}

// Cut in two at every place, and in pieces of every size: the same requests.
void expect_same_however_cut(std::string_view bytes, const Strings& expected) {
  SCOPED_TRACE(bytes);
  EXPECT_EQ(read_at_once(bytes), expected);
  for (size_t n = 1; n < bytes.size(); ++n) {
    EXPECT_EQ(read_in_two(bytes, n), expected) << "cut after " << n;
    EXPECT_EQ(read_in_pieces(bytes, n), expected) << "in pieces of " << n;
  }
}

TEST(RequestParser, OneEmptyLineBeforeARequestHoweverItIsCut) {
  expect_same_however_cut("\r\nGET /a HTTP/1.1\r\n\r\n", {"GET /a"});
  expect_same_however_cut("\r\n\r\nGET /a HTTP/1.1\r\n\r\n", {"failed 400"});
  expect_same_however_cut("\r\n\r\n\r\n\r\n", {"failed 400"});
  expect_same_however_cut("\r\n\nGET /a HTTP/1.1\r\n\r\n", {"failed 400"});
  expect_same_however_cut("\r\n\r\r\n", {"failed 400"});
  expect_same_however_cut("\rGET /a HTTP/1.1\r\n\r\n", {"failed 400"});
}

TEST(RequestParser, EachRequestMayHaveItsEmptyLine) {
  expect_same_however_cut(
      "\r\nGET /a HTTP/1.1\r\n\r\n\r\nPOST /b HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi\r\nGET /c "
      "HTTP/1.1\r\n\r\n",
      {"GET /a", "POST /b|content-length=2", "body hi", "GET /c"});
  expect_same_however_cut("GET /a HTTP/1.1\r\n\r\n\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
                          {"GET /a", "failed 400"});
}

TEST(RequestParser, BodiesHoweverTheyAreCut) {
  expect_same_however_cut(
      "POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET "
      "/b "
      "HTTP/1.1\r\n\r\n",
      {"POST /a|transfer-encoding=chunked", "body abcde", "GET /b"});
  expect_same_however_cut(
      "POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
      {"POST /a|transfer-encoding=chunked", "failed 400"});
}

// Each head is one line short of too many, and one byte short of too long.
TEST(RequestParser, TheLimitsOfAHeadBeginAnewWithEachRequest) {
  std::string lines = "GET /a HTTP/1.1\r\n";
  Strings expected(5, "GET /a");
  for (int i = 0; i < small_limits().header_lines; ++i) {
    lines += "x: " + std::to_string(i) + "\r\n";
    for (std::string& one : expected) one += "|x=" + std::to_string(i);
  }
  std::string all;
  for (size_t i = 0; i < expected.size(); ++i) all += lines + "\r\n";
  expect_same_however_cut(all, expected);
  EXPECT_EQ(read_at_once(lines + "x: 1\r\n\r\n"), Strings{"failed 431"});
}

// A scan that began where the last one ended would not look at these bytes.
TEST(RequestParser, TheScanOfAHeadBeginsAnewWithEachRequest) {
  const std::string first = "GET /first-and-longer HTTP/1.1\r\nx: 1\r\n\r\n";
  const std::string said = "GET /first-and-longer|x=1";
  expect_same_however_cut(first + "GET /b\n HTTP/1.1\r\n\r\n", {said, "failed 400"});
  expect_same_however_cut(first + std::string("GET /\0 HTTP/1.1\r\n\r\n", 19),
                          {said, "failed 400"});
  expect_same_however_cut(first + "G /b HTTP/1.1\r\n\r\n" + first, {said, "G /b", said});
}

TEST(RequestParser, OneExpectHeader) {
  const auto request = [](std::string_view headers) {
    return "POST /a HTTP/1.1\r\ncontent-length: 2\r\n" + std::string(headers) + "\r\nhi";
  };
  EXPECT_EQ(read_at_once(request("expect: 100-continue\r\n")).back(), "body hi");
  for (const char* headers : {"expect: 100-continue\r\nexpect: 100-continue\r\n",
                              "expect: 100-continue\r\nexpect: fail\r\n",
                              "expect: 100-continue\r\nexpect:\r\n",
                              "expect: fail\r\n"}) {
    EXPECT_EQ(read_at_once(request(headers)), Strings{"failed 417"}) << headers;
  }
}

}  // namespace
}  // namespace qwen3::server
