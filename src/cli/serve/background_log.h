// BackgroundLog: what a server says on stderr, written by a thread of its own, so that a reader
// that stops (a terminal after Ctrl-S, a log collector that hangs) never stops an answer or the
// end.
//
//   any thread ── write() ──> ring of fixed size ── one thread ──> fd
//                    └─ full: the line is lost and counted; a later line says how many were
//
// Lines keep their order and are never mixed with one another. Once a line is lost, so are all
// further log lines until everything kept is written: the lines' number then stands where they
// are missing. Nothing is allocated after the construction.
//
// Threads: every function from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <thread>

#include "cli/console.h"

namespace qwen3::cli {

class BackgroundLog final : public NoteSink {
 public:
  static constexpr size_t kCapacity = 1 << 20;

  // Starts the thread. `fd` must stay open for as long as the process lives, since a write to it
  // may never return.
  explicit BackgroundLog(int fd, size_t capacity = kCapacity);
  // Waits a second for what is kept, and leaves the thread to itself if it still hangs in a write.
  ~BackgroundLog() override;
  BackgroundLog(const BackgroundLog&) = delete;
  BackgroundLog& operator=(const BackgroundLog&) = delete;

  // Never block on the reader. A log line may fill three quarters of the ring; the rest is for what
  // matters more (errors, a watchdog's report), which comes by write().
  void write_log_line(std::string_view line) noexcept;  // without its end
  void write(std::string_view text) noexcept override;

  bool flush(std::chrono::milliseconds patience) override;

  // Lines that found no room or that the system refused.
  int64_t n_lost() const;

 private:
  struct State;
  const std::shared_ptr<State> state_;  // shared with the thread, which may outlive this object
  std::thread thread_;
};

}  // namespace qwen3::cli
