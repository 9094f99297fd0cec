// Causal attention with grouped queries over paged keys.
//
// The query heads of a kv head are rows of one matrix product: row r is position r / group, head
// r % group. Keys come in units of 128. A unit is a softmax of its own,
//   m = max t, p = exp2(t - m), l = Σ p, o = Σ bf16(p) v      with t = q·k · scale · log2(e),
// and units are merged in ascending order, each time with
//   M' = max(M, m), a = exp2(M - M'), b = exp2(m - M'), L' = a L + b l, O' = a O + b o.
// So it does not matter which block, or how many, compute the units: the bits are those of the order of
// keys. A sequence with one row spreads its units over the card (decode_units), one with many rows
// walks through them with 128 rows at a time (attend_tiles).
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kUnitGroups = kAttentionUnit / kKeyGroup;  // 8 groups of 16 keys
constexpr float kLog2E = 1.4426950408889634f;
constexpr float kNone = -INFINITY;

// A head normed and turned by a warp: `head` is bfloat16 in global memory, `to` anywhere. Both roundings
// are those of the operations one by one.
template <bool kRopeFirst>
__device__ void norm_rope_head(bf16* to, const bf16* head, const float* weight, float eps, const float* cos,
                               const float* sin, int head_dim, bf16* spare) {
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
    const float scale =
        rms_scale(warp_sum_of_squares(head_dim, [&](int i) { return to_float(in[i]); }), head_dim, eps);
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

  __device__ void load(const bf16* head, const float* weight, const float* cosines, const float* sines) {
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

constexpr int kMaxHeadDim = 256;

__global__ void qk_norm_rope_kernel(bf16* q, bf16* k, QkNormRopeArgs a, int n_heads, int n_kv_heads,
                                    int head_dim) {
  __shared__ bf16 spare[8][kMaxHeadDim];
  pdl_trigger();
  pdl_wait();
  const int token = blockIdx.x, warp = threadIdx.x / 32;
  const float* const cos = a.cos + token * (head_dim / 2);
  const float* const sin = a.sin + token * (head_dim / 2);
  for (int head = warp; head < n_heads + n_kv_heads; head += 8) {
    const bool is_q = head < n_heads;
    bf16* const x = is_q ? q + (static_cast<int64_t>(token) * n_heads + head) * head_dim
                         : k + (static_cast<int64_t>(token) * n_kv_heads + head - n_heads) * head_dim;
    const float* const w = is_q ? a.q_norm : a.k_norm;
    if (a.rope_first) {
      norm_rope_head<true>(x, x, w, a.eps, cos, sin, head_dim, spare[warp]);
    } else {
      norm_rope_head<false>(x, x, w, a.eps, cos, sin, head_dim, spare[warp]);
    }
  }
}

// Elements before the group of a slot.
__device__ int64_t group_offset(const KvArgs& kv, int64_t slot, int kv_head) {
  const int64_t block = slot / kv.block_size, group = slot % kv.block_size / kKeyGroup;
  return ((block * kv.n_kv_heads + kv_head) * (kv.block_size / kKeyGroup) + group) * kKeyGroup *
         padded_head_dim(kv.head_dim);
}

// By a warp.
__device__ void store_key(const KvArgs& kv, int64_t slot, int kv_head, const bf16* k, const bf16* v) {
  const int64_t group = group_offset(kv, slot, kv_head);
  const int key = static_cast<int>(slot % kKeyGroup), padded = static_cast<int>(padded_head_dim(kv.head_dim));
  bf16* const to_k = static_cast<bf16*>(kv.k) + group;
  bf16* const to_v = static_cast<bf16*>(kv.v) + group;
  for (int d = threadIdx.x % 32; d < kv.head_dim; d += 32) {
    to_k[k_index(key, d, padded)] = k[d];
    to_v[v_index(key, d)] = v[d];
  }
}

__global__ void kv_store_kernel(KvArgs kv, const bf16* k, const bf16* v, const int32_t* slots) {
  pdl_trigger();
  pdl_wait();
  const int token = blockIdx.x;
  const int64_t slot = slots[token];
  if (slot < 0) return;
  for (int head = threadIdx.x / 32; head < kv.n_kv_heads; head += 4) {
    const int64_t at = (static_cast<int64_t>(token) * kv.n_kv_heads + head) * kv.head_dim;
    store_key(kv, slot, head, k + at, v + at);
  }
}

// What a thread of the C fragments of S = Q·Kᵀ holds: rows g and g + 8.
struct Running {
  float m[2] = {kNone, kNone}, l[2] = {0, 0};
};

// By how much to scale what was and what comes.
__device__ void merge_scales(float m_old, float m_new, float& m, float& a, float& b) {
  m = fmaxf(m_old, m_new);
  const float reference = m == kNone ? 0.0f : m;
  a = exp2_of(m_old - reference);
  b = exp2_of(m_new - reference);
}

__device__ float merge(float old, float a, float now, float b) { return fmaf(old, a, now * b); }

__device__ float quad_max(float v) {
  v = fmaxf(v, __shfl_xor_sync(kAllLanes, v, 1));
  return fmaxf(v, __shfl_xor_sync(kAllLanes, v, 2));
}
__device__ float quad_sum(float v) {
  v += __shfl_xor_sync(kAllLanes, v, 1);
  return v + __shfl_xor_sync(kAllLanes, v, 2);
}

// Values of keys from `n_valid` on are nothing: what lies there may not even be a number.
__device__ uint32_t mask_keys(uint32_t pair, int key, int n_valid) {
  if (key >= n_valid) return 0;
  return key + 1 >= n_valid ? pair & 0xFFFFu : pair;
}

// ---- one row a sequence
struct Partial {
  float m, l;
};

template <int kHeadDim>
struct DecodeShared {
  bf16 q[16][kHeadDim + 8];
  uint4 p[kUnitGroups][32];  // A fragments
  float max[4][16];
  float sums[4][16][4];
  bf16 spare[4][kHeadDim];
  bf16 key[kHeadDim];
  int is_last;
};

template <int kHeadDim, bool kFused>
__global__ void __launch_bounds__(128, 4) decode_units(const __grid_constant__ AttentionArgs args,
                                                    const __grid_constant__ QkNormRopeArgs norm_rope) {
  constexpr int kBlocks32 = kHeadDim / 32, kTiles16 = kHeadDim / 16;
  constexpr int kTilesOfWarp = (kTiles16 + 3) / 4;
  constexpr int kGroupBytes = kKeyGroup * kHeadDim * 2;
  __shared__ DecodeShared<kHeadDim> shared;
  extern __shared__ __align__(128) uint8_t values[];  // of the unit: what registers cannot hold beside keys
  pdl_trigger();
  pdl_wait();

  // What is read first of all depends on nothing: its latencies are those of one load.
  const BatchArgs& batch = args.batch;
  const KvArgs& kv = args.kv;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, c = lane % 4;
  const bool all_single = batch.n_slices == 0;
  const int seq = all_single ? blockIdx.x : batch.singles[blockIdx.x];
  const int row = all_single ? blockIdx.x : batch.cu_seqlens_q[seq];
  const int kv_head = blockIdx.y, group = args.n_heads / kv.n_kv_heads, head_dim = kv.head_dim;
  const int unit = blockIdx.z, first = unit * kAttentionUnit;
  const int kv_len = batch.kv_lens[seq];
  // Lane i of each warp: elements before key group i of the unit, if it exists.
  int64_t offset = 0;
  if (lane < kUnitGroups) {
    const int key = first + lane * kKeyGroup, at = key / kv.block_size;
    if (at < batch.table_stride) {
      const int64_t block = batch.block_tables[static_cast<int64_t>(seq) * batch.table_stride + at];
      offset = group_offset(kv, block * kv.block_size + key % kv.block_size, kv_head);
    }
  }
  const int position = kv_len - 1;
  const int n_units = (kv_len + kAttentionUnit - 1) / kAttentionUnit;
  const int first_key = args.window > 0 ? static_cast<int>(max(int64_t{0}, position - args.window + 1)) : 0;
  const int first_unit = first_key / kAttentionUnit;
  bf16* const out = static_cast<bf16*>(args.out) + (static_cast<int64_t>(row) * args.n_heads + kv_head * group) * head_dim;
  if (unit >= n_units || unit < first_unit) {
    // A padding row has no keys.
    if (kv_len == 0 && unit == 0) {
      for (int i = threadIdx.x; i < group * head_dim; i += 128) out[i] = from_float<bf16>(0.0f);
    }
    return;
  }
  const int n_valid = min(kAttentionUnit, kv_len - first);  // keys of the unit
  const int n_hidden = max(0, first_key - first);           // of them, before the window

  uint4 k_bits[2][2][kBlocks32];  // of this warp's 32 keys
  const auto load_keys = [&](int i) {
    const int which = 2 * warp + i;
    const int64_t at = __shfl_sync(kAllLanes, offset, which);
    const auto* from = reinterpret_cast<const uint4*>(static_cast<const bf16*>(kv.k) + at);
#pragma unroll
    for (int j = 0; j < 2 * kBlocks32; ++j) {
      k_bits[i][j / kBlocks32][j % kBlocks32] = which * kKeyGroup < n_valid ? from[j * 32 + lane] : uint4{};
    }
  };
  const auto copy_values = [&](int i) {
    const int64_t at = __shfl_sync(kAllLanes, offset, i);
    if (i * kKeyGroup >= n_valid) return;
    const auto* from = reinterpret_cast<const uint8_t*>(static_cast<const bf16*>(kv.v) + at);
    for (int b = threadIdx.x * 16; b < kGroupBytes; b += 128 * 16) copy_16(values + i * kGroupBytes + b, from + b);
  };
#pragma unroll
  for (int i = 0; i < 2; ++i) load_keys(i);
#pragma unroll
  for (int i = 0; i < kUnitGroups; ++i) copy_values(i);
  copy_commit();

  bf16* const q = static_cast<bf16*>(args.q) + (static_cast<int64_t>(row) * args.n_heads + kv_head * group) * head_dim;
  for (int i = threadIdx.x; i < 16 * (kHeadDim + 8); i += 128) shared.q[0][i] = from_float<bf16>(0.0f);
  __syncthreads();
  if constexpr (kFused) {
    const float* const cos = norm_rope.cos + row * (head_dim / 2);
    const float* const sin = norm_rope.sin + row * (head_dim / 2);
    // The newest key lies in the last unit: its block stores it.
    const bool newest = unit == n_units - 1;
    const int n_here = newest ? group + 1 : group;
    const int64_t key_at = (static_cast<int64_t>(row) * kv.n_kv_heads + kv_head) * head_dim;
    const auto from = [&](int h) { return h < group ? q + h * head_dim : static_cast<const bf16*>(args.k) + key_at; };
    const auto weight = [&](int h) { return h < group ? norm_rope.q_norm : norm_rope.k_norm; };
    const auto to = [&](int h) { return h < group ? shared.q[h] : shared.key; };
    const int64_t slot = newest ? batch.slots[row] : -1;
    if (kHeadDim % 64 == 0 && head_dim == kHeadDim) {
      constexpr int kDim = kHeadDim % 64 == 0 ? kHeadDim : 64;
      for (int h = warp; h < n_here; h += 8) {
        HeadInRegisters<kDim> one, two;
        one.load(from(h), weight(h), cos, sin);
        if (h + 4 < n_here) two.load(from(h + 4), weight(h + 4), cos, sin);
        one.store(to(h), norm_rope.eps, norm_rope.rope_first);
        if (h + 4 < n_here) two.store(to(h + 4), norm_rope.eps, norm_rope.rope_first);
      }
    } else {
      for (int h = warp; h < n_here; h += 4) {
        if (norm_rope.rope_first) {
          norm_rope_head<true>(to(h), from(h), weight(h), norm_rope.eps, cos, sin, head_dim, shared.spare[warp]);
        } else {
          norm_rope_head<false>(to(h), from(h), weight(h), norm_rope.eps, cos, sin, head_dim, shared.spare[warp]);
        }
      }
    }
    if (newest && warp == group % 4) {
      __syncwarp();
      if (slot >= 0) store_key(kv, slot, kv_head, shared.key, static_cast<const bf16*>(args.v) + key_at);
    }
    __threadfence_block();
    __syncthreads();
    if (newest) {
      // What was read of its group is of yesterday. (Copies of the same place: the first must be over.)
      copy_wait<0>();
      __syncthreads();
      const int its = (n_valid - 1) / kKeyGroup;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        if (2 * warp + i == its) load_keys(i);
      }
      copy_values(its);
      copy_commit();
    }
  } else {
    for (int i = threadIdx.x; i < group * head_dim; i += 128) shared.q[i / head_dim][i % head_dim] = q[i];
    __syncthreads();
  }

  float s[4][4] = {};
#pragma unroll
  for (int b = 0; b < kBlocks32; ++b) {
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      const int d = b * 32 + step * 16 + 2 * c;
      const uint4 a{*reinterpret_cast<const uint32_t*>(&shared.q[g][d]),
                    *reinterpret_cast<const uint32_t*>(&shared.q[g + 8][d]),
                    *reinterpret_cast<const uint32_t*>(&shared.q[g][d + 8]),
                    *reinterpret_cast<const uint32_t*>(&shared.q[g + 8][d + 8])};
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        const uint4& k = k_bits[n / 2][n % 2][b];
        mma(s[n], a, step == 0 ? k.x : k.z, step == 0 ? k.y : k.w);
      }
    }
  }
  const float factor = args.scale * kLog2E;
  float m[2] = {kNone, kNone};
