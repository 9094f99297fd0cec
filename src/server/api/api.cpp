#include "server/api/api.h"

#include <fmt/format.h>

#include <cstdint>
#include <exception>
#include <utility>

#include "server/api/handlers.h"
#include "server/http/html_error.h"
#include "server/page/chat_page.h"

namespace qwen3::server {
namespace {

using ServiceEndpoint = void (*)(Service&, const HttpRequest&, const ExchangePtr&);

HttpResponse openai_error(const ApiError& error, const HttpRequest& http) {
  return for_reader(error_response(error), http.method, http.header("accept"));
}

struct Row {
  const char* method;
  const char* path;
  ServiceEndpoint endpoint;
  Route::Access access = Route::Access::keyed;
  bool quick = false;
  bool any_host = false;
  bool one_prompt = false;  // a body holds one prompt, which the context bounds
};

void metrics_are_off(Service&, const HttpRequest&, const ExchangePtr&) {
  throw ApiError(
      404, "unknown_url", "no such path: metrics are off; start the server with --metrics");
}

void traces_are_off(Service&, const HttpRequest&, const ExchangePtr&) {
  throw ApiError(
      404, "unknown_url", "no such path: traces are off; start the server with --traces N");
}

constexpr Row kRows[] = {
    {"GET", "/openapi.json", openapi, Route::Access::keyed, true},
    {"GET", "/health", health, Route::Access::open, true, true},
    {"GET", "/version", version, Route::Access::keyed, true},
    {"GET", "/v1/models", list_models, Route::Access::keyed, true},
    {"GET", "/v1/models/*", one_model, Route::Access::keyed, true},
    {.method = "POST",
     .path = "/v1/chat/completions",
     .endpoint = chat_completions,
     .one_prompt = true},
    {"POST", "/v1/chat/completions/control", control_reasoning},
    {"POST", "/v1/completions", completions},
    {"POST", "/v1/decisions", decisions},
    {"POST", "/v1/systemone", systemone},
    {"POST", "/v1/embeddings", embeddings},
    {"POST", "/v1/rerank", rerank},
    {"POST", "/v2/rerank", rerank},
    {"POST", "/rerank", rerank},
    {"POST", "/v1/score", score},
    {"POST", "/score", score},
    {"POST", "/tokenize", tokenize},
    {"POST", "/detokenize", detokenize},
    {.method = "POST", .path = "/apply-template", .endpoint = apply_template, .one_prompt = true},
};

// For names, schemas and settings besides the prompt, and the JSON around all of it.
constexpr int64_t kBesidePrompt = 512 << 10;

Route make_route(Service& service, const Row& row) {
  Route route{
      .method = row.method,
      .path = row.path,
      .access = row.access,
      .handler = guarded([&service, endpoint = row.endpoint](
                             const HttpRequest& http,
                             const ExchangePtr& exchange) { endpoint(service, http, exchange); },
                         openai_error),
      .quick = row.quick,
      .any_host = row.any_host};
  if (row.one_prompt) route.body_limit = [&service] { return prompt_limit(service); };
  return route;
}

}  // namespace

Handler guarded(Endpoint endpoint, ErrorForm error_form) {
  return [endpoint = std::move(endpoint), error_form](const HttpRequest& http,
                                                      const ExchangePtr& exchange) {
    try {
      endpoint(http, exchange);
    } catch (const std::exception& error) {
      const ApiError api = to_api_error(error);
      exchange->note("error", api.detail.empty() ? api.code : api.detail);
      exchange->send(error_form(api, http));
    }
  };
}

// A longer body holds more than the context can, whatever stands in it.
BodyLimit prompt_limit(const Service& service) {
  const ServedModel* model = service.loaded();
  if (model == nullptr) return {.bytes = INT64_MAX, .why = {}};
  return {.bytes = model->max_model_len * model->longest_token_bytes + kBesidePrompt,
          .why = fmt::format("its context holds {} tokens of at most {} bytes",
                             model->max_model_len,
                             model->longest_token_bytes)};
}

Json request_body(const HttpRequest& http) { return parse_json(http.body, "request body"); }

void hold(Exchange& exchange, int64_t bytes) {
  if (!exchange.hold(bytes)) throw no_memory();
}

void require_task(const ServedModel& model, Task task, const char* endpoint) {
  if (model.task == task) return;
  throw ApiError(
      400,
      "unsupported_endpoint",
      fmt::format("{}: the model of this server does not support this endpoint", endpoint));
}

std::vector<Route> make_routes(Service& service) {
  std::vector<Route> routes;
  const auto add = [&](const Row& row) { routes.push_back(make_route(service, row)); };
  for (const Row& row : kRows) add(row);
  for (Route& route : service.options().page ? page_routes() : no_page_routes()) {
    routes.push_back(std::move(route));
  }
  const bool traced = service.options().traces.count > 0;
  const ServiceEndpoint seen_metrics = service.options().metrics ? metrics : metrics_are_off;
  add({"GET", "/metrics", seen_metrics, Route::Access::keyed, true});
  add({"GET", "/v1/traces", traced ? list_traces : traces_are_off});
  add({"GET", "/v1/traces/*", traced ? one_trace : traces_are_off});
  add({"POST", "/v1/traces/*", traced ? trace_ticket : traces_are_off});
  // Open: the ticket is what lets in.
  add({"GET", "/v1/trace-report", traced ? trace_by_ticket : traces_are_off, Route::Access::open});
  return routes;
}

std::vector<Route> make_metrics_routes(Service& service) {
  return {make_route(service, {"GET", "/health", health, Route::Access::open, true, true}),
          make_route(service, {"GET", "/metrics", metrics, Route::Access::open, true, true})};
}

}  // namespace qwen3::server
