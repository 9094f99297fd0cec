// Products of one token's experts: gate and up of each, then down_proj and the sum over them.
//
// With one token everything waits for the routing, then for bytes: 75 MB a layer of Qwen3-30B-A3B, 17 us. So between the
// routing and the first copies stands next to nothing. What a warp has to read is worked out before the routing is
// known, an item a lane; then a lane's address lacks nothing but its expert's matrix. Each block holds the rows that are
// multiplied. An expert of the routing is a pair, in the routing's order; only the sum goes by ascending experts.
//
// sums_kernel begins while rows_kernel still runs, and fills its rings: by a routing that rows_kernel has waited for
// before it let anybody begin. Each has half of the shared memory.
#include "kernels/cuda/expert_ring.cuh"
#include "kernels/cuda/experts.cuh"
#include "kernels/cuda/launch.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kMaxItems = 32;  // of a warp: one for each lane

// A warp's stream of chunks of column tiles: lane i has the i-th item, a segment of a tile of outputs.
template <int kChunkTiles>
class Pieces {
 public:
  __device__ Pieces(uint8_t* ring, uint64_t* full, int n_stages, int n_tiles, int tile_bytes)
      : ring_(ring), full_(full), n_stages_(n_stages), n_tiles_(n_tiles), tile_bytes_(tile_bytes) {}

  // `weights` of this lane's item, or null.
  __device__ void start(const uint8_t* weights) {
    weights_ = weights;
    left_ = items_ = __ballot_sync(kAllLanes, weights != nullptr);
    for (int i = 0; i < n_stages_; ++i) copy();
  }
  // Items that exist.
  __device__ uint32_t items() const { return items_; }

  // The next item: its segment times `x`, this lane's row.
  template <bool kCodes>
  __device__ float4 multiply(const uint8_t* x, Coding coding) {
    float sum[4] = {};
    for (int first = 0; first < n_tiles_; first += kChunkTiles) {
      barrier_wait(full_ + out_, phase_);
      multiply_tiles<kCodes, kChunkTiles>(sum,
                                          ring_ + out_ * kChunkTiles * tile_bytes_,
                                          x + first * kTile * 2,
                                          min(n_tiles_ - first, kChunkTiles),
                                          coding);
      __syncwarp();
      if (++out_ == n_stages_) {
        out_ = 0;
        phase_ ^= 1;
      }
      copy();
    }
    return {sum[0], sum[1], sum[2], sum[3]};
  }

 private:
  __device__ void copy() {
    if (left_ == 0) return;
    const auto from = reinterpret_cast<const uint8_t*>(
        __shfl_sync(kAllLanes, reinterpret_cast<unsigned long long>(weights_), __ffs(left_) - 1));
    const int n = min(n_tiles_ - tile_, kChunkTiles);
    if (threadIdx.x % 32 == 0) {
      expect_bytes(full_ + in_, static_cast<uint32_t>(n * tile_bytes_));
      bulk_copy_once(ring_ + in_ * kChunkTiles * tile_bytes_,
                     from + tile_ * tile_bytes_,
                     static_cast<uint32_t>(n * tile_bytes_),
                     full_ + in_);
    }
    if (++in_ == n_stages_) in_ = 0;
    tile_ += kChunkTiles;
    if (tile_ < n_tiles_) return;
    tile_ = 0;
    left_ &= left_ - 1;
  }

  uint8_t* const ring_;
  uint64_t* const full_;
  const int n_stages_, n_tiles_, tile_bytes_;
  const uint8_t* weights_ = nullptr;
  uint32_t items_ = 0, left_ = 0;  // that are still to be copied
  int tile_ = 0;                   // of the first of those
  int in_ = 0, out_ = 0;
  uint32_t phase_ = 0;
};

// The expert at hand that the routing names k-th, or -1.
__device__ int expert_at(const Routed& routed, const AtHand& at_hand, int k) {
  const int expert = __ldcg(routed.experts + k) - at_hand.first;
  return at_hand.has(expert) ? expert : -1;
}
__device__ const uint8_t* matrix_of(const LinearPart& part, int expert) {
  return static_cast<const uint8_t*>(part.weight) + expert * part.matrix_bytes;
}