#pragma unroll
  for (int n = 0; n < 4; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int key = warp * 32 + n * 8 + 2 * c + i % 2;
      s[n][i] = key < n_valid && key >= n_hidden ? s[n][i] * factor : kNone;
      m[i / 2] = fmaxf(m[i / 2], s[n][i]);
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    m[r] = quad_max(m[r]);
    if (c == 0) shared.max[warp][g + 8 * r] = m[r];
  }
  __syncthreads();
  float sum[2] = {0, 0};
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int at = g + 8 * r;
    m[r] = fmaxf(fmaxf(shared.max[0][at], shared.max[1][at]), fmaxf(shared.max[2][at], shared.max[3][at]));
    const float reference = m[r] == kNone ? 0.0f : m[r];
#pragma unroll
    for (int n = 0; n < 4; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float& p = s[n][2 * r + i];
        p = exp2_of(p - reference);
        sum[r] += p;
      }
    }
    shared.sums[warp][at][c] = sum[r];
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    shared.p[2 * warp + i][lane] = {pack_bf16(s[2 * i][0], s[2 * i][1]), pack_bf16(s[2 * i][2], s[2 * i][3]),
                                    pack_bf16(s[2 * i + 1][0], s[2 * i + 1][1]),
                                    pack_bf16(s[2 * i + 1][2], s[2 * i + 1][3])};
  }
  copy_wait<0>();
  __syncthreads();

  float o[kTilesOfWarp][2][4] = {};
