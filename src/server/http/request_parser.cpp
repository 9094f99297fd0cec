#include "server/http/request_parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <cctype>
#include <charconv>

#include "base/text.h"
#include "server/http/response.h"

namespace qwen3::server {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

namespace {

// A chunk's size line. Without extensions, which are refused, nothing needs more.
constexpr size_t kMaxChunkLine = 64;

// Whether a request line has three parts of which the last is well-formed, like "HTTP/2.0".
bool names_version(std::string_view line) {
  const size_t last = line.rfind(' ');
  if (last == std::string_view::npos || std::count(line.begin(), line.end(), ' ') != 2)
    return false;
  const std::string_view version = line.substr(last + 1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5]) &&
         version[6] == '.' && is_digit(version[7]);
}

std::string to_string(string_view text) { return {text.data(), text.size()}; }

}  // namespace

// Receives the events of Beast's parser.
class RequestParser::Grammar final : public http::basic_parser<true> {
 public:
  Grammar(RequestHead& head, std::string& body, size_t max_body)
      : head_(head), body_(body), max_body_(max_body) {
    body_limit(boost::none);   // counted here, by the bytes that came
    header_limit(UINT32_MAX);  // held by the scan
  }

  void limit_body(size_t most_bytes) { max_body_ = most_bytes; }

  const char* input_begin = nullptr;  // of the bytes given to put()
  bool too_large = false;

 private:
  void on_request_impl(
      http::verb, string_view method, string_view target, int version, error_code&) override {
    head_.method = to_string(method);
    head_.target = to_string(target);
    head_.http_1_0 = version == 10;
  }
  void on_response_impl(int, string_view, int, error_code&) override {}

  void on_field_impl(http::field, string_view name, string_view value, error_code& error) override {
    if (header_done_) {
      error = http::error::bad_field;  // a trailer: no client of ours needs them
      return;
    }
    head_.headers.emplace_back(ascii_lower({name.data(), name.size()}), to_string(value));
  }

  void on_header_impl(error_code&) override { header_done_ = true; }
  void on_body_init_impl(const boost::optional<uint64_t>&, error_code&) override {}

  size_t on_body_impl(string_view piece, error_code& error) override { return add(piece, error); }

  void on_chunk_header_impl(uint64_t size, string_view extensions, error_code& error) override {
    // Sixteen digits hold every size; other parsers overflow on more, even on zeros.
    if (size_digits(extensions.data()) > 16) error = http::error::bad_chunk;
    if (!extensions.empty()) error = http::error::bad_chunk_extension;
    if (error) return;
    if (size > max_body_ - body_.size()) refuse_size(error);
  }
  size_t on_chunk_body_impl(uint64_t, string_view piece, error_code& error) override {
    return add(piece, error);
  }
  void on_finish_impl(error_code&) override {}

  // How many stand before `end`, which comes right after them in the input.
  size_t size_digits(const char* end) const {
    const char* begin = end;
    while (begin > input_begin && std::isxdigit(static_cast<unsigned char>(begin[-1]))) --begin;
    return static_cast<size_t>(end - begin);
  }

  size_t add(string_view piece, error_code& error) {
    if (piece.size() > max_body_ - body_.size()) {
      refuse_size(error);
      return 0;
    }
    body_.append(piece.data(), piece.size());
    return piece.size();
  }

  void refuse_size(error_code& error) {
    too_large = true;
    error = http::error::body_limit;
  }

  RequestHead& head_;
  std::string& body_;
  size_t max_body_;
  bool header_done_ = false;
};

size_t RequestHead::count(std::string_view name) const {
  return static_cast<size_t>(std::count_if(
      headers.begin(), headers.end(), [name](const auto& header) { return header.first == name; }));
}

