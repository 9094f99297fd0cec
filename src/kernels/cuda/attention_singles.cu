// Sequences with one row: a block for each unit of their keys, so that few sequences keep the card busy; with many
// sequences a block has some units one after the other. Four warps multiply; one keeps a ring of stages full, keys and
// values of a unit in turn, and begins before the operation ahead has ended. A block with all units merges them as it
// goes; else the block that comes last does. q is normed and turned, and the newest key and value stored, by the way:
// what the ring has in their place is of yesterday, and they are written over it.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/launch.cuh"

namespace qwen3::cuda {
namespace {

struct Partial {
  float m, l;
};

// Of a block, so that one long sequence among short ones is not what all wait for.
constexpr int kMaxUnits = 8;
// Units whose places a warp's lanes hold, one a group of keys.
constexpr int kPlacedUnits = 32 / kUnitGroups;
// Floats beside the outputs of a unit: m and l, and as much again, so that outputs begin at whole 16 bytes.
constexpr int kPartialSpare = 4;
// Units that are read at once to be merged.
constexpr int kMergedUnits = 8;

constexpr int kWarps = 4;                                            // that multiply
constexpr int kComputing = 32 * kWarps, kThreads = kComputing + 32;  // and one that copies
constexpr int kMaxStages = 3;  // of a unit's keys, or its values

template <int kHeadDim>
struct DecodeShared {
  bf16 q[16][kHeadDim + 8];
  uint4 p[kUnitGroups][32];  // A fragments
  float max[kWarps][16];
  float sums[kWarps][16][4];
  bf16 spare[kWarps][kHeadDim];
  bf16 key[kHeadDim];  // the newest
  uint64_t full[kMaxStages], empty[kMaxStages];
  int is_last;
};

// What blocks make of the place that they have in the grid.
struct Keys {
  int seq, kv_head;
  int n_keys, n_units;
  int begin, end;  // units of the block

  __device__ int valid(int unit) const {
    return min(kAttentionUnit, n_keys - unit * kAttentionUnit);
  }
};

// A place in the ring of stages: keys and values of a unit, of the next …
struct Turn {
  int stage = 0;
  uint32_t phase = 0;