#pragma unroll
  for (int i = 0; i < kUnitGroups; ++i) {
    if (i * kKeyGroup >= n_valid) break;
    const uint4 p = shared.p[i][lane];
    const int key = i * kKeyGroup + 2 * c;
#pragma unroll
    for (int j = 0; j < kTilesOfWarp; ++j) {
      const int tile = warp + 4 * j;
      if (tile >= kTiles16) break;
      uint4 v = *reinterpret_cast<const uint4*>(values + i * kGroupBytes + tile * 512 + lane * 16);
      v.x = mask_keys(v.x, key, n_valid);
      v.y = mask_keys(v.y, key + 8, n_valid);
      v.z = mask_keys(v.z, key, n_valid);
      v.w = mask_keys(v.w, key + 8, n_valid);
      mma(o[j][0], p, v.x, v.y);
      mma(o[j][1], p, v.z, v.w);
    }
  }
  float l[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int at = g + 8 * r;
    l[r] = quad_sum((shared.sums[0][at][c] + shared.sums[1][at][c]) +
                    (shared.sums[2][at][c] + shared.sums[3][at][c]));
  }

  // A lone unit is merged with nothing.
  const int n_mine = n_units - first_unit;
  if (n_mine == 1) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int h = g + 8 * r;
      if (h >= group) continue;
      float M, a, b;
      merge_scales(kNone, m[r], M, a, b);
      const float inverse = 1.0f / merge(0, a, l[r], b);
