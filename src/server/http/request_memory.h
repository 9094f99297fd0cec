// RequestMemory: how much memory requests hold, and how much they may. Whoever is about to keep
// bytes that a client chose asks first, before a byte of them is read: connections for what they
// read ahead, bodies by the length that their head states, handlers for prompts and answers,
// streams for what their client has not read yet.
//
//   total ──┬── holdings     what is kept: bodies, prompts, token ids, answers, unread output
//           ├── large work   a large body is read, rendered and tokenised: one at a time
//           └── small work   the same for small ones, one per worker
//
// Fair without a list of shares (dynamic thresholds, Choudhury and Hahne 1998): an owner, a key or
// an address, may hold as much as is still free afterwards. Alone it gets half, beside one that
// took its half a quarter, and so on; there is always something left for the next. Holdings of a
// few KiB, which ordinary requests are, need only that the limit holds.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

namespace qwen3::server {

class RequestMemory {
 public:
  // Up to here a holding passes by the rule of fairness.
  static constexpr int64_t kSmallHolding = 64 << 10;
  // What a worker may take for a body that counts as small work.
  static constexpr int64_t kSmallWork = 2 << 20;
  // The least total that a server can work with.
  static constexpr int64_t kLeast = 12 << 20;

  // A total below kLeast counts as kLeast.
  RequestMemory(int64_t total_bytes, int n_workers);

  // When loading a model has shown what is left. What is held already stays.
  void set_total(int64_t total_bytes);

  int64_t held() const;
  int64_t limit() const;             // of all holdings
  int64_t large_work_limit() const;  // of the work on one large body
  int64_t n_refused() const;         // holdings that could not be had

  enum class Part { connection, body, answer, output };
  struct Owner {
    int64_t bytes = 0;
    int64_t n_holdings = 0;
  };
  using OwnerEntry = std::pair<const std::string, Owner>;

  // What one connection or one request holds; it gives everything back at its end, which may come
  // after the server's. Thread safe.
  class Holding {
   public:
    Holding(std::shared_ptr<RequestMemory> memory, const std::string& owner);
    ~Holding();
    Holding(const Holding&) = delete;
    Holding& operator=(const Holding&) = delete;

    // Sets what one part takes. False when that is not available now: nothing has changed then.
    // Less is always available. Does not allocate.
    bool set(Part part, int64_t bytes) noexcept;

   private:
    const std::shared_ptr<RequestMemory> memory_;
    OwnerEntry* owner_;               // stays put while it has a holding
    std::array<int64_t, 4> parts_{};  // under the memory's mutex
    int64_t sum_ = 0;                 // under the memory's mutex
  };

 private:
  const int64_t small_work_;
  mutable std::mutex mutex_;
  int64_t limit_ = 0;
  int64_t large_work_ = 0;
  int64_t held_ = 0;
  int64_t n_refused_ = 0;
  std::unordered_map<std::string, Owner> owners_;  // those with a holding
};

}  // namespace qwen3::server
