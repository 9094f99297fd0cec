// An operator new that fails on command. It replaces the program's own wherever failing_new.cpp is
// linked in, so what uses it stands in programs of its own.
//
// Threads: counting is one atomic for all of them. A thread that asks for it (the test's own, which
// plays the client) is neither counted nor refused anything.
#pragma once

#include <cstdint>

namespace qwen3::testing {

// While one exists, allocations are counted: the n-th from its beginning fails, and `n_failing` - 1
// after it. One at a time.
class FailingNew {
 public:
  static constexpr int64_t kNever = INT64_MAX;

  explicit FailingNew(int64_t nth, int64_t n_failing = 1);
  ~FailingNew();
  FailingNew(const FailingNew&) = delete;

  int64_t n_seen() const;
  int64_t n_failed() const;
};

// The calling thread's allocations never fail until the end of this object.
class SparedThread {
 public:
  SparedThread();
  ~SparedThread();
  SparedThread(const SparedThread&) = delete;
};

}  // namespace qwen3::testing
