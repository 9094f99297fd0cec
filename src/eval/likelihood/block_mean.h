// BlockMean: the mean of many dependent values, with an honest error. Neighbouring tokens of a text
// are alike, so the error of their mean is estimated from blocks of them (windows, documents), not
// from single tokens: the ratio estimator of cluster sampling,
//
//   mean = Σ S_b / Σ n_b        error² = k/(k-1) · Σ (S_b - mean·n_b)² / (Σ n_b)²
//
// with S_b the sum and n_b the number of values of block b, and k blocks.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

namespace qwen3 {

class BlockMean {
 public:
  void begin_block() { blocks_.emplace_back(); }
  // REQUIRES: a block was begun.
  void add(double value) {
    blocks_.back().sum += value;
    ++blocks_.back().count;
  }

  int64_t count() const {
    int64_t n = 0;
    for (const Block& block : blocks_) n += block.count;
    return n;
  }
  double sum() const {
    double total = 0;
    for (const Block& block : blocks_) total += block.sum;
    return total;
  }
  double mean() const { return sum() / static_cast<double>(count()); }

  // Empty with fewer than two blocks: one block says nothing about how blocks differ.
  std::optional<double> standard_error() const {
    double squares = 0, k = 0;
    const double average = mean();
    for (const Block& block : blocks_) {
      if (block.count == 0) continue;
      const double off = block.sum - average * static_cast<double>(block.count);
      squares += off * off;
      ++k;
    }
    if (k < 2) return std::nullopt;
    return std::sqrt(k / (k - 1) * squares) / static_cast<double>(count());
  }

 private:
  struct Block {
    double sum = 0;
    int64_t count = 0;
  };
  std::vector<Block> blocks_;
};

}  // namespace qwen3
