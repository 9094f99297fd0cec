// TapList: one listener made of several, called in order, each with what it wants.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "trace/tap.h"

namespace qwen3 {

class TapList final : public Tap {
 public:
  void add(Tap& tap) { taps_.push_back(&tap); }  // borrowed
  bool empty() const { return taps_.empty(); }
  void begin_step(std::span<const int32_t> positions) override {
    for (Tap* tap : taps_) tap->begin_step(positions);
  }
  bool wants(std::string_view name) const override {
    return std::ranges::any_of(taps_, [&](const Tap* tap) { return tap->wants(name); });
  }
  void tensor(std::string_view name, const Tensor& value) override {
    for (Tap* tap : taps_) {
      if (tap->wants(name)) tap->tensor(name, value);
    }
  }

 private:
  std::vector<Tap*> taps_;
};

}  // namespace qwen3
