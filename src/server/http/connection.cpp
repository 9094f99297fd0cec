#include "server/http/connection.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "base/error.h"
#include "base/time_slice.h"
#include "base/utf8.h"
#include "server/http/request_cost.h"
#include "server/http/response.h"
#include "server/http/tls.h"

namespace qwen3::server {

namespace {

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

constexpr size_t kBodyLookedAt = 256 << 10;  // on the connection's thread

HttpResponse unavailable(std::string_view message, std::string_view code) {
  HttpResponse response = error_response(503, message, code);
  response.headers.emplace_back("retry-after", "1");
  return response;
}

HttpResponse out_of_memory() {
  return unavailable("the server has no memory for this request now", "out_of_memory");
}

// What a log may show of a handler's exception: never text that could quote the request.
std::string describe(const std::exception& exception) {
  const auto* error = dynamic_cast<const Error*>(&exception);
  if (error == nullptr) return exception.what();
  switch (error->kind()) {
    case ErrorKind::internal:
    case ErrorKind::io:
    case ErrorKind::device:
    case ErrorKind::out_of_memory:
      return error->what();
    default:
      return "an error about the request was not turned into an answer";
  }
}

// Of requests with different keys, or of different networks where there are none.
std::string owner_of(const Client& client, const SocketAddress& remote) {
  return client.name.empty() ? "network " + remote.network() : "key " + client.name;
}

// What is decided about a body that has come whole, by the worker that continues with it.
std::optional<HttpResponse> check_whole_body(const std::string& body, int64_t most_work) {
  if (const size_t bad = utf8_first_invalid(body); bad != std::string::npos) {
    return error_response(400, fmt::format("the body is not UTF-8 at byte {}", bad));
  }
  if (const int64_t work = work_bytes(body); work > most_work) {
    return error_response(413,
                          fmt::format("the request's body of {} bytes has up to {} JSON values, to "
                                      "read which takes up to {} bytes of memory; expected at most "
                                      "{} (--memory-limit)",
                                      body.size(),
                                      count_json_values(body),
                                      work,
                                      most_work));
  }
  return std::nullopt;
}

// A request on its way through its handler.
struct Job {
  const Handler& handler;
  HttpRequest request;
  int64_t most_work = 0;
  std::shared_ptr<ExchangeCore> core;
  // Held here too: a handler that throws lets go of its own first, which answers and writes the log
  // line before the reason is known.
  std::shared_ptr<ExchangeHandle> exchange = nullptr;
};

// Throws TimeSlice::Over within one, and nothing else.
void run_handler(Job& job) try {
  const std::shared_ptr<ExchangeCore>& core = job.core;
  if (core->is_over()) return;  // the client left while the request waited for a worker
  if (const auto refusal = check_whole_body(job.request.body, job.most_work)) {
    return core->send(*refusal);
  }
  if (!job.exchange) job.exchange = std::make_shared<ExchangeHandle>(core);
  try {
    job.handler(job.request, job.exchange);
  } catch (const std::bad_alloc&) {
    core->no_memory();
    core->abandon();
  } catch (const std::exception& exception) {
    core->note("error", describe(exception));
    core->abandon();
  }
} catch (const std::exception&) {  // no memory for the handle, or to say what else went wrong
  job.core->no_memory();
  job.core->abandon();
}

void finish(Job& job) {
  job.exchange.reset();
  job.request = {};
  job.core->body_is_gone();
}

void run_large(Job& job) {
  run_handler(job);
  finish(job);
}

// The more waits for its turn as large work, the sooner more is sent there: what many such requests take at once, all
// together, hardly grows with their number.
std::chrono::nanoseconds small_work_time(int n_large_waiting) {
  constexpr std::chrono::nanoseconds kMost = std::chrono::milliseconds(5);
  constexpr std::chrono::nanoseconds kLeast = std::chrono::milliseconds(1);
  constexpr int kFew = 8;
  return std::max(kLeast, kMost * kFew / (kFew + n_large_waiting));
}

// A small body may stand for much work (a regular expression with all the states there are, a text before many
// questions): what takes long begins anew as large work, in a turn of its own.
void run_small(Job& job, const std::string& owner, WorkerPool& workers) {
  try {
    const TimeSlice slice(small_work_time(workers.n_large_waiting()));
    run_handler(job);
    return finish(job);
  } catch (const TimeSlice::Over&) {
    if (!job.core->begin_anew()) return finish(job);  // too late: the answer ends as a failed one
  }
  const std::shared_ptr<ExchangeCore> core = job.core;
  const std::shared_ptr<ExchangeHandle> exchange = job.exchange;  // the last to go
  try {
    workers.submit(
        owner, WorkerPool::Size::large, [job = std::move(job)]() mutable { run_large(job); });
  } catch (const std::bad_alloc&) {
    core->no_memory();
  }
}

}  // namespace

void FrontEnd::log(const AccessRecord& record) {
  if (!options.access_log) return;
  const std::string line = access_line(record);
  const std::lock_guard lock(log_mutex);
  options.access_log(line);
}

Connection::Connection(
    FrontEnd& front, Lane& lane, UniqueFd fd, Peer peer, Admission::Verdict admitted)
    : front_(front),
      lane_(lane),
      peer_(std::move(peer)),
      admitted_(admitted),
      watch_(lane, std::move(fd)),
      transport_(front.tls ? front.tls->make_transport(watch_.fd())
                           : make_plain_transport(watch_.fd())),
      held_(front.memory, owner_of({}, peer_.remote)),
      parser_(front.options.limits) {}

Connection::~Connection() {
  // A lane that stopped under it: the count must come right even so.
  if (phase_ != Phase::closed) front_.admission.release(peer_.remote, admitted_);
}

void Connection::start() {
  phase_start_ = request_start_ = lane_.now();
  lane_.add(shared_from_this());
  if (admitted_ == Admission::Verdict::refuse) {
    record_.time = std::chrono::system_clock::now();
    answer_now(unavailable("too many connections", "too_many_connections"), false);
    return;
  }
  if (front_.draining) return close();
  if (!hold_input()) return answer_now(out_of_memory(), false);
  await_reading();
}

// Guarded against itself: an answer that is known at once ends its exchange inside a step.
void Connection::advance() {
  advance_again_ = true;
  if (advancing_) return;
  advancing_ = true;
  while (std::exchange(advance_again_, false)) {
    if (step()) advance_again_ = true;
  }
  advancing_ = false;
}

// Returns whether another step may follow.
bool Connection::step() {
  const bool in_head = phase_ == Phase::head;
  if (!in_head && phase_ != Phase::body) return false;
  if (in_head && input_.empty()) return false;
  if (in_head && !std::exchange(head_begun_, true)) {
    record_.time = std::chrono::system_clock::now();
    if (n_requests_ > 0) request_start_ = lane_.now();
  }
  const size_t before = input_.size();
  const RequestParser::Progress progress =
      in_head ? parser_.read_head(input_) : parser_.read_body(input_);
  record_.request_bytes += before - input_.size();
  switch (progress) {
    case RequestParser::Progress::needs_more:
      if (in_head || !parser_.head().chunked || hold_body()) return false;
      answer_now(out_of_memory(), false);
      break;
    case RequestParser::Progress::failed:
      refuse_parse(parser_.failure());
      break;
    case RequestParser::Progress::done:
      in_head ? on_head() : on_body();
      break;
  }
  return true;
}

void Connection::on_head() {
  const RequestHead& head = parser_.head();
  ++n_requests_;
  const ServerLimits& limits = front_.options.limits;
  request_.id = choose_request_id(head);
  record_.method = head.method;
  record_.target = head.target;
  const bool keep_alive = head.keep_alive && n_requests_ < limits.requests_per_connection;
  Verdict verdict = front_.gate.judge(head, peer_, Clock::now());
  allowed_origin_ = std::move(verdict.allowed_origin);
  record_.key = verdict.client.name;
  refusal_form_ = verdict.route == nullptr ? nullptr : verdict.route->refusal_form;
  if (verdict.answer) {
    return answer_now(*verdict.answer, keep_alive && !verdict.close);
  }
  if (front_.draining) {
    return answer_now(unavailable("the server is shutting down", "shutting_down"), false);
  }
  owner_ = owner_of(verdict.client, peer_.remote);
  request_held_ = std::make_shared<RequestMemory::Holding>(front_.memory, owner_);
  if (!hold_body()) return answer_now(out_of_memory(), false);
  parser_.expect_body(verdict.most_body_bytes);
  close_after_ = !keep_alive;
  route_ = verdict.route;
  request_.method = head.method;
  request_.path = std::move(verdict.target.path);
  request_.query = std::move(verdict.target.query);
  request_.tail = std::move(verdict.tail);
  request_.client = std::move(verdict.client);
  request_.peer = peer_.remote.address;
  request_.received = Clock::now() - (lane_.now() - request_start_);  // at everybody's clock
  phase_ = Phase::body;
  phase_start_ = lane_.now();
  if (head.expects_continue && input_.empty()) {
    output_.append(kContinue);
    flush();
  }
}

// Counts what the body takes, or will by its head, before it is read. Chunks come without a length:
// the string that takes them in doubles.
bool Connection::hold_body() {
  const RequestHead& head = parser_.head();
  if (!head.has_body()) return true;
  const size_t bytes = head.chunked ? 2 * parser_.body_bytes() : head.content_length;
  return request_held_->set(RequestMemory::Part::body, static_cast<int64_t>(bytes));
}

void Connection::on_body() {
  request_.body = parser_.take_body();
  request_.headers = parser_.head().headers;
  dispatch();
}

void Connection::dispatch() {
  open_exchange(!close_after_, std::move(allowed_origin_));
  front_.n_exchanges_open.fetch_add(1, std::memory_order_relaxed);
  Job job{.handler = route_->handler,
          .request = std::exchange(request_, {}),
          .most_work = RequestMemory::kSmallWork,
          .core = exchange_};
  if (route_->quick) return run_handler(job);
  const bool small = job.request.body.size() <= kBodyLookedAt &&
                     work_bytes(job.request.body) <= RequestMemory::kSmallWork;
  if (small) {
    front_.workers.submit(
        owner_,
        WorkerPool::Size::small,
        [job = std::move(job), owner = owner_, &workers = front_.workers]() mutable {
          run_small(job, owner, workers);
        });
  } else {
    job.most_work = front_.memory->large_work_limit();
    front_.workers.submit(
        owner_, WorkerPool::Size::large, [job = std::move(job)]() mutable { run_large(job); });
  }
}

void Connection::open_exchange(bool keep_alive, std::string allowed_origin) {
  record_.id = request_.id;
  AnswerFrame frame{.http_1_0 = parser_.head().http_1_0,
                    .head_only = parser_.head().method == "HEAD",
                    .keep_alive = keep_alive && !input_ended_,
                    .request_id = request_.id,
                    .allowed_origin = std::move(allowed_origin)};
  exchange_ = std::make_shared<ExchangeCore>(
      ExchangeCore::Setup{.frame = std::move(frame),
                          .lane = &lane_,
                          .connection = weak_from_this(),
                          .closing = &front_.closing,
                          .held = std::move(request_held_),
                          .output_limit = front_.options.limits.output_bytes,
                          .refusal_form = refusal_form_});
  phase_ = Phase::answering;
  phase_start_ = last_sent_ = lane_.now();
  answer_ended_ = false;
}

// Every answer that no handler makes passes here. The one rule of their framing: a connection goes
// on only when the whole request has been read, so that no byte of a refused one is ever taken for
// the next.
void Connection::answer_now(HttpResponse response, bool keep_alive) {
  if (request_.id.empty()) request_.id = choose_request_id({});
  if (refusal_form_ != nullptr) refusal_form_(response, request_.id);
  open_exchange(keep_alive && parser_.at_end(), std::move(allowed_origin_));
  front_.n_exchanges_open.fetch_add(1, std::memory_order_relaxed);
  request_ = {};
  exchange_->send(response);
  pull_output();
}

void Connection::refuse_parse(const ParseFailure& failure) {
  answer_now(error_response(failure.status, failure.message), false);
}

// The last byte has gone to the socket.
void Connection::complete_exchange() {
  end_exchange("complete", true);
  if (close_after_ || input_ended_ || front_.draining) return linger();
  phase_ = Phase::head;
  phase_start_ = lane_.now();
  head_begun_ = false;
  refusal_form_ = nullptr;
  parser_.reset();
  hold_input();  // less, or as much as before
  advance();
  await_reading();
}

void Connection::end_exchange(std::string_view outcome, bool complete) {
  const std::shared_ptr<ExchangeCore> exchange = std::exchange(exchange_, nullptr);
  front_.n_requests.fetch_add(1, std::memory_order_relaxed);
  front_.n_exchanges_open.fetch_sub(1, std::memory_order_relaxed);
  front_.bytes_sent.fetch_add(static_cast<int64_t>(record_.response_bytes),
                              std::memory_order_relaxed);
  try {
    log_exchange(*exchange, outcome);
  } catch (const std::bad_alloc&) {
    // The request has had its answer; the line about it is lost.
  }
  record_ = {};
  exchange->finish(complete);
}

void Connection::log_exchange(ExchangeCore& exchange, std::string_view outcome) {
  record_.peer = peer_.remote.address;
  record_.status = exchange.status();
  record_.milliseconds =
      std::chrono::duration<double, std::milli>(lane_.now() - request_start_).count();
  record_.outcome = outcome;
  record_.notes = exchange.take_notes();
  front_.log(record_);
}

void Connection::on_tick(Clock::time_point now) {
  if (sent_ < output_.size() && now - last_sent_ >= front_.options.limits.write_stall) {
    return cut("write stalled");
  }
  check_deadlines(now);
}

void Connection::check_deadlines(Clock::time_point now) {
  const ServerLimits& limits = front_.options.limits;
  switch (phase_) {
    case Phase::head:
      if (input_.empty() && n_requests_ > 0) {
        if (now - phase_start_ >= limits.idle_time) close();
      } else if (now - request_start_ >= limits.head_time) {
        if (input_.empty()) return close();
        answer_now(error_response(408, "the request's head did not arrive in time"), false);
      }
      break;
    case Phase::body:
      check_body_pace(now);
      break;
    case Phase::answering:
      if (answer_ended_ && now - answer_ended_at_ >= limits.flush_time)
        return cut("read too slowly");
      if (sent_ >= output_.size()) {
        exchange_->ping(std::chrono::duration_cast<ServerLimits::Duration>(now - last_sent_),
                        limits.ping_interval);
      }
      break;
    case Phase::lingering:
      if (now - phase_start_ >= limits.linger_time) close();
      break;
    case Phase::closed:
      break;
  }
}

void Connection::check_body_pace(Clock::time_point now) {
  const ServerLimits& limits = front_.options.limits;
  const auto elapsed = std::chrono::duration_cast<ServerLimits::Duration>(now - phase_start_);
  bool too_slow = elapsed >= limits.body_time;
  if (elapsed > limits.body_grace) {
    const auto counted = static_cast<size_t>((elapsed - limits.body_grace).count());
    too_slow = too_slow || parser_.body_bytes() < counted * limits.body_bytes_per_second / 1000;
  }
  if (too_slow) answer_now(error_response(408, "the request's body did not arrive in time"), false);
}

void Connection::on_drain() {
  if (phase_ == Phase::head && input_.empty()) close();
}

void Connection::on_grace_over() {
  if (phase_ == Phase::answering) {
    close_after_ = true;
    exchange_->terminate();
    pull_output();
  } else if (phase_ == Phase::head || phase_ == Phase::body) {
    close_now();
  }
}

void Connection::close_now() { cut("server stopped"); }

}  // namespace qwen3::server
