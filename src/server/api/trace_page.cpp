#include "server/api/trace_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/html_page.h"
#include "base/text.h"
#include "base/utc_time.h"
#include "server/api/api_error.h"
#include "server/http/response.h"
#include "trace/report.h"

namespace qwen3::server {
namespace {

// The page's own policy, because its style and scripts are in it, and the rest of what every answer
// gets (response.cpp), which is stricter than what a page may say of itself.
std::string policy() {
  return fmt::format(
      "{}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
      "require-trusted-types-for 'script'; trusted-types 'none'",
      kPagePolicy);
}

}  // namespace

std::string_view query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const size_t equals = pair.find('=');
    if (equals != pair.npos && pair.substr(0, equals) == name) return pair.substr(equals + 1);
  }
  return {};
}

PageLanguage page_language(const HttpRequest& http) {
  const std::string_view asked = query_value(http.query, "lang");
  if (asked == "zh") return PageLanguage::chinese;
  if (asked == "en") return PageLanguage::english;
  if (!asked.empty()) refuse("lang", "expected en or zh");
  // Browsers put the language that their user prefers first.
  const std::string_view first = trim(http.header("accept-language")).substr(0, 2);
  return equals_ignoring_case(first, "zh") ? PageLanguage::chinese : PageLanguage::english;
}

HttpResponse trace_page(const StoredTrace& trace, const ServedModel& model, PageLanguage language) {
  const RequestRecorder& recorder = *trace.recorder;
  QWEN3_CHECK(std::ssize(trace.ids) == recorder.n_recorded(),
              ErrorKind::internal,
              "trace {}: expected the ids of {} recorded tokens; got {}",
              trace.id,
              recorder.n_recorded(),
              trace.ids.size());
  const std::chrono::system_clock::time_point created{std::chrono::seconds(trace.created)};
  ReportInput input;
  input.model_name = model.name;
  input.shape = &model.shape;
  input.subtitle =
      fmt::format("{}, {}, {}", model.name, trace.id, utc_text(created, UtcPrecision::seconds));
  for (const int32_t id : trace.ids) input.tokens.push_back({id, model.text.decode({&id, 1})});
  input.n_prompt = trace.usage.prompt_tokens;
  input.n_not_recorded = recorder.n_tokens() - recorder.n_recorded();
  if (recorder.n_recorded() > 0) input.taps = &recorder.statistics().records();
  if (!recorder.routing().empty()) input.routing = &recorder.routing();
  input.chinese = language == PageLanguage::chinese;
  return {.content_type = "text/html; charset=utf-8",
          .headers = {{"content-security-policy", policy()}},
          .body = html_report(input)};
}

}  // namespace qwen3::server
