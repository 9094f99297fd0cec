// config.json and generation_config.json of a Qwen3 checkpoint, checked.
//
// Field names are Hugging Face's, verbatim. Both spellings in the field are read: transformers 4
// (torch_dtype, rope_theta and rope_scaling at the top level, num_experts) and transformers 5
// (dtype, rope_parameters, num_local_experts, layer_types), and three keys of an educational
// implementation (moe_layer_freq, use_moe, qk_norm_order). Unknown keys are ignored. A key that we
// read with a value that we cannot honour is an error, never a default. Every number has a hard
// limit, so that products of them cannot overflow.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/quantization_config.h"
#include "qwen3/shape.h"
#include "tensor/dtype.h"

namespace qwen3 {

struct HfConfig : ModelShape {
  std::vector<std::string> architectures;
  DType dtype = DType::bf16;  // torch_dtype / dtype
  std::optional<int32_t> bos_token_id, pad_token_id;
  std::vector<int32_t> eos_token_ids;  // eos_token_id, one or several
  QuantizationConfig quantization;
};

// `where` begins every message ("qwen3-8b/config.json"). Throws Error{corrupt_file} for missing,
// ill-typed, out-of-range or inconsistent values, Error{unsupported} for values we do not implement
// (hidden_act other than silu, another model_type, an unknown rope type); what is said of quantised
// weights is held against the weights (QuantizationConfig::refusal).
// `overrides` are laid over it first (config_overrides.h); "": none. Throws Error{invalid_argument} for overrides that
// are no JSON object, or have a key that is not read.
HfConfig parse_hf_config(std::string_view json,
                         std::string_view where,
                         std::string_view overrides = {});

// Sampling defaults that a checkpoint asks for; absent keys stay empty.
struct GenerationConfig {
  std::optional<bool> do_sample;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int64_t> top_k, max_new_tokens;  // top_k 0 or -1: off
  std::vector<int32_t> eos_token_ids;
};
GenerationConfig parse_generation_config(std::string_view json, std::string_view where);

}  // namespace qwen3
