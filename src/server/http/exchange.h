// The meeting point of a handler and its connection. ExchangeCore is shared by both: the handler
// appends framed bytes to an outbox from any thread, the connection takes them on its own.
//
//   handler ── ExchangeHandle ──┐
//                               ├── ExchangeCore ── wake ──> Connection::on_wake
//   engine thread ── copy of ───┘                 <── take_output
//
// Every call does all that it says or nothing: what throws std::bad_alloc half-way has left no
// bytes in the outbox. What the end of an exchange needs (abandon, finish, waking) throws nothing.
//
// While `lane_` is set the connection, its lane and the server live; the connection clears it,
// under the mutex, when the exchange is over, and from then on every call does nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/http/http.h"
#include "server/http/lane.h"
#include "server/http/request_memory.h"
#include "server/http/response.h"

namespace qwen3::server {

class ExchangeCore : public std::enable_shared_from_this<ExchangeCore> {
 public:
  struct Setup {
    AnswerFrame frame;
    Lane* lane;
    std::weak_ptr<Resident> connection;
    const std::atomic<bool>* closing;              // read while the lane is set
    std::shared_ptr<RequestMemory::Holding> held;  // null: an answer of the front itself
    size_t output_limit;
    RefusalForm refusal_form = nullptr;  // of the route
  };
  explicit ExchangeCore(Setup setup);

  // For the handler, any thread: see Exchange.
  void send(const HttpResponse& response);
  void start_stream(StreamForm form);
  void write(std::string_view piece);
  void end();
  void post(std::function<void()> work);
  void on_disconnect(std::function<void()> action);
  bool gone() const { return gone_.load(std::memory_order_relaxed); }
  bool hold(int64_t bytes);
  void note(std::string key, NoteValue value);
  // The handler will not call again: answers 500 (503 after no_memory()), or ends a begun stream
  // with an error event. Without the memory for that it breaks the answer off.
  void abandon() noexcept;
  // Memory is what was lacking, should the answer be abandoned.
  void no_memory() noexcept { no_memory_.store(true, std::memory_order_relaxed); }

  // Whether nothing that is done for it can reach anybody any more.
  bool is_over() const;
  // The handler begins anew: what it noted so far is forgotten. False when the answer has begun.
  bool begin_anew();
  // The handler has returned, and the request's body with it.
  void body_is_gone();

  // For the connection, its thread.
  struct Output {
    bool ended = false;       // nothing follows
    bool keep_alive = false;  // as the head promised
    bool cut = false;         // the client reads too slowly, or left before the answer began
  };
  // Appends what is to be sent to `out`.
  Output take_output(std::string& out);
  // What is taken but not yet sent counts towards the output limit.
  void set_unsent(size_t bytes) { unsent_.store(bytes, std::memory_order_relaxed); }
  // After a silence of this length: a ping, unless the stream is of another kind, inside an event,
  // or over. `interval` is the server's.
  void ping(std::chrono::milliseconds silence, std::chrono::milliseconds interval);
  // The grace period is over: 503, or an error event at the end of the stream.
  void terminate();
  // The client closed its sending side: runs the disconnect action, still lets send() answer.
  void half_closed();
  // The exchange is over; unless the answer was complete, runs the disconnect action.
  void finish(bool complete);

  bool streaming() const;
  int status() const;  // 0 before the answer has begun
  std::vector<std::pair<std::string, NoteValue>> take_notes();

 private:
  void append_locked(std::string_view piece);
  void respond_locked(const HttpResponse& response);
  void refuse_locked(HttpResponse refusal);
  void end_with_error_locked(std::string_view message, std::string_view code);
  bool hold_output_locked(size_t bytes);
  void end_locked();
  void wake_locked() noexcept;
  void tell_abandoned_locked();
  bool may_answer_locked() const;
  bool over_locked() const { return lane_ == nullptr || ended_; }
  std::function<void()> take_action_locked();

  mutable std::mutex mutex_;
  AnswerFrame frame_;
  Lane* lane_;
  std::weak_ptr<Resident> connection_;
  const std::atomic<bool>* closing_;
  const std::shared_ptr<RequestMemory::Holding> held_;
  size_t output_limit_;
  const RefusalForm refusal_form_;
  StreamForm form_;

  std::string outbox_;
  size_t output_held_ = 0;
  // Comes on top of the limit: no client can have read a piece that was just written (the ids of a
  // long prompt are one), and the next piece must not be its end.
  size_t largest_piece_ = 0;
  int status_ = 0;
  bool streaming_ = false;
  bool event_stream_ = false;
  bool between_events_ = true;
  bool ended_ = false;
  bool cut_ = false;
  bool waking_ = false;
  std::function<void()> disconnect_action_;
  std::vector<std::pair<std::string, NoteValue>> notes_;
  std::atomic<bool> gone_{false};
  std::atomic<bool> no_memory_{false};
  std::atomic<size_t> unsent_{0};
};

// What a handler holds. The last copy's end without an answer is an answer: abandon().
class ExchangeHandle final : public Exchange {
 public:
  explicit ExchangeHandle(std::shared_ptr<ExchangeCore> core) : core_(std::move(core)) {}
  ~ExchangeHandle() override { core_->abandon(); }

  void send(HttpResponse response) override { core_->send(response); }
  void start_stream(StreamForm form) override { core_->start_stream(std::move(form)); }
  void write(std::string piece) override { core_->write(piece); }
  void end() override { core_->end(); }
  void post(std::function<void()> work) override { core_->post(std::move(work)); }
  void on_disconnect(std::function<void()> action) override {
    core_->on_disconnect(std::move(action));
  }
  bool gone() const override { return core_->gone(); }
  void no_memory() noexcept override { core_->no_memory(); }
  bool hold(int64_t bytes) override { return core_->hold(bytes); }
  void note(std::string key, NoteValue value) override {
    core_->note(std::move(key), std::move(value));
  }

 private:
  std::shared_ptr<ExchangeCore> core_;
};

}  // namespace qwen3::server
