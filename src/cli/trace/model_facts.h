// What listeners must know of a model, from its checkpoint's configuration.
#pragma once

#include <string>

#include "trace/model_facts.h"

namespace qwen3 {
struct HfConfig;
}

namespace qwen3::cli {

ModelFacts facts_of(const HfConfig& config, std::string name);

}  // namespace qwen3::cli