  __device__ void next(int n_stages) {
    if (++stage == n_stages) {
      stage = 0;
      phase ^= 1;
    }
  }
};

// The warp that copies.
template <int kHeadDim>
__device__ void copy_units(const BatchArgs& batch,
                           const KvArgs& kv,
                           const Keys& keys,
                           DecodeShared<kHeadDim>& shared,
                           uint8_t* ring,
                           int n_stages) {
  constexpr int kGroupBytes = kKeyGroup * kHeadDim * 2, kUnitBytes = kUnitGroups * kGroupBytes;
  const int lane = threadIdx.x % 32;
  // Elements before key group `lane` of kPlacedUnits units, if it exists.
  const auto place_units = [&](int first) -> int64_t {
    const int key = first * kAttentionUnit + lane * kKeyGroup, at = key / kv.block_size;
    if (at >= batch.table_stride) return 0;
    const int64_t block =
        batch.block_tables[static_cast<int64_t>(keys.seq) * batch.table_stride + at];
    return group_offset(kv, block * kv.block_size + key % kv.block_size, keys.kv_head);
  };
  int placed = keys.begin;
  int64_t offset = place_units(placed), offset_ahead = place_units(placed + kPlacedUnits);
  Turn turn;
  bool again = false;  // whether stages were in use
  const auto copy = [&](const void* from, int64_t at, int n_groups) {
    if (again) barrier_wait(shared.empty + turn.stage, turn.phase ^ 1);
    if (lane == 0)
      expect_bytes(shared.full + turn.stage, static_cast<uint32_t>(n_groups * kGroupBytes));
    __syncwarp();
    if (lane < n_groups) {
      bulk_copy(ring + turn.stage * kUnitBytes + lane * kGroupBytes,
                static_cast<const bf16*>(from) + at,
                kGroupBytes,
                shared.full + turn.stage);
    }
    turn.next(n_stages);
    again = again || turn.stage == 0;
  };
  for (int unit = keys.begin; unit < keys.end; ++unit) {
    if (unit - placed == kPlacedUnits) {
      placed = unit;
      offset = offset_ahead;
      offset_ahead = place_units(placed + kPlacedUnits);
    }
    const int64_t at =
        __shfl_sync(kAllLanes, offset, (unit - placed) * kUnitGroups + lane % kUnitGroups);
    const int n_groups = (keys.valid(unit) + kKeyGroup - 1) / kKeyGroup;
    copy(kv.k, at, n_groups);
    copy(kv.v, at, n_groups);
  }
}

template <int kHeadDim, bool kFused>
__global__ void __launch_bounds__(kThreads, 2)
    singles_kernel(const __grid_constant__ AttentionArgs args,
                   const __grid_constant__ QkNormRopeArgs norm_rope,
                   int units_of_block,
                   int n_stages) {
  constexpr int kBlocks32 = kHeadDim / 32, kTiles16 = kHeadDim / 16;
  constexpr int kTilesOfWarp = (kTiles16 + 3) / 4;
  constexpr int kGroupBytes = kKeyGroup * kHeadDim * 2, kUnitBytes = kUnitGroups * kGroupBytes;
  __shared__ DecodeShared<kHeadDim> shared;
  extern __shared__ __align__(128) uint8_t ring[];
  pdl_trigger();
  // The step's inputs, and keys and values of steps before, are there whoever runs still; keys that an operation of its
  // own stores are not.
  if constexpr (!kFused) pdl_wait();

  const BatchArgs& batch = args.batch;
  const KvArgs& kv = args.kv;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, c = lane % 4;
  const bool all_single = batch.n_slices == 0;
  const int seq = all_single ? blockIdx.x : batch.singles[blockIdx.x];
  const int row = all_single ? blockIdx.x : batch.cu_seqlens_q[seq];
  const int kv_head = blockIdx.y, group = args.n_heads / kv.n_kv_heads, head_dim = kv.head_dim;
  const int kv_len = batch.kv_lens[seq];
  const int block_unit = static_cast<int>(blockIdx.z) * units_of_block;
  const int position = kv_len - 1;
  const int n_units = (kv_len + kAttentionUnit - 1) / kAttentionUnit;
  const int first_key =
      args.window > 0 ? static_cast<int>(max(int64_t{0}, position - args.window + 1)) : 0;
  const int first_unit = first_key / kAttentionUnit;
  const Keys keys{.seq = seq,
                  .kv_head = kv_head,
                  .n_keys = kv_len,
                  .n_units = n_units,
                  .begin = max(block_unit, first_unit),
                  .end = min(block_unit + units_of_block, n_units)};
  bf16* const out = static_cast<bf16*>(args.out) +
                    (static_cast<int64_t>(row) * args.n_heads + kv_head * group) * head_dim;
  if (keys.begin >= keys.end) {
    // A padding row has no keys.
    if (kv_len == 0 && blockIdx.z == 0) {
      if constexpr (kFused) pdl_wait();
      for (int i = threadIdx.x; i < group * head_dim; i += kThreads)
        out[i] = from_float<bf16>(0.0f);
    }
    return;
  }
  if (static_cast<int>(threadIdx.x) < n_stages) {
    barrier_init(shared.full + threadIdx.x);
    barrier_init(shared.empty + threadIdx.x, kWarps);
  }
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  for (int i = threadIdx.x; i < 16 * (kHeadDim + 8); i += kThreads)
    shared.q[0][i] = from_float<bf16>(0.0f);
  if (threadIdx.x < kHeadDim) shared.key[threadIdx.x] = from_float<bf16>(0.0f);
  __syncthreads();
  if (warp == kWarps) return copy_units(batch, kv, keys, shared, ring, n_stages);

  const auto sync = [] { sync_some(1, kComputing); };
  if constexpr (kFused) pdl_wait();
  bf16* const q = static_cast<bf16*>(args.q) +
                  (static_cast<int64_t>(row) * args.n_heads + kv_head * group) * head_dim;
  // The unit that the newest key and value belong to and are not in yet.
  int unit_of_newest = -1;
  bf16 newest_value{};  // this thread's
  if constexpr (kFused) {
    const float* const cos = norm_rope.cos + row * (head_dim / 2);
    const float* const sin = norm_rope.sin + row * (head_dim / 2);
    // The newest key lies in the last unit: its block stores it.
    const bool newest = keys.end == n_units;
    const int n_here = newest ? group + 1 : group;
    const int64_t key_at = (static_cast<int64_t>(row) * kv.n_kv_heads + kv_head) * head_dim;
    const auto from = [&](int h) {
      return h < group ? q + h * head_dim : static_cast<const bf16*>(args.k) + key_at;
    };
    const auto weight = [&](int h) { return h < group ? norm_rope.q_norm : norm_rope.k_norm; };
    const auto to = [&](int h) { return h < group ? shared.q[h] : shared.key; };
    const int64_t slot = newest ? batch.slots[row] : -1;
    if (slot >= 0) {
      unit_of_newest = n_units - 1;
      if (threadIdx.x < head_dim)
        newest_value = static_cast<const bf16*>(args.v)[key_at + threadIdx.x];
    }
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
    if (slot >= 0 && warp == group % 4) {
      __syncwarp();
      store_key(kv, slot, kv_head, shared.key, static_cast<const bf16*>(args.v) + key_at);
    }
  } else {
    for (int i = threadIdx.x; i < group * head_dim; i += kComputing)
      shared.q[i / head_dim][i % head_dim] = q[i];
  }
  sync();
  uint4 queries[kTiles16];  // A fragments
#pragma unroll
  for (int i = 0; i < kTiles16; ++i) {
    const int d = i * 16 + 2 * c;
    queries[i] = {*reinterpret_cast<const uint32_t*>(&shared.q[g][d]),
                  *reinterpret_cast<const uint32_t*>(&shared.q[g + 8][d]),
                  *reinterpret_cast<const uint32_t*>(&shared.q[g][d + 8]),
                  *reinterpret_cast<const uint32_t*>(&shared.q[g + 8][d + 8])};
  }

  // Blocks that have units of this head. Where it is one, what is merged so far stays here.
  const int n_blocks = (n_units - 1) / units_of_block - first_unit / units_of_block + 1;
  float merged_m[2] = {kNone, kNone}, merged_l[2] = {}, merged_o[kTilesOfWarp][2][4] = {};
  // Units of a head in memory: [n_units][group][kHeadDim] of o, then [n_units][group] of m and l, twice the room.
  const int64_t place = static_cast<int64_t>(blockIdx.x) * kv.n_kv_heads + kv_head;
  const int64_t n_places = static_cast<int64_t>(batch.max_units) * group;
  float* const outputs =
      static_cast<float*>(args.partials) + place * n_places * (kHeadDim + kPartialSpare);
  auto* const heads = reinterpret_cast<Partial*>(outputs + n_places * kHeadDim);

  Turn turn;
  const auto wait = [&] {
    barrier_wait(shared.full + turn.stage, turn.phase);
    return ring + turn.stage * kUnitBytes;
  };
  // This warp is done with the stage.
  const auto release = [&] {
    __syncwarp();
    if (lane == 0) barrier_arrive(shared.empty + turn.stage);
    turn.next(n_stages);
  };
#pragma unroll 1
  for (int unit = keys.begin; unit < keys.end; ++unit) {
    const int n_valid = keys.valid(unit);                            // keys of the unit
    const int n_hidden = max(0, first_key - unit * kAttentionUnit);  // of them, before the window
    const int newest_group = (n_valid - 1) / kKeyGroup * kGroupBytes,
              newest_key = (n_valid - 1) % kKeyGroup;
    const int own = static_cast<int>(threadIdx.x);

    uint8_t* const unit_keys = wait();
    if (unit == unit_of_newest) {
      if (own < head_dim) {
        reinterpret_cast<bf16*>(unit_keys + newest_group)[k_index(newest_key, own, kHeadDim)] =
            shared.key[own];
      }
      sync();
    }
    float s[4][4] = {};
#pragma unroll
    for (int b = 0; b < kBlocks32; ++b) {
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        uint32_t k[4];
        load_matrices(k,
                      unit_keys + (2 * warp + n / 2) * kGroupBytes +
                          (n % 2 * (kHeadDim / 8) + 4 * b) * 128 + lane * 16);
        mma(s[n], queries[2 * b], k[0], k[1]);
        mma(s[n], queries[2 * b + 1], k[2], k[3]);
      }
    }
    release();
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
    sync();
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
    uint8_t* const unit_values = wait();
    if (unit == unit_of_newest && own < head_dim)
      reinterpret_cast<bf16*>(unit_values + newest_group)[v_index(newest_key, own)] = newest_value;
    sync();

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
        load_matrices(v, unit_values + i * kGroupBytes + tile * 512 + lane * 16);
        mma(o[j][0], p, mask_keys(v[0], key, n_valid), mask_keys(v[1], key + 8, n_valid));
        mma(o[j][1], p, mask_keys(v[2], key, n_valid), mask_keys(v[3], key + 8, n_valid));
      }
    }
    release();
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
  sync();
  if (threadIdx.x == 0) {
    const int before = atomicAdd(args.counters + place, 1);
    shared.is_last = before == n_blocks - 1;
    if (shared.is_last) args.counters[place] = 0;
  }
  sync();
  if (!shared.is_last) return;
  __threadfence();
  // A thread has four outputs of a head.
  constexpr int kFours = kHeadDim / 4;
  for (int at = threadIdx.x; at < group * kFours; at += kComputing) {
    const int h = at / kFours, d = at % kFours * 4;
    float M = kNone, L = 0, O[4] = {};
#pragma unroll 1
    for (int first = first_unit; first < n_units; first += kMergedUnits) {
      float2 head[kMergedUnits];
      float4 output[kMergedUnits];
#pragma unroll
      for (int i = 0; i < kMergedUnits; ++i) {
        const int64_t u = min(first + i, n_units - 1);
        head[i] = __ldcg(reinterpret_cast<const float2*>(heads + u * group + h));
        output[i] =
            __ldcg(reinterpret_cast<const float4*>(outputs + (u * group + h) * kHeadDim + d));
      }
#pragma unroll
      for (int i = 0; i < kMergedUnits; ++i) {
        if (first + i >= n_units) break;
        float next, a, b;
        merge_scales(M, head[i].x, next, a, b);
        M = next;
        L = merge(L, a, head[i].y, b);
        O[0] = merge(O[0], a, output[i].x, b);
        O[1] = merge(O[1], a, output[i].y, b);
        O[2] = merge(O[2], a, output[i].z, b);
        O[3] = merge(O[3], a, output[i].w, b);
      }
    }
    const float inverse = 1.0f / L;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (d + i < head_dim) out[h * head_dim + d + i] = from_float<bf16>(O[i] * inverse);
    }
  }
}

