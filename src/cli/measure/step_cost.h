// What a step of the model must read and compute, from the configuration alone: the numerators of
// GB/s and FLOP/s.
#pragma once

#include <cstdint>

#include "formats/hf_config.h"
#include "qwen3/model.h"

namespace qwen3::cli {

// Bytes that one decode step of `batch` sequences reads: every weight a token is multiplied with,
// once, and the keys and values of kv_len tokens per sequence. Of the experts of a layer, the
// number that `batch` tokens are expected to touch when each picks evenly at random.
double decode_bytes(const HfConfig& config, const ModelInfo& info, int64_t batch, double kv_len);

// Floating-point operations of a prefill of n_tokens after `context` tokens: two per weight and
// token, four per head element and visible key; the head for the last row only.
double prefill_flops(const HfConfig& config, int64_t n_tokens, int64_t context);

}  // namespace qwen3::cli
