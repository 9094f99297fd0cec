// An error as a small page, for a person who typed an address into a browser.
#pragma once

#include <string_view>

#include "server/http/http.h"

namespace qwen3::server {

// Whether an Accept header asks for HTML before it asks for JSON, as those of browsers' address
// bars do. Programs send */* or nothing: no.
bool prefers_html(std::string_view accept);

// `error`, an answer in OpenAI's shape, as a page with the same status and message if it is a 404 to
// a GET or HEAD whose `accept` prefers one; else unchanged.
HttpResponse for_reader(HttpResponse error, std::string_view method, std::string_view accept);

}  // namespace qwen3::server
