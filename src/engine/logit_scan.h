// LogitScan: one fast pass over a row of logits, after which the largest values are found by
// looking at a small part of the row.
//
// The row is cut into groups of 1024 values, a group into 16 columns: column c holds the values
// c, c + 16, c + 32 … of its group. The pass keeps each column's maximum, which needs no operation
// across vector lanes. At a vocabulary of 151,936 that makes 2,384 maxima; the k-th largest of them
// is a lower bound of the k-th largest value, and only columns that reach it need a second look.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace qwen3 {

struct Candidate {
  float value;
  int32_t id;
  double weight;  // for the caller
};

// The order of preference: larger value first, among equals the lower id.
inline bool better(const Candidate& a, const Candidate& b) {
  return a.value > b.value || (a.value == b.value && a.id < b.id);
}

class LogitScan {
 public:
  // For rows of up to max_size values; nothing is allocated later.
  explicit LogitScan(int64_t max_size);

  // Reads the row, which stays borrowed until the next scan. Values are finite or -infinity.
  void scan(std::span<const float> row);

  float max() const { return max_; }
  // The lowest id of the largest value.
  int32_t argmax() const;
  // At least min(k, size) of the values are >= this. -infinity when k exceeds the number of
  // columns.
  float lower_bound_of_top(int64_t k);
  // All values >= threshold except -infinity, by ascending id; valid until the next call.
  std::vector<Candidate>& collect(float threshold);

 private:
  template <typename Visit>
  void visit_columns(float threshold, Visit&& visit) const;

  std::span<const float> row_;
  std::vector<float> column_max_;  // [n_groups, 16]
  std::vector<float> scratch_;
  std::vector<Candidate> candidates_;
  float max_ = 0;
};

// Whether no value is NaN or infinite.
bool all_finite(std::span<const float> row);

// exp((x - shift) * scale) with a relative error below 3e-7; 0 where that is below e^-87.
float exp_shifted(float x, float shift, float scale);

// Sum of exp_shifted over the row: first in each group of 1024 values, then of the groups, ascending.
double sum_exp(std::span<const float> row, float shift, float scale);

}  // namespace qwen3
