// What serving a model will take in memory, worked out before its weights are loaded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "cli/serve/options.h"
#include "engine/plan.h"

namespace qwen3::cli {

struct ServeMemory {
  MemoryPlan plan;
  int64_t program_bytes = 0;  // what this process took before the weights
  int64_t request_bytes = 0;  // for bodies, prompts and answers, and the work on them
  int64_t kept_bytes = 0;     // for the traces and responses that are kept
  int64_t model_context = 0;  // that the model was made for
};

// Throws Error{out_of_memory} with the sum, and what to lower, when program, weights, work buffers,
// requests and the smallest useful KV cache are more than --memory-limit, or than the machine has
// free. `engine` is what will be asked of the engine.
ServeMemory plan_serve_memory(const std::filesystem::path& directory,
                              const ServeOptions& options,
                              const EngineOptions& engine);

// "memory: weights 16.8 MB + …", for people.
std::string memory_line(const ServeMemory& memory, int64_t max_sequences);

}  // namespace qwen3::cli
