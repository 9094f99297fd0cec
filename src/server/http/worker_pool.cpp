#include "server/http/worker_pool.h"

#include <malloc.h>

#include <algorithm>
#include <utility>

namespace qwen3::server {
void WorkerPool::Turns::push(const std::string& owner, Work work) {
  auto found = std::ranges::find(owners_, owner, &Owner::name);
  if (found != owners_.end()) {
    found->works.push_back(std::move(work));
  } else {
    Owner added{.name = owner, .works = {}};
    added.works.push_back(std::move(work));
    owners_.push_back(std::move(added));
  }
  ++n_works_;
}

WorkerPool::Work WorkerPool::Turns::pop() {
  Owner& first = owners_.front();
  Work work = std::move(first.works.front());
  first.works.pop_front();
  --n_works_;
  // The next turn is another owner's. Nothing here allocates.
  if (first.works.empty()) {
    owners_.pop_front();
  } else {
    owners_.splice(owners_.end(), owners_, owners_.begin());
  }
  return work;
}

WorkerPool::WorkerPool(int n_threads) : n_threads_(n_threads) {
  for (int i = 0; i < n_threads; ++i) threads_.emplace_back([this] { run(); });
}

WorkerPool::~WorkerPool() { stop(); }

void WorkerPool::submit(const std::string& owner, Size size, Work work) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    (size == Size::large ? large_ : small_).push(owner, std::move(work));
  }
  // All: the one that is woken might be one that may not take large work.
  wake_.notify_all();
}

int WorkerPool::n_large_waiting() const {
  const std::lock_guard lock(mutex_);
  return large_.size();
}

void WorkerPool::stop() {
  Turns dropped_small, dropped_large;  // destroyed outside the lock
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    std::swap(dropped_small, small_);
    std::swap(dropped_large, large_);
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

// With a single worker, both kinds take turns.
bool WorkerPool::may_start_large() const {
  if (large_.empty() || doing_large_) return false;
  return small_.empty() || n_doing_small_ > 0 || (n_threads_ == 1 && small_was_last_);
}

WorkerPool::Work WorkerPool::wait_for_work(Size& size) {
  std::unique_lock lock(mutex_);
  const auto ready = [this] { return stopping_ || !small_.empty() || may_start_large(); };
  wake_.wait(lock, ready);
  if (stopping_) return {};
  size = may_start_large() ? Size::large : Size::small;
  small_was_last_ = size == Size::small;
  if (size == Size::large) {
    doing_large_ = true;
    return large_.pop();
  }
  ++n_doing_small_;
  return small_.pop();
}

void WorkerPool::done(Size size) {
  // What a large body took lies in this thread's arena, where the next one's may not find it.
  if (size == Size::large) malloc_trim(0);
  {
    const std::lock_guard lock(mutex_);
    if (size == Size::large) {
      doing_large_ = false;
    } else {
      --n_doing_small_;
    }
  }
  wake_.notify_all();
}

void WorkerPool::run() {
  while (true) {
    Size size = Size::small;
    Work work = wait_for_work(size);
    if (!work) return;
    work();
    work = {};
    done(size);
  }
}

}  // namespace qwen3::server
