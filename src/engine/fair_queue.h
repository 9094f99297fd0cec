// FairQueue: who waits for the engine, and who is next.
//
// Lower priority values go first. Within one priority: sequences that ran before and were
// preempted, in the order of their first admission; then the first of the user (fair_key) who has
// been given the fewest tokens, the earlier arrival among equals.
//
// Given tokens are counted per user (virtual token counters: Sheng et al. 2024, arXiv 2401.00588):
// the prompt tokens to compute when a sequence is admitted (not those found in the prefix cache),
// one for each token generated. A user who comes back after waiting for nothing is lifted to the
// least counter of those who wait, so that unused time cannot be saved up.
//
// Fewest-first alone could pass over a user for ever when new names keep coming. So of every
// kOldestTurn admissions of one priority the last goes to whoever came first: with n older ones of
// its priority before it, a sequence is admitted after at most kOldestTurn * (n + 1) others.
//
// Not thread safe: the engine thread owns it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>

#include "engine/sequence.h"

namespace qwen3 {

struct FairUser {
  int64_t n_given = 0;      // tokens
  int64_t n_sequences = 0;  // waiting or running
};

class FairQueue {
 public:
  static constexpr int64_t kOldestTurn = 16;
  // Beyond as many, users without a sequence are forgotten, who was given the fewest first.
  static constexpr size_t kMaxUsers = 4096;

  // A sequence arrives. Borrowed until leave(). These two throw std::bad_alloc, and then the
  // sequence does not wait; nothing else here allocates.
  void push(Sequence& sequence);
  // One that was admitted waits again.
  void push_preempted(Sequence& sequence);

  bool empty() const { return size_ == 0; }
  int64_t size() const { return size_; }
  // Who is next. REQUIRES: not empty.
  Sequence& front() const;
  // Takes front() out. n_tokens: to compute.
  void admit(Sequence& sequence, int64_t n_tokens);
  // A token was generated.
  void charge(Sequence& sequence) { ++sequence.user->n_given; }
  // The sequence ends, waiting or not. The caller sets its state.
  void leave(Sequence& sequence);

  size_t n_users() const { return users_.size(); }
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [priority, level] : levels_) {
      for (const auto& [admission, s] : level.preempted) visit(*s);
      for (const auto& [user, line] : level.fresh) {
        for (const auto& [arrival, s] : line) visit(*s);
      }
    }
  }

 private:
  using Line = std::map<uint64_t, Sequence*>;
  struct Level {
    Line preempted;                         // by first admission
    std::map<const FairUser*, Line> fresh;  // by arrival; no line is empty
    int64_t n_admitted = 0;                 // of the fresh ones
  };

  FairUser& user_of(const std::string& key);
  void forget_someone();
  // Counter that a returning user is lifted to, unless it is higher by itself.
  int64_t floor() const;
  bool waits(const FairUser& user) const;
  void take_out(Sequence& sequence);
  void drop_if_empty(int32_t priority, const FairUser* user);

  std::map<int32_t, Level> levels_;  // by priority; none is empty
  std::unordered_map<std::string, FairUser> users_;
  int64_t size_ = 0;
  uint64_t n_arrivals_ = 0, n_admissions_ = 0;
  int64_t last_given_ = 0;  // the counter of whoever was admitted last
};

}  // namespace qwen3
