// What a step of a model must read and compute, from its shape alone: the numerators of GB/s and
// FLOP/s.
#pragma once

#include <cstdint>

#include "qwen3/model.h"

namespace qwen3 {

// Bytes that one decode step of `batch` sequences reads: every weight a token is multiplied with,
// once, and the keys and values of kv_len tokens per sequence. Of the experts of a layer, the
// number that `batch` tokens are expected to touch when each picks evenly at random.
double decode_bytes(const ModelShape& shape, const ModelInfo& info, int64_t batch, double kv_len);
// Of one sequence, whose experts are among the active parameters.
double decode_bytes(const ModelInfo& info, double kv_len);

// Floating-point operations of a prefill of n_tokens after `context` tokens: two per weight and
// token, four per head element and visible key; the head for the last row only.
double prefill_flops(const ModelShape& shape,
                     const ModelInfo& info,
                     int64_t n_tokens,
                     int64_t context);

}  // namespace qwen3