std::string_view RequestHead::value(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

RequestParser::RequestParser(const ServerLimits& limits) : limits_(limits) {}
RequestParser::~RequestParser() = default;

void RequestParser::reset() {
  grammar_.reset();
  head_ = {};
  body_ = {};
  failure_ = {};
  dropped_empty_line_ = false;
  scanned_ = line_start_ = 0;
  n_lines_ = 0;
}

RequestParser::Progress RequestParser::fail(int status, std::string_view message) {
  failure_ = {status, std::string(message)};
  return Progress::failed;
}

RequestParser::Progress RequestParser::read_head(std::string& input) {
  // One empty line before a request is allowed (RFC 9112, 2.2).
  if (scanned_ == 0 && !dropped_empty_line_) {
    if (input == "\r") return Progress::needs_more;
    dropped_empty_line_ = input.starts_with("\r\n");
    if (dropped_empty_line_) input.erase(0, 2);
  }
  const Progress progress = scan(input);
  if (progress != Progress::done) return progress;
  const std::string head = input.substr(0, scanned_);
  input.erase(0, scanned_);
  return parse_head(head);
}

// Advances line by line to the empty one. Looks at each byte once however small the pieces are.
RequestParser::Progress RequestParser::scan(std::string_view input) {
  const size_t end = std::min(input.size(), limits_.header_bytes);
  for (; scanned_ < end; ++scanned_) {
    const auto byte = static_cast<unsigned char>(input[scanned_]);
    if (byte == '\n') {
      if (scanned_ == line_start_ || input[scanned_ - 1] != '\r') {
        return fail(400, "a line of the request's head ends in a bare LF");
      }
      const std::string_view line = input.substr(line_start_, scanned_ - 1 - line_start_);
      if (line.empty()) {
        ++scanned_;
        return n_lines_ == 0 ? fail(400, "expected a request line, got an empty one")
                             : Progress::done;
      }
      if (n_lines_ > 0 && (line[0] == ' ' || line[0] == '\t')) {
        return fail(400, "a header is folded over two lines");
      }
      if (++n_lines_ > limits_.header_lines + 1) {
        return fail(431, "too many header lines");
      }
      line_start_ = scanned_ + 1;
    } else if (scanned_ > line_start_ && input[scanned_ - 1] == '\r') {
      return fail(400, "a bare CR in the request's head");
    } else if ((byte < 0x20 && byte != '\t' && byte != '\r') || byte == 0x7F) {
      return fail(400, "a control character in the request's head");
    }
    if (n_lines_ == 0 && scanned_ - line_start_ >= limits_.request_line_bytes) {
      return fail(414, "the request line is too long");
    }
  }
  return end_of_scan(input);
}

RequestParser::Progress RequestParser::end_of_scan(std::string_view input) {
  if (input.size() < limits_.header_bytes) return Progress::needs_more;
  return fail(431, "the request's head is too large");
}

RequestParser::Progress RequestParser::parse_head(std::string_view head) {
  grammar_ = std::make_unique<Grammar>(head_, body_, limits_.body_bytes);
  error_code error;
  const size_t consumed = grammar_->put(boost::asio::const_buffer(head.data(), head.size()), error);
  if (error == http::error::bad_version && names_version(head.substr(0, head.find("\r\n")))) {
    return fail(505, "expected version 1.1 or 1.0 of HTTP");
  }
  if (error || consumed != head.size()) {
    return fail(400, "the request's head is malformed: " + (error ? error.message() : "its end"));
  }
  if (!check_framing() || !read_fields()) return Progress::failed;
  grammar_->eager(true);
  return Progress::done;
}

// One length, stated once and in one way (RFC 9112, 6.3).
bool RequestParser::check_framing() {
  const size_t n_lengths = head_.count("content-length");
  const size_t n_codings = head_.count("transfer-encoding");
  // Read as the same names by servers that pass headers on as variables (CGI).
  if (head_.count("content_length") + head_.count("transfer_encoding") > 0) {
    fail(400, "content_length, transfer_encoding: expected \"-\"");
    return false;
  }
  if (n_lengths + n_codings > 1) {
    fail(400, "more than one content-length or transfer-encoding");
    return false;
  }
  if (n_codings == 1) {
    if (head_.http_1_0 || !equals_ignoring_case(head_.value("transfer-encoding"), "chunked")) {
      fail(400, "transfer-encoding: expected chunked, on HTTP/1.1");
      return false;
    }
    head_.chunked = true;
  }
  if (n_lengths == 1) {
    const std::string_view text = head_.value("content-length");
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), head_.content_length);
    if (error != std::errc{} || end != text.data() + text.size()) {
      fail(400, "content-length: expected digits");
      return false;
    }
  }
  return true;
}

bool RequestParser::read_fields() {
  head_.keep_alive = grammar_->keep_alive();
  const bool is_visible = std::all_of(
      head_.target.begin(), head_.target.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (!is_visible) {
    fail(400, "the request target: expected visible ASCII");
    return false;
  }
  if (head_.count("expect") > 0) {
    if (head_.count("expect") > 1 || !equals_ignoring_case(head_.value("expect"), "100-continue")) {
      fail(417, "expect: only 100-continue is known");
      return false;
    }
    head_.expects_continue = !head_.http_1_0 && head_.has_body();
  }
  return true;
}

void RequestParser::expect_body(size_t most_bytes) {
  grammar_->limit_body(std::min(most_bytes, limits_.body_bytes));
  if (!head_.chunked) body_.reserve(static_cast<size_t>(head_.content_length));
}

// What follows these may be meant for the tunnel or the protocol that was asked for, by a client that did not wait.
bool RequestParser::asks_for_other_bytes() const {
  return head_.method == "CONNECT" || head_.count("upgrade") > 0;
}

bool RequestParser::at_end() const {
  return grammar_ && failure_.message.empty() && (!head_.has_body() || grammar_->is_done()) &&
         !asks_for_other_bytes();
}

RequestParser::Progress RequestParser::read_body(std::string& input) {
  if (grammar_->is_done()) return Progress::done;
  if (input.empty()) return Progress::needs_more;
  // Beast asserts that it never sees less of a last chunk. Every chunked body has that much left.
  if (head_.chunked && input.size() < std::string_view("0\r\n\r\n").size()) {
    return Progress::needs_more;
  }
  error_code error;
  grammar_->input_begin = input.data();
  const size_t consumed =
      grammar_->put(boost::asio::const_buffer(input.data(), input.size()), error);
  input.erase(0, consumed);
  if (error && error != http::error::need_more) {
    if (grammar_->too_large) return fail(413, "the request's body is too large");
    return fail(400, "the request's body is malformed: " + error.message());
  }
  if (grammar_->is_done()) return Progress::done;
  if (input.size() > kMaxChunkLine) return fail(400, "a chunk's size line is too long");
  return Progress::needs_more;
}

}  // namespace qwen3::server
