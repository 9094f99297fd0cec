// Where the weights that a config asks for lie in a model's files, however these arrange them.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/tensor_source.h"
#include "model/weight_slots.h"

namespace qwen3 {

// Where one matrix (or vector) of a slot comes from.
struct WeightSource {
  const SourceTensor* tensor;
  int64_t first_row;  // in `tensor`, seen as rows of the slot's row_numel
};

// Of each slot its matrices. Takes the head's slot away if the files have none: an embedding model.
// Throws Error{not_found, corrupt_file, unsupported} naming file and tensor for what is missing, has
// another shape, or has no place in the model.
std::vector<std::vector<WeightSource>> find_weight_sources(const TensorSource& files,
                                                           std::vector<WeightSlot>& slots);

}  // namespace qwen3
