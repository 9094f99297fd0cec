// What is inside a Model.
#pragma once

#include <memory>
#include <mutex>

#include "formats/hf_config.h"
#include "hardware/thread_pool.h"
#include "kernels/backend.h"
#include "model/weights.h"
#include "qwen3/model.h"

namespace qwen3 {

struct Model::Impl {
  HfConfig config;
  std::unique_ptr<ThreadPool> threads;  // of the backend, and between its steps of the sampler
  std::unique_ptr<Backend> backend;
  Weights weights;
  WeightType weight_type = WeightType::f32;  // of the matrices in memory
  ModelInfo info;
  GenerationDefaults generation_defaults;
  // Held for every forward pass and every Qwen3 constructor: one thread calls a backend at a time, or
  // its team,
  // and a tool may evaluate() while an engine runs.
  std::mutex backend_mutex;
};

// A model from parts that already exist; fills info and generation_defaults from the config.
// (Model::load does this with what it reads; tests do it with what they make.)
std::shared_ptr<Model> make_model(std::unique_ptr<Model::Impl> impl, std::string name);

// Throws Error{unsupported} for a model without a head (an embedding model): it has no logits.
void check_generates(const Model::Impl& impl);

}  // namespace qwen3
