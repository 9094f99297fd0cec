// Operations on one row at a time: norms, RoPE, activations, routing. They cost microseconds per
// step; what matters is that they are vectors, in any length, with a fixed order of summation.
#pragma once

#include "kernels/cpu/isa/linear_kernel.h"
#include "kernels/cpu/isa/simd.h"
#include "kernels/cpu/kernel_table.h"

namespace qwen3::cpu {
namespace {

// Calls body(i, count) for pieces of 16 and one shorter rest.
template <typename Body>
QWEN3_INLINE void for_pieces(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) body(i, 16);
  if (i < n) body(i, n - i);
}
// A constant count of 16 loses the mask when inlined.
QWEN3_INLINE f32x16 load_piece(const float* p, int64_t count) {
  return count == 16 ? load(p) : load_first(p, count);
}
QWEN3_INLINE void store_piece(float* p, f32x16 x, int64_t count) {
  if (count == 16) {
    store(p, x);
  } else {
    store_first(p, x, count);
  }
}

void round_row(uint16_t* out, const float* x, int64_t n) {
  for_pieces(n, [&](int64_t i, int64_t count) { store_bf16(out + i, load_piece(x + i, count)); });
}

void rms_norm_row(float* out, const float* x, const float* w, int64_t n, float eps) {
  // Two chains hide the latency of the addition; which element goes to which depends on n only.
  f32x16 even = zero();
  f32x16 odd = zero();
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const f32x16 a = load(x + i);
    const f32x16 b = load(x + i + 16);
    even = fma(a, a, even);
    odd = fma(b, b, odd);
  }
  for_pieces(n - i, [&](int64_t j, int64_t count) {
    const f32x16 a = load_piece(x + i + j, count);
    even = fma(a, a, even);
  });
  const float mean = sum(even + odd) / static_cast<float>(n);
  const f32x16 factor = splat(1.0f / __builtin_sqrtf(mean + eps));
  for_pieces(n, [&](int64_t j, int64_t count) {
    const f32x16 normed = load_piece(x + j, count) * factor;
    store_piece(out + j, normed * load_piece(w + j, count), count);
  });
}

void rope_head(float* x, const float* cos, const float* sin, int64_t half) {
  for_pieces(half, [&](int64_t i, int64_t count) {
    const f32x16 a = load_piece(x + i, count);
    const f32x16 b = load_piece(x + half + i, count);
    const f32x16 c = load_piece(cos + i, count);
    const f32x16 s = load_piece(sin + i, count);
    store_piece(x + i, a * c - b * s, count);
    store_piece(x + half + i, b * c + a * s, count);
  });
}

void silu_mul(float* out, const float* gate, const float* up, int64_t n) {
  for_pieces(n, [&](int64_t i, int64_t count) {
    store_piece(out + i, silu(load_piece(gate + i, count)) * load_piece(up + i, count), count);
  });
}

void add(float* x, const float* y, int64_t n) {
  for_pieces(n, [&](int64_t i, int64_t count) {
    store_piece(x + i, load_piece(x + i, count) + load_piece(y + i, count), count);
  });
}

void add_scaled(float* x, const float* y, float scale, int64_t n) {
  for_pieces(n, [&](int64_t i, int64_t count) {
    store_piece(
        x + i, fma(load_piece(y + i, count), splat(scale), load_piece(x + i, count)), count);
  });
}

// Softmax over all experts, then the top_k largest in descending order; among equals the lower id
// wins. Insertion into a short sorted list: for top-8 of 128 most experts fail the first
// comparison.
void route(const RouteArgs& args) {
  const int64_t n = args.n_experts;
  float maximum = args.logits[0];
  for (int64_t i = 1; i < n; ++i) maximum = args.logits[i] > maximum ? args.logits[i] : maximum;
  f32x16 sums = zero();
  for_pieces(n, [&](int64_t i, int64_t count) {
    f32x16 p = exp(load_piece(args.logits + i, count) - splat(maximum));
    store_piece(args.scratch + i, p, count);
    if (count < 16) p = load_first(args.scratch + i, count);
    sums = sums + p;
  });
  const float total = sum(sums);

  int64_t held = 0;
  for (int64_t expert = 0; expert < n; ++expert) {
    const float p = args.scratch[expert] / total;
    if (held == args.top_k && !(p > args.weights[held - 1])) continue;
    int64_t at = held < args.top_k ? held++ : held - 1;
    for (; at > 0 && p > args.weights[at - 1]; --at) {
      args.weights[at] = args.weights[at - 1];
      args.experts[at] = args.experts[at - 1];
    }
    args.weights[at] = p;
    args.experts[at] = static_cast<int32_t>(expert);
  }
  if (!args.renormalise) return;
  float chosen = 0;
  for (int64_t i = 0; i < held; ++i) chosen += args.weights[i];
  for (int64_t i = 0; i < held; ++i) args.weights[i] /= chosen;
}

}  // namespace
}  // namespace qwen3::cpu
