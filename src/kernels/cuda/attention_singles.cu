// Sequences with one row: a block for each unit of their keys, so that few sequences keep the card busy; with many
// sequences a block has some units one after the other, the next one's keys and values on their way. A block with all of
// them merges them as it goes; else the block that comes last does. q is normed and turned, and the newest key and value
// stored, by the way.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/launch.cuh"

namespace qwen3::cuda {
namespace {

struct Partial {
  float m, l;
};

// Of a block: their offsets are held by a warp's lanes.
constexpr int kMaxUnits = 32 / kUnitGroups;

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
__global__ void __launch_bounds__(128, 3)
    singles_kernel(const __grid_constant__ AttentionArgs args,
                   const __grid_constant__ QkNormRopeArgs norm_rope,
                   int units_of_block) {
  constexpr int kBlocks32 = kHeadDim / 32, kTiles16 = kHeadDim / 16;
  constexpr int kTilesOfWarp = (kTiles16 + 3) / 4;
  constexpr int kGroupBytes = kKeyGroup * kHeadDim * 2, kUnitBytes = kUnitGroups * kGroupBytes;
  __shared__ DecodeShared<kHeadDim> shared;
  extern __shared__ __align__(128)
      uint8_t values[];  // of a unit, or two in turn: what registers cannot hold beside keys
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
  const int kv_len = batch.kv_lens[seq];
  // Lane i of each warp: elements before key group i of the block's units, if it exists.
  const int block_unit = static_cast<int>(blockIdx.z) * units_of_block;
  int64_t offset = 0;
  if (lane < units_of_block * kUnitGroups) {
    const int key = block_unit * kAttentionUnit + lane * kKeyGroup, at = key / kv.block_size;
    if (at < batch.table_stride) {
      const int64_t block = batch.block_tables[static_cast<int64_t>(seq) * batch.table_stride + at];
      offset = group_offset(kv, block * kv.block_size + key % kv.block_size, kv_head);
    }
  }
  const int position = kv_len - 1;
  const int n_units = (kv_len + kAttentionUnit - 1) / kAttentionUnit;
  const int first_key =
      args.window > 0 ? static_cast<int>(max(int64_t{0}, position - args.window + 1)) : 0;
  const int first_unit = first_key / kAttentionUnit;
  const int begin = max(block_unit, first_unit), end = min(block_unit + units_of_block, n_units);
  bf16* const out = static_cast<bf16*>(args.out) +
                    (static_cast<int64_t>(row) * args.n_heads + kv_head * group) * head_dim;
  if (begin >= end) {
    // A padding row has no keys.
    if (kv_len == 0 && blockIdx.z == 0) {
      for (int i = threadIdx.x; i < group * head_dim; i += 128) out[i] = from_float<bf16>(0.0f);
    }
    return;
  }
  const auto valid_keys = [&](int unit) {
    return min(kAttentionUnit, kv_len - unit * kAttentionUnit);
  };

  uint4 k_bits[2][2][kBlocks32];  // of this warp's 32 keys
  const auto load_keys = [&](int unit, int i) {
    const int which = 2 * warp + i;
    const int64_t at = __shfl_sync(kAllLanes, offset, (unit - block_unit) * kUnitGroups + which);
    const auto* from =
        reinterpret_cast<const uint32_t*>(static_cast<const bf16*>(kv.k) + at) + lane;
#pragma unroll
    for (int j = 0; j < 2 * kBlocks32; ++j) {
      k_bits[i][j / kBlocks32][j % kBlocks32] =
          which * kKeyGroup < valid_keys(unit)
              ? uint4{from[j * 128], from[j * 128 + 32], from[j * 128 + 64], from[j * 128 + 96]}
              : uint4{};
    }
  };
  const auto values_of = [&](int unit) { return values + (unit - begin) % 2 * kUnitBytes; };
  const auto copy_values = [&](int unit, int i) {
    const int64_t at = __shfl_sync(kAllLanes, offset, (unit - block_unit) * kUnitGroups + i);
    if (i * kKeyGroup >= valid_keys(unit)) return;
    const auto* from = reinterpret_cast<const uint8_t*>(static_cast<const bf16*>(kv.v) + at);
    for (int b = threadIdx.x * 16; b < kGroupBytes; b += 128 * 16)
      copy_16(values_of(unit) + i * kGroupBytes + b, from + b);
  };
#pragma unroll
  for (int i = 0; i < 2; ++i) load_keys(begin, i);
#pragma unroll
  for (int i = 0; i < kUnitGroups; ++i) copy_values(begin, i);
  copy_commit();

  bf16* const q = static_cast<bf16*>(args.q) +
                  (static_cast<int64_t>(row) * args.n_heads + kv_head * group) * head_dim;
  for (int i = threadIdx.x; i < 16 * (kHeadDim + 8); i += 128)
    shared.q[0][i] = from_float<bf16>(0.0f);
  __syncthreads();
  if constexpr (kFused) {
    const float* const cos = norm_rope.cos + row * (head_dim / 2);
    const float* const sin = norm_rope.sin + row * (head_dim / 2);
    // The newest key lies in the last unit: its block stores it.
    const bool newest = end == n_units;
    const int n_here = newest ? group + 1 : group;
    const int64_t key_at = (static_cast<int64_t>(row) * kv.n_kv_heads + kv_head) * head_dim;
    const auto from = [&](int h) {
      return h < group ? q + h * head_dim : static_cast<const bf16*>(args.k) + key_at;
    };
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
          norm_rope_head<true>(
              to(h), from(h), weight(h), norm_rope.eps, cos, sin, head_dim, shared.spare[warp]);
        } else {
          norm_rope_head<false>(
              to(h), from(h), weight(h), norm_rope.eps, cos, sin, head_dim, shared.spare[warp]);
        }
      }
    }
    if (newest && warp == group % 4) {
      __syncwarp();
      if (slot >= 0)
        store_key(kv, slot, kv_head, shared.key, static_cast<const bf16*>(args.v) + key_at);
    }
    __threadfence_block();
    __syncthreads();
    if (begin == n_units - 1) {
      // What was read of its group is of yesterday. (Copies of the same place: the first must be over.)
      copy_wait<0>();
      __syncthreads();
      const int its = (valid_keys(begin) - 1) / kKeyGroup;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        if (2 * warp + i == its) load_keys(begin, i);
      }
      copy_values(begin, its);
      copy_commit();
    }
  } else {
    for (int i = threadIdx.x; i < group * head_dim; i += 128)
      shared.q[i / head_dim][i % head_dim] = q[i];
    __syncthreads();
  }

  // Blocks that have units of this head. Where it is one, what is merged so far stays here.
  const int n_blocks = (n_units - 1) / units_of_block - first_unit / units_of_block + 1;
  float merged_m[2] = {kNone, kNone}, merged_l[2] = {}, merged_o[kTilesOfWarp][2][4] = {};
  // Units of a head in memory: [n_units][group] of m and l, then [n_units][group][kHeadDim].
  const int64_t place = static_cast<int64_t>(blockIdx.x) * kv.n_kv_heads + kv_head;
  const int64_t size = static_cast<int64_t>(batch.max_units) * group * (kHeadDim + 2);
  float* const partials = static_cast<float*>(args.partials) + place * size;
  auto* const heads = reinterpret_cast<Partial*>(partials);
  float* const outputs = partials + static_cast<int64_t>(batch.max_units) * group * 2;