// A warp for each segment of gate's tile and of up's: so a group of warps has an item, and the groups of all blocks take
// items in turn.
template <int kWarps>
struct RowsShared {
  float4 partial[kWarps][32];
  uint64_t full[kWarps][kMaxStages];
};

template <bool kCodes, int kChunkTiles, int kWarps>
__global__ void __launch_bounds__(32 * kWarps, 1)
    token_rows_kernel(const __grid_constant__ LinearArgs args, int n_stages) {
  extern __shared__ __align__(128) uint8_t rings[];
  __shared__ RowsShared<kWarps> shared;
  constexpr int kThreads = 32 * kWarps;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  init_ring(shared.full[warp], n_stages);

  const Routed& routed = args.experts.routed;
  const AtHand at_hand(routed.leaves);
  const int n_segments = args.parts[0].n_segments, segment = warp % n_segments;
  const int group = warp / (2 * n_segments), n_groups = kWarps / (2 * n_segments);
  const bool is_up = warp / n_segments % 2 == 1;
  const LinearPart& part = args.parts[is_up ? 1 : 0];
  const Coding coding = kCodes ? part.coding : Coding::none;
  const int n_tiles = args.n_in / kTile, segment_tiles = n_tiles / n_segments;
  const int n_outs = tiles_of(part);
  const int n_items = n_outs * routed.top_k;
  // Of this lane.
  const int item = static_cast<int>(blockIdx.x + gridDim.x * group) +
                   lane * static_cast<int>(gridDim.x) * n_groups;
  const int k = item / n_outs, tile = item - k * n_outs;
  const int64_t at =
      (static_cast<int64_t>(tile) * n_tiles + segment * segment_tiles) * tile_bytes(part.coding);
  const int ring_bytes = n_stages * kChunkTiles * most_tile_bytes(args);
  uint8_t* const held = rings + kWarps * ring_bytes;
  Pieces<kChunkTiles> pieces(rings + warp * ring_bytes,
                             shared.full[warp],
                             n_stages,
                             segment_tiles,
                             tile_bytes(part.coding));
  pdl_wait();
  const int expert = item < n_items ? expert_at(routed, at_hand, k) : -1;
  // So what begins early behind this kernel may read what this one has waited for.
  pdl_trigger();
  const auto* const x = static_cast<const bf16*>(args.x.data);
  const int own = static_cast<int>(threadIdx.x) * 8;
  const uint4 first = own < args.n_in ? __ldcg(reinterpret_cast<const uint4*>(x + own)) : uint4{};
  pieces.start(expert < 0 ? nullptr : matrix_of(part, expert) + at);
  if (own < args.n_in) *reinterpret_cast<uint4*>(held + own * 2) = first;
  for (int i = own + kThreads * 8; i < args.n_in; i += kThreads * 8)
    *reinterpret_cast<uint4*>(held + i * 2) = __ldcg(reinterpret_cast<const uint4*>(x + i));
  __syncthreads();

  const int group_threads = 64 * n_segments;
  for (uint32_t left = pieces.items(); left != 0; left &= left - 1) {
    const int its = __ffs(left) - 1;
    shared.partial[warp][lane] =
        pieces.template multiply<kCodes>(held + segment * segment_tiles * kTile * 2, coding);
    sync_some(1 + group, group_threads);
    if (segment == 0 && !is_up) {
      const float4* const partial = &shared.partial[warp][lane];
      finish_tile(args,
                  0,
                  __shfl_sync(kAllLanes, tile, its),
                  sum_segments(partial, 32, n_segments),
                  sum_segments(partial + 32 * n_segments, 32, n_segments),
                  __shfl_sync(kAllLanes, k, its),
                  1);
    }
    sync_some(1 + group, group_threads);
  }
}

template <int kWarps>
struct SumsShared {
  uint64_t full[kWarps][kMaxStages];
  // Of the k-th expert in ascending order.
  int pair_of[kFewPairs], leaf_of[kFewPairs];
  float weights[kFewPairs];
};

