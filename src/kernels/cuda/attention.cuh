// Causal attention with grouped queries over paged keys.
//
// The query heads of a kv head are rows of one matrix product: row r is position r / group, head
// r % group. Keys come in units of 128. A unit is a softmax of its own,
//   m = f · max s, p = exp2(f s - m) in one rounding, l = Σ p, o = Σ bf16(p) v    with s = q·k, f = scale · log2(e),
// and units are merged in ascending order, each time with
//   M' = max(M, m), a = exp2(M - M'), b = exp2(m - M'), L' = a L + b l, O' = a O + b o.
// So it does not matter which block, or how many, compute the units: the bits are those of the order of
// keys. A sequence with one row spreads its units over the card (attention_singles.cu), one with many rows
// walks through them with 128 rows at a time (attention_slices.cu).
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/kernels.h"

namespace qwen3::cuda {

constexpr int kUnitGroups = kAttentionUnit / kKeyGroup;  // 8 groups of 16 keys
constexpr float kLog2E = 1.4426950408889634f;
constexpr float kNone = -INFINITY;

// A head normed and turned by a warp: `head` is bfloat16 in global memory, `to` anywhere. Both roundings
// are those of the operations one by one.
template <bool kRopeFirst>
__device__ inline void norm_rope_head(bf16* to,
                                      const bf16* head,
                                      const float* weight,
                                      float eps,
                                      const float* cos,
                                      const float* sin,
                                      int head_dim,
                                      bf16* spare) {
  const int lane = threadIdx.x % 32, half = head_dim / 2;
  const auto turn = [&](bf16* out, const bf16* in) {
    for (int i = lane; i < half; i += 32) {
      const float a = to_float(in[i]), b = to_float(in[i + half]);
      const float c = cos[i], s = sin[i];
      out[i] = from_float<bf16>(fmaf(a, c, -(b * s)));
      out[i + half] = from_float<bf16>(fmaf(b, c, a * s));
    }
    __syncwarp();
  };
  const auto norm = [&](bf16* out, const bf16* in) {
    const float scale = rms_scale(
        warp_sum_of_squares(head_dim, [&](int i) { return to_float(in[i]); }), head_dim, eps);
    for (int i = lane; i < head_dim; i += 32) {
      out[i] = from_float<bf16>(weight[i] * (to_float(in[i]) * scale));
    }
    __syncwarp();
  };
  if constexpr (kRopeFirst) {
    turn(spare, head);
    norm(to, spare);
  } else {
    norm(spare, head);
    turn(to, spare);
  }
}

// The same where a lane has both numbers of a pair (half a head is a multiple of 32): all in registers, so
// that the loads of several heads may be on their way at once.
template <int kHeadDim>
struct HeadInRegisters {
  static constexpr int kPerLane = kHeadDim / 32;
  float x[kPerLane], w[kPerLane], cos[kPerLane / 2], sin[kPerLane / 2];

  __device__ void load(const bf16* head,
                       const float* weight,
                       const float* cosines,
                       const float* sines) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
      x[j] = to_float(head[lane + 32 * j]);
      w[j] = weight[lane + 32 * j];
      if (j < kPerLane / 2) {
        cos[j] = cosines[lane + 32 * j];
        sin[j] = sines[lane + 32 * j];
      }
    }
  }
  __device__ void norm(float eps) {
    float sum = 0;
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) sum = fmaf(x[j], x[j], sum);
    const float scale = rms_scale(warp_sum(sum), kHeadDim, eps);
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) x[j] = round_bf16(w[j] * (x[j] * scale));
  }
  __device__ void turn() {
    constexpr int kHalf = kPerLane / 2;
#pragma unroll
    for (int j = 0; j < kHalf; ++j) {
      const float a = x[j], b = x[j + kHalf];
      x[j] = round_bf16(fmaf(a, cos[j], -(b * sin[j])));
      x[j + kHalf] = round_bf16(fmaf(b, cos[j], a * sin[j]));
    }
  }
  __device__ void store(bf16* to, float eps, bool rope_first) {
    if (rope_first) turn();
    norm(eps);
    if (!rope_first) turn();
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) to[threadIdx.x % 32 + 32 * j] = from_float<bf16>(x[j]);
  }
};

// Elements before the group of a slot.
__device__ inline int64_t group_offset(const KvArgs& kv, int64_t slot, int kv_head) {
  const int64_t block = slot / kv.block_size, group = slot % kv.block_size / kKeyGroup;
  return ((block * kv.n_kv_heads + kv_head) * (kv.block_size / kKeyGroup) + group) * kKeyGroup *
         padded_head_dim(kv.head_dim);
}

// By a warp.
__device__ inline void store_key(
    const KvArgs& kv, int64_t slot, int kv_head, const bf16* k, const bf16* v) {
  const int64_t group = group_offset(kv, slot, kv_head);
  const int key = static_cast<int>(slot % kKeyGroup),
            padded = static_cast<int>(padded_head_dim(kv.head_dim));
  bf16* const to_k = static_cast<bf16*>(kv.k) + group;
  bf16* const to_v = static_cast<bf16*>(kv.v) + group;
  for (int d = threadIdx.x % 32; d < kv.head_dim; d += 32) {
    to_k[k_index(key, d, padded)] = k[d];
    to_v[v_index(key, d)] = v[d];
  }
}

// By how much to scale what was and what comes.
__device__ inline void merge_scales(float m_old, float m_new, float& m, float& a, float& b) {
  m = fmaxf(m_old, m_new);
  const float reference = m == kNone ? 0.0f : m;
  a = exp2_of(m_old - reference);
  b = exp2_of(m_new - reference);
}

__device__ inline float merge(float old, float a, float now, float b) {
  return fmaf(old, a, now * b);
}

__device__ inline float quad_max(float v) {
  v = fmaxf(v, __shfl_xor_sync(kAllLanes, v, 1));
  return fmaxf(v, __shfl_xor_sync(kAllLanes, v, 2));
}
__device__ inline float quad_sum(float v) {
  v += __shfl_xor_sync(kAllLanes, v, 1);
  return v + __shfl_xor_sync(kAllLanes, v, 2);
}

// Values of keys from `n_valid` on are nothing: what lies there may not even be a number.
__device__ inline uint32_t mask_keys(uint32_t pair, int key, int n_valid) {
  if (key >= n_valid) return 0;
  return key + 1 >= n_valid ? pair & 0xFFFFu : pair;
}

void attend_singles(const AttentionArgs& args, const QkNormRopeArgs* fused, Stream stream);
void attend_slices(const AttentionArgs& args, Stream stream);

}  // namespace qwen3::cuda
