#include "server/http/response.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace qwen3::server {

namespace {

// A handler that sets one of these itself wins (a page may be cached, an API answer may not).
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kSecurityHeaders{{
    {"x-content-type-options", "nosniff"},
    {"cache-control", "no-store"},
    {"referrer-policy", "no-referrer"},
    {"cross-origin-opener-policy", "same-origin"},
    {"cross-origin-resource-policy", "same-origin"},
    {"permissions-policy", "camera=(), microphone=(), geolocation=()"},
    {"content-security-policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
     "font-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
     "require-trusted-types-for 'script'; trusted-types 'none'"},
}};

// Names that the front decides about alone.
bool is_reserved(std::string_view name) {
  static constexpr std::array<std::string_view, 6> kNames{
      "connection", "content-length", "transfer-encoding", "date", "server", "x-request-id"};
  return std::any_of(kNames.begin(), kNames.end(), [name](std::string_view reserved) {
    return equals_ignoring_case(name, reserved);
  });
}

bool is_header_value(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte < 0x7F);
  });
}

void add_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

std::string http_date() {
  static constexpr std::array<const char*, 7> kDays{
      "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths{
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
                     kDays[static_cast<size_t>(utc.tm_wday)],
                     utc.tm_mday,
                     kMonths[static_cast<size_t>(utc.tm_mon)],
                     utc.tm_year + 1900,
                     utc.tm_hour,
                     utc.tm_min,
                     utc.tm_sec);
}

Json error_object(std::string_view message, std::string_view type, std::string_view code) {
  Json error = Json::object();
  error["message"] = message;
  error["type"] = type;
  error["param"] = nullptr;
  error["code"] = code.empty() ? Json(nullptr) : Json(code);
  return Json{{"error", std::move(error)}};
}

void add_body_headers(std::string& out,
                      const HttpResponse& response,
                      const AnswerFrame& frame,
                      std::optional<size_t> content_length) {
  if (response.status == 204 || response.status == 304) return;
  if (!response.content_type.empty()) add_header(out, "content-type", response.content_type);
  if (content_length) {
    add_header(out, "content-length", std::to_string(*content_length));
  } else if (!frame.http_1_0) {
    add_header(out, "transfer-encoding", "chunked");
  }
}

}  // namespace

std::string_view error_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
    case 421:
      return "permission_error";
    case 408:
      return "timeout_error";
    case 429:
      return "rate_limit_error";
    case 503:
      return "service_unavailable_error";
    default:
      return status >= 500 && status != 501 && status != 505 ? "server_error"
                                                             : "invalid_request_error";
  }
}

std::string_view HttpRequest::header(std::string_view name) const {
  std::string_view found;
  size_t n = 0;
  for (const auto& [key, value] : headers) {
    if (key == name && ++n == 1) found = value;
  }
  return n == 1 ? found : std::string_view();
}

std::string format_head(const HttpResponse& response,
                        const AnswerFrame& frame,
                        std::optional<size_t> content_length) {
  QWEN3_CHECK(
      response.status >= 200 && response.status <= 599 && is_header_value(response.content_type),
      ErrorKind::internal,
      "answer: bad status {} or content type",
      response.status);
  std::string out;
  out.reserve(1024);
  out = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
  add_header(out, "date", http_date());
  add_header(out, "x-request-id", frame.request_id);
  add_body_headers(out, response, frame, content_length);
  for (const auto& [name, value] : response.headers) {
    QWEN3_CHECK(is_token(name) && !is_reserved(name) && is_header_value(value),
                ErrorKind::internal,
                "answer: header {}: not allowed or its value is not printable ASCII",
                quote_for_message(name));
    add_header(out, name, value);
  }
  for (const auto& [name, value] : kSecurityHeaders) {
    const bool overridden = std::any_of(
        response.headers.begin(), response.headers.end(), [n = name](const auto& header) {
          return equals_ignoring_case(header.first, n);
        });
    if (!overridden) add_header(out, name, value);
  }
  if (!frame.allowed_origin.empty()) {
    add_header(out, "access-control-allow-origin", frame.allowed_origin);
    add_header(out, "access-control-expose-headers", "x-request-id, retry-after");
    add_header(out, "vary", "origin");
  }
  if (!frame.keep_alive) {
    add_header(out, "connection", "close");
  } else if (frame.http_1_0) {
    add_header(out, "connection", "keep-alive");
  }
  return out.append("\r\n");
}

HttpResponse error_response(int status, std::string_view message, std::string_view code) {
  HttpResponse response;
  response.status = status;
  response.body = dump_json(error_object(message, error_type(status), code));
  return response;
}

std::string error_event(std::string_view message, std::string_view code) {
  return "data: " + dump_json(error_object(message, "server_error", code)) + "\n\ndata: [DONE]\n\n";
}

std::string_view reason_phrase(int status) {
  static constexpr std::array<std::pair<int, std::string_view>, 28> kPhrases{{
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {304, "Not Modified"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {411, "Length Required"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {417, "Expectation Failed"},
      {421, "Misdirected Request"},
      {422, "Unprocessable Content"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
      {529, "Overloaded"},
  }};
  for (const auto& [code, phrase] : kPhrases) {
    if (code == status) return phrase;
  }
  return "Status";
}

bool is_token(std::string_view text) {
  static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ascii_lower(a) == ascii_lower(b);
}

}  // namespace qwen3::server