#pragma unroll 1
  for (int unit = begin; unit < end; ++unit) {
    const int n_valid = valid_keys(unit);                            // keys of the unit
    const int n_hidden = max(0, first_key - unit * kAttentionUnit);  // of them, before the window
    const bool has_next = unit + 1 < end;
    if (has_next) {
#pragma unroll
      for (int i = 0; i < kUnitGroups; ++i) copy_values(unit + 1, i);
    }
    copy_commit();

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
    if (has_next) {
#pragma unroll
      for (int i = 0; i < 2; ++i) load_keys(unit + 1, i);
    }
    const float factor = args.scale * kLog2E;
    float m[2] = {kNone, kNone};
#pragma unroll
    for (int n = 0; n < 4; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = warp * 32 + n * 8 + 2 * c + i % 2;
        if (key >= n_valid || key < n_hidden) s[n][i] = kNone;
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
      m[r] = factor * fmaxf(fmaxf(shared.max[0][at], shared.max[1][at]),
                            fmaxf(shared.max[2][at], shared.max[3][at]));
      const float reference = m[r] == kNone ? 0.0f : m[r];
#pragma unroll
      for (int n = 0; n < 4; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& p = s[n][2 * r + i];
          p = exp2_of(fmaf(p, factor, -reference));
          sum[r] += p;
        }
      }
      shared.sums[warp][at][c] = sum[r];
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      shared.p[2 * warp + i][lane] = {pack_bf16(s[2 * i][0], s[2 * i][1]),
                                      pack_bf16(s[2 * i][2], s[2 * i][3]),
                                      pack_bf16(s[2 * i + 1][0], s[2 * i + 1][1]),
                                      pack_bf16(s[2 * i + 1][2], s[2 * i + 1][3])};
    }
    copy_wait<1>();
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
        uint32_t v[4];
        load_matrices(v, values_of(unit) + i * kGroupBytes + tile * 512 + lane * 16);
        mma(o[j][0], p, mask_keys(v[0], key, n_valid), mask_keys(v[1], key + 8, n_valid));
        mma(o[j][1], p, mask_keys(v[2], key, n_valid), mask_keys(v[3], key + 8, n_valid));
      }
    }
    float l[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int at = g + 8 * r;
      l[r] = quad_sum((shared.sums[0][at][c] + shared.sums[1][at][c]) +
                      (shared.sums[2][at][c] + shared.sums[3][at][c]));
    }
    if (n_blocks == 1) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        float M, a, b;
        merge_scales(merged_m[r], m[r], M, a, b);
        merged_m[r] = M;
        merged_l[r] = merge(merged_l[r], a, l[r], b);
