// The memory plan: from the configuration alone, before anything is allocated, what a model and an
// engine will take, how long a context fits, and the arithmetic in words when it does not.
#pragma once

#include <cstdint>
#include <string>

#include "formats/hf_config.h"
#include "kernels/backend.h"
#include "qwen3/engine.h"

namespace qwen3 {

struct MemoryPlan {
  int64_t available_bytes = 0;   // given
  int64_t weight_bytes = 0;      // still to be loaded; 0 when the model is in memory
  int64_t activation_bytes = 0;  // of the largest batch, logits included
  int64_t margin_bytes = 0;      // left to the backend's scratch and the rest of the process
  DType kv_dtype = DType::f32;
  int64_t kv_bytes_per_token = 0;
  int64_t block_size = 0;
  int64_t n_blocks = 0;
  int64_t kv_cache_bytes = 0;
  int64_t max_model_len = 0;    // longest sequence of this plan
  int64_t longest_context = 0;  // if all memory left went to one sequence's keys and values
  std::string problem;          // empty: it fits
};

// "auto" is bfloat16 for 16-bit weights, else float32.
DType kv_dtype_of(const EngineOptions& options, WeightType weight_type, const Backend& backend);
// Of that name (EngineOptions::kv_dtype), for "auto" `automatic`. Throws Error{invalid_argument}.
DType parse_kv_dtype(std::string_view name, DType automatic);

// Rows of one step: as asked for, or as the backend has it.
int64_t max_batch_tokens(const EngineOptions& options, const Backend& backend);
// Rows of one step that may want logits.
int64_t max_logit_rows(const EngineOptions& options);

// `weight_bytes`: what loading will still take. REQUIRES: valid options (validate.h).
MemoryPlan plan_memory(const HfConfig& config,
                       const Backend& backend,
                       WeightType weight_type,
                       int64_t weight_bytes,
                       int64_t available_bytes,
                       const EngineOptions& options);

}  // namespace qwen3
