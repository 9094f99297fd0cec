// The HTTP front alone under many event streams: no model, a mock engine that writes one event to
// every stream each step, and a client in a process of its own.
//
//   script/build release sse_streams
//   build/release/bin/sse_streams [--streams 1000] [--seconds 10] [--rate 20] [--attackers 0]
//                                 [--churn 0]
//
// Measures, and fails (exit 1) when a bar is missed:
//   events lost, duplicated or out of order   0
//   gap between two events of a stream, p99   <= 70 ms at 20 events a second
//   CPU of the front (I/O threads and what they cost in the kernel)   <= 30 % of a core
//   memory of the front per stream            <= 32 KiB
//   a client's FIN or RST until on_disconnect, p99   <= 10 ms, with all streams running
// --attackers N adds connections that send their head a byte at a time: each must be closed within
// 10.5 s (the deadline of a head, and the tick), and the bars above hold meanwhile.
// --churn N then opens and closes N connections, one request each, and asks that descriptors and
// memory come back (to within 1 MiB).
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "server/http/http_server.h"

namespace {

using namespace qwen3::server;
using namespace std::chrono_literals;

struct Settings {
  int streams = 1000;
  int seconds = 10;
  int rate = 20;
  int attackers = 0;
  int churn = 0;
};

constexpr int kLeavers = 200;

// CLOCK_MONOTONIC: the same in both processes.
int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

double percentile(std::vector<double>& values, double q) {
  if (values.empty()) return 0;
  const auto index = static_cast<size_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(index), values.end());
  return values[index];
}

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(2);
}

// ---- the client's process -------------------------------------------------------------------

int connect_to(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    die("connect");
  }
  return fd;
}

void send_get(int fd, uint16_t port, const std::string& path) {
  const std::string request =
      "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port) + "\r\n\r\n";
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    die("send");
  }
}

// One stream as it arrives. Events look like "data: NUMBER ...": each must follow the one before.
struct Stream {
  int fd = -1;
  std::string pending;
  int64_t next = 0;
  int64_t last_ns = 0;
  bool done = false;
};

struct ClientResult {
  int64_t events = 0;
  int64_t lost = 0;
  int64_t repeated_or_reordered = 0;
  int64_t cut = 0;
  std::vector<double> gaps_ms;
};

void take_event(Stream& stream, std::string_view event, ClientResult& result) {
  const int64_t now = now_ns();
  if (event.starts_with("[DONE]")) {
    stream.done = true;
    return;
  }
  int64_t number = -1;
  std::from_chars(event.data(), event.data() + event.size(), number);
  if (number > stream.next) result.lost += number - stream.next;
  if (number < stream.next) ++result.repeated_or_reordered;
  stream.next = std::max(stream.next, number + 1);
  ++result.events;
  if (stream.last_ns != 0) {
    result.gaps_ms.push_back(static_cast<double>(now - stream.last_ns) * 1e-6);
  }
  stream.last_ns = now;
}

// Each event is one chunk, so "data: " and the blank line stand between chunk heads.
void take_bytes(Stream& stream, std::string_view bytes, ClientResult& result) {
  stream.pending.append(bytes);
  size_t used = 0;
  while (true) {
    const size_t start = stream.pending.find("data: ", used);
    if (start == std::string::npos) break;
    const size_t end = stream.pending.find("\n\n", start);
    if (end == std::string::npos) break;
    take_event(stream, std::string_view(stream.pending).substr(start + 6, end - start - 6), result);
    used = end + 2;
  }
  stream.pending.erase(0, used);
}

// Clients that leave while all others stream: prints when each did.
void leave_one_by_one(uint16_t port, std::FILE* out) {
  for (int i = 0; i < kLeavers; ++i) {
    const int fd = connect_to(port);
    send_get(fd, port, "/leaver?" + std::to_string(i));
    char buffer[4096];
    if (::recv(fd, buffer, sizeof buffer, 0) <= 0) die("recv");
    std::this_thread::sleep_for(5ms);
    const linger reset{1, 0};
    if (i % 2 == 1) ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    const int64_t left = now_ns();
    ::close(fd);
    std::fprintf(out, "left %d %lld\n", i, static_cast<long long>(left));
  }
}