#pragma unroll
      for (int j = 0; j < 2 * kTilesOfWarp; ++j) {
        const int d = (warp + 4 * (j / 2)) * 16 + j % 2 * 8 + 2 * c;
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          if (d + i < head_dim) {
            out[h * head_dim + d + i] = from_float<bf16>(merge(0, a, o[j / 2][j % 2][2 * r + i], b) * inverse);
          }
        }
      }
    }
    return;
  }

  // Units of a head: [n_units][group] of m and l, then [n_units][group][kHeadDim].
  const int64_t place = static_cast<int64_t>(blockIdx.x) * kv.n_kv_heads + kv_head;
  const int64_t size = static_cast<int64_t>(batch.max_units) * group * (kHeadDim + 2);
  float* const partials = static_cast<float*>(args.partials) + place * size;
  auto* const heads = reinterpret_cast<Partial*>(partials);
  float* const outputs = partials + static_cast<int64_t>(batch.max_units) * group * 2;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int h = g + 8 * r;
    if (h >= group) continue;
    if (warp == 0 && c == 0) heads[unit * group + h] = {m[r], l[r]};
#pragma unroll
    for (int j = 0; j < 2 * kTilesOfWarp; ++j) {
      const int tile = warp + 4 * (j / 2);
      if (tile >= kTiles16) continue;
      const int d = tile * 16 + j % 2 * 8 + 2 * c;
      float* const to = outputs + (static_cast<int64_t>(unit) * group + h) * kHeadDim + d;
      to[0] = o[j / 2][j % 2][2 * r];
      to[1] = o[j / 2][j % 2][2 * r + 1];
    }
  }
  // Whoever comes last merges them all.
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    const int before = atomicAdd(args.counters + place, 1);
    shared.is_last = before == n_mine - 1;
    if (shared.is_last) args.counters[place] = 0;
  }
  __syncthreads();
  if (!shared.is_last) return;
  __threadfence();
  for (int at = threadIdx.x; at < group * head_dim; at += 128) {
    const int h = at / head_dim, d = at % head_dim;
    float M = kNone, L = 0, O = 0;
    for (int u = first_unit; u < n_units; ++u) {
      const float2 head = __ldcg(reinterpret_cast<const float2*>(heads + u * group + h));
      float next, a, b;
      merge_scales(M, head.x, next, a, b);
      M = next;
      L = merge(L, a, head.y, b);
      O = merge(O, a, __ldcg(outputs + (static_cast<int64_t>(u) * group + h) * kHeadDim + d), b);
    }
    out[at] = from_float<bf16>(O * (1.0f / L));
  }
}

