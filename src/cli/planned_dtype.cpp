#include "cli/planned_dtype.h"

namespace qwen3::cli {

DType planned_dtype(const std::string& option,
                    const HfConfig& config,
                    const Checkpoint* checkpoint) {
  if (option == "float32") return DType::f32;
  if (option == "bfloat16") return DType::bf16;
  const CheckpointTensor* embed =
      checkpoint != nullptr ? checkpoint->find("model.embed_tokens.weight") : nullptr;
  return embed != nullptr ? embed->dtype : config.dtype;
}

}  // namespace qwen3::cli
