// GuardedTap: a request's tap for one pass. A tap that throws must not end the step that others
// share, nor leave keys half stored: the pass goes on unheard, and the problem is kept.
#pragma once

#include <exception>
#include <span>
#include <string>
#include <string_view>

#include "trace/tap.h"

namespace qwen3 {

class GuardedTap final : public Tap {
 public:
  explicit GuardedTap(Tap& tap) : tap_(tap) {}

  void begin_step(std::span<const int32_t> positions) override {
    guard([&] { tap_.begin_step(positions); });
  }
  bool wants(std::string_view name) const override {
    bool wanted = false;
    guard([&] { wanted = tap_.wants(name); });
    return wanted;
  }
  void tensor(std::string_view name, const Tensor& value) override {
    guard([&] { tap_.tensor(name, value); });
  }
  const std::string& problem() const { return problem_; }  // empty: none

 private:
  template <typename Call>
  void guard(const Call& call) const {
    if (!problem_.empty()) return;
    try {
      call();
    } catch (const std::exception& error) {
      problem_ = error.what();
      if (problem_.empty()) problem_ = "an exception without a message";
    } catch (...) {
      problem_ = "an exception of unknown type";
    }
  }

  Tap& tap_;
  mutable std::string problem_;
};

}  // namespace qwen3