// ---- many rows a sequence
template <int kHeadDim>
__global__ void __launch_bounds__(256, 1) attend_tiles(const __grid_constant__ AttentionArgs args) {
  constexpr int kBlocks32 = kHeadDim / 32, kTiles16 = kHeadDim / 16;
  constexpr int kGroupBytes = kKeyGroup * kHeadDim * 2;
  constexpr int kUnitBytes = kUnitGroups * kGroupBytes;  // of keys; values as many
  extern __shared__ __align__(128) uint8_t units[];      // [2][keys, values]
  pdl_trigger();
  pdl_wait();

  const BatchArgs& batch = args.batch;
  const KvArgs& kv = args.kv;
  const int kv_head = blockIdx.y, group = args.n_heads / kv.n_kv_heads, head_dim = kv.head_dim;
  int seq = 0, first_token = 0, n_tokens = 0, first_packed = (gridDim.x - 1 - blockIdx.x) * kTileRows;  // long ones first
  for (int i = 0; i < batch.n_slices; ++i) {
    seq = batch.slices[i];
    first_token = batch.cu_seqlens_q[seq];
    n_tokens = batch.cu_seqlens_q[seq + 1] - first_token;
    const int n_rows = attention_tiles(n_tokens, group) * kTileRows;
    if (first_packed < n_rows) break;
    first_packed -= n_rows;
  }
  const int kv_len = batch.kv_lens[seq];
  const int n_packed = min(kTileRows, n_tokens * group - first_packed);
  const int first_position = kv_len - n_tokens + first_packed / group;
  const int last_position = kv_len - n_tokens + (first_packed + n_packed - 1) / group;
  const int last_unit = last_position / kAttentionUnit;
  const int first_unit =
      args.window > 0 ? static_cast<int>(max(int64_t{0}, first_position - args.window + 1)) / kAttentionUnit : 0;
  const int32_t* const table = batch.block_tables + static_cast<int64_t>(seq) * batch.table_stride;

  const auto copy_unit = [&](int unit) {
    uint8_t* const to = units + unit % 2 * 2 * kUnitBytes;
#pragma unroll 1
    for (int i = 0; i < kUnitGroups; ++i) {
      const int key = unit * kAttentionUnit + i * kKeyGroup;
      if (key >= kv_len) break;
      const int64_t slot = static_cast<int64_t>(table[key / kv.block_size]) * kv.block_size + key % kv.block_size;
      const int64_t offset = group_offset(kv, slot, kv_head) * 2;
      for (int at = threadIdx.x * 16; at < kGroupBytes; at += 256 * 16) {
        copy_16(to + i * kGroupBytes + at, static_cast<const uint8_t*>(kv.k) + offset + at);
        copy_16(to + kUnitBytes + i * kGroupBytes + at, static_cast<const uint8_t*>(kv.v) + offset + at);
      }
    }
    copy_commit();
  };
  copy_unit(first_unit);

  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, c = lane % 4;
  uint4 q[2 * kBlocks32];
  int position[2];
  {
    const uint32_t* from[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int packed = warp * 16 + g + 8 * r;
      const bool valid = packed < n_packed;
      const int token = (first_packed + packed) / group, head = kv_head * group + (first_packed + packed) % group;
      position[r] = valid ? kv_len - n_tokens + token : -1;
      from[r] = valid ? reinterpret_cast<const uint32_t*>(
                            static_cast<const bf16*>(args.q) +
                            (static_cast<int64_t>(first_token + token) * args.n_heads + head) * head_dim)
                      : nullptr;
    }
    const auto two = [&](int r, int d) { return from[r] != nullptr && d < head_dim ? from[r][d / 2] : 0u; };
#pragma unroll
    for (int step = 0; step < 2 * kBlocks32; ++step) {
      const int d = step * 16 + 2 * c;
      q[step] = {two(0, d), two(1, d), two(0, d + 8), two(1, d + 8)};
    }
  }

  Running running;
  float total[2 * kTiles16][4] = {};
  const float factor = args.scale * kLog2E;
  for (int unit = first_unit; unit <= last_unit; ++unit) {
    if (unit < last_unit) {
      copy_unit(unit + 1);
      copy_wait<1>();
    } else {
      copy_wait<0>();
    }
    __syncthreads();
    const uint8_t* const keys = units + unit % 2 * 2 * kUnitBytes;
    const uint8_t* const values = keys + kUnitBytes;
    const int first = unit * kAttentionUnit, n_valid = min(kAttentionUnit, kv_len - first);

    float s[16][4] = {};
#pragma unroll
    for (int n = 0; n < 16; ++n) {
      const uint8_t* from = keys + n / 2 * kGroupBytes + n % 2 * (kGroupBytes / 2) + lane * 16;
#pragma unroll
      for (int b = 0; b < kBlocks32; ++b) {
        const uint4 k = *reinterpret_cast<const uint4*>(from + b * 512);
        mma(s[n], q[2 * b], k.x, k.y);
        mma(s[n], q[2 * b + 1], k.z, k.w);
      }
    }
    float m[2] = {kNone, kNone};
#pragma unroll
    for (int n = 0; n < 16; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = first + n * 8 + 2 * c + i % 2;
        const bool seen = key <= position[i / 2] && (args.window == 0 || key > position[i / 2] - args.window);
        s[n][i] = seen ? s[n][i] * factor : kNone;
        m[i / 2] = fmaxf(m[i / 2], s[n][i]);
      }
    }
    float a[2], b[2], l[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      m[r] = quad_max(m[r]);
      const float reference = m[r] == kNone ? 0.0f : m[r];
      float part[4];
#pragma unroll
      for (int n = 0; n < 16; ++n) {
        if (n % 4 == 0) part[n / 4] = 0;
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& p = s[n][2 * r + i];
          p = exp2_of(p - reference);
          part[n / 4] += p;
        }
      }
      l[r] = quad_sum((part[0] + part[1]) + (part[2] + part[3]));
      float M;
      merge_scales(running.m[r], m[r], M, a[r], b[r]);
      running.m[r] = M;
      running.l[r] = merge(running.l[r], a[r], l[r], b[r]);
    }
    uint4 p[kUnitGroups];
