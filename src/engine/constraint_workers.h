// ConstraintWorkers: the threads that work out what constrained answers may become while the model computes.
// They start with the first such answer. Who does not find a mask ready makes it himself
// (constrained_answer.h), so nothing depends on them but time.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/constrained_answer.h"

namespace qwen3 {

class ConstraintWorkers {
 public:
  ConstraintWorkers();
  ~ConstraintWorkers();
  ConstraintWorkers(const ConstraintWorkers&) = delete;

  // It has a token to be prepared for. From any thread. Where memory or threads are missing, nothing happens.
  void want(const std::shared_ptr<ConstrainedAnswer>& answer) noexcept;

 private:
  void work();

  const size_t n_threads_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<ConstrainedAnswer>> queue_;  // under mutex_
  std::vector<std::thread> threads_;                      // under mutex_ until the end
  bool over_ = false;                                     // under mutex_
};

}  // namespace qwen3