// Slow heads, opened again whenever the server has closed them. Returns the longest life of one.
double attack(uint16_t port, int n, std::chrono::seconds length) {
  struct Attacker {
    int fd = -1;
    int64_t since = 0;
  };
  std::vector<Attacker> attackers(static_cast<size_t>(n));
  int64_t longest = 0;
  const int64_t end = now_ns() + std::chrono::nanoseconds(length).count();
  while (now_ns() < end) {
    for (Attacker& attacker : attackers) {
      if (attacker.fd < 0) {
        attacker = {connect_to(port), now_ns()};
        if (::send(attacker.fd, "GET / HTTP/1.1\r\nX-A: ", 21, MSG_NOSIGNAL) < 0) die("send");
      }
      char buffer[4096];
      const ssize_t got = ::recv(attacker.fd, buffer, sizeof buffer, MSG_DONTWAIT);
      const bool closed = got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
      longest = std::max(longest, now_ns() - attacker.since);
      if (closed) ::close(std::exchange(attacker.fd, -1));
      if (!closed) ::send(attacker.fd, "x", 1, MSG_NOSIGNAL);
    }
    std::this_thread::sleep_for(100ms);
  }
  for (const Attacker& attacker : attackers) {
    if (attacker.fd >= 0) ::close(attacker.fd);
  }
  return static_cast<double>(longest) * 1e-9;
}