// An item is a segment of a pair's tile; warps take those of a tile in turn. Behind the rings: products of a tile, [pair,
// segment, output]; and the rows of pairs.
template <bool kCodes, int kChunkTiles, int kWarps>
__global__ void __launch_bounds__(32 * kWarps, 1)
    token_sums_kernel(const __grid_constant__ LinearArgs args, int n_stages) {
  extern __shared__ __align__(128) uint8_t rings[];
  __shared__ SumsShared<kWarps> shared;
  constexpr int kThreads = 32 * kWarps;
  pdl_trigger();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32,
            thread = static_cast<int>(threadIdx.x);
  init_ring(shared.full[warp], n_stages);

  const Routed& routed = args.experts.routed;
  const AtHand at_hand(routed.leaves);
  const LinearPart& part = args.parts[0];
  const Coding coding = kCodes ? part.coding : Coding::none;
  const int top_k = routed.top_k, n_segments = part.n_segments;
  const int n_tiles = args.n_in / kTile, segment_tiles = n_tiles / n_segments;
  const int turns = (top_k * n_segments + kWarps - 1) / kWarps;  // of a tile
  // Of this lane.
  const int unit = lane % turns * kWarps + warp, k = unit / n_segments;
  const int segment = unit - k * n_segments;
  const int tile = static_cast<int>(blockIdx.x + lane / turns * gridDim.x);
  const int64_t at =
      (static_cast<int64_t>(tile) * n_tiles + segment * segment_tiles) * tile_bytes(part.coding);
  const int ring_bytes = n_stages * kChunkTiles * tile_bytes(part.coding);
  Pieces<kChunkTiles> pieces(rings + warp * ring_bytes,
                             shared.full[warp],
                             n_stages,
                             segment_tiles,
                             tile_bytes(part.coding));
  const int expert = k < top_k && tile < tiles_of(part) ? expert_at(routed, at_hand, k) : -1;
  pieces.start(expert < 0 ? nullptr : matrix_of(part, expert) + at);

  auto* const products = reinterpret_cast<float*>(rings + kWarps * ring_bytes);
  auto* const held = reinterpret_cast<uint8_t*>(products + top_k * n_segments * kTile);
  const int held_stride = row_piece(n_tiles);
  if (thread < top_k) {
    const int mine = __ldcg(routed.experts + thread);
    int place = 0;
    for (int j = 0; j < top_k; ++j) place += __ldcg(routed.experts + j) < mine ? 1 : 0;
    shared.pair_of[place] = thread;
    shared.leaf_of[place] = at_hand.leaf(routed.leaves, mine - at_hand.first);
    shared.weights[place] = __ldcg(routed.weights + thread);
  }
  pdl_wait();
  const int row_parts = args.n_in / 8;
  for (int i = thread; i < top_k * row_parts; i += kThreads) {
    const int row = i / row_parts, its = i - row * row_parts;
    *reinterpret_cast<uint4*>(held + row * held_stride + its * 16) =
        __ldcg(reinterpret_cast<const uint4*>(static_cast<const bf16*>(args.x.data) +
                                              row * args.x.stride) +
               its);
  }
  __syncthreads();

  uint32_t left = pieces.items();
  for (int first = static_cast<int>(blockIdx.x), turn = 0; first < tiles_of(part);
       first += static_cast<int>(gridDim.x), turn += turns) {
    const int o = first * kTile + thread;
    const bool sums = thread < kTile && o < part.n_out;
    float* const to = static_cast<float*>(part.out.data) + o;
    const float before = sums && args.epilogue == Epilogue::add ? *to : 0;
    // Lanes 0 to 7 of four have the row, of outputs g and g + 8.
    for (; left != 0 && __ffs(left) - 1 < turn + turns; left &= left - 1) {
      const int its = __ffs(left) - 1;
      const int its_k = __shfl_sync(kAllLanes, k, its),
                its_segment = __shfl_sync(kAllLanes, segment, its);
      const float4 y = pieces.template multiply<kCodes>(
          held + its_k * held_stride + its_segment * segment_tiles * kTile * 2, coding);
      if (lane % 4 == 0) {
        float* const product = products + (its_k * n_segments + its_segment) * kTile + lane / 4;
        product[0] = y.x;
        product[8] = y.z;
      }
    }
    __syncthreads();
    if (sums) {
      const float sum = sum_of_products(
          part, o, products + thread, routed, shared.pair_of, shared.leaf_of, shared.weights);
      *to = args.epilogue == Epilogue::add ? before + sum : sum;
    }
    __syncthreads();
  }
}