#pragma unroll
    for (int i = 0; i < kUnitGroups; ++i) {
      p[i] = {pack_bf16(s[2 * i][0], s[2 * i][1]), pack_bf16(s[2 * i][2], s[2 * i][3]),
              pack_bf16(s[2 * i + 1][0], s[2 * i + 1][1]), pack_bf16(s[2 * i + 1][2], s[2 * i + 1][3])};
    }
    const bool whole = n_valid == kAttentionUnit;
#pragma unroll
    for (int tile = 0; tile < kTiles16; ++tile) {
      float o[2][4] = {};
#pragma unroll
      for (int i = 0; i < kUnitGroups; ++i) {
        if (i * kKeyGroup < n_valid) {
          uint4 v = *reinterpret_cast<const uint4*>(values + i * kGroupBytes + tile * 512 + lane * 16);
          if (!whole) {
            const int key = i * kKeyGroup + 2 * c;
            v.x = mask_keys(v.x, key, n_valid);
            v.y = mask_keys(v.y, key + 8, n_valid);
            v.z = mask_keys(v.z, key, n_valid);
            v.w = mask_keys(v.w, key + 8, n_valid);
          }
          mma(o[0], p[i], v.x, v.y);
          mma(o[1], p[i], v.z, v.w);
        }
      }
#pragma unroll
      for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          total[2 * tile + j][i] = merge(total[2 * tile + j][i], a[i / 2], o[j][i], b[i / 2]);
        }
      }
    }
    __syncthreads();
  }

