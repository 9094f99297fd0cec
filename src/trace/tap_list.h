// TapList: one listener made of several, called in order.
#pragma once

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
  void tensor(std::string_view name, const Tensor& value) override {
    for (Tap* tap : taps_) tap->tensor(name, value);
  }

 private:
  std::vector<Tap*> taps_;
};

}  // namespace qwen3
