#include "server/http/http_server.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/unique_fd.h"
#include "server/http/admission.h"
#include "server/http/connection.h"
#include "server/http/gate.h"
#include "server/http/lane.h"
#include "server/http/listener.h"
#include "server/http/request_memory.h"
#include "server/http/tls.h"
#include "server/http/worker_pool.h"

namespace qwen3::server {

namespace {

using std::chrono::milliseconds;

// Time that last answers have to leave after the grace.
constexpr milliseconds kLastWords{1000};

// Fine enough for the shortest deadline, coarse enough to cost nothing.
milliseconds tick_for(const ServerLimits& limits) {
  const milliseconds shortest = std::min({limits.head_time,
                                          limits.body_time,
                                          limits.idle_time,
                                          limits.write_stall,
                                          limits.flush_time,
                                          limits.ping_interval,
                                          limits.linger_time});
  return std::clamp(shortest / 8, milliseconds(5), milliseconds(100));
}

HttpOptions checked(HttpOptions options) {
  QWEN3_CHECK(options.io_threads >= 1 && options.io_threads <= 64,
              ErrorKind::invalid_argument,
              "I/O threads: expected 1 to 64, got {}",
              options.io_threads);
  QWEN3_CHECK(options.worker_threads >= 1 && options.worker_threads <= 64,
              ErrorKind::invalid_argument,
              "worker threads: expected 1 to 64, got {}",
              options.worker_threads);
  QWEN3_CHECK(options.tls_certificate.empty() == options.tls_key.empty(),
              ErrorKind::invalid_argument,
              "--tls-cert and --tls-key: expected both or none");
  QWEN3_CHECK(options.limits.connections >= 1 && options.limits.connections_per_address >= 1 &&
                  options.limits.requests_per_connection >= 1,
              ErrorKind::invalid_argument,
              "connection limits: expected at least 1");
  return options;
}

std::vector<Route> checked(std::vector<Route> routes, const HttpOptions& options) {
  QWEN3_CHECK(
      !options.keyless_network ||
          std::all_of(routes.begin(), routes.end(), [](const Route& r) { return r.any_host; }),
      ErrorKind::internal,
      "routes of a listener without keys: expected only routes that show nothing private");
  return routes;
}

std::unique_ptr<TlsContext> make_tls(const HttpOptions& options) {
  if (options.tls_certificate.empty()) return nullptr;
  return std::make_unique<TlsContext>(options.tls_certificate, options.tls_key);
}

// A connection on its way to its lane. Owns what the client has been given until the connection
// does.
class Arrival {
 public:
  Arrival(Admission& admission, UniqueFd fd, const SocketAddress& remote)
      : admission_(admission), fd_(std::move(fd)), remote_(remote) {}
  ~Arrival() {
    if (holds_place_) admission_.release(remote_, verdict_);
  }
  Arrival(const Arrival&) = delete;

  Admission::Verdict admit() {
    verdict_ = admission_.admit(remote_);
    holds_place_ = verdict_ != Admission::Verdict::drop;
    return verdict_;
  }
  Admission::Verdict verdict() const { return verdict_; }

  std::shared_ptr<Connection> connect(FrontEnd& front, Lane& lane) {
    Peer peer{.remote = remote_, .local = local_address(fd_.get())};
    auto connection =
        std::make_shared<Connection>(front, lane, std::move(fd_), std::move(peer), verdict_);
    holds_place_ = false;
    return connection;
  }

 private:
  Admission& admission_;
  UniqueFd fd_;
  const SocketAddress remote_;
  Admission::Verdict verdict_ = Admission::Verdict::drop;
  bool holds_place_ = false;
};

}  // namespace

// Members go in the reverse order: first the threads that use the rest.
struct HttpServer::Impl {
  Impl(HttpOptions given, std::vector<Route> routes)
      : options(checked(std::move(given))),
        gate(options, checked(std::move(routes), options)),
        admission(options.limits),
        tls(make_tls(options)),
        sockets(bind_listeners(options)),
        memory(
            std::make_shared<RequestMemory>(options.request_memory_bytes, options.worker_threads)),
        workers(options.worker_threads),
        front{options, gate, workers, memory, admission, tls.get()} {
    for (const ListeningSocket& socket : sockets) addresses.push_back(socket.address);
    for (int i = 0; i < options.io_threads; ++i) {
      lanes.push_back(std::make_unique<Lane>(tick_for(options.limits)));
    }
    listen();
  }

  void listen();
  void accept(UniqueFd fd, const SocketAddress& remote);
  void open(Lane& lane, Arrival& arrival);
  void close_listeners();
  void each_connection(const std::function<void(Connection&)>& visit);
  bool wait_for_grace();
  void stop(milliseconds grace);
  void shut_down();

  const HttpOptions options;
  Gate gate;
  Admission admission;
  std::unique_ptr<TlsContext> tls;
  std::vector<ListeningSocket> sockets;
  std::vector<SocketAddress> addresses;
  std::shared_ptr<RequestMemory> memory;
  WorkerPool workers;
  FrontEnd front;
  std::vector<std::unique_ptr<Lane>> lanes;
  std::vector<std::shared_ptr<Listener>> listeners;  // on lane 0
  size_t next_lane = 0;                              // lane 0's thread

