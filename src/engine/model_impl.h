// What is inside a Model. Only engine/ may look.
#pragma once

#include <cstdint>
#include <mutex>

#include "engine/model_parts.h"

namespace qwen3 {

struct Model::Impl : ModelParts {
  ModelInfo info;
  // Held for every forward pass and every Qwen3 constructor: one thread calls a backend, or its
  // team, at a time,
  // and a tool may evaluate() while an engine runs.
  std::mutex backend_mutex;
  // Of rank 0: held from a plan until its reports are in, and taken before the other.
  std::mutex group_mutex;
  uint32_t n_runners = 0;  // opened so far, under group_mutex
};

Model::Impl& impl_of(const Model& model);

// Throws Error{unsupported} for a model without a head (an embedding model): it has no logits.
void check_generates(const Model::Impl& impl);

}  // namespace qwen3
