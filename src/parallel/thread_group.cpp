#include "parallel/thread_group.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "tensor/storage.h"

namespace qwen3 {
namespace {

using Parts = std::vector<std::shared_ptr<Storage>>;

// What all ranks have put down, when all have; and the messages between them.
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
  std::vector<Parts> share(int rank, Parts mine) {
    meet([&] { parts_[static_cast<size_t>(rank)] = std::move(mine); });
    std::vector<Parts> all = parts_;
    meet([] {});
    return all;
  }
  struct Route {
    int from, to, tag;
    auto operator<=>(const Route&) const = default;
  };
  void put(const Route& route, std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    messages_[route].emplace_back(bytes.begin(), bytes.end());
  }
  std::optional<std::vector<std::byte>> take(const Route& route) {
    const std::lock_guard lock(mutex_);
    auto& waiting = messages_[route];
    if (waiting.empty()) return std::nullopt;
    std::vector<std::byte> first = std::move(waiting.front());
    waiting.pop_front();
    return first;
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
  std::vector<Parts> parts_;
  std::map<Route, std::deque<std::vector<std::byte>>> messages_;
  size_t n_here_ = 0;
  uint64_t round_ = 0;
  bool left_ = false;
};

class ThreadGroup final : public ProcessGroup {
 public:
  ThreadGroup(std::shared_ptr<Meeting> meeting, int rank, int size, int n_hosts)
      : meeting_(std::move(meeting)), rank_(rank), size_(size), n_hosts_(n_hosts) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int host_of(int rank) const override { return rank * n_hosts_ / size_; }
  std::vector<std::string> all_gather(const std::string& mine) override {
    return meeting_->gather(rank_, mine);
  }

  SharedWindow allocate_shared(int64_t bytes) override {
    // Every rank keeps all parts: threads need not be through with them at the same time.
    auto parts = std::make_shared<Parts>();
    for (const Parts& part : meeting_->share(rank_, {std::make_shared<Storage>(bytes)})) {
      parts->push_back(part.front());
    }
    if (n_hosts_ > 1) replace_far_parts(*parts);
    SharedWindow window{{}, parts};
    for (const std::shared_ptr<Storage>& part : *parts) window.parts.push_back(part->data());
    return window;
  }

  Transfer send(int to, int tag, std::span<const std::byte> bytes) override {
    meeting_->put({rank_, to, tag}, bytes);
    return {};
  }
  Transfer receive(int from, int tag, std::span<std::byte> bytes) override {
    const std::lock_guard lock(mutex_);
    receives_[n_receives_] = {{from, rank_, tag}, bytes};
    return {n_receives_++};
  }
  bool ended(Transfer& transfer) override {
    if (!transfer.under_way()) return true;
    const std::lock_guard lock(mutex_);
    const Receive receive = receives_.at(transfer.number);
    const auto message = meeting_->take(receive.route);
    if (!message) return false;
    QWEN3_CHECK(message->size() == receive.bytes.size(),
                ErrorKind::device,
                "a message of {} bytes where {} were expected",
                message->size(),
                receive.bytes.size());
    std::copy(message->begin(), message->end(), receive.bytes.begin());
    receives_.erase(transfer.number);
    transfer = {};
    return true;
  }

 private:
  struct Receive {
    Meeting::Route route;
    std::span<std::byte> bytes;
  };

  // By the copies that the first rank of this host makes.
  void replace_far_parts(Parts& parts) {
    int first = 0;
    while (host_of(first) != host_of(rank_)) ++first;
    Parts copies(parts.size());
    for (size_t r = 0; r < parts.size() && first == rank_; ++r) {
      copies[r] = std::make_shared<Storage>(parts[r]->bytes());
    }
    const Parts mine = meeting_->share(rank_, copies)[static_cast<size_t>(first)];
    for (int r = 0; r < size_; ++r) {
      const auto i = static_cast<size_t>(r);
      if (host_of(r) != host_of(rank_)) parts[i] = mine[i];
    }
  }

  const std::shared_ptr<Meeting> meeting_;
  const int rank_, size_, n_hosts_;
  std::mutex mutex_;
  std::map<int, Receive> receives_;  // under way
  int n_receives_ = 0;
};

}  // namespace

void run_thread_ranks(int n_ranks,
                      const CommunicatorOptions& options,
                      const std::function<void(Communicator&)>& body,
                      int n_hosts) {
  const auto meeting = std::make_shared<Meeting>(n_ranks);
  std::mutex mutex;
  std::exception_ptr first;
  const auto run = [&](int rank) {
    std::unique_ptr<Communicator> communicator;
    try {
      communicator = std::make_unique<Communicator>(
          std::make_unique<ThreadGroup>(meeting, rank, n_ranks, n_hosts), options);
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
