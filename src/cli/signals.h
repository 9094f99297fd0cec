// Signals as facts that a command looks at, instead of ends of the program. They are counted by the
// process: one object at a time for each signal.
#pragma once

#include <signal.h>

namespace qwen3::cli {

// While it lives, a signal is counted and does nothing else.
class CountedSignal {
 public:
  // What happens to a system call that the signal meets.
  enum class SystemCall { goes_on, returns };  // with EINTR

  CountedSignal(int signal_number, SystemCall call);
  ~CountedSignal();
  CountedSignal(const CountedSignal&) = delete;
  CountedSignal& operator=(const CountedSignal&) = delete;

  int count() const;  // since it was made or clear() was called
  void clear();

 private:
  const int signal_number_;
  struct sigaction before_ = {};
};

// While it lives, signals that end a process wait. Threads that are started meanwhile, those of MPI or of a driver, are
// never met by one: it is for the main thread, which waits for it or has a handler.
class SignalsBlocked {
 public:
  SignalsBlocked();
  ~SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// Ctrl-C as the end of an answer or of a line: a read of the terminal returns.
class InterruptGuard {
 public:
  // True if Ctrl-C came since the guard was made or clear() was called.
  bool interrupted() const { return interrupt_.count() > 0; }
  void clear() { interrupt_.clear(); }

 private:
  CountedSignal interrupt_{SIGINT, CountedSignal::SystemCall::returns};
};

// Ctrl-C and SIGTERM as wishes to a long run: a write in progress is not cut short.
class StopSignals {
 public:
  int interrupts() const { return interrupt_.count(); }  // Ctrl-C so far
  bool terminated() const { return terminate_.count() > 0; }

 private:
  CountedSignal interrupt_{SIGINT, CountedSignal::SystemCall::goes_on};
  CountedSignal terminate_{SIGTERM, CountedSignal::SystemCall::goes_on};
};

}  // namespace qwen3::cli
