// LoadPlan: what a model will be in memory, from its headers, or from its config alone.
// Model::load begins with one; commands ask one before anything large is read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "engine/plan.h"
#include "formats/hf_config.h"
#include "formats/tensor_source.h"
#include "hardware/thread_pool.h"
#include "kernels/backend.h"
#include "model/weights.h"
#include "parallel/shard.h"
#include "qwen3/model.h"

namespace qwen3 {

struct LoadPlan {
  HfConfig config;
  std::unique_ptr<ThreadPool> threads;  // the backend's
  std::unique_ptr<Backend> backend;
  WeightType weight_type = WeightType::f32;  // of most numbers of the matrices in memory
  int64_t weight_bytes = 0;                  // that loading will take
  HfConfig widest = {};                      // WeightsInMemory::widest
  int n_ranks = 1;                           // that share the memory

  // `available_bytes` on the host.
  MemoryPlan memory(int64_t available_bytes, const EngineOptions& options) const {
    return plan_memory(
        widest, *backend, weight_type, weight_bytes, available_bytes / n_ranks, options);
  }
};

// Throw what Model::load would for these files and options, as far as it can be known. Weights that
// would be random need none in the directory: config.json says what their dtype will be.
LoadPlan plan_load(const std::filesystem::path& path,
                   const LoadOptions& options,
                   const Shard& shard = {});
LoadPlan plan_load(const TensorSource& source, const LoadOptions& options, const Shard& shard = {});

// LoadOptions::dtype. Throws Error{invalid_argument} for another word.
WeightsDType parse_weights_dtype(std::string_view name);

}  // namespace qwen3
