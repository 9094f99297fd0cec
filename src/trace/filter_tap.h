// FilterTap: a listener that hears only what some patterns name.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trace/tap.h"

namespace qwen3 {

// Names of taps, to be asked for one, or for the experts of a layer (Tap::wants).
class TapNames {
 public:
  void add(std::string name) { names_.insert(std::move(name)); }
  int64_t size() const { return static_cast<int64_t>(names_.size()); }
  bool contains(std::string_view name) const { return names_.contains(name); }
  bool wants(std::string_view name) const;

 private:
  std::set<std::string, std::less<>> names_;
};

// Passes on the tensors whose name matches one of the patterns; all of them when there are none.
class FilterTap final : public Tap {
 public:
  // `names`: all that the model can show.
  FilterTap(const std::vector<std::string>& patterns,
            std::span<const std::string> names,
            Tap& next);
  void begin_step(std::span<const int32_t> positions) override { next_.begin_step(positions); }
  bool wants(std::string_view name) const override;
  void tensor(std::string_view name, const Tensor& value) override;

 private:
  bool all_;
  TapNames matching_;
  Tap& next_;
};

}  // namespace qwen3
