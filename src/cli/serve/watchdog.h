// Watchdog: reports a step of the engine that takes long, and ends the process when it hangs, since
// its threads cannot be joined any more. Both come with the stacks of all threads on stderr.
//
// A step's time is what the watchdog was awake for while it ran, in small portions: a process that
// was stopped (SIGSTOP, a frozen container, a virtual machine on its way to another host) wakes up
// with a clock that went on, and must not take that for work.
//
// Threads: one that looks every now and then; the step runs elsewhere.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "server/api/service.h"

namespace qwen3::cli {

// How long the step that runs has really run.
class AwakeTime {
 public:
  // A look at `now`, when the clock says that a step has run for `step_seconds` (0: none runs). Of
  // the time since the last look at most kPortion counts.
  double look(double step_seconds, Clock::time_point now);

  static constexpr double kPortion = 0.25;  // s; the looks are 0.2 s apart

 private:
  Clock::time_point last_look_ = {};
  double seconds_ = 0;
};

class Watchdog {
 public:
  // limit_seconds: the process ends when a step takes longer; 0: never.
  Watchdog(server::Service& service, int64_t limit_seconds);

  // To be called about every 0.2 s. Does not return when the limit is passed: exit code 1.
  void look();

 private:
  void report(double seconds, bool hangs);

  server::Service& service_;
  const int64_t limit_seconds_;
  AwakeTime time_;
  bool reported_ = false;  // the step that runs
};

}  // namespace qwen3::cli
