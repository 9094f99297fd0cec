#include "cli/planned_dtype.h"

namespace qwen3::cli {

WeightType planned_dtype(const std::string& option,
                         const HfConfig& config,
                         const Checkpoint* checkpoint) {
  if (option == "float32") return WeightType::f32;
  if (option == "bfloat16") return WeightType::bf16;
  const SourceTensor* embed =
      checkpoint != nullptr ? checkpoint->find("model.embed_tokens.weight") : nullptr;
  return embed != nullptr ? embed->type : weight_type_of(config.dtype);
}

}  // namespace qwen3::cli
