// Sequences with many rows: 128 rows at a time (positions times query heads of a kv head) walk through the units
// of keys that they see. A warp has the copy engine bring keys and values, two warpgroups attend with 64 rows each:
// while one does the softmax of its unit the other multiplies.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kSliceThreads = 32 * (8 + 4);  // a warpgroup more, of which a warp copies
constexpr int kStages = 2;

// Shared memory of a block: queries, then stages of keys and of values, as the cache has them.
template <int kHeadDim>
struct SliceMemory {
  static constexpr int kUnitBytes = kAttentionUnit * kHeadDim * 2;
  static constexpr int kGroupBytes = kUnitBytes / kUnitGroups;
  static constexpr int kQueryBytes = kTileRows * kHeadDim * 2;
  // Values of a group are multiplied up to this dimension: what comes of those that do not exist, nobody reads.
  static constexpr int kOutDim = kHeadDim <= 64 ? 64 : 128;
  static constexpr int kRest = (kOutDim - kHeadDim) * kKeyGroup * 2;  // behind the last group
  static constexpr int kBytes = kQueryBytes + 2 * kStages * kUnitBytes + kRest;
  static constexpr int kDown =
      kHeadDim / 8 * kBlockBytes;  // of queries and keys: from eight rows to the next
};

// The part of a sequence that a block attends: packed rows, row r is position r / group and head r % group.
struct Slice {
  int seq, first_token, n_tokens, kv_len, group;
  int first_packed, n_packed;
  int first_unit, last_unit;

  __device__ int position(int packed) const {
    return kv_len - n_tokens + (first_packed + packed) / group;
  }
};

__device__ Slice slice_of(const AttentionArgs& args) {
  const BatchArgs& batch = args.batch;
  Slice s{};
  s.group = args.n_heads / args.kv.n_kv_heads;
  s.first_packed = (gridDim.x - 1 - blockIdx.x) * kTileRows;  // long ones first
  for (int i = 0; i < batch.n_slices; ++i) {
    s.seq = batch.slices[i];
    s.first_token = batch.cu_seqlens_q[s.seq];
    s.n_tokens = batch.cu_seqlens_q[s.seq + 1] - s.first_token;
    const int n_rows = attention_tiles(s.n_tokens, s.group) * kTileRows;
    if (s.first_packed < n_rows) break;
    s.first_packed -= n_rows;
  }
  s.kv_len = batch.kv_lens[s.seq];
  s.n_packed = min(kTileRows, s.n_tokens * s.group - s.first_packed);
  s.last_unit = s.position(s.n_packed - 1) / kAttentionUnit;
  if (args.window > 0) {
    s.first_unit =
        static_cast<int>(max(int64_t{0}, s.position(0) - args.window + 1)) / kAttentionUnit;
  }
  return s;
}

// The warp that has units brought.
template <int kHeadDim>
class Bringer {
  using Memory = SliceMemory<kHeadDim>;

 public:
  __device__ Bringer(const AttentionArgs& args, const Slice& slice)
      : kv_(args.kv),
        slice_(slice),
        table_(args.batch.block_tables +
               static_cast<int64_t>(slice.seq) * args.batch.table_stride) {}

  // Where the lane's group of a unit lies, if there is one: asked early, since it takes a load.
  __device__ void find(int unit) {
    const int key = unit * kAttentionUnit + lane() * kKeyGroup;
    slot_ = lane() < kUnitGroups && key < slice_.kv_len
                ? table_[key / kv_.block_size] * kv_.block_size + key % kv_.block_size
                : -1;
  }
  __device__ void copy(uint8_t* to, const void* cache, uint64_t* full) const {
    const unsigned groups = __ballot_sync(kAllLanes, slot_ >= 0);
    if (lane() == 0) expect_bytes(full, __popc(groups) * Memory::kGroupBytes);
    __syncwarp();
    if (slot_ >= 0) {
      bulk_copy(
          to + lane() * Memory::kGroupBytes,
          static_cast<const bf16*>(cache) + group_offset(kv_, slot_, static_cast<int>(blockIdx.y)),
          Memory::kGroupBytes,
          full);
    }
  }
  // Values beyond the last key become zero: what lies there may not even be a number.
  __device__ void clear_rest(uint8_t* values, int unit) const {
    const int n_valid = slice_.kv_len - unit * kAttentionUnit;
    for (int at = lane(); at < Memory::kUnitBytes / 16; at += 32) {
      // Eight keys of a dimension.
      const int first = at * 16 / Memory::kGroupBytes * kKeyGroup + at / 8 % 2 * 8;
      if (first + 8 <= n_valid) continue;
      auto* const keys = reinterpret_cast<uint4*>(values) + at;
      *keys = {mask_keys(keys->x, first, n_valid),
               mask_keys(keys->y, first + 2, n_valid),
               mask_keys(keys->z, first + 4, n_valid),
               mask_keys(keys->w, first + 6, n_valid)};
    }
    fence_for_matrices();
    __syncwarp();
  }

 private:
  static __device__ int lane() { return static_cast<int>(threadIdx.x) % 32; }

