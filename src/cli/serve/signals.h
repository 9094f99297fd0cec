// The signals that end qwen3 serve, as answers to a question. SIGTERM and Ctrl-C end it, a second
// one without waiting. SIGHUP ends it too, but is never a second one: a terminal that closes sends
// it twice (the kernel and the shell), and a session's end sends it after SIGTERM. Under nohup,
// which ignores SIGHUP, it stays ignored.
//
// Threads: one object, made before any other thread, so that these inherit the blocked
// signals.
#pragma once

#include <signal.h>

#include <chrono>

namespace qwen3::cli {

class EndSignals {
 public:
  // Blocks them for the rest of the process.
  EndSignals();

  // True when one of them came within `patience`.
  bool wait(std::chrono::milliseconds patience);

  // Whether SIGTERM or Ctrl-C came more than once.
  bool urgent() const { return n_urgent_ > 1; }

 private:
  sigset_t set_;
  int n_urgent_ = 0;
};

}  // namespace qwen3::cli
