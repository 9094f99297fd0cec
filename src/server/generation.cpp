#include "server/generation.h"

#include <exception>
#include <new>
#include <utility>

namespace qwen3::server {

Generation::Generation(Service& service,
                       const ServedModel& model,
                       const HttpRequest& http,
                       std::shared_ptr<Exchange> exchange)
    : service_(service), model_(model), exchange_(std::move(exchange)), received_(http.received) {}

Generation::~Generation() {
  if (ticket_ != 0) service_.leave(ticket_);
}

double Generation::seconds_since_received() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - received_).count();
}

void Generation::start(std::vector<Request> requests, size_t window) {
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
      begun_ = true;
      begun();
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
    // A copy, for the engine may refuse it now and take it later.
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
    return fail(to_api_error(std::bad_alloc()));
  }
  if (*event.finish == FinishReason::error) {
    ApiError error(500, "internal_error", "the engine failed on this request");
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
