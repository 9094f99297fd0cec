// A step's inputs in the card's memory: one block, brought by one copy.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "kernels/backend.h"
#include "kernels/cuda/kernels.h"

struct CUevent_st;

namespace qwen3::cuda {

// Sizes that a recorded step must have in common with the one that replays it.
struct StepShape {
  int64_t n_tokens = 0;
  int64_t table_stride = 0;
  int64_t max_units = 0;
  bool operator==(const StepShape&) const = default;
};

class StepInputs {
 public:
  StepInputs() = default;
  ~StepInputs();
  StepInputs(const StepInputs&) = delete;
  StepInputs& operator=(const StepInputs&) = delete;

  // `n_rows` rows instead of the batch's, one sequence each; 0: the batch as it is. Where the block must
  // grow, addresses change, and generation() with them.
  BoundBatch bind(const Batch& batch, int64_t n_rows, Stream stream);

  const BatchArgs& args() const { return args_; }
  const StepShape& shape() const { return shape_; }
  int64_t generation() const { return generation_; }

 private:
  struct Pinned {
    Storage bytes;
    CUevent_st* copied = nullptr;
  };

  std::array<Pinned, 2> pinned_;  // one is filled while the other is on its way
  size_t turn_ = 0;
  Storage on_device_;
  BatchArgs args_;
  StepShape shape_;
  int64_t generation_ = 0;
};

}  // namespace qwen3::cuda