  const KvArgs& kv_;
  const Slice& slice_;
  const int32_t* table_;
  int slot_ = -1;
};

// Eight numbers of a head from d on; beyond it there are zeros.
__device__ inline uint4 eight_of(const bf16* head, int d, int head_dim) {
  if (head == nullptr) return {};
  if (head_dim % 8 == 0) {
    return d < head_dim ? *reinterpret_cast<const uint4*>(head + d) : uint4{};
  }
  const auto two = [&](int at) {
    return at < head_dim ? *reinterpret_cast<const uint32_t*>(head + at) : 0u;
  };
  return {two(d), two(d + 2), two(d + 4), two(d + 6)};
}

// What a thread of the C fragments of S = Q·Kᵀ holds: rows g and g + 8.
struct Running {
  float m[2] = {kNone, kNone}, l[2] = {0, 0};
};

// Scores of a unit from key `first` on become probabilities, and what they and the sums so far are scaled with.
__device__ inline void softmax_unit(float (&s)[64],
                                    Running& running,
                                    float (&a)[2],
                                    float (&b)[2],
                                    float factor,
                                    int first,
                                    const int (&position)[2],
                                    int64_t window,
                                    bool all_seen) {
  if (!all_seen) {
#pragma unroll
    for (int i = 0; i < 64; ++i) {
      const int key = first + i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2, r = i % 4 / 2;
      const bool seen = key <= position[r] && (window == 0 || key > position[r] - window);
      if (!seen) s[i] = kNone;
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float m = kNone;
#pragma unroll
    for (int n = 0; n < 16; ++n) m = fmaxf(m, fmaxf(s[4 * n + 2 * r], s[4 * n + 2 * r + 1]));
    m = quad_max(m) * factor;
    const float reference = m == kNone ? 0.0f : m;
    float part[4];
#pragma unroll
    for (int n = 0; n < 16; ++n) {
      if (n % 4 == 0) part[n / 4] = 0;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float& p = s[4 * n + 2 * r + i];
        p = exp2_of(fmaf(p, factor, -reference));
        part[n / 4] += p;
      }
    }
    const float l = quad_sum((part[0] + part[1]) + (part[2] + part[3]));
    float M;
    merge_scales(running.m[r], m, M, a[r], b[r]);
    running.m[r] = M;
    running.l[r] = merge(running.l[r], a[r], l, b[r]);
  }
}

template <int kHeadDim>
__global__ void __launch_bounds__(kSliceThreads, 1)
    slices_kernel(const __grid_constant__ AttentionArgs args) {
  using Memory = SliceMemory<kHeadDim>;
  constexpr int kOuts = Memory::kOutDim / 2;  // numbers of a thread
  extern __shared__ __align__(128) uint8_t memory[];
  __shared__ uint64_t full_keys[kStages], full_values[kStages], empty_keys[kStages],
      empty_values[kStages], landed;
  uint8_t* const keys = memory + Memory::kQueryBytes;
  uint8_t* const values = keys + kStages * Memory::kUnitBytes;
  pdl_trigger();
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      barrier_init(full_keys + i);
      barrier_init(full_values + i);
      barrier_init(empty_keys + i, 8);
      barrier_init(empty_values + i, 8);
    }
    barrier_init(&landed);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  pdl_wait();
  const Slice slice = slice_of(args);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const auto phase = [](int n) { return static_cast<uint32_t>(n / kStages) & 1; };

  if (warp < 4) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    if (warp > 0) return;
    Bringer<kHeadDim> bringer(args, slice);
    bringer.find(slice.first_unit);
    const auto wait_empty = [&](uint64_t* empty, int n) {
      if (n >= kStages) barrier_wait(empty + n % kStages, phase(n - kStages));
    };
    for (int unit = slice.first_unit, n = 0; unit <= slice.last_unit; ++unit, ++n) {
      const int stage = n % kStages;
      uint8_t* const to = values + stage * Memory::kUnitBytes;
      wait_empty(empty_keys, n);
      bringer.copy(keys + stage * Memory::kUnitBytes, args.kv.k, full_keys + stage);
      wait_empty(empty_values, n);
      if (slice.kv_len - unit * kAttentionUnit >= kAttentionUnit) {
        bringer.copy(to, args.kv.v, full_values + stage);
      } else {
        // The last unit, and the only one of its kind.
        bringer.copy(to, args.kv.v, &landed);
        barrier_wait(&landed, 0);
        bringer.clear_rest(to, unit);
        if (lane == 0) barrier_arrive(full_values + stage);
      }
      bringer.find(unit + 1);
    }
    return;
  }

  asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
  const int half = warp / 4 - 1;  // of the rows
  const int g = lane / 4, c = lane % 4;
  const int head_dim = args.kv.head_dim, kv_head = blockIdx.y;
  const auto token_of = [&](int packed) {
    return slice.first_token + (slice.first_packed + packed) / slice.group;
  };
  const auto head_of = [&](int packed) {
    return kv_head * slice.group + (slice.first_packed + packed) % slice.group;
  };
  uint8_t* const queries = memory + half * (Memory::kQueryBytes / 2);
  {
    // Two threads a row.
    const int row = threadIdx.x % 64, packed = half * 64 + row;
    const bf16* const head =
        packed < slice.n_packed
            ? static_cast<const bf16*>(args.q) +
                  (static_cast<int64_t>(token_of(packed)) * args.n_heads + head_of(packed)) *
                      head_dim
            : nullptr;
#pragma unroll
    for (int i = 0; i < kHeadDim / 16; ++i) {
      const int eight = 2 * i + static_cast<int>(threadIdx.x) % 128 / 64;
      *reinterpret_cast<uint4*>(queries + row / 8 * Memory::kDown + eight * kBlockBytes +
                                row % 8 * 16) = eight_of(head, eight * 8, head_dim);
    }
  }
  fence_for_matrices();
  half == 0 ? sync_some(1, 128) : sync_some(2, 128);

  int position[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int packed = half * 64 + warp % 4 * 16 + g + 8 * r;
    position[r] = packed < slice.n_packed ? slice.position(packed) : -1;
  }
  // Every row of the warpgroup that exists sees keys up to here.
  const int seen_by_all = args.window > 0 ? -1 : slice.position(half * 64);
  const float factor = args.scale * kLog2E;
  const uint64_t q = describe_blocks(queries, kBlockBytes, Memory::kDown);
  Running running;
  float total[kOuts] = {};
