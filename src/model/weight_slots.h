// The list of all weights that a config asks for: one walk that sizes, allocates, counts, loads and
// draws them, so that these five can never disagree.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "formats/hf_config.h"
#include "kernels/backend.h"
#include "model/weights.h"
#include "parallel/shard.h"
#include "tensor/leaves.h"
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
  // How several processes would share it out.
  enum class Split {
    none,     // each has all of it: norms, the router
    rows,     // its outputs
    columns,  // its inputs, which a sum runs over
    experts,  // whole experts, which a sum runs over
  };
  Split split = Split::none;
  // What is never parted, whatever the type: rows, columns or experts.
  int64_t unit = 1;
  // Of rows that are the inputs of another matrix, the leaves of that one: q_proj, k_proj and v_proj
  // have the query heads that o_proj has (a key head goes with the query heads that read it), gate_proj
  // and up_proj what down_proj has.
  const Leaves* shared = nullptr;
  SummedLinear* nodes =
      nullptr;               // of columns: the layer, whose second node a slot of its own fills
  SumTree* tree = nullptr;   // of experts
  Leaves* summed = nullptr;  // of columns and experts: where the operation that sums looks for them
  // As find_leaves says; of columns that are a rank's, those below the node. Of rows they only say who has
  // which: no sum runs over them.
  Leaves leaves = {};

  // Which part of the model's matrices it is: share_slots() makes slots of a rank. shape is that of the
  // part.
  size_t number = 0;             // among the model's slots
  std::vector<Range> rows = {};  // one after the other; none: all
  Range columns = {};            // empty: all
  int64_t model_rows = 0;        // 0: as many
  int64_t model_columns = 0;     // 0: as many
  int64_t first_matrix = 0;      // experts

  // Calls body(first row in the model's matrix, how many) for the pieces of rows [begin, end) of the part.
  template <typename Body>
  void for_each_piece(int64_t begin, int64_t end, const Body& body) const {
    if (rows.empty()) return body(begin, end - begin);
    int64_t at = 0;  // of the part
    for (const Range& piece : rows) {
      const int64_t from = std::max(begin, at), to = std::min(end, at + piece.size());
      if (from < to) body(piece.begin + from - at, to - from);
      at += piece.size();
    }
  }
  int64_t n_matrices() const { return kind == Kind::experts ? shape[0] : 1; }
  int64_t n_rows() const { return shape[shape.rank() == 3 ? 1 : 0]; }  // of each matrix
  int64_t row_numel() const { return kind == Kind::vector ? 1 : shape[shape.rank() - 1]; }
};

// Resizes weights.layers and lists every slot in the order of the forward pass, lm_head last and
// only if it is not tied. `weights` must stay where it is while the slots are used.
std::vector<WeightSlot> weight_slots(const HfConfig& config, Weights& weights);

// Fills in the leaves of all slots, and of the operations that sum. A unit of columns holds whole blocks
// of the type that the matrix is stored in (stored[i] of slots[i]), so that a leaf can be read and packed
// by itself: leaves depend on config and checkpoint alone.
void find_leaves(std::vector<WeightSlot>& slots, const std::vector<WeightType>& stored);

// The slots of which the shard has something, in order; a matrix of which it has two nodes is two slots.
// Sets the leaves and trees of the operations that sum. REQUIRES: find_leaves.
std::vector<WeightSlot> share_slots(const std::vector<WeightSlot>& slots,
                                    const HfConfig& config,
                                    const Shard& shard);
// WeightsInMemory::widest. REQUIRES: find_leaves.
HfConfig widest_share(const std::vector<WeightSlot>& slots, const HfConfig& config, int n_ranks);

// Carves every slot out of `arena`: matrices and experts of types[i], vectors in float32.
void carve(Arena& arena,
           const std::vector<WeightSlot>& slots,
           const std::vector<WeightType>& types,
           const Backend& backend);

// Allocates the one storage of `weights` and carves all slots out of it. Throws
// Error{out_of_memory} with the arithmetic, before anything is touched, when it cannot fit.
// `where` begins the message. `available`: bytes that it may take.
void allocate(Weights& weights,
              const std::vector<WeightSlot>& slots,
              const std::vector<WeightType>& types,
              const Backend& backend,
              int64_t available,
              std::string_view where);

// Rows that one thread loads and packs in one go: whole steps of the backend's format whose bytes
// stay within a core's second-level cache. All rows of a vector.
int64_t rows_per_job(const WeightSlot& slot, const Backend& backend, int64_t row_bytes);

}  // namespace qwen3
