#include "server/api/generation.h"

#include <fmt/format.h>

#include <exception>
#include <iterator>
#include <new>
#include <string_view>
#include <utility>

#include "grammar/limits.h"
#include "server/api/handlers.h"
#include "server/api/routed_experts.h"
#include "server/http/request_cost.h"

namespace qwen3::server {

namespace {

// What a matcher says behind kTooComplex.
std::string_view reason_of(std::string_view error) {
  const size_t at = error.find(kTooComplex);
  std::string_view reason = error.substr(at + std::string_view(kTooComplex).size());
  if (reason.starts_with(": ")) reason.remove_prefix(2);
  return reason;
}

constexpr int64_t kPerBodyByte = 2;      // stop strings, schemas and the like, as fields
constexpr int64_t kPerValue = 100;       // of a tree: the tools' schemas
constexpr int64_t kPerGatheredByte = 3;  // the parts, the whole, and the whole with its head
constexpr int64_t kPerExpert = 6;        // in the sequence, in its event and on the way
constexpr int64_t kGrain = 32 << 10;

}  // namespace

Generation::Generation(Service& service,
                       const ServedModel& model,
                       const HttpRequest& http,
                       std::shared_ptr<Exchange> exchange)
    : service_(service),
      model_(model),
      exchange_(std::move(exchange)),
      received_(http.received),
      kept_(kPerBodyByte * static_cast<int64_t>(http.body.size()) +
            kPerValue * count_json_values(http.body)) {}

Generation::~Generation() {
  if (ticket_ != 0) service_.leave(ticket_);
}

double Generation::seconds_since_received() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - received_).count();
}

// Ids are here, on their way, and in the sequence; the likeliest tokens of the prompt come as
// numbers and leave as text.
int64_t Generation::kept_bytes(const Request& request) {
  constexpr int64_t kRequest = 2048;
  constexpr int64_t kPerToken = 16;
  constexpr int64_t kPerLogprob = 160;
  // Its bits, and where in the grammar the answer may be.
  constexpr int64_t kConstraint = 128 << 10;
  const int64_t n_logprobs = request.n_prompt_logprobs < 0 ? 0 : request.n_prompt_logprobs + 1;
  return kRequest + (request.constraint != nullptr ? kConstraint : 0) +
         std::ssize(request.prompt_ids) * (kPerToken + n_logprobs * kPerLogprob);
}

void Generation::start(std::vector<Request> requests, size_t window) {
  const int64_t n_experts = expert_shape(model_.shape).row();
  for (const Request& request : requests) {
    kept_ += kept_bytes(request);
    if (request.routed_experts == RoutedExperts::with_the_prompt) {
      kept_ += std::ssize(request.prompt_ids) * n_experts * kPerExpert;
    }
  }
  hold(*exchange_, kept_);
  held_ = kept_;
  window_ = window;
  children_.resize(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) children_[i].request = std::move(requests[i]);
  exchange_->post([self = shared_from_this()] { self->launch(); });
}

void Generation::launch() {
  ticket_ = service_.enter(shared_from_this());
  exchange_->on_disconnect([weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      self->over_ = self->failed_ = true;  // nobody is there to be told
      self->cancel_all();
      self->end();
    }
  });
  try {
    if (!over_) submit_more();
    if (!over_) {
      begun();
      begun_ = true;
    }
    if (!over_ && children_.empty()) finish();
  } catch (const std::exception& error) {
    fail(to_api_error(error));
  }
}

void Generation::finish() {
  over_ = true;
  complete();
  end();
}

void Generation::submit_more() {
  try {
    while (next_ < children_.size() && n_running_ < window_) {
      if (!submit(next_)) return;
      ++next_;
    }
  } catch (const std::exception& error) {
    fail(to_api_error(error));
  }
}

// False when the queue is full and requests of ours are in it: they make room.
bool Generation::submit(size_t index) {
  Child& child = children_[index];
  try {
    // A copy, because the engine may refuse it now and take it later.
    Request request = children_.size() > 1 ? child.request : std::move(child.request);
    child.id = model_.generator->submit(
        std::move(request),
        [self = shared_from_this(), index](const Event& event) { self->arrived(index, event); });
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::busy && n_running_ > 0) return false;
    throw;
  }
  child.request = {};
  child.submitted = true;
  ++n_running_;
  return true;
}

void Generation::arrived(size_t index, const Event& event) {
  try {
    {
      const std::lock_guard lock(mutex_);
      mailbox_.push_back({index, event});
      if (std::exchange(posted_, true)) return;
    }
    exchange_->post([self = shared_from_this()] { self->empty_mailbox(); });
  } catch (const std::bad_alloc&) {
    // The engine gives this request up, and with the last of them this object goes unanswered.
    exchange_->no_memory();
    const std::lock_guard lock(mutex_);
    posted_ = false;
    throw;
  }
}

void Generation::empty_mailbox() {
  {
    const std::lock_guard lock(mutex_);
    arrivals_.swap(mailbox_);
    posted_ = false;
  }
  try {
    for (const Arrival& arrival : arrivals_) {
      if (over_) break;
      handle(arrival.index, arrival.event);
    }
    if (!over_) submit_more();
    if (!over_) settle();
    if (!over_) hold_gathered();
    if (!over_ && n_finished_ == children_.size()) finish();
  } catch (const std::exception& error) {
    fail(to_api_error(error));
  }
  arrivals_.clear();
}

void Generation::handle(size_t index, const Event& event) {
  Child& child = children_[index];
  if (!event.finish) return on_event(index, event);
  child.finished = true;
  --n_running_;
  ++n_finished_;
  if (*event.finish == FinishReason::error && event.error_kind == ErrorKind::out_of_memory) {
    return fail(no_memory());
  }
  if (*event.finish == FinishReason::error) {
    const bool too_complex = event.error.find(kTooComplex) != event.error.npos;
    ApiError error = too_complex
                         ? ApiError(500,
                                    kTooComplex,
                                    fmt::format("following the answer's grammar: {}; simplify it",
                                                reason_of(event.error)))
                         : ApiError(500, "internal_error", "the engine failed on this request");
    error.detail = event.error;
    return fail(error);
  }
  if (*event.finish == FinishReason::timeout) {
    return fail(ApiError(408, "request_timeout", "the request took longer than the server allows"));
  }
  if (*event.finish == FinishReason::cancelled && !child.stopped) {
    return fail(ApiError(503, "draining", "the server is shutting down"));
  }
  on_event(index, event);
}

void Generation::stop(size_t index) {
  Child& child = children_[index];
  if (!child.submitted || child.stopped || child.finished) return;
  child.stopped = true;
  model_.generator->cancel(child.id);
}

void Generation::hold_gathered() {
  const int64_t now = kept_ + kPerGatheredByte * gathered_bytes();
  if (now < held_ + kGrain) return;
  if (!exchange_->hold(now)) return fail(no_memory());
  held_ = now;
}

void Generation::cancel_all() {
  for (size_t i = 0; i < children_.size(); ++i) stop(i);
}

void Generation::fail(const ApiError& error) {
  if (std::exchange(failed_, true)) return;
  over_ = true;
  cancel_all();
  service_.metrics().failed(error.code);
  exchange_->note("error", error.detail.empty() ? error.code : error.detail);
  failed(error);
  end();
}

void Generation::end_early(const ApiError& error) {
  exchange_->post([self = shared_from_this(), error] { self->fail(error); });
}

void Generation::end() {
  if (ticket_ != 0) service_.leave(std::exchange(ticket_, 0));
}

}  // namespace qwen3::server
