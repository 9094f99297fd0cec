// The handlers, one per endpoint; api.cpp makes the route table of them. Each throws ApiError or
// Error for what is wrong with a request.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/json.h"
#include "server/api/service.h"
#include "server/http/http.h"

namespace qwen3::server {

using ExchangePtr = std::shared_ptr<Exchange>;

void chat_completions(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void control_reasoning(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void completions(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void decisions(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void systemone(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void embeddings(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void rerank(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void score(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void tokenize(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void detokenize(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void apply_template(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void list_models(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void one_model(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void openapi(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void health(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void version(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void list_traces(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void one_trace(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void trace_ticket(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void trace_by_ticket(Service& service, const HttpRequest& http, const ExchangePtr& exchange);
void metrics(Service& service, const HttpRequest& http, const ExchangePtr& exchange);

// An endpoint as a handler that answers its errors itself, in the form that its API has for them.
using Endpoint = std::function<void(const HttpRequest&, const ExchangePtr&)>;
using ErrorForm = HttpResponse (*)(const ApiError& error, const HttpRequest& http);
Handler guarded(Endpoint endpoint, ErrorForm error_form);
// The longest body of one prompt that can be of use.
BodyLimit prompt_limit(const Service& service);

// The body as JSON. Throws ApiError{400}.
Json request_body(const HttpRequest& http);
// Counts `bytes` as what this request keeps (Exchange::hold). Throws ApiError{503} when they are
// not available.
void hold(Exchange& exchange, int64_t bytes);
// 400 unless the model was made for `task`.
void require_task(const ServedModel& model, Task task, const char* endpoint);

}  // namespace qwen3::server