#pragma unroll
        for (int j = 0; j < 2 * kTilesOfWarp; ++j) {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            float& to = merged_o[j / 2][j % 2][2 * r + i];
            to = merge(to, a, o[j / 2][j % 2][2 * r + i], b);
          }
        }
      }
    } else {
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
    }
    if (has_next) __syncthreads();
  }

  if (n_blocks == 1) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int h = g + 8 * r;
      if (h >= group) continue;
      const float inverse = 1.0f / merged_l[r];
#pragma unroll
      for (int j = 0; j < 2 * kTilesOfWarp; ++j) {
        const int d = (warp + 4 * (j / 2)) * 16 + j % 2 * 8 + 2 * c;
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          if (d + i < head_dim)
            out[h * head_dim + d + i] =
                from_float<bf16>(merged_o[j / 2][j % 2][2 * r + i] * inverse);
        }
      }
    }
    return;
  }

  // Whoever comes last merges them all.
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    const int before = atomicAdd(args.counters + place, 1);
    shared.is_last = before == n_blocks - 1;
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

template <int kHeadDim>
void launch_singles(const AttentionArgs& args, const QkNormRopeArgs* fused, Stream stream) {
  constexpr int kUnitBytes = kAttentionUnit * kHeadDim * 2;
  static const bool once = [] {
    allow_shared(singles_kernel<kHeadDim, true>, 2 * kUnitBytes);
    allow_shared(singles_kernel<kHeadDim, false>, 2 * kUnitBytes);
    return true;
  }();
  static_cast<void>(once);
  const BatchArgs& b = args.batch;
  const auto blocks_of = [&](int units) { return (b.max_units + units - 1) / units; };
  // As many units to a block as leave every multiprocessor one and a half.
  int units = kMaxUnits;
  while (units > 1 &&
         2 * b.n_singles * args.kv.n_kv_heads * blocks_of(units) < 3 * multiprocessors())
    units /= 2;
  units = min(units, max(b.max_units, 1));
  const dim3 grid(static_cast<unsigned>(b.n_singles),
                  static_cast<unsigned>(args.kv.n_kv_heads),
                  static_cast<unsigned>(blocks_of(units)));
  const auto bytes = static_cast<size_t>(min(units, 2) * kUnitBytes);
  if (fused != nullptr) {
    launch(singles_kernel<kHeadDim, true>, grid, 128, bytes, stream, args, *fused, units);
  } else {
    launch(
        singles_kernel<kHeadDim, false>, grid, 128, bytes, stream, args, QkNormRopeArgs{}, units);
  }
}

}  // namespace

int64_t partial_bytes(int n_singles, int max_units, int n_heads, int head_dim) {
  return max_units <= 1
             ? 0
             : int64_t{n_singles} * max_units * n_heads * (padded_head_dim(head_dim) + 2) * 4;
}

void attend_singles(const AttentionArgs& args, const QkNormRopeArgs* fused, Stream stream) {
  switch (padded_head_dim(args.kv.head_dim)) {
    case 32:
      return launch_singles<32>(args, fused, stream);
    case 64:
      return launch_singles<64>(args, fused, stream);
    case 96:
      return launch_singles<96>(args, fused, stream);
    default:
      return launch_singles<128>(args, fused, stream);
  }
}

}  // namespace qwen3::cuda
