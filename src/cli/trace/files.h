// Taps on disk: dumps as .npy files, and the comparison with dumps of another program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trace/tap.h"

namespace qwen3::cli {

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

// Throws Error{not_found} with the nearest names for a pattern that matches none of `names`.
void check_patterns(const std::vector<std::string>& patterns, std::span<const std::string> names);

// Compares each tensor with DIRECTORY/<tap name>.npy, where there was such a file at the start.
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
  bool wants(std::string_view name) const override { return files_.wants(name); }
  void tensor(std::string_view name, const Tensor& value) override;

  int64_t n_compared() const { return n_compared_; }
  int64_t n_unused_files() const { return files_.size() - n_compared_; }   // of one pass
  const std::vector<Difference>& diverging() const { return diverging_; }  // in order of execution
  const Difference& worst() const { return worst_; }

 private:
  std::filesystem::path directory_;
  TapNames files_;  // of the tensors that the directory has
  double tolerance_;
  int64_t n_compared_ = 0;
  std::vector<Difference> diverging_;
  Difference worst_;
};

}  // namespace qwen3::cli
