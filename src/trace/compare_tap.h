// CompareTap: holds a forward pass against the tensors of another program.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "trace/filter_tap.h"
#include "trace/tap.h"

namespace qwen3 {

struct ReferenceTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

class CompareTap final : public Tap {
 public:
  struct Difference {
    std::string name;
    double relative = 0;        // ‖Δ‖ / ‖reference‖
    double largest = 0;         // largest |Δ| …
    int64_t at = 0;             // … at this flat index
    std::string shape_problem;  // not empty: the shapes do not fit
  };

  // There is a reference for each of `names`; `read` is asked for one when its tensor comes, and
  // what it throws ends the pass.
  using Read = std::function<ReferenceTensor(std::string_view name)>;
  CompareTap(TapNames names, Read read, double tolerance);
  bool wants(std::string_view name) const override { return names_.wants(name); }
  void tensor(std::string_view name, const Tensor& value) override;

  int64_t n_compared() const { return n_compared_; }
  int64_t n_unused() const { return names_.size() - n_compared_; }         // references of one pass
  const std::vector<Difference>& diverging() const { return diverging_; }  // in order of execution
  const Difference& worst() const { return worst_; }

 private:
  TapNames names_;
  Read read_;
  double tolerance_;
  int64_t n_compared_ = 0;
  std::vector<Difference> diverging_;
  Difference worst_;
};

}  // namespace qwen3
