// Turns a routing table (token → experts) around (expert → tokens), so that each expert's weights
// are read once per batch. Any number of experts; buffers are kept between calls.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"

namespace qwen3 {

class ExpertGroups {
 public:
  struct Group {
    int64_t expert;                  // as routing names it
    int64_t matrix;                  // its place among those that build() was told of
    int64_t begin;                   // of this group's pairs in the order below
    std::span<const int32_t> rows;   // tokens sent to it, ascending
    std::span<const float> weights;  // their gate weights
  };

  // Of experts [first, first + n_experts); what goes to others is left out. Ids are not negative.
  void build(const Routing& routing, int64_t first, int64_t n_experts);

  // Experts with at least one token, ascending. Valid until the next build().
  std::span<const Group> groups() const { return groups_; }
  // The tokens of all groups, one group after the other.
  std::span<const int32_t> rows() const { return rows_; }
  // Position of pair (token, rank) in the concatenation of all groups; -1 if it is in none.
  int64_t position(int64_t token, int64_t rank) const {
    return positions_[static_cast<size_t>(token * top_k_ + rank)];
  }

 private:
  int64_t top_k_ = 0;
  std::vector<int64_t> begins_;
  std::vector<int64_t> positions_;
  std::vector<int32_t> rows_;
  std::vector<float> weights_;
  std::vector<Group> groups_;
};

}  // namespace qwen3