#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int packed = warp * 16 + g + 8 * r;
    if (packed >= n_packed) continue;
    const int token = (first_packed + packed) / group, head = kv_head * group + (first_packed + packed) % group;
    bf16* const out = static_cast<bf16*>(args.out) + (static_cast<int64_t>(first_token + token) * args.n_heads + head) * head_dim;
    const float inverse = 1.0f / running.l[r];
#pragma unroll
    for (int n = 0; n < 2 * kTiles16; ++n) {
      const int d = n * 8 + 2 * c;
      if (d < head_dim) {
        *reinterpret_cast<uint32_t*>(out + d) =
            pack_bf16(total[n][2 * r] * inverse, total[n][2 * r + 1] * inverse);
      }
    }
  }
}

// Softmax over the keys, plainly: a block for each row and head.
__global__ void probs_kernel(float* probs, const __grid_constant__ AttentionArgs args, int sequence, int n_rows,
                             int kv_len) {
  __shared__ float sums[8];
  const int row = blockIdx.x, head = blockIdx.y;
  const KvArgs& kv = args.kv;
  const int padded = static_cast<int>(padded_head_dim(kv.head_dim));
  const int kv_head = head / (args.n_heads / kv.n_kv_heads);
  const int position = kv_len - n_rows + row;
  const int first_key = args.window > 0 ? static_cast<int>(max(int64_t{0}, position - args.window + 1)) : 0;
  const int token = args.batch.cu_seqlens_q[sequence] + row;
  const bf16* const q = static_cast<const bf16*>(args.q) + (static_cast<int64_t>(token) * args.n_heads + head) * kv.head_dim;
  const int32_t* const table = args.batch.block_tables + static_cast<int64_t>(sequence) * args.batch.table_stride;
  float* const out = probs + (static_cast<int64_t>(head) * n_rows + row) * kv_len;
  float most = kNone;
  for (int key = threadIdx.x; key < kv_len; key += 256) {
    float score = kNone;
    if (key >= first_key && key <= position) {
      const int64_t slot = static_cast<int64_t>(table[key / kv.block_size]) * kv.block_size + key % kv.block_size;
      const bf16* const k = static_cast<const bf16*>(kv.k) + group_offset(kv, slot, kv_head);
      score = 0;
      for (int d = 0; d < kv.head_dim; ++d) {
        score = fmaf(to_float(q[d]), to_float(k[k_index(key % kKeyGroup, d, padded)]), score);
      }
      score *= args.scale;
    }
    out[key] = score;
    most = fmaxf(most, score);
  }
  for (int lane = 16; lane > 0; lane /= 2) most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, lane));
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = most;
  __syncthreads();
  for (int w = 0; w < 8; ++w) most = fmaxf(most, sums[w]);
  __syncthreads();
  float sum = 0;
  for (int key = threadIdx.x; key < kv_len; key += 256) sum += out[key] = expf(out[key] - most);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
  for (int w = 0; w < 8; ++w) sum += sums[w];
  for (int key = threadIdx.x; key < kv_len; key += 256) out[key] /= sum;
}

