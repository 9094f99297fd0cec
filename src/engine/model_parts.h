// A model from parts that already exist. Model::load makes one of what it reads; tests, and the demo
// of `qwen3 trace`, of what they make.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "formats/hf_config.h"
#include "hardware/thread_pool.h"
#include "kernels/backend.h"
#include "model/weights.h"
#include "parallel/communicator.h"
#include "qwen3/model.h"

namespace qwen3 {

struct ModelParts {
  HfConfig config;
  // Of the backend, and between its steps of the sampler; null: the sampler has one thread.
  std::unique_ptr<ThreadPool> threads = {};
  std::unique_ptr<Backend> backend;
  Weights weights = {};                      // packed for that backend
  WeightType weight_type = WeightType::f32;  // of the matrices in memory
  GenerationDefaults generation_defaults = {};
  // The ranks that share the model, and outlive it; null: this process has all of it.
  Communicator* group = nullptr;
  HfConfig widest = {};  // of a rank: WeightsInMemory::widest

  // What buffers and caches are made for.
  const HfConfig& buffers_config() const { return group == nullptr ? config : widest; }
  // What this process may take now for a runner of these sizes: of memory that ranks share its part, and
  // without the windows in which they sum.
  int64_t available_bytes(int64_t max_tokens, int64_t max_logit_rows) const;
};

// What Model::load makes a model of.
ModelParts load_parts(const std::filesystem::path& path,
                      const LoadOptions& options,
                      Communicator* group = nullptr);

// Fills the model's info, and missing end tokens, from the config. Called by all ranks of a group.
std::shared_ptr<Model> make_model(ModelParts parts, std::string name);

}  // namespace qwen3
