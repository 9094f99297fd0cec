// How fast the evaluation client is, beside a server that answers at once, and how long a run of a
// million samples takes to find out what is missing.
//
//   eval_client_bench client [QUESTIONS [WORKERS]]     requests per second, wall and client thread
//   eval_client_bench resume [LINES [ROWS]]            seconds and peak memory
//
// The server is a thread of this program that answers every request on a connection with the same
// bytes, without reading the JSON.
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "eval/run/client.h"
#include "eval/run/generate.h"
#include "eval/run/manifest.h"
#include "eval/run/sample_key.h"
#include "eval/run/sample_line.h"

namespace {

using namespace qwen3;
using namespace qwen3::eval;

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Answers whole requests as they arrive, whatever they ask.
class FastServer {
 public:
  FastServer() {
    const std::string body =
        dump_json({{"choices",
                    {{{"message", {{"role", "assistant"}, {"content", std::string(1500, 'x')}}},
                      {"finish_reason", "stop"}}}},
                   {"usage", {{"prompt_tokens", 2000}, {"completion_tokens", 700}}}});
    reply_ = fmt::format(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        body.size(),
        body);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    if (bind(listener_, generic, size) != 0 || listen(listener_, 1024) != 0 ||
        getsockname(listener_, generic, &size) != 0) {
      throw std::runtime_error("cannot listen");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~FastServer() {
    stopping_ = true;
    thread_.join();
    close(listener_);
  }
  std::string url() const { return fmt::format("http://127.0.0.1:{}/v1", port_); }

 private:
  void serve() {
    std::vector<pollfd> polled = {{listener_, POLLIN, 0}};
    std::map<int, std::string> buffers;
    std::vector<char> chunk(1 << 16);
    while (!stopping_) {
      if (poll(polled.data(), polled.size(), 50) <= 0) continue;
      if (polled[0].revents != 0) {
        polled.push_back({accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC), POLLIN, 0});
      }
      for (size_t i = 1; i < polled.size(); ++i) {
        if (polled[i].revents == 0) continue;
        const int fd = polled[i].fd;
        const ssize_t n = recv(fd, chunk.data(), chunk.size(), MSG_DONTWAIT);
        if (n <= 0) {
          close(fd);
          buffers.erase(fd);
          polled.erase(polled.begin() + static_cast<ptrdiff_t>(i--));
          continue;
        }
        std::string& buffer = buffers[fd];
        buffer.append(chunk.data(), static_cast<size_t>(n));
        answer_whole_requests(fd, buffer);
      }
    }
    for (size_t i = 1; i < polled.size(); ++i) close(polled[i].fd);
  }

  void answer_whole_requests(int fd, std::string& buffer) const {
    while (true) {
      const size_t end = buffer.find("\r\n\r\n");
      if (end == buffer.npos) return;
      size_t length = 0;
      const size_t at = buffer.find("Content-Length: ");
      if (at < end) std::from_chars(buffer.data() + at + 16, buffer.data() + end, length);
      if (buffer.size() < end + 4 + length) return;
      buffer.erase(0, end + 4 + length);
      for (size_t sent = 0; sent < reply_.size();) {
        const ssize_t n = send(fd, reply_.data() + sent, reply_.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) return;
        sent += static_cast<size_t>(n);
      }
    }
  }

  std::string reply_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

void bench_client(int64_t n_questions, int64_t n_workers) {
  FastServer server;
  EvalConfig config;
  config.base_urls = {server.url()};
  config.max_workers = n_workers;
  HttpClient client(config, Mode::standard, "EMPTY");
  const std::string prompt(6000, 'p');  // as long as an ARC prompt
  const auto start = std::chrono::steady_clock::now();
  const double cpu_start = thread_seconds();
  int64_t n_asked = 0;
  int64_t n_answered = 0;
  while (n_answered < n_questions) {
    for (; n_asked < n_questions && n_asked - n_answered < n_workers; ++n_asked) {
      client.ask({.tag = static_cast<uint64_t>(n_asked), .prompt = prompt});
    }
    for (const Reply& reply : client.wait(std::chrono::milliseconds(100))) {
      if (!std::holds_alternative<Answer>(reply.result)) throw std::runtime_error("a failure");
      ++n_answered;
    }
  }
  const double wall =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double cpu = thread_seconds() - cpu_start;
  const auto n = static_cast<double>(n_questions);
  fmt::print(
      "client: {} requests, {} at once: {:.0f}/s wall, {:.0f}/s of one core ({:.1f} us each)\n",
      n_questions,
      n_workers,
      n / wall,
      n / cpu,
      cpu / n * 1e6);
}

// Nobody is asked: the file is complete but for one sample.
class NoSource final : public AnswerSource {
 public:
  void ask(Question question) override { tags_.push_back(question.tag); }
  std::vector<Reply> wait(std::chrono::milliseconds) override {
    std::vector<Reply> replies;
    for (const uint64_t tag : tags_) {
      replies.push_back({.tag = tag, .result = Answer{.text = "late"}});
    }
    tags_.clear();
    return replies;
  }
  Json served() const override { return Json::array(); }

 private:
  std::vector<uint64_t> tags_;
};

std::string write_dataset(const std::string& folder, int64_t n_rows) {
  std::string path = folder + "/data.jsonl";
  std::ofstream out(path);
  for (int64_t row = 0; row < n_rows; ++row) {
    out << fmt::format("{{\"prompt\": \"question {}\", \"task_id\": \"t{}\"}}\n", row, row);
  }
  return path;
}

void bench_resume(int64_t n_lines, int64_t n_rows) {
  const std::string folder =
      (std::filesystem::temp_directory_path() / fmt::format("qwen3-bench-{}", getpid())).string();
  std::filesystem::create_directory(folder);
  GenerateOptions options;
  options.config.input_file = write_dataset(folder, n_rows);
  options.config.output_file = folder + "/out.jsonl";
  options.config.n_samples = n_lines / n_rows;
  {
    const Dataset dataset(options.config.input_file, Mode::standard);
    const std::string identity = identity_hash(run_identity(options.config, Mode::standard));
    std::ofstream out(options.config.output_file);
    for (int64_t row = 0; row < n_rows; ++row) {
      const DatasetRow facts = dataset.row(row);
      const std::string key = row_key(identity, dataset.fingerprint(row));
      for (int64_t k = row == 0 ? 1 : 0; k < options.config.n_samples; ++k) {
        out << sample_line(facts.json, sample_key(key, k), k, {.text = std::string(200, 'a')})
            << '\n';
      }
    }
  }
  const auto bytes = std::filesystem::file_size(options.config.output_file);
  const pid_t child = fork();  // so that the peak is the resume's alone
  if (child == 0) {
    const auto start = std::chrono::steady_clock::now();
    const double cpu_start = thread_seconds();
    const GenerateReport report =
        generate(options, [] { return std::make_unique<NoSource>(); }, {});
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    fmt::print(
        "resume: {} lines ({} MB) of {} rows: found {}, {:.2f} s wall, {:.2f} s CPU, {} MiB "
        "peak\n",
        n_lines,
        bytes / 1'000'000,
        n_rows,
        report.tally.found,
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
        thread_seconds() - cpu_start,
        usage.ru_maxrss / 1024);
    std::fflush(stdout);
    _exit(report.complete() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  std::filesystem::remove_all(folder);
  if (status != 0) throw std::runtime_error("the resume failed");
}

int64_t argument(int argc, char** argv, int index, int64_t otherwise) {
  if (index >= argc) return otherwise;
  int64_t value = 0;
  const char* end = argv[index] + std::strlen(argv[index]);
  if (std::from_chars(argv[index], end, value).ptr != end || value < 1) {
    throw std::runtime_error("expected a positive number");
  }
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string what = argc > 1 ? argv[1] : "client";
    if (what == "client") {
      bench_client(argument(argc, argv, 2, 20'000), argument(argc, argv, 3, 128));
    } else if (what == "resume") {
      bench_resume(argument(argc, argv, 2, 1'000'000), argument(argc, argv, 3, 1000));
    } else {
      throw std::runtime_error("usage: eval_client_bench client|resume [N [M]]");
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
