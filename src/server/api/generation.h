// Generation: the requests to the engine that make one answer, and the way of their events to the
// connection's thread. What happens to them is the derived class's business.
//
//   worker thread        start() ── post ─┐
//   connection's thread                   └> submit … on_event … on_event … complete | failed
//   engine thread                      events ── mailbox, post ──┘
//
// Everything but start(), end_early() and the mailbox happens on the connection's thread, so
// derived classes need no locks. The engine's callback only puts the event into the mailbox; one
// post empties it, however many events have come. A client that goes away, a failure and an early
// end cancel every request at once.
//
// Lifetime: held by the callbacks of its running requests and by posted work, nobody else.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "qwen3/engine.h"
#include "server/api/api_error.h"
#include "server/api/service.h"
#include "server/http/http.h"

namespace qwen3::server {

// More requests than this of one batch do not crowd the queue; the rest follow as these finish.
inline constexpr size_t kRequestsAtOnce = 32;

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  Generation(Service& service,
             const ServedModel& model,
             const HttpRequest& http,
             std::shared_ptr<Exchange> exchange);
  virtual ~Generation();
  Generation(const Generation&) = delete;

  // What the request will keep until it has finished: its prompt, here and in the engine, and the
  // log probabilities asked of it.
  static int64_t kept_bytes(const Request& request);

  // Submits the requests, at most `window` at a time. The handler's last act. Events carry the
  // index of their request. Throws ApiError{503} when there is no memory to keep them.
  void start(std::vector<Request> requests, size_t window);

  // Ends with this error, from any thread.
  void end_early(const ApiError& error);

 protected:
  // The first requests are in the queue.
  virtual void begun() {}
  bool begun_stream() const { return begun_; }  // begun() has been called
  virtual void on_event(size_t index, const Event& event) = 0;
  // All events that had come are handled: the moment to write.
  virtual void settle() {}
  // How much of the answer has gathered in memory, for settle() has not sent it.
  virtual int64_t gathered_bytes() const { return 0; }
  // Every request has finished.
  virtual void complete() = 0;
  // The answer cannot be completed; every request is cancelled. Nothing follows.
  virtual void failed(const ApiError& error) = 0;

  // Bytes that a derived class keeps for as long as this lives. Before start().
  void keep_besides(int64_t bytes) { kept_ += bytes; }

  // Cancels one request: its finishing event still comes.
  void stop(size_t index);
  // Gives up with an error; for derived classes that find something wrong.
  void fail(const ApiError& error);

  Exchange& exchange() { return *exchange_; }
  Service& service() { return service_; }
  const ServedModel& model() const { return model_; }
  std::chrono::steady_clock::time_point received() const { return received_; }
  double seconds_since_received() const;
  bool over() const { return over_; }

 private:
  struct Child {
    Request request;  // until it is submitted
    uint64_t id = 0;  // of the engine
    bool submitted = false, stopped = false, finished = false;
  };
  struct Arrival {
    size_t index;
    Event event;
  };

  void launch();
  void submit_more();
  bool submit(size_t index);
  void arrived(size_t index, const Event& event);  // engine thread
  void empty_mailbox();
  void handle(size_t index, const Event& event);
  void hold_gathered();
  void cancel_all();
  void finish();
  void end();

  Service& service_;
  const ServedModel& model_;
  const std::shared_ptr<Exchange> exchange_;
  const std::chrono::steady_clock::time_point received_;
  uint64_t ticket_ = 0;
  int64_t kept_ = 0;  // bytes of the requests and of the body's fields
  int64_t held_ = 0;  // bytes that are counted

  std::vector<Child> children_;
  size_t window_ = 0;
  size_t next_ = 0;  // the first child that is not submitted
  size_t n_running_ = 0;
  size_t n_finished_ = 0;
  bool begun_ = false;
  bool over_ = false;
  bool failed_ = false;

  std::mutex mutex_;
  std::vector<Arrival> mailbox_;  // under mutex_
  bool posted_ = false;           // under mutex_: empty_mailbox() is on its way
  std::vector<Arrival> arrivals_;
};

}  // namespace qwen3::server
