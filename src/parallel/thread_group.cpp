#include "parallel/thread_group.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "base/error.h"
#include "tensor/storage.h"

namespace qwen3 {
namespace {

// What all ranks have put down, when all have.
class Meeting {
 public:
  explicit Meeting(int n_ranks)
      : texts_(static_cast<size_t>(n_ranks)), parts_(static_cast<size_t>(n_ranks)) {}

  std::vector<std::string> gather(int rank, const std::string& mine) {
    meet([&] { texts_[static_cast<size_t>(rank)] = mine; });
    std::vector<std::string> all = texts_;
    meet([] {});  // all have read
    return all;
  }
  std::vector<std::shared_ptr<Storage>> share(int rank, std::shared_ptr<Storage> mine) {
    meet([&] { parts_[static_cast<size_t>(rank)] = std::move(mine); });
    std::vector<std::shared_ptr<Storage>> all = parts_;
    meet([] {});
    return all;
  }
  // Whoever waits, now or later, throws.
  void leave() {
    const std::lock_guard lock(mutex_);
    left_ = true;
    changed_.notify_all();
  }

 private:
  template <typename Act>
  void meet(const Act& act) {
    std::unique_lock lock(mutex_);
    act();
    const uint64_t round = round_;
    if (++n_here_ == texts_.size()) {
      n_here_ = 0;
      ++round_;
      changed_.notify_all();
    } else {
      changed_.wait(lock, [&] { return round_ != round || left_; });
    }
    if (round_ == round) throw Error(ErrorKind::device, "a rank has left the group");
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> texts_;
  std::vector<std::shared_ptr<Storage>> parts_;
  size_t n_here_ = 0;
  uint64_t round_ = 0;
  bool left_ = false;
};

class ThreadGroup final : public ProcessGroup {
 public:
  ThreadGroup(std::shared_ptr<Meeting> meeting, int rank, int size)
      : meeting_(std::move(meeting)), rank_(rank), size_(size) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::vector<std::string> all_gather(const std::string& mine) override {
    return meeting_->gather(rank_, mine);
  }
  SharedWindow allocate_shared(int64_t bytes) override {
    // Every rank keeps all parts: threads need not be through with them at the same time.
    auto parts = std::make_shared<std::vector<std::shared_ptr<Storage>>>(
        meeting_->share(rank_, std::make_shared<Storage>(bytes)));
    SharedWindow window{{}, parts};
    for (const std::shared_ptr<Storage>& part : *parts) window.parts.push_back(part->data());
    return window;
  }

 private:
  const std::shared_ptr<Meeting> meeting_;
  const int rank_, size_;
};

}  // namespace

void run_thread_ranks(int n_ranks,
                      const CommunicatorOptions& options,
                      const std::function<void(Communicator&)>& body) {
  const auto meeting = std::make_shared<Meeting>(n_ranks);
  std::mutex mutex;
  std::exception_ptr first;
  const auto run = [&](int rank) {
    std::unique_ptr<Communicator> communicator;
    try {
      communicator = std::make_unique<Communicator>(
          std::make_unique<ThreadGroup>(meeting, rank, n_ranks), options);
      body(*communicator);
    } catch (const std::exception& error) {
      {
        const std::lock_guard lock(mutex);
        if (first == nullptr) first = std::current_exception();
      }
      if (communicator) communicator->end_group(error.what());
      meeting->leave();
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(n_ranks));
  for (int rank = 0; rank < n_ranks; ++rank) threads.emplace_back(run, rank);
  for (std::thread& thread : threads) thread.join();
  if (first != nullptr) std::rethrow_exception(first);
}

}  // namespace qwen3
