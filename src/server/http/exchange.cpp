#include "server/http/exchange.h"

#include <algorithm>
#include <new>

#include "base/error.h"

namespace qwen3::server {

namespace {

constexpr size_t kMaxNotes = 32;
constexpr size_t kMaxNoteBytes = 512;
// Of output, that every connection may have without being counted.
constexpr size_t kFreeOutput = 16 << 10;
constexpr size_t kOutputGrain = 32 << 10;

}  // namespace

ExchangeCore::ExchangeCore(Setup setup)
    : frame_(std::move(setup.frame)),
      lane_(setup.lane),
      connection_(std::move(setup.connection)),
      closing_(setup.closing),
      held_(std::move(setup.held)),
      output_limit_(setup.output_limit),
      refusal_form_(setup.refusal_form) {}

void ExchangeCore::send(const HttpResponse& response) {
  const std::lock_guard lock(mutex_);
  if (!may_answer_locked()) return;
  // What the handler kept has become the answer: the handler's copy and the one on its way.
  if (held_) held_->set(RequestMemory::Part::answer, 0);
  if (hold_output_locked(2 * response.body.size())) return respond_locked(response);
  HttpResponse refusal =
      error_response(503, "the server has no memory for this answer now", "out_of_memory");
  refusal.headers.emplace_back("retry-after", "1");
  refuse_locked(std::move(refusal));
}

bool ExchangeCore::hold(int64_t bytes) {
  return !held_ || held_->set(RequestMemory::Part::answer, bytes);
}

bool ExchangeCore::is_over() const {
  const std::lock_guard lock(mutex_);
  return over_locked();
}

bool ExchangeCore::begin_anew() {
  const std::lock_guard lock(mutex_);
  notes_.clear();
  return status_ == 0;
}

void ExchangeCore::body_is_gone() {
  if (held_) held_->set(RequestMemory::Part::body, 0);
}

bool ExchangeCore::hold_output_locked(size_t bytes) {
  const size_t wanted =
      bytes <= kFreeOutput ? 0 : (bytes + kOutputGrain - 1) / kOutputGrain * kOutputGrain;
  if (wanted == output_held_ || !held_) return true;
  if (!held_->set(RequestMemory::Part::output, static_cast<int64_t>(wanted))) return false;
  output_held_ = wanted;
  return true;
}

// The front may have answered in the handler's place (abandon, terminate): no defect of the
// handler.
bool ExchangeCore::may_answer_locked() const {
  if (status_ != 0 && gone()) return false;
  QWEN3_CHECK(status_ == 0, ErrorKind::internal, "exchange: a second answer to one request");
  return lane_ != nullptr;
}

// Leaves nothing begun when the response is not a legal one.
void ExchangeCore::respond_locked(const HttpResponse& response) {
  if (closing_->load(std::memory_order_relaxed)) frame_.keep_alive = false;
  std::string head = format_head(response, frame_, response.body.size());
  const bool has_body = response.status != 204 && response.status != 304 && !frame_.head_only;
  outbox_.reserve(outbox_.size() + head.size() + response.body.size());
  outbox_.append(head);
  if (has_body) outbox_.append(response.body);
  status_ = response.status;
  ended_ = true;
  wake_locked();
}

// What the front says in the handler's place.
void ExchangeCore::refuse_locked(HttpResponse refusal) {
  if (refusal_form_ != nullptr) refusal_form_(refusal, frame_.request_id);
  respond_locked(refusal);
}

void ExchangeCore::end_with_error_locked(std::string_view message, std::string_view code) {
  append_locked(form_.last_event ? form_.last_event(message, code) : error_event(message, code));
  end_locked();
}

void ExchangeCore::start_stream(StreamForm form) {
  const std::lock_guard lock(mutex_);
  if (!may_answer_locked()) return;
  if (gone()) {
    cut_ = true;
    wake_locked();
    return;
  }
  if (frame_.http_1_0 || closing_->load(std::memory_order_relaxed)) frame_.keep_alive = false;
  HttpResponse response;
  response.content_type = std::move(form.content_type);
  response.headers = std::move(form.headers);
  // Asks proxies (nginx) not to gather events before passing them on.
  response.headers.emplace_back("x-accel-buffering", "no");
  const std::string head = format_head(response, frame_, std::nullopt);
  outbox_.append(head);
  status_ = response.status;
  streaming_ = true;
  event_stream_ = response.content_type.starts_with("text/event-stream");
  form_ = std::move(form);
  wake_locked();
}

void ExchangeCore::write(std::string_view piece) {
  const std::lock_guard lock(mutex_);
  if (over_locked() || gone()) return;
  QWEN3_CHECK(streaming_, ErrorKind::internal, "exchange: write() before start_stream()");
  const size_t waiting = outbox_.size() + unsent_.load(std::memory_order_relaxed);
  largest_piece_ = std::max(largest_piece_, piece.size());
  if (waiting > output_limit_ + largest_piece_ || !hold_output_locked(waiting + piece.size())) {
    cut_ = true;
  } else {
    append_locked(piece);
  }
  wake_locked();
}

void ExchangeCore::end() {
  const std::lock_guard lock(mutex_);
  if (over_locked() || gone()) return;
  QWEN3_CHECK(streaming_, ErrorKind::internal, "exchange: end() before start_stream()");
  end_locked();
}

// An empty piece would be the last chunk, so it is none.
void ExchangeCore::append_locked(std::string_view piece) {
  constexpr size_t kChunkFrame = 16 + 2 + 2;  // the length and two ends of lines
  if (piece.empty() || frame_.head_only) return;
  outbox_.reserve(outbox_.size() + piece.size() + kChunkFrame);
  if (frame_.http_1_0) {
    outbox_.append(piece);
  } else {
    fmt::format_to(std::back_inserter(outbox_), "{:x}\r\n", piece.size());
    outbox_.append(piece).append("\r\n");
  }
  between_events_ = piece.ends_with("\n\n");
}

void ExchangeCore::end_locked() {
  if (!frame_.http_1_0 && !frame_.head_only) outbox_.append("0\r\n\r\n");
  ended_ = true;
  wake_locked();
}

// One wake-up is enough for whatever gathers in the outbox before the connection runs.
void ExchangeCore::wake_locked() noexcept {
  if (waking_ || lane_ == nullptr) return;
  waking_ = true;
  lane_->wake(connection_);
}

void ExchangeCore::post(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (over_locked() || gone()) return;
  lane_->post([core = shared_from_this(), work = std::move(work)] {
    {
      const std::lock_guard inner(core->mutex_);
      if (core->over_locked() || core->gone()) return;
    }
    try {
      work();
    } catch (const std::bad_alloc&) {
      core->no_memory();
      core->abandon();
    } catch (const std::exception&) {
      core->note("error", "work on the connection's thread failed");
      core->abandon();
    }
  });
}

void ExchangeCore::on_disconnect(std::function<void()> action) {
  {
    const std::lock_guard lock(mutex_);
    if (!gone()) {
      if (!over_locked()) disconnect_action_ = std::move(action);
      return;
    }
  }
  action();
}

std::function<void()> ExchangeCore::take_action_locked() {
  return std::exchange(disconnect_action_, nullptr);
}

void ExchangeCore::note(std::string key, NoteValue value) {
  const std::lock_guard lock(mutex_);
  if (lane_ == nullptr || notes_.size() >= kMaxNotes) return;
  std::string* text = std::get_if<std::string>(&value);
  if (text != nullptr && text->size() > kMaxNoteBytes) text->resize(kMaxNoteBytes);
  notes_.emplace_back(std::move(key), std::move(value));
}

void ExchangeCore::abandon() noexcept {
  const std::lock_guard lock(mutex_);
  if (over_locked()) return;
  try {
    tell_abandoned_locked();
  } catch (const std::exception&) {
    cut_ = true;
  }
  gone_ = true;
  wake_locked();
}

void ExchangeCore::tell_abandoned_locked() {
  const bool memory = no_memory_.load(std::memory_order_relaxed);
  if (status_ == 0 && !gone()) {
    refuse_locked(
        memory
            ? error_response(503, "the server has no memory for this request now", "out_of_memory")
            : error_response(500, "the server failed to answer", "internal_error"));
  } else if (status_ != 0 && event_stream_ && between_events_) {
    end_with_error_locked(memory ? "the server has no memory to complete the answer"
                                 : "the server failed to complete the answer",
                          memory ? "out_of_memory" : "internal_error");
  } else {
    cut_ = true;  // a stream of another kind can only tell by breaking off
  }
}

ExchangeCore::Output ExchangeCore::take_output(std::string& out) {
  const std::lock_guard lock(mutex_);
  waking_ = false;
  if (out.empty()) {
    std::swap(out, outbox_);
  } else {
    out.append(outbox_);
    outbox_.clear();
  }
  set_unsent(out.size());
  if (streaming_) hold_output_locked(out.size());
  return {.ended = ended_, .keep_alive = frame_.keep_alive, .cut = cut_};
}

void ExchangeCore::ping(std::chrono::milliseconds silence, std::chrono::milliseconds interval) {
  const std::lock_guard lock(mutex_);
  if (over_locked() || gone() || !event_stream_ || !between_events_) return;
  if (form_.ping_interval.count() > 0) interval = std::min(interval, form_.ping_interval);
  if (silence < interval) return;
  append_locked(form_.ping);
  wake_locked();
}

void ExchangeCore::terminate() {
  static constexpr std::string_view kMessage = "the server is shutting down";
  std::function<void()> action;
  {
    const std::lock_guard lock(mutex_);
    if (over_locked()) return;
    if (status_ == 0) {
      HttpResponse response = error_response(503, kMessage, "shutting_down");
      response.headers.emplace_back("retry-after", "5");
      refuse_locked(std::move(response));
    } else if (event_stream_ && between_events_) {
      end_with_error_locked(kMessage, "shutting_down");
    } else {
      cut_ = true;
    }
    gone_ = true;
    action = take_action_locked();
  }
  if (action) action();
}

void ExchangeCore::half_closed() {
  std::function<void()> action;
  {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    action = take_action_locked();
  }
  if (action) action();
}

void ExchangeCore::finish(bool complete) {
  std::function<void()> action;
  {
    const std::lock_guard lock(mutex_);
    lane_ = nullptr;
    connection_.reset();
    outbox_ = {};
    hold_output_locked(0);
    action = take_action_locked();
    if (!complete) gone_ = true;
  }
  // Destroyed outside the lock, run or not: it may own a copy of the handle.
  if (action && gone()) action();
}

bool ExchangeCore::streaming() const {
  const std::lock_guard lock(mutex_);
  return streaming_;
}

int ExchangeCore::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

std::vector<std::pair<std::string, NoteValue>> ExchangeCore::take_notes() {
  const std::lock_guard lock(mutex_);
  return std::exchange(notes_, {});
}

}  // namespace qwen3::server
