// Models of a hub's cache, as -m names them.
#pragma once

#include <filesystem>
#include <string>

#include "hub/cache.h"
#include "hub/choose.h"

namespace qwen3::cli {

// What is loaded of a snapshot: its folder, if it holds a checkpoint; else a GGUF file (of a split model the first).
// Throws Error{not_found} for a GGUF model that is not there, or in parts.
std::filesystem::path model_in_snapshot(const hub::Cache& cache,
                                        const hub::Snapshot& snapshot,
                                        const hub::ModelRef& ref);

// The same for the name of a model ("Qwen/Qwen3-0.6B") in the cache of this user.
// Throws Error{not_found}, which says how to download it, when it is not there.
std::filesystem::path cached_model(const hub::ModelRef& ref);

bool is_cached(const hub::ModelRef& ref);

}  // namespace qwen3::cli