void churn(uint16_t port, int n) {
  for (int i = 0; i < n; ++i) {
    const int fd = connect_to(port);
    send_get(fd, port, "/health");
    char buffer[4096];
    if (::recv(fd, buffer, sizeof buffer, 0) <= 0) die("recv");
    // RST now and then; the port would else stay in TIME_WAIT on this side.
    const linger reset{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    ::close(fd);
  }
}

ClientResult read_streams(uint16_t port, int n_streams) {
  ClientResult result;
  const int poller = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<Stream> streams(static_cast<size_t>(n_streams));
  for (size_t i = 0; i < streams.size(); ++i) {
    streams[i].fd = connect_to(port);
    send_get(streams[i].fd, port, "/stream");
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    ::epoll_ctl(poller, EPOLL_CTL_ADD, streams[i].fd, &event);
  }
  size_t n_open = streams.size();
  std::vector<epoll_event> events(256);
  std::vector<char> buffer(65536);
  while (n_open > 0) {
    const int n = ::epoll_wait(poller, events.data(), static_cast<int>(events.size()), 30'000);
    if (n <= 0) break;
    for (int i = 0; i < n; ++i) {
      Stream& stream = streams[events[static_cast<size_t>(i)].data.u64];
      const ssize_t got = ::recv(stream.fd, buffer.data(), buffer.size(), 0);
      if (got > 0) take_bytes(stream, {buffer.data(), static_cast<size_t>(got)}, result);
      if (got > 0 && !stream.done) continue;
      if (!stream.done) ++result.cut;
      ::close(stream.fd);
      --n_open;
    }
  }
  result.cut += static_cast<int64_t>(n_open);
  return result;
}

void run_client(uint16_t port, const Settings& settings, std::FILE* out) {
  ClientResult result;
  std::thread reader([&] { result = read_streams(port, settings.streams); });
  double attack_s = 0;
  std::thread attacker([&] {
    if (settings.attackers == 0) return;
    attack_s = attack(port, settings.attackers, std::chrono::seconds(settings.seconds));
  });
  std::this_thread::sleep_for(std::chrono::seconds(2));
  leave_one_by_one(port, out);
  reader.join();
  attacker.join();
  std::fprintf(out,
               "streams %lld %lld %lld %lld %.3f %.3f %.3f %.3f\n",
               static_cast<long long>(result.events),
               static_cast<long long>(result.lost),
               static_cast<long long>(result.repeated_or_reordered),
               static_cast<long long>(result.cut),
               percentile(result.gaps_ms, 0.5),
               percentile(result.gaps_ms, 0.99),
               percentile(result.gaps_ms, 1.0),
               attack_s);
  std::fflush(out);
}

// ---- the server's process -------------------------------------------------------------------

class MockEngine {
 public:
  explicit MockEngine(int rate) : step_(1'000'000'000 / rate) {}

  void add(std::shared_ptr<Exchange> exchange) {
    const std::lock_guard lock(mutex_);
    streams_.push_back({std::move(exchange), 0});
  }
  size_t size() {
    const std::lock_guard lock(mutex_);
    return streams_.size();
  }

  // One event for every stream each step, as decoding does; then the end of all.
  void run(std::chrono::seconds length) {
    auto next = std::chrono::steady_clock::now();
    const auto end = next + length;
    const std::string filler(180, 'x');  // about the size of a chat completion chunk
    while (next < end) {
      next += step_;
      std::this_thread::sleep_until(next);
      const std::lock_guard lock(mutex_);
      for (auto& [exchange, number] : streams_) {
        exchange->write("data: " + std::to_string(number++) + " " + filler + "\n\n");
        ++n_events_;
      }
    }
    const std::lock_guard lock(mutex_);
    for (auto& [exchange, number] : streams_) {
      exchange->write("data: [DONE]\n\n");
      exchange->end();
    }
    streams_.clear();
  }
  int64_t n_events() const { return n_events_; }

 private:
  struct Entry {
    std::shared_ptr<Exchange> exchange;
    int64_t number;
  };
  std::chrono::nanoseconds step_;
  std::mutex mutex_;
  std::vector<Entry> streams_;
  int64_t n_events_ = 0;
};

double cpu_seconds(int who) {
  rusage usage{};
  getrusage(who, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  int64_t total = 0, resident = 0;
  in >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

int64_t n_descriptors() {
  int64_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    (void)entry;
    ++n;
  }
  return n;
}

int check(bool ok, const char* what) {
  std::printf("  %s  %s\n", ok ? "ok    " : "MISSED", what);
  return ok ? 0 : 1;
}

struct Bench {
  explicit Bench(const Settings& given) : settings(given), engine(given.rate) {}

  std::vector<Route> routes();
  int report(std::FILE* from_client);

  Settings settings;
  MockEngine engine;
  std::atomic<int64_t> gone_ns[kLeavers] = {};
  double front_cores = 0;
  double bytes_per_stream = 0;
};

std::vector<Route> Bench::routes() {
  std::vector<Route> out;
  const auto add = [&](const char* path, Handler handler) {
    out.push_back({.method = "GET",
                   .path = path,
                   .access = Route::Access::open,
                   .handler = std::move(handler),
                   .quick = false});
  };
  add("/health",
      [](const HttpRequest&, const std::shared_ptr<Exchange>& e) { e->send({.body = "{}"}); });
  add("/stream", [this](const HttpRequest&, std::shared_ptr<Exchange> e) {
    e->start_stream();
    engine.add(std::move(e));
  });
  add("/leaver", [this](const HttpRequest& request, std::shared_ptr<Exchange> e) {
    size_t index = 0;
    std::from_chars(request.query.data(), request.query.data() + request.query.size(), index);
    Exchange* const exchange = e.get();
    e->start_stream();
    // The action keeps its own exchange until it has run.
    exchange->on_disconnect([this, index, keep = std::move(e)] {
      if (index < kLeavers) gone_ns[index] = now_ns();
    });
  });
  return out;
}

int Bench::report(std::FILE* from_client) {
  std::vector<double> departures_ms;
  int n_unseen = 0;
  long long events = 0, lost = 0, reordered = 0, cut = -1;
  double median = 0, p99 = 0, worst = 0, attack_s = 0;
  char line[256];
  while (std::fgets(line, sizeof line, from_client) != nullptr) {
    int index = 0;
    long long left = 0;
    if (std::sscanf(line, "left %d %lld", &index, &left) == 2) {
      const int64_t gone = gone_ns[index];
      if (gone == 0) {
        ++n_unseen;
      } else {
        departures_ms.push_back(static_cast<double>(gone - left) * 1e-6);
      }
    } else {
      std::sscanf(line,
                  "streams %lld %lld %lld %lld %lf %lf %lf %lf",
                  &events,
                  &lost,
                  &reordered,
                  &cut,
                  &median,
                  &p99,
                  &worst,
                  &attack_s);
    }
  }
  const double departure_p99 = percentile(departures_ms, 0.99);
  std::printf("%d streams x %d events/s for %d s: %lld events received of %lld\n",
              settings.streams,
              settings.rate,
              settings.seconds,
              events,
              static_cast<long long>(engine.n_events()));
  std::printf("  lost %lld, repeated or reordered %lld, streams cut %lld\n", lost, reordered, cut);
  std::printf("  gap ms: median %.1f, p99 %.1f, worst %.1f\n", median, p99, worst);
  std::printf("  front: %.3f cores, %.1f KiB per stream\n", front_cores, bytes_per_stream / 1024);
  std::printf("  departure to on_disconnect ms: median %.2f, p99 %.2f, worst %.2f, unseen %d\n",
              percentile(departures_ms, 0.5),
              departure_p99,
              percentile(departures_ms, 1.0),
              n_unseen);
  if (settings.attackers > 0) {
    std::printf("  %d slow heads: longest life %.1f s\n", settings.attackers, attack_s);
  }
  const double step_ms = 1000.0 / settings.rate;
  return check(lost == 0 && reordered == 0 && cut == 0 && events == engine.n_events(),
               "nothing lost, repeated, reordered or cut") +
         check(p99 <= step_ms + 20, "p99 gap <= step + 20 ms") +
         check(front_cores <= 0.30, "front <= 30 % of a core") +
         check(bytes_per_stream <= 32 * 1024, "<= 32 KiB per stream") +
         check(departure_p99 <= 10 && n_unseen == 0, "departures seen in 10 ms (p99)") +
         check(attack_s <= 10.5, "slow heads closed in time");
}

Settings parse(int argc, char** argv) {
  Settings out;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    int* const value = name == "--streams"     ? &out.streams
                       : name == "--seconds"   ? &out.seconds
                       : name == "--rate"      ? &out.rate
                       : name == "--attackers" ? &out.attackers
                       : name == "--churn"     ? &out.churn
                                               : nullptr;
    const std::string_view text = argv[i + 1];
    if (value == nullptr ||
        std::from_chars(text.data(), text.data() + text.size(), *value).ec != std::errc{}) {
      std::fprintf(stderr, "expected --streams N --seconds N --rate N --attackers N --churn N\n");
      std::exit(2);
    }
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const Settings settings = parse(argc, argv);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  // The client waits for the port; it is forked before there are threads.
  int port_pipe[2], result_pipe[2], go_pipe[2];
  if (::pipe(port_pipe) != 0 || ::pipe(result_pipe) != 0 || ::pipe(go_pipe) != 0) die("pipe");
  const pid_t child = ::fork();
  if (child < 0) die("fork");
  if (child == 0) {
    uint16_t port = 0;
    if (::read(port_pipe[0], &port, sizeof port) != sizeof port) die("read");
    std::FILE* const out = ::fdopen(result_pipe[1], "w");
    run_client(port, settings, out);
    std::fclose(out);
    char go = 0;
    if (settings.churn > 0 && ::read(go_pipe[0], &go, 1) == 1) churn(port, settings.churn);
    std::_Exit(0);
  }
  ::close(result_pipe[1]);

  Bench bench(settings);
  HttpOptions options;
  options.addresses = {"127.0.0.1"};
  options.port = 0;
  options.limits.connections = settings.streams + 2 * settings.attackers + 64;
  HttpServer server(options, bench.routes());
  const int64_t memory_before = resident_bytes();
  const uint16_t port = server.port();
  if (::write(port_pipe[1], &port, sizeof port) != sizeof port) die("write");
  while (bench.engine.size() < static_cast<size_t>(settings.streams)) {
    std::this_thread::sleep_for(10ms);
  }

  // The engine runs on this thread, so what this thread costs is not the front's.
  const double process_before = cpu_seconds(RUSAGE_SELF);
  const double engine_before = cpu_seconds(RUSAGE_THREAD);
  const int64_t start = now_ns();
  int64_t memory_peak = 0;
  std::atomic<bool> over{false};
  std::thread watcher([&] {
    while (!over) {
      memory_peak = std::max(memory_peak, resident_bytes());
      std::this_thread::sleep_for(200ms);
    }
  });
  bench.engine.run(std::chrono::seconds(settings.seconds));
  const double elapsed = static_cast<double>(now_ns() - start) * 1e-9;
  const double engine_cpu = cpu_seconds(RUSAGE_THREAD) - engine_before;
  bench.front_cores = (cpu_seconds(RUSAGE_SELF) - process_before - engine_cpu) / elapsed;
  std::printf("mock engine's own thread: %.3f cores (wake-ups of the I/O threads included)\n",
              engine_cpu / elapsed);
  over = true;
  watcher.join();
  bench.bytes_per_stream =
      static_cast<double>(memory_peak - memory_before) / static_cast<double>(settings.streams);
  std::FILE* const from_client = ::fdopen(result_pipe[0], "r");
  int missed = bench.report(from_client);

  if (settings.churn > 0) {
    const int64_t files_before = n_descriptors();
    const int64_t resident_before = resident_bytes();
    const int64_t churn_start = now_ns();
    if (::write(go_pipe[1], "g", 1) != 1) die("write");
    ::waitpid(child, nullptr, 0);
    const double seconds = static_cast<double>(now_ns() - churn_start) * 1e-9;
    while (server.counters().connections_open > 0) std::this_thread::sleep_for(10ms);
    std::printf("churn: %d connections in %.1f s, descriptors %+lld, memory %+.2f MiB\n",
                settings.churn,
                seconds,
                static_cast<long long>(n_descriptors() - files_before),
                static_cast<double>(resident_bytes() - resident_before) / (1024 * 1024));
    missed += check(n_descriptors() <= files_before, "descriptors come back");
    missed += check(resident_bytes() - resident_before <= 1024 * 1024, "memory comes back");
  } else {
    ::waitpid(child, nullptr, 0);
  }
  return missed == 0 ? 0 : 1;
}