  std::mutex stop_mutex;
  std::condition_variable stopped_wake;
  std::atomic<Clock::rep> deadline{0};  // of the grace, since the clock's epoch
  bool stopping = false;
  bool stopped = false;
};

void HttpServer::Impl::listen() {
  lanes[0]->run_and_wait([this] {
    for (ListeningSocket& socket : sockets) {
      Listener::Events events{
          .accepted = [this](UniqueFd fd,
                             const SocketAddress& remote) { accept(std::move(fd), remote); },
          .exhausted = [this] { front.n_refused.fetch_add(1, std::memory_order_relaxed); }};
      listeners.push_back(
          std::make_shared<Listener>(*lanes[0], std::move(socket.fd), std::move(events)));
      listeners.back()->start();
    }
  });
}

// What has no memory to be served is closed, here or on its lane. Nothing is admitted that somebody
// does not own already.
void HttpServer::Impl::accept(UniqueFd fd, const SocketAddress& remote) {
  const auto arrival = std::make_shared<Arrival>(admission, std::move(fd), remote);
  if (arrival->admit() == Admission::Verdict::drop) {
    front.n_refused.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  Lane& lane = *lanes[next_lane++ % lanes.size()];
  lane.post([this, &lane, arrival] { open(lane, *arrival); });
}

void HttpServer::Impl::open(Lane& lane, Arrival& arrival) {
  std::shared_ptr<Connection> connection;
  try {
    connection = arrival.connect(front, lane);
  } catch (const std::exception&) {  // no memory, or no room in the event loop
    front.n_refused.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const bool served = arrival.verdict() == Admission::Verdict::serve;
  (served ? front.n_accepted : front.n_refused).fetch_add(1, std::memory_order_relaxed);
  Lane::guard(*connection, [&] { connection->start(); });
}

void HttpServer::Impl::close_listeners() {
  lanes[0]->run_and_wait([this] {
    for (const auto& listener : listeners) listener->close();
  });
}

void HttpServer::Impl::each_connection(const std::function<void(Connection&)>& visit) {
  for (const auto& lane : lanes) {
    lane->run_and_wait([&] {
      lane->each([&](Resident& resident) { visit(static_cast<Connection&>(resident)); });
    });
  }
}

// False when connections are left. The deadline may move closer meanwhile.
bool HttpServer::Impl::wait_for_grace() {
  while (true) {
    const Clock::rep until = deadline;
    const Clock::time_point end{Clock::duration(until)};
    if (admission.wait_until_empty(end, [&] { return deadline != until; })) return true;
    if (Clock::now() >= Clock::time_point(Clock::duration(deadline))) return false;
  }
}

void HttpServer::Impl::stop(milliseconds grace) {
  const Clock::rep wanted = (Clock::now() + grace).time_since_epoch().count();
  std::unique_lock lock(stop_mutex);
  if (stopping) {
    if (wanted < deadline) deadline = wanted;
    admission.notify();
    stopped_wake.wait(lock, [this] { return stopped; });
    return;
  }
  stopping = true;
  deadline = wanted;
  lock.unlock();
  shut_down();
  lock.lock();
  stopped = true;
  stopped_wake.notify_all();
}

void HttpServer::Impl::shut_down() {
  front.closing = true;
  front.draining = true;
  close_listeners();
  each_connection([](Connection& connection) { connection.on_drain(); });
  if (!wait_for_grace()) {
    each_connection([](Connection& connection) { connection.on_grace_over(); });
    deadline = (Clock::now() + kLastWords).time_since_epoch().count();
    if (!wait_for_grace()) {
      each_connection([](Connection& connection) { connection.close_now(); });
    }
  }
  workers.stop();
  for (const auto& lane : lanes) lane->stop();
  listeners.clear();
}

HttpServer::HttpServer(HttpOptions options, std::vector<Route> routes)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(routes))) {}

HttpServer::~HttpServer() { impl_->stop(milliseconds(0)); }

uint16_t HttpServer::port() const { return impl_->addresses.front().port; }

std::vector<std::string> HttpServer::addresses() const {
  std::vector<std::string> out;
  for (const SocketAddress& address : impl_->addresses) out.push_back(address.text());
  return out;
}

void HttpServer::set_request_memory(int64_t bytes) { impl_->memory->set_total(bytes); }

void HttpServer::announce_end() { impl_->front.closing = true; }

bool HttpServer::draining() const { return impl_->front.draining; }

HttpCounters HttpServer::counters() const {
  const FrontEnd& front = impl_->front;
  return {.connections_open = impl_->admission.open(),
          .connections_accepted = front.n_accepted,
          .connections_refused = front.n_refused,
          .requests = front.n_requests,
          .exchanges_open = front.n_exchanges_open,
          .bytes_sent = front.bytes_sent,
          .disconnects = front.n_disconnects,
          .request_bytes = impl_->memory->held(),
          .request_bytes_limit = impl_->memory->limit(),
          .request_bytes_refused = impl_->memory->n_refused()};
}

void HttpServer::stop(milliseconds grace) { impl_->stop(grace); }

}  // namespace qwen3::server
