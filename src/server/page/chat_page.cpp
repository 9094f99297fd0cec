#include "server/page/chat_page.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/sha256.h"
#include "base/text.h"

namespace qwen3::server {
namespace {

constexpr std::string_view kWords =
    "This is qwen3 serve, a server of the OpenAI API. Its chat page is switched off (--no-page).\n"
    "Base address of the API: /v1, with GET /v1/models, POST /v1/chat/completions and others.\n";

// If-None-Match: a list of tags, weak ones too, or a star (RFC 9110, 13.1.2).
bool names_tag(std::string_view list, std::string_view tag) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    std::string_view one = trim(list.substr(0, comma));
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == tag || one == "*") return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

Route file_route(std::string path, std::string type, std::string_view bytes) {
  const std::string tag = "\"" + sha256_hex(bytes) + "\"";
  return {.method = "GET",
          .path = std::move(path),
          .access = Route::Access::open,
          .handler =
              [type = std::move(type), bytes, tag](const HttpRequest& http,
                                                   const std::shared_ptr<Exchange>& exchange) {
                HttpResponse response{.content_type = type,
                                      .headers = {{"etag", tag}, {"cache-control", "no-cache"}}};
                if (names_tag(http.header("if-none-match"), tag)) {
                  response.status = 304;
                } else {
                  response.body = std::string(bytes);
                }
                exchange->send(std::move(response));
              },
          .quick = true};
}

}  // namespace

std::vector<Route> page_routes() {
  const PageParts page = chat_page();
  return {file_route("/", "text/html; charset=utf-8", page.html),
          file_route("/chat.js", "text/javascript; charset=utf-8", page.js),
          file_route("/chat.css", "text/css; charset=utf-8", page.css),
          file_route("/icon.svg", "image/svg+xml", page.icon)};
}

std::vector<Route> no_page_routes() {
  return {file_route("/", "text/plain; charset=utf-8", kWords)};
}

}  // namespace qwen3::server
