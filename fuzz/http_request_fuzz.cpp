// The bytes of a connection through the request parser and the gate, without sockets. The first
// byte gives the size of the pieces: whole or in pieces, the same requests must come out. Whatever
// the gate says must make a legal head, and the log line of the request must be one JSON object.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "server/http/access_log.h"
#include "server/http/gate.h"
#include "server/http/response.h"

namespace {

using namespace qwen3;
using namespace qwen3::server;

void require(bool condition) {
  if (!condition) std::abort();
}

// Small enough for the fuzzer to reach them.
ServerLimits small_limits() {
  ServerLimits limits;
  limits.request_line_bytes = 128;
  limits.header_bytes = 512;
  limits.header_lines = 12;
  limits.body_bytes = 64;
  limits.failures_per_minute = 1'000'000'000;
  return limits;
}

const HttpOptions& options() {
  static const HttpOptions made = [] {
    HttpOptions out;
    out.limits = small_limits();
    out.keys = {make_api_key("fuzz", std::string(32, 'k'), "fuzz")};
    out.allow_origins = {"https://app.example"};
    return out;
  }();
  return made;
}

Gate& gate() {
  static Gate made = [] {
    const Handler handler = [](const HttpRequest&, const std::shared_ptr<Exchange>&) {};
    return Gate(options(),
                {{.method = "GET",
                  .path = "/health",
                  .access = Route::Access::open,
                  .handler = handler,
                  .quick = false},
                 {.method = "POST",
                  .path = "/v1/chat",
                  .access = Route::Access::keyed,
                  .handler = handler,
                  .quick = false},
                 {.method = "GET",
                  .path = "/v1/models/*",
                  .access = Route::Access::keyed,
                  .handler = handler,
                  .quick = false}});
  }();
  return made;
}

void check_answer(const HttpResponse& response, const RequestHead& head, const Verdict& verdict) {
  const AnswerFrame frame{.http_1_0 = head.http_1_0,
                          .head_only = false,
                          .keep_alive = false,
                          .request_id = choose_request_id(head),
                          .allowed_origin = verdict.allowed_origin};
  const std::string text = format_head(response, frame, response.body.size());
  require(text.find("\r\n\r\n") == text.size() - 4);
  for (size_t i = 0; i < text.size(); ++i) {
    require(text[i] == '\r' ? text[i + 1] == '\n' : text[i] != '\n' || text[i - 1] == '\r');
    require(static_cast<unsigned char>(text[i]) < 0x7F);
  }
  if (response.status != 204) parse_json(response.body, "answer");
}

void check_head(const RequestHead& head) {
  const Peer peer{.remote = *parse_address("127.0.0.1", 1),
                  .local = *parse_address("127.0.0.1", 8080)};
  const Verdict verdict = gate().judge(head, peer, std::chrono::steady_clock::now());
  if (verdict.answer) {
    check_answer(*verdict.answer, head, verdict);
  } else {
    require(verdict.route != nullptr);
    require(verdict.route->access == Route::Access::open || verdict.client.name == "fuzz");
    require(head.count("host") == 1);
    require(head.content_length <= options().limits.body_bytes);
  }
  AccessRecord record;
  record.method = head.method;
  record.target = head.target;
  record.id = choose_request_id(head);
  const std::string line = access_line(record);
  require(line.size() <= kMaxLogLine && parse_json(line, "log").is_object());
}

// A request, or the failure that ends the connection, as text to compare.
std::string describe(const RequestParser& parser, RequestParser::Progress progress) {
  if (progress == RequestParser::Progress::failed) {
    return "failed " + std::to_string(parser.failure().status);
  }
  std::string out = parser.head().method + " " + parser.head().target;
  for (const auto& [name, value] : parser.head().headers)
    out.append("|").append(name).append("=").append(value);
  return out;
}

std::vector<std::string> read_requests(std::string_view bytes, size_t piece) {
  std::vector<std::string> out;
  RequestParser parser(options().limits);
  std::string input;
  bool in_body = false;
  for (size_t pos = 0; pos < bytes.size(); pos += piece) {
    input += bytes.substr(pos, piece);
    while (true) {
      const auto progress = in_body ? parser.read_body(input) : parser.read_head(input);
      if (progress == RequestParser::Progress::needs_more) break;
      if (!in_body || progress == RequestParser::Progress::failed) {
        out.push_back(describe(parser, progress));
      }
      if (progress == RequestParser::Progress::failed) return out;
      if (!in_body) {
        check_head(parser.head());
        in_body = true;
        continue;
      }
      out.push_back(parser.take_body());
      require(out.back().size() <= options().limits.body_bytes);
      parser.reset();
      in_body = false;
      if (input.empty()) break;
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t piece = size_t{data[0]} % 16 + 1;
  auto whole = read_requests(bytes, bytes.size());
  const auto in_pieces = read_requests(bytes, piece);
  // Of a few last bytes, one may know already that they are wrong while the other waits for more.
  if (whole.size() == in_pieces.size() + 1 && whole.back().starts_with("failed")) whole.pop_back();
  require(whole == in_pieces);
  return 0;
}
