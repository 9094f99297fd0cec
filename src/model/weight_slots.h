// The list of all weights that a config asks for: one walk that sizes, allocates, counts, loads and
// draws them, so that these five can never disagree.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/hf_config.h"
#include "kernels/backend.h"
#include "model/weights.h"
#include "tensor/storage.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace qwen3 {

struct WeightSlot {
  enum class Kind {
    matrix,   // [out, in], packed for the backend
    experts,  // [num_experts, out, in], each packed for the backend
    vector,   // norms and biases: float32, as they are
  };
  Kind kind;
  // The Hugging Face name. For experts: "model.layers.3.mlp.experts", and `projection` says which.
  std::string name;
  std::string projection;
  Shape shape;
  Weight* weight = nullptr;  // of a matrix or experts, in the Weights given to weight_slots
  Tensor* vector = nullptr;  // of a vector

  int64_t n_matrices() const { return kind == Kind::experts ? shape[0] : 1; }
  int64_t n_rows() const { return shape[shape.rank() == 3 ? 1 : 0]; }  // of each matrix
  int64_t row_numel() const { return kind == Kind::vector ? 1 : shape[shape.rank() - 1]; }
};

// Resizes weights.layers and lists every slot in the order of the forward pass, lm_head last and
// only if it is not tied. `weights` must stay where it is while the slots are used.
std::vector<WeightSlot> weight_slots(const HfConfig& config, Weights& weights);

// Carves every slot out of `arena`: matrices and experts of types[i], vectors in float32.
void carve(Arena& arena,
           const std::vector<WeightSlot>& slots,
           const std::vector<WeightType>& types,
           const Backend& backend);

// Allocates the one storage of `weights` and carves all slots out of it. Throws
// Error{out_of_memory} with the arithmetic, before anything is touched, when it cannot fit.
// `where` begins the message.
void allocate(Weights& weights,
              const std::vector<WeightSlot>& slots,
              const std::vector<WeightType>& types,
              const Backend& backend,
              std::string_view where);

// Rows that one thread loads and packs in one go: whole steps of the backend's format whose bytes
// stay within a core's second-level cache. All rows of a vector.
int64_t rows_per_job(const WeightSlot& slot, const Backend& backend, int64_t row_bytes);

}  // namespace qwen3
