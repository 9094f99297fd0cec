// One client. A state machine on one lane's thread:
//
//   head ──> body ──> answering ──> head …      keep-alive
//     │        │          └───────> lingering ──> closed
//     └────────┴── refusal: an answer that is known already, then lingering
//
// While an answer is in progress the socket stays watched: an end or a reset of the client's side
// reaches the handler at once, and pipelined requests are kept, up to a limit, for their turn.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "server/http/access_log.h"
#include "server/http/admission.h"
#include "server/http/exchange.h"
#include "server/http/gate.h"
#include "server/http/lane.h"
#include "server/http/request_memory.h"
#include "server/http/request_parser.h"
#include "server/http/transport.h"
#include "server/http/worker_pool.h"

namespace qwen3::server {

class TlsContext;

// What the connections of a server share.
struct FrontEnd {
  const HttpOptions& options;
  Gate& gate;
  WorkerPool& workers;
  const std::shared_ptr<RequestMemory>& memory;
  Admission& admission;
  TlsContext* tls;                   // null: plain
  std::atomic<bool> closing{false};  // every answer ends its connection
  std::atomic<bool> draining{false};

  std::atomic<int64_t> n_accepted{0};
  std::atomic<int64_t> n_refused{0};
  std::atomic<int64_t> n_requests{0};
  std::atomic<int64_t> n_exchanges_open{0};
  std::atomic<int64_t> bytes_sent{0};
  std::atomic<int64_t> n_disconnects{0};

  std::mutex log_mutex{};
  void log(const AccessRecord& record);
};

class Connection final : public Resident, public std::enable_shared_from_this<Connection> {
 public:
  Connection(FrontEnd& front, Lane& lane, UniqueFd fd, Peer peer, Admission::Verdict admitted);
  ~Connection() override;

  // Joins the lane.
  void start();

  void on_readable() override;
  void on_writable() override;
  void on_broken() override;
  void on_wake() override;
  void on_tick(Clock::time_point now) override;
  void on_failure() noexcept override;

  // The server is stopping: an idle connection closes, others after their answer.
  void on_drain();
  // The grace is over: what is in progress ends now.
  void on_grace_over();
  void close_now();

 private:
  enum class Phase { head, body, answering, lingering, closed };

  // connection.cpp: the requests.
  void advance();
  bool step();
  void on_head();
  void on_body();
  void dispatch();
  bool hold_body();
  void open_exchange(bool keep_alive, std::string allowed_origin);
  void answer_now(HttpResponse response, bool keep_alive);
  void refuse_parse(const ParseFailure& failure);
  void complete_exchange();
  void end_exchange(std::string_view outcome, bool complete);
  void log_exchange(ExchangeCore& exchange, std::string_view outcome);
  void check_deadlines(Clock::time_point now);
  void check_body_pace(Clock::time_point now);

  // connection_io.cpp: the bytes.
  void read_some();
  bool wants_bytes() const;
  std::span<char> read_space() const;
  bool hold_input();
  void received(std::string_view bytes);
  void await_reading();
  void pull_output();
  void flush();
  void peer_closed();
  void lose(std::string_view outcome);
  void cut(std::string_view outcome);
  void linger();
  void close() noexcept;

  FrontEnd& front_;
  Lane& lane_;
  Peer peer_;
  const Admission::Verdict admitted_;
  Watch watch_;
  std::unique_ptr<Transport> transport_;
  RequestMemory::Holding held_;  // buffers, not the request's
  RequestParser parser_;
  Phase phase_ = Phase::head;

  std::string input_;   // received, not understood yet
  std::string output_;  // to send; the first sent_ bytes are gone
  size_t sent_ = 0;
  bool reading_ = false;  // a wait is under way
  bool writing_ = false;
  bool watching_breaks_ = false;
  bool write_waits_for_read_ = false;  // TLS
  bool read_waits_for_write_ = false;
  bool input_ended_ = false;
  bool close_after_ = false;
  bool head_begun_ = false;
  bool advancing_ = false;
  bool advance_again_ = false;

  // Of the request in hand.
  std::shared_ptr<ExchangeCore> exchange_;
  const Route* route_ = nullptr;
  RefusalForm refusal_form_ = nullptr;  // of the route, once it is known
  HttpRequest request_;
  std::shared_ptr<RequestMemory::Holding> request_held_;
  std::string owner_;  // of the request: a key, or else a network
  AccessRecord record_;
  std::string allowed_origin_;
  bool answer_ended_ = false;

  int n_requests_ = 0;
  size_t discarded_ = 0;
  Clock::time_point phase_start_;
  Clock::time_point request_start_;
  Clock::time_point last_sent_;
  Clock::time_point answer_ended_at_;
};

}  // namespace qwen3::server
