// Quantised checkpoints: every matrix that is spread over several tensors becomes one.
#pragma once

#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/hf_config.h"
#include "formats/tensor_source.h"

namespace qwen3 {

// Replaces, in `tensors`, what a quantised module consists of by one tensor "<module>.weight" with
// logical shape and a RowReader, which is returned and must live as long as the tensors. Which modules
// are quantised is decided by the tensors, how by config.quantization; `config_name` names the file
// that it comes from. Removed as well: scales of activations and of the KV cache, with which we do
// not compute, and the biases of nothing but zeros that GPTQ's tools write for modules without one.
// Reads headers only, but for shapes and group indices that are data.
// Throws Error{unsupported} for quantised weights of a scheme that we do not know, and
// Error{corrupt_file} where config and tensors, or tensors among themselves, contradict each other;
// a config.quantization beside plain weights is one such contradiction.
std::vector<std::unique_ptr<RowReader>> assemble_quantized(
    std::unordered_map<std::string, SourceTensor>& tensors,
    const HfConfig& config,
    std::string_view config_name);

}  // namespace qwen3