// As many stages as half of the memory has room for, behind `other_bytes`.
template <int kChunkTiles, int kWarps, typename Shared>
int stages_of(const LinearArgs& args, int other_bytes) {
  constexpr int kBytes = kAllBytes / 2 - kStaticBytes<Shared>;
  return min((kBytes - other_bytes) / (kWarps * kChunkTiles * most_tile_bytes(args)), kMaxStages);
}

template <auto* kKernel, int kChunkTiles, int kWarps>
void launch_staged(
    const LinearArgs& args, int n_blocks, int n_stages, int other_bytes, Stream stream) {
  static const bool once = [] {
    allow_shared(kKernel, kAllBytes / 2);
    return true;
  }();
  static_cast<void>(once);
  launch(kKernel,
         dim3(static_cast<unsigned>(n_blocks)),
         32 * kWarps,
         static_cast<size_t>(n_stages * kWarps * kChunkTiles * most_tile_bytes(args) + other_bytes),
         stream,
         args,
         n_stages);
}

template <bool kRowsCodes, bool kSumsCodes>
bool launch_both(const LinearArgs& rows, const LinearArgs& sums, Stream stream) {
  constexpr int kWarps = 8, kRowsTiles = kRowsCodes ? 16 : 8, kSumsTiles = kSumsCodes ? 16 : 8;
  const int top_k = rows.experts.routed.top_k, n_blocks = multiprocessors();
  const LinearPart &gate = rows.parts[0], &down = sums.parts[0];
  const int n_groups = kWarps / (2 * gate.n_segments);
  const int turns = (top_k * down.n_segments + kWarps - 1) / kWarps;
  const int sums_blocks = min(tiles_of(down), n_blocks);
  // The last pair of tiles of a row may be half.
  const int rows_bytes = row_piece(rows.n_in / kTile) + 32;
  const int sums_bytes = top_k * (down.n_segments * kTile * 4 + row_piece(sums.n_in / kTile)) + 32;
  const int rows_stages = stages_of<kRowsTiles, kWarps, RowsShared<kWarps>>(rows, rows_bytes);
  const int sums_stages = stages_of<kSumsTiles, kWarps, SumsShared<kWarps>>(sums, sums_bytes);
  if (tiles_of(gate) * top_k > kMaxItems * n_groups * n_blocks ||
      turns * ((tiles_of(down) + sums_blocks - 1) / sums_blocks) > kMaxItems || rows_stages < 2 ||
      sums_stages < 2) {
    return false;
  }
  launch_staged<token_rows_kernel<kRowsCodes, kRowsTiles, kWarps>, kRowsTiles, kWarps>(
      rows, n_blocks, rows_stages, rows_bytes, stream);
  launch_staged<token_sums_kernel<kSumsCodes, kSumsTiles, kWarps>, kSumsTiles, kWarps>(
      sums, sums_blocks, sums_stages, sums_bytes, stream);
  return true;
}

}  // namespace

bool token_experts(const LinearArgs& gate_up, const LinearArgs& down, Stream stream) {
  const bool codes = gate_up.parts[0].coding != Coding::none;
  if (down.parts[0].coding != Coding::none) {
    return codes ? launch_both<true, true>(gate_up, down, stream)
                 : launch_both<false, true>(gate_up, down, stream);
  }
  return codes ? launch_both<true, false>(gate_up, down, stream)
               : launch_both<false, false>(gate_up, down, stream);
}

}  // namespace qwen3::cuda
