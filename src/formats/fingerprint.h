// What tells one checkpoint from another without reading all of it: for ranks that must have the same one,
// each from a disk of its own.
#pragma once

#include <filesystem>
#include <string>

#include "formats/tensor_source.h"

namespace qwen3 {

// Of the config: config.json, or the head of a GGUF file.
std::string config_fingerprint(const std::filesystem::path& path);

// Of the weights: names, types, shapes and places of all tensors, sizes of files, and some bytes of up to
// 256 tensors, spread over the whole model. A fine-tuned twin of the same shape differs. Throws what
// InputFile throws.
std::string weights_fingerprint(const TensorSource& source);

}  // namespace qwen3