template <int kHeadDim>
void launch_attention(const AttentionArgs& args, const QkNormRopeArgs* fused, Stream stream) {
  const BatchArgs& b = args.batch;
  const auto n_kv_heads = static_cast<unsigned>(args.kv.n_kv_heads);
  if (b.n_singles > 0) {
    const dim3 grid(static_cast<unsigned>(b.n_singles), n_kv_heads, static_cast<unsigned>(b.max_units));
    constexpr int kBytes = kAttentionUnit * kHeadDim * 2;
    if (fused != nullptr) {
      launch(decode_units<kHeadDim, true>, grid, 128, kBytes, stream, args, *fused);
    } else {
      launch(decode_units<kHeadDim, false>, grid, 128, kBytes, stream, args, QkNormRopeArgs{});
    }
  }
  if (args.n_tiles > 0) {
    constexpr int kBytes = 4 * kAttentionUnit * kHeadDim * 2;
    static const bool once = [] {
      allow_shared(attend_tiles<kHeadDim>, kBytes);
      return true;
    }();
    static_cast<void>(once);
    launch(attend_tiles<kHeadDim>, dim3(static_cast<unsigned>(args.n_tiles), n_kv_heads), 256, kBytes, stream, args);
  }
}

}  // namespace

int64_t partial_bytes(int n_singles, int max_units, int n_heads, int head_dim) {
  return max_units <= 1 ? 0 : int64_t{n_singles} * max_units * n_heads * (padded_head_dim(head_dim) + 2) * 4;
}

void qk_norm_rope(void* q, void* k, const QkNormRopeArgs& args, int n_tokens, int n_heads, int n_kv_heads,
                  int head_dim, Stream stream) {
  launch(qk_norm_rope_kernel, dim3(static_cast<unsigned>(n_tokens)), 256, 0, stream, static_cast<bf16*>(q),
         static_cast<bf16*>(k), args, n_heads, n_kv_heads, head_dim);
}

void kv_store(const KvArgs& kv, const void* k, const void* v, const BatchArgs& batch, Stream stream) {
  launch(kv_store_kernel, dim3(static_cast<unsigned>(batch.n_tokens)), 128, 0, stream, kv,
         static_cast<const bf16*>(k), static_cast<const bf16*>(v), batch.slots);
}

void attention(const AttentionArgs& args, const QkNormRopeArgs* fused, Stream stream) {
  switch (padded_head_dim(args.kv.head_dim)) {
    case 32:
      return launch_attention<32>(args, fused, stream);
    case 64:
      return launch_attention<64>(args, fused, stream);
    case 96:
      return launch_attention<96>(args, fused, stream);
    default:
      return launch_attention<128>(args, fused, stream);
  }
}

void attention_probs(float* probs, const AttentionArgs& args, int sequence, int n_rows, int kv_len, Stream stream) {
  launch(probs_kernel, dim3(static_cast<unsigned>(n_rows), static_cast<unsigned>(args.n_heads)), 256, 0, stream,
         probs, args, sequence, n_rows, kv_len);
}

}  // namespace qwen3::cuda
