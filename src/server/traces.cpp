// TraceStore, and GET /v1/traces, /v1/traces/{id}.
#include "server/traces.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/handlers.h"
#include "server/json_writer.h"

namespace qwen3::server {
namespace {

Json facts(const StoredTrace& trace) {
  return {{"id", trace.id},
          {"object", "trace"},
          {"created", trace.created},
          {"prompt_tokens", trace.prompt_tokens},
          {"completion_tokens", trace.completion_tokens},
          {"queue_seconds", trace.queue_seconds},
          {"prefill_seconds", trace.prefill_seconds},
          {"decode_seconds", trace.decode_seconds}};
}

}  // namespace

void TraceStore::keep(StoredTrace trace) {
  const std::lock_guard lock(mutex_);
  traces_.push_front(std::move(trace));
  if (traces_.size() > capacity_) traces_.pop_back();
}

StoredTrace TraceStore::find(const std::string& id, const std::string& client) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find_if(
      traces_, [&](const StoredTrace& trace) { return trace.id == id && trace.client == client; });
  return found == traces_.end() ? StoredTrace() : *found;
}

std::vector<StoredTrace> TraceStore::list(const std::string& client) const {
  const std::lock_guard lock(mutex_);
  std::vector<StoredTrace> out;
  std::ranges::copy_if(traces_, std::back_inserter(out), [&](const StoredTrace& trace) {
    return trace.client == client;
  });
  return out;
}

void list_traces(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  Json data = Json::array();
  for (const StoredTrace& trace : service.traces().list(http.client.name)) {
    data.push_back(facts(trace));
  }
  exchange->send({.body = dump_json({{"object", "list"}, {"data", std::move(data)}})});
}

void one_trace(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const StoredTrace trace = service.traces().find(http.tail, http.client.name);
  if (trace.recorder == nullptr) {
    throw ApiError(404,
                   "trace_not_found",
                   fmt::format("there is no trace \"{}\"; ask for one with \"trace\": true and the "
                               "id of its answer, before it makes room for newer ones",
                               quote_for_message(http.tail)));
  }
  Json body = facts(trace);
  body["summary"] = trace.recorder->summary(trace.prompt_tokens);
  exchange->send({.body = dump_json(body)});
}

}  // namespace qwen3::server
