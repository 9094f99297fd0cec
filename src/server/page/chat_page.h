// The chat page: four files that are the same on every server, open to everybody. What they show,
// the page's script asks of the API, with the key of whoever reads it.
#pragma once

#include <vector>

#include "base/html_page.h"
#include "server/http/http.h"

namespace qwen3::server {

// The files of this folder. Defined in a file that cmake/embed_page.cmake writes.
PageParts chat_page();

// GET /, /chat.js, /chat.css and /icon.svg. A browser keeps them and asks each time whether they
// are still the same (ETag: their SHA-256).
std::vector<Route> page_routes();

// GET / alone: in words what the server is.
std::vector<Route> no_page_routes();

}  // namespace qwen3::server
