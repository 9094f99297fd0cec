// Watchdog: reports a step of the engine that takes long, and ends the process when it hangs, since
// its threads cannot be joined any more. Both come with the stacks of all threads on stderr.
//
// Threads: one that looks every now and then; the step runs elsewhere.
#pragma once

#include <cstdint>

#include "server/service.h"

namespace qwen3::cli {

class Watchdog {
 public:
  // limit_seconds: the process ends when a step takes longer; 0: never.
  Watchdog(server::Service& service, int64_t limit_seconds);

  // Does not return when the limit is passed: exit code 1.
  void look();

 private:
  server::Service& service_;
  const int64_t limit_seconds_;
  bool reported_ = false;  // the step that runs
};

}  // namespace qwen3::cli
