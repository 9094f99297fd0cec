// One request after another out of a connection's bytes. A first pass over the raw head refuses
// what parsers are known to read in different ways (bare LF or CR, NUL, folded lines) and holds the
// limits; Boost.Beast then reads the grammar and the chunks; last come the rules on framing that
// make request smuggling impossible. The only file that knows Beast is request_parser.cpp.
//
// Nothing is allocated by a length that a client states, until the owner of the parser has found
// room for it (expect_body). All that is known of a request stands in the parser, none of it in how
// its bytes were cut: any split of them gives the same requests.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/limits.h"

namespace qwen3::server {

struct RequestHead {
  std::string method;
  std::string target;  // as sent
  bool http_1_0 = false;
  bool keep_alive = true;  // the client's wish
  bool chunked = false;
  uint64_t content_length = 0;
  bool expects_continue = false;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case

  bool has_body() const { return chunked || content_length > 0; }
  // How many headers have that name.
  size_t count(std::string_view name) const;
  // The value of the first one; "" when there is none.
  std::string_view value(std::string_view name) const;
};

// After one the connection cannot be read on: where the next request starts is not known.
struct ParseFailure {
  int status = 400;
  std::string message;
};

class RequestParser {
 public:
  explicit RequestParser(const ServerLimits& limits);
  ~RequestParser();
  RequestParser(RequestParser&&) = delete;

  enum class Progress { needs_more, done, failed };

  // For the body of the request whose head was read: holds a lower limit than that of ServerLimits,
  // and room for the length that the head states. REQUIRES: that much memory may be taken.
  void expect_body(size_t most_bytes);

  // Both take what they understood from the front of `input`; what follows stays there.
  Progress read_head(std::string& input);
  Progress read_body(std::string& input);  // after read_head() was done

  const RequestHead& head() const { return head_; }
  // Whether the request's last byte has been taken, so that what follows begins the next one. False
  // after a failure.
  bool at_end() const;
  size_t body_bytes() const { return body_.size(); }
  std::string take_body() { return std::move(body_); }
  const ParseFailure& failure() const { return failure_; }

  // Forgets the request, for the next one.
  void reset();

 private:
  class Grammar;

  Progress fail(int status, std::string_view message);
  Progress scan(std::string_view input);
  Progress end_of_scan(std::string_view input);
  Progress parse_head(std::string_view head);
  bool asks_for_other_bytes() const;
  bool check_framing();
  bool read_fields();

  const ServerLimits& limits_;
  std::unique_ptr<Grammar> grammar_;
  RequestHead head_;
  std::string body_;
  ParseFailure failure_;

  // Of the scan over the raw head.
  bool dropped_empty_line_ = false;  // the one that may stand before a request
  size_t scanned_ = 0;
  size_t line_start_ = 0;
  int n_lines_ = 0;
};

}  // namespace qwen3::server
