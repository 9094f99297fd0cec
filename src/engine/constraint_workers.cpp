#include "engine/constraint_workers.h"

#include <exception>
#include <utility>

namespace qwen3 {
namespace {

// A mask takes 10 µs where a step of a small model takes milliseconds: one thread does hundreds a step.
constexpr unsigned kCoresForTwo = 32;

}  // namespace

ConstraintWorkers::ConstraintWorkers()
    : n_threads_(std::thread::hardware_concurrency() >= kCoresForTwo ? 2 : 1) {}

ConstraintWorkers::~ConstraintWorkers() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ConstraintWorkers::want(const std::shared_ptr<ConstrainedAnswer>& answer) noexcept {
  if (!answer->enqueue()) return;
  try {
    const std::lock_guard lock(mutex_);
    if (threads_.size() < n_threads_) {
      threads_.reserve(n_threads_);
      threads_.emplace_back([this] { work(); });
    }
    queue_.push_back(answer);
  } catch (const std::exception&) {
    answer->dequeue();  // its row does it
  }
  wake_.notify_one();
}

void ConstraintWorkers::work() {
  for (;;) {
    std::shared_ptr<ConstrainedAnswer> answer;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return over_ || !queue_.empty(); });
      if (over_) return;
      answer = std::move(queue_.front());
      queue_.pop_front();
    }
    answer->dequeue();
    answer->prepare();
  }
}

}  // namespace qwen3
