// What sentence-transformers does with a model's states, as the files beside a checkpoint say.
#pragma once

#include <filesystem>

namespace qwen3::server {

// An embedding here is the last token's final state, scaled to length 1: what the official Qwen3 embedding
// checkpoints ask for. modules.json may ask for something else (a Dense layer, the mean, no scaling), and
// vectors made without it would fit no index. Throws Error{unsupported} naming the module, or
// Error{corrupt_file}. Without a modules.json there is nothing to hold against it.
void check_embedding_modules(const std::filesystem::path& directory);

}  // namespace qwen3::server