#pragma unroll 1
  for (int unit = slice.first_unit, n = 0; unit <= slice.last_unit; ++unit, ++n) {
    const int stage = n % kStages;
    float s[64] = {};
    barrier_wait(full_keys + stage, phase(n));
    const uint64_t k =
        describe_blocks(keys + stage * Memory::kUnitBytes, kBlockBytes, Memory::kDown);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < kHeadDim / 16; ++step) {
      const auto ahead = static_cast<uint64_t>(step * (2 * kBlockBytes >> 4));
      wgmma(s, q + ahead, k + ahead);
    }
    wgmma_commit();
    wgmma_wait<0>();
    if (lane == 0) barrier_arrive(empty_keys + stage);

    float a[2], b[2];
    const int first = unit * kAttentionUnit;
    softmax_unit(s,
                 running,
                 a,
                 b,
                 factor,
                 first,
                 position,
                 args.window,
                 first + kAttentionUnit - 1 <= seen_by_all);
    uint4 p[kUnitGroups];
#pragma unroll
    for (int i = 0; i < kUnitGroups; ++i) {
      p[i] = {pack_bf16(s[8 * i], s[8 * i + 1]),
              pack_bf16(s[8 * i + 2], s[8 * i + 3]),
              pack_bf16(s[8 * i + 4], s[8 * i + 5]),
              pack_bf16(s[8 * i + 6], s[8 * i + 7])};
    }
    float o[kOuts] = {};
    barrier_wait(full_values + stage, phase(n));
    const uint64_t v =
        describe_blocks(values + stage * Memory::kUnitBytes, kBlockBytes, 2 * kBlockBytes);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < kUnitGroups; ++i) {
      wgmma(o, p[i], v + static_cast<uint64_t>(i * (Memory::kGroupBytes >> 4)));
    }
    wgmma_commit();
    wgmma_wait<0>();
    if (lane == 0) barrier_arrive(empty_values + stage);
#pragma unroll
    for (int i = 0; i < kOuts; ++i) total[i] = merge(total[i], a[i % 4 / 2], o[i], b[i % 4 / 2]);
  }

#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int packed = half * 64 + warp % 4 * 16 + g + 8 * r;
    if (packed >= slice.n_packed) continue;
    bf16* const out =
        static_cast<bf16*>(args.out) +
        (static_cast<int64_t>(token_of(packed)) * args.n_heads + head_of(packed)) * head_dim;
    const float inverse = 1.0f / running.l[r];
#pragma unroll
    for (int n = 0; n < kOuts / 4; ++n) {
      const int d = n * 8 + 2 * c;
      if (d < head_dim) {
        *reinterpret_cast<uint32_t*>(out + d) =
            pack_bf16(total[4 * n + 2 * r] * inverse, total[4 * n + 2 * r + 1] * inverse);
      }
    }
  }
}

template <int kHeadDim>
void launch_slices(const AttentionArgs& args, Stream stream) {
  constexpr int kBytes = SliceMemory<kHeadDim>::kBytes;
  static const bool once = [] {
    allow_shared(slices_kernel<kHeadDim>, kBytes);
    return true;
  }();
  static_cast<void>(once);
  launch(slices_kernel<kHeadDim>,
         dim3(static_cast<unsigned>(args.n_tiles), static_cast<unsigned>(args.kv.n_kv_heads)),
         kSliceThreads,
         kBytes,
         stream,
         args);
}

}  // namespace

void attend_slices(const AttentionArgs& args, Stream stream) {
  switch (padded_head_dim(args.kv.head_dim)) {
    case 32:
      return launch_slices<32>(args, stream);
    case 64:
      return launch_slices<64>(args, stream);
    case 96:
      return launch_slices<96>(args, stream);
    default:
      return launch_slices<128>(args, stream);
  }
}

}  // namespace qwen3::cuda
