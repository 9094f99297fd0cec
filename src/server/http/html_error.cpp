#include "server/http/html_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/json.h"
#include "base/text.h"
#include "server/http/response.h"

namespace qwen3::server {
namespace {

// Where in `accept` the media type stands, by order alone: browsers list what they prefer first.
size_t place_of(std::string_view accept, std::string_view type) {
  for (size_t i = 0; !accept.empty(); ++i) {
    const size_t comma = std::min(accept.find(','), accept.size());
    const std::string_view range = accept.substr(0, std::min(accept.find(';'), comma));
    if (equals_ignoring_case(trim(range), type)) return i;
    accept.remove_prefix(std::min(comma + 1, accept.size()));
  }
  return std::string_view::npos;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace

bool prefers_html(std::string_view accept) {
  return place_of(accept, "text/html") < place_of(accept, "application/json");
}

// The style is that of the chat page; on a server without it, a browser shows the page plain.
HttpResponse for_reader(HttpResponse error, std::string_view method, std::string_view accept) {
  const bool read = method == "GET" || method == "HEAD";
  if (error.status != 404 || !read || !prefers_html(accept)) return error;
  const Json body = parse_json(error.body, "error");
  error.content_type = "text/html; charset=utf-8";
  error.body = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>404 Not Found</title>\n"
      "<link rel=\"icon\" href=\"/icon.svg\">\n<link rel=\"stylesheet\" href=\"/chat.css\">\n"
      "<body class=\"lost\">\n<h1>404 Not Found</h1>\n<p>{}\n"
      "<p><a href=\"/\">To the start page of this server</a>\n",
      escaped(body["error"]["message"].get<std::string>()));
  return error;
}

}  // namespace qwen3::server
