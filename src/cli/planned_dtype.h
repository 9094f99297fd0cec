// What dtype a checkpoint's matrices will have in memory, before they are loaded.
#pragma once

#include <string>

#include "formats/checkpoint.h"
#include "formats/hf_config.h"
#include "tensor/weight.h"

namespace qwen3::cli {

// `option` is --dtype; `checkpoint` null: there are no weights yet, and the config has the word.
WeightType planned_dtype(const std::string& option,
                         const HfConfig& config,
                         const Checkpoint* checkpoint);

}  // namespace qwen3::cli
