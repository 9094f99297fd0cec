// Comparison: listens to the exact pass and holds the judged one, and the yardstick, against it, tensor
// by tensor; nothing is kept longer than its comparison.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "qwen3/shape.h"
#include "trace/tap.h"
#include "verify/foreign_taps.h"
#include "verify/tap_channel.h"
#include "verify/verification.h"

namespace qwen3 {

// The tensors of the fused pass that it shows without being taken apart.
using FusedTaps = std::map<std::string, KeptTensor, std::less<>>;

// Thrown out of the exact pass when there is no point in going on; the verification says why.
struct ComparisonEnded {};

class Comparison final : public Tap {
 public:
  struct Sides {
    TapChannel& judged;
    TapChannel& yardstick;
    const FusedTaps& fused;
    const ForeignTaps* foreign = nullptr;  // expected instead of the exact pass
  };
  // `before_each` may throw to end the pass.
  Comparison(const ModelShape& shape,
             Sides sides,
             std::function<void(std::string_view)> before_each);

  bool wants(std::string_view name) const override;
  void tensor(std::string_view name, const Tensor& value) override;
  const Verification& result() const { return result_; }

 private:
  // Squares of differences and of what was expected; and the largest difference.
  struct Sums {
    double difference = 0, expected = 0, largest = 0, got = 0, want = 0;
    int64_t row = 0, column = 0;
    double relative() const;
    void add(const KeptTensor& got, const KeptTensor& want, int64_t n_rows);
  };
  struct ExpertSums {
    Sums judged, yardstick;
  };

  void compare(std::string_view name, const KeptTensor& exact);
  void compare_experts(std::string_view step, std::string_view name, const KeptTensor& exact);
  void finish_experts(int64_t layer);
  void compare_routing(std::string_view name, const KeptTensor& exact);
  void record_routing(TensorCheck check);
  void compare_logits(const KeptTensor& judged, const KeptTensor& expected, int64_t n_rows);
  void record(std::string_view name, const Sums& judged, double yardstick, bool fused);
  double bound(std::string_view name, double yardstick) const;
  int64_t comparable_rows(int64_t n_rows) const;

  const ModelShape& shape_;
  Sides sides_;
  std::function<void(std::string_view)> before_each_;
  Verification result_;
  KeptTensor router_logits_;  // of the layer
  double router_bound_ = 0;
  std::map<std::string, ExpertSums, std::less<>> experts_;  // of the layer, by step
};

}  // namespace qwen3
