// Taps on disk: dumps as .npy files, and the comparison with dumps of another program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trace/tap.h"

namespace qwen3::cli {

// Passes on the tensors whose name matches one of the patterns; all of them when there are none.
class FilterTap final : public Tap {
 public:
  FilterTap(std::vector<std::string> patterns, Tap& next)
      : patterns_(std::move(patterns)), next_(next) {}
  void begin_step(std::span<const int32_t> positions) override { next_.begin_step(positions); }
  void tensor(std::string_view name, const Tensor& value) override;

 private:
  std::vector<std::string> patterns_;
  Tap& next_;
};

// Throws Error{not_found} with the nearest names for a pattern that matches none of `names`.
void check_patterns(const std::vector<std::string>& patterns, std::span<const std::string> names);

// Compares each tensor with DIRECTORY/<tap name>.npy, where there is such a file.
class CompareTap final : public Tap {
 public:
  struct Difference {
    std::string name;
    double relative = 0;        // ‖Δ‖ / ‖reference‖
    double largest = 0;         // largest |Δ| …
    int64_t at = 0;             // … at this flat index
    std::string shape_problem;  // not empty: the shapes do not fit
  };

  // Throws Error{not_found} when there is no such directory.
  CompareTap(std::filesystem::path directory, double tolerance);
  void tensor(std::string_view name, const Tensor& value) override;

  int64_t n_compared() const { return n_compared_; }
  const std::vector<Difference>& diverging() const { return diverging_; }  // in order of execution
  const Difference& worst() const { return worst_; }

 private:
  std::filesystem::path directory_;
  double tolerance_;
  int64_t n_compared_ = 0;
  std::vector<Difference> diverging_;
  Difference worst_;
};

}  // namespace qwen3::cli
