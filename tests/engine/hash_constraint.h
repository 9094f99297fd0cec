// HashConstraint: what may come next is a hash of what came: everything, one token, few or many, with an end
// here and there. `allows` says the same token by token, for tests that need a second opinion.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

#include "base/mix64.h"
#include "qwen3/constraint.h"

namespace qwen3 {

class HashConstraint final : public TokenConstraint {
 public:
  struct Plan {
    uint64_t seed = 0;
    int64_t n_tokens = 0;
    std::vector<int32_t> eos = {};  // never all that it allows
    int64_t exhausted_after = -1;   // tokens; -1: never
    int64_t empty_after = -1;       // nothing is allowed, and not the end either
    int64_t fill_throws_after = -1, accept_throws_after = -1;
  };

  explicit HashConstraint(const Plan& plan) : plan_(plan) {}

  void accept(int32_t token_id) override {
    if (n() == plan_.accept_throws_after) throw std::runtime_error("accept");
    EXPECT_TRUE(allows(token_id)) << token_id << " after " << n();
    seen_.push_back(token_id);
  }
  void rollback(int64_t count) override { seen_.resize(seen_.size() - static_cast<size_t>(count)); }

  Fill fill(std::span<uint64_t> allowed, int32_t& one) override {
    if (n() == plan_.fill_throws_after) throw std::runtime_error("fill");
    switch (kind()) {
      case Kind::everything:
        return Fill::everything;
      case Kind::one:
        one = only();
        return Fill::one;
      case Kind::some:
        break;
    }
    std::ranges::fill(allowed, ~uint64_t{0});  // ids without a token too
    for (int32_t id = 0; id < plan_.n_tokens; ++id) {
      if (!allows(id)) allowed[static_cast<size_t>(id) / 64] &= ~(uint64_t{1} << id % 64);
    }
    return Fill::mask;
  }
  bool may_end() const override {
    return n() != plan_.empty_after && (exhausted() || hash() % 5 == 0);
  }
  bool exhausted() const override { return n() == plan_.exhausted_after; }

  bool allows(int32_t id) const {
    switch (kind()) {
      case Kind::everything:
        return true;
      case Kind::one:
        return id == only();
      case Kind::some:
        break;
    }
    if (n() == plan_.empty_after || exhausted()) return false;
    const uint64_t share = hash() % 60;  // of 64
    return id == only() || mix64(hash() + static_cast<uint64_t>(id)) % 64 < share;
  }
  bool allows_everything() const { return kind() == Kind::everything; }

 private:
  enum class Kind { everything, one, some };

  Kind kind() const {
    if (n() == plan_.empty_after || exhausted()) return Kind::some;
    const uint64_t choice = hash() / 64 % 8;
    return choice == 0 ? Kind::everything : choice == 1 ? Kind::one : Kind::some;
  }
  int32_t only() const {
    auto id = static_cast<int32_t>(hash() / 1024 % static_cast<uint64_t>(plan_.n_tokens));
    while (std::ranges::find(plan_.eos, id) != plan_.eos.end()) ++id;
    return id;
  }
  int64_t n() const { return std::ssize(seen_); }
  uint64_t hash() const {
    uint64_t h = mix64(plan_.seed);
    for (const int32_t id : seen_) h = mix64(h ^ static_cast<uint64_t>(id + 1));
    return h;
  }

  const Plan plan_;
  std::vector<int32_t> seen_;
};

}  // namespace qwen3