template <int kHeadDim>
void launch_singles(const AttentionArgs& args, const QkNormRopeArgs* fused, Stream stream) {
  constexpr int kUnitBytes = kAttentionUnit * kHeadDim * 2;
  static const bool once = [] {
    allow_shared(singles_kernel<kHeadDim, true>, kMaxStages * kUnitBytes);
    allow_shared(singles_kernel<kHeadDim, false>, kMaxStages * kUnitBytes);
    return true;
  }();
  static_cast<void>(once);
  const BatchArgs& b = args.batch;
  // As many blocks as leave every multiprocessor one and a half, with as many units each.
  const int64_t heads = int64_t{b.n_singles} * args.kv.n_kv_heads;
  const int n_units = max(b.max_units, 1);
  const auto wanted = static_cast<int>(ceil_div_of(3 * int64_t{multiprocessors()}, 2 * heads));
  const int n_blocks = max(min(wanted, n_units), static_cast<int>(ceil_div_of(n_units, kMaxUnits)));
  const int units = static_cast<int>(ceil_div_of(n_units, n_blocks));
  const dim3 grid(static_cast<unsigned>(b.n_singles),
                  static_cast<unsigned>(args.kv.n_kv_heads),
                  static_cast<unsigned>(ceil_div_of(n_units, units)));
  const int n_stages = min(2 * units, kMaxStages);
  const auto bytes = static_cast<size_t>(n_stages * kUnitBytes);
  if (fused != nullptr) {
    launch(singles_kernel<kHeadDim, true>,
           grid,
           kThreads,
           bytes,
           stream,
           args,
           *fused,
           units,
           n_stages);
  } else {
    launch(singles_kernel<kHeadDim, false>,
           grid,
           kThreads,
           bytes,
           stream,
           args,
           QkNormRopeArgs{},
           units,
           n_stages);
  }
}

}  // namespace

int64_t partial_bytes(int n_singles, int max_units, int n_heads, int head_dim) {
  return max_units <= 1 ? 0
                        : int64_t{n_singles} * max_units * n_heads *
                              (padded_head_dim(head_dim) + kPartialSpare) * 4;
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
