// A stored trace as the page of `qwen3 trace --html` (trace/report.h), for a browser: what a served
// request does not record has its place there and says so.
#pragma once

#include <string_view>

#include "server/api/served_model.h"
#include "server/api/traces.h"
#include "server/http/http.h"

namespace qwen3::server {

enum class PageLanguage { english, chinese };

// That of `?lang=`; else Chinese when it is the first of Accept-Language, and English for others.
// Throws ApiError{400} for a language that the page does not have.
PageLanguage page_language(const HttpRequest& http);

// The value of `name` in "a=1&b=2", as it stands there; empty when it is not there.
std::string_view query_value(std::string_view query, std::string_view name);

// REQUIRES: trace.recorder.
HttpResponse trace_page(const StoredTrace& trace, const ServedModel& model, PageLanguage language);

}  // namespace qwen3::server
