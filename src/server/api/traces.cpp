// TraceStore, and GET /v1/traces, /v1/traces/{id}, /v1/traces/{id}/report; POST /v1/traces/{id}/ticket and
// GET /v1/trace-report?ticket=.
#include "server/api/traces.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "server/api/handlers.h"
#include "server/api/trace_page.h"

namespace qwen3::server {
namespace {

int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Json facts(const StoredTrace& trace) {
  return {{"id", trace.id},
          {"object", "trace"},
          {"created", trace.created},
          {"prompt_tokens", trace.usage.prompt_tokens},
          {"completion_tokens", trace.usage.completion_tokens},
          {"queue_seconds", trace.usage.queue_seconds},
          {"prefill_seconds", trace.usage.prefill_seconds},
          {"decode_seconds", trace.usage.decode_seconds}};
}

// Throws ApiError{404}: none of that id and client.
StoredTrace find_trace(Service& service, const std::string& id, const Client& client) {
  StoredTrace trace = service.traces().find(id, client);
  if (trace.recorder == nullptr) {
    throw ApiError(404,
                   "trace_not_found",
                   fmt::format("there is no trace \"{}\"; ask for one with \"trace\": true, and "
                               "fetch it by the id of the answer before it makes room for newer "
                               "ones",
                               quote_for_message(id)));
  }
  return trace;
}

}  // namespace

size_t StoredTrace::n_bytes() const {
  size_t n = sizeof(StoredTrace) + id.size() + client.size() + ids.capacity() * sizeof(int32_t);
  if (recorder == nullptr) return n;
  for (const LayerRouting& layer : recorder->routing()) {
    n += sizeof layer + layer.router_logits.capacity() * sizeof(float) +
         layer.weights.capacity() * sizeof(float) + layer.experts.capacity() * sizeof(int32_t);
  }
  constexpr size_t kIndexEntry = 96;  // of a name: a node of a map and its string
  for (const TapRecord& record : recorder->statistics().records()) {
    n += sizeof record + kIndexEntry + 2 * record.name.capacity() +
         record.shape.capacity() * sizeof(int64_t) + record.sample.capacity() * sizeof(float);
  }
  return n;
}

TraceRecording::TraceRecording(TraceStore& store, std::string id, const Client& client)
    : store_(store),
      id_(std::move(id)),
      client_(client.name),
      recorder_(std::make_shared<RequestRecorder>(
          RecorderOptions{.max_tokens = store.options_.max_tokens})) {}

TraceRecording::~TraceRecording() {
  const std::lock_guard lock(store_.mutex_);
  --store_.n_recording_;
}

void TraceRecording::add(int32_t id) {
  if (std::ssize(ids_) < store_.options_.max_tokens) ids_.push_back(id);
}

// The last token of an answer is drawn but never computed, so it is not recorded either.
void TraceRecording::keep(const Usage& usage) {
  ids_.resize(std::min(ids_.size(), static_cast<size_t>(recorder_->n_recorded())));
  store_.keep({.id = id_,
               .client = client_,
               .created = unix_time(),
               .usage = usage,
               .ids = std::move(ids_),
               .recorder = std::move(recorder_)});
}

std::unique_ptr<TraceRecording> TraceStore::begin(std::string id, const Client& client) {
  const std::lock_guard lock(mutex_);
  if (n_recording_ >= options_.max_recording) {
    ApiError error(429,
                   "trace_busy",
                   fmt::format("{} requests are being traced, the most at a time; try "
                               "again, or leave trace out",
                               n_recording_));
    error.param = "trace";
    error.retry_after_seconds = 1;
    throw error;
  }
  auto recording = std::make_unique<TraceRecording>(*this, std::move(id), client);
  ++n_recording_;
  return recording;
}

void TraceStore::drop_oldest() {
  n_bytes_ -= traces_.back().n_bytes;
  traces_.pop_back();
}

// A client that names its requests itself may use a name again: its newest trace has it.
void TraceStore::drop_same(const StoredTrace& trace) {
  std::erase_if(traces_, [&](const Entry& entry) {
    const bool same = entry.trace.id == trace.id && entry.trace.client == trace.client;
    if (same) n_bytes_ -= entry.n_bytes;
    return same;
  });
}

void TraceStore::drop_expired(Clock::time_point now) {
  while (!traces_.empty() && now - traces_.back().kept >= options_.max_age) drop_oldest();
}

void TraceStore::keep(StoredTrace trace, Clock::time_point now) {
  if (options_.count <= 0) return;
  const size_t n_bytes = trace.n_bytes();
  const std::lock_guard lock(mutex_);
  drop_expired(now);
  drop_same(trace);
  traces_.push_front({std::move(trace), n_bytes, now});
  n_bytes_ += n_bytes;
  while (static_cast<int64_t>(traces_.size()) > options_.count ||
         (traces_.size() > 1 && n_bytes_ > static_cast<size_t>(options_.bytes))) {
    drop_oldest();
  }
}

StoredTrace TraceStore::find(const std::string& id, const Client& client, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  drop_expired(now);
  const auto found = std::ranges::find_if(traces_, [&](const Entry& entry) {
    return entry.trace.id == id && entry.trace.client == client.name;
  });
  return found == traces_.end() ? StoredTrace() : found->trace;
}

std::vector<StoredTrace> TraceStore::list(const Client& client, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  drop_expired(now);
  std::vector<StoredTrace> out;
  for (const Entry& entry : traces_) {
    if (entry.trace.client == client.name) out.push_back(entry.trace);
  }
  return out;
}

void list_traces(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  Json data = Json::array();
  for (const StoredTrace& trace : service.traces().list(http.client)) data.push_back(facts(trace));
  exchange->send({.body = dump_json({{"object", "list"}, {"data", std::move(data)}})});
}

void one_trace(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  // No id has a slash: they come from choose_request_id().
  static constexpr std::string_view kReport = "/report";
  const bool as_page = http.tail.ends_with(kReport);
  const std::string id = http.tail.substr(0, http.tail.size() - (as_page ? kReport.size() : 0));
  const StoredTrace trace = find_trace(service, id, http.client);
  if (as_page) return exchange->send(trace_page(trace, *service.loaded(), page_language(http)));
  Json body = facts(trace);
  body["summary"] = trace.recorder->summary(trace.usage.prompt_tokens);
  exchange->send({.body = dump_json(body)});
}

void trace_ticket(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  static constexpr std::string_view kTicket = "/ticket";
  if (!http.tail.ends_with(kTicket)) {
    throw ApiError(404, "unknown_url", "no such path: use POST /v1/traces/{id}/ticket");
  }
  const std::string id = http.tail.substr(0, http.tail.size() - kTicket.size());
  find_trace(service, id, http.client);
  const std::string ticket = service.trace_tickets().issue(id, http.client);
  exchange->send({.body = dump_json({{"object", "trace.ticket"},
                                     {"id", id},
                                     {"url", "/v1/trace-report?ticket=" + ticket},
                                     {"expires_in", TraceTickets::kLife.count()}})});
}

void trace_by_ticket(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  // Who looks without fetching does not use a ticket up.
  if (http.method == "HEAD") {
    throw ApiError(405, "method_not_allowed", "a ticket opens a report once; use GET");
  }
  const PageLanguage language = page_language(http);
  const auto ticket = service.trace_tickets().redeem(query_value(http.query, "ticket"));
  if (!ticket) {
    throw ApiError(404,
                   "ticket_not_found",
                   fmt::format("this link opens once and within {} seconds; open the trace again "
                               "from the page, or ask POST /v1/traces/{{id}}/ticket for a new one",
                               TraceTickets::kLife.count()));
  }
  const StoredTrace trace = find_trace(service, ticket->id, ticket->client);
  exchange->note("key_of_ticket", ticket->client.name);
  exchange->send(trace_page(trace, *service.loaded(), language));
}

}  // namespace qwen3::server
