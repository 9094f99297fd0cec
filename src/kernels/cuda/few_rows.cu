// Products with nine to 64 rows of activations: the weights still stream through once and decide the time,
// but activations are worth sharing. A block has some tiles of 16 outputs, all segments of them at once,
// and all rows; a warp for the copies keeps a ring of stages full, the others multiply: each one tile, one
// segment, and a share of the rows. Sums are those of gemv.cu.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear.cuh"

namespace qwen3::cuda {
namespace {

// kRows rows; kTiles tiles of outputs; kSegments; warps that share the rows of one tile and segment.
template <int kRowsOf, int kTilesOf, int kSegmentsOf>
struct Plan {
  static constexpr int kRows = kRowsOf, kTiles = kTilesOf, kSegments = kSegmentsOf;
  static constexpr int kRowWarps = 8 / (kTiles * kSegments) > 0 ? 8 / (kTiles * kSegments) : 1;
  static constexpr int kWarps = kTiles * kSegments * kRowWarps;
  static constexpr int kRowTiles = kRows / 8 / kRowWarps;            // of a warp
  static constexpr int kStepTiles = kSegments == 4 ? 4 : 8;          // column tiles of a stage
  static constexpr int kPitch = kStepTiles * kTile * 2 + 16;         // of a row's piece
  static constexpr int kWeightBytes = kTiles * kSegments * kStepTiles * kTileBytes;
  static constexpr int kStageBytes = kWeightBytes + kRows * kSegments * kPitch;
  static constexpr int kStages = 212 * 1024 / kStageBytes < 8 ? 212 * 1024 / kStageBytes : 8;
  static constexpr int kBytes = kStages * kStageBytes;
  static_assert(kRowTiles >= 1 && kStages >= 2);
  // Partial sums, when the ring is done.
  static_assert(kWarps * kRowTiles * 512 <= kBytes);
};

template <typename P, bool kPair>
__global__ void __launch_bounds__(32 * (P::kWarps + 1), 1) few_rows(const __grid_constant__ LinearArgs args) {
  extern __shared__ __align__(128) uint8_t ring[];
  __shared__ uint64_t full[P::kStages], empty[P::kStages];
  pdl_trigger();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (threadIdx.x == 0) {
    for (int i = 0; i < P::kStages; ++i) {
      barrier_init(full + i);
      barrier_init(empty + i, P::kWarps);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();

  // Tile t of the block: of a pair, gate and up by turns.
  const auto part_of = [&](int t) { return kPair ? t % 2 : static_cast<int>(blockIdx.y); };
  const auto tile_of = [&](int t) {
    return kPair ? static_cast<int>(blockIdx.x) * (P::kTiles / 2) + t / 2 : static_cast<int>(blockIdx.x) * P::kTiles + t;
  };
  const auto exists = [&](int t) { return tile_of(t) * kTile < args.parts[part_of(t)].n_out; };
  const int n_tiles = args.n_in / kTile, segment_tiles = n_tiles / P::kSegments;
  const int n_steps = (segment_tiles + P::kStepTiles - 1) / P::kStepTiles;
  if (!exists(0)) {
    pdl_wait();
    return;
  }

  if (warp == P::kWarps) {
    int n_here = 0;
    while (n_here < P::kTiles && exists(n_here)) ++n_here;
    const auto tiles_of_step = [&](int step) { return min(P::kStepTiles, segment_tiles - step * P::kStepTiles); };
    const auto copy_weights = [&](int step) {
      const int stage = step % P::kStages, n = tiles_of_step(step);
      if (lane == 0) {
        expect_bytes(full + stage,
                     static_cast<uint32_t>(P::kSegments * n * (n_here * kTileBytes + args.n_rows * kTile * 2)));
      }
      __syncwarp();
      for (int i = lane; i < n_here * P::kSegments; i += 32) {
        const int t = i / P::kSegments, segment = i % P::kSegments;
        const auto* from = static_cast<const uint8_t*>(args.parts[part_of(t)].weight) +
                           (static_cast<int64_t>(tile_of(t)) * n_tiles + segment * segment_tiles + step * P::kStepTiles) *
                               kTileBytes;
        bulk_copy(ring + stage * P::kStageBytes + i * P::kStepTiles * kTileBytes, from,
                  static_cast<uint32_t>(n) * kTileBytes, full + stage);
      }
    };
    const auto copy_rows = [&](int step) {
      const int stage = step % P::kStages, n = tiles_of_step(step);
      for (int i = lane; i < args.n_rows * P::kSegments; i += 32) {
        const int row = i / P::kSegments, segment = i % P::kSegments;
        const auto* from = static_cast<const bf16*>(args.x.data) + row * args.x.stride +
                           static_cast<int64_t>(segment * segment_tiles + step * P::kStepTiles) * kTile;
        bulk_copy(ring + stage * P::kStageBytes + P::kWeightBytes + (segment * P::kRows + row) * P::kPitch, from,
                  static_cast<uint32_t>(n) * kTile * 2, full + stage);
      }
    };
    const int ahead = min(P::kStages, n_steps);
    for (int step = 0; step < ahead; ++step) copy_weights(step);
    pdl_wait();
    for (int step = 0; step < ahead; ++step) copy_rows(step);
    for (int step = ahead; step < n_steps; ++step) {
      barrier_wait(empty + step % P::kStages, static_cast<uint32_t>(step / P::kStages - 1) & 1);
      copy_weights(step);
      copy_rows(step);
    }
    return;
  }

  pdl_wait();
  const int row_share = warp % P::kRowWarps, segment = warp / P::kRowWarps % P::kSegments;
  const int t = warp / P::kRowWarps / P::kSegments;
  float sum[P::kRowTiles][4] = {};
  // Rows that do not exist: their columns of the product are nobody's.
  const int row = row_share * P::kRowTiles * 8 + lane % 8, right = lane / 8 * 16;
  const int weights_at = (t * P::kSegments + segment) * P::kStepTiles * kTileBytes + lane * 16;
  const int rows_at = P::kWeightBytes + (segment * P::kRows + row) * P::kPitch + right;
  for (int step = 0; step < n_steps; ++step) {
    const int stage = step % P::kStages;
    barrier_wait(full + stage, static_cast<uint32_t>(step / P::kStages) & 1);
    const uint8_t* const from = ring + stage * P::kStageBytes;
    const int n = segment_tiles - step * P::kStepTiles;
#pragma unroll
    for (int k = 0; k < P::kStepTiles; k += 2) {
      if (k >= n) break;
      const uint4 a0 = *reinterpret_cast<const uint4*>(from + weights_at + k * kTileBytes);
      const uint4 a1 = *reinterpret_cast<const uint4*>(from + weights_at + (k + 1) * kTileBytes);
#pragma unroll
      for (int j = 0; j < P::kRowTiles; ++j) {
        uint32_t b[4];
        load_matrices(b, from + rows_at + j * 8 * P::kPitch + k * kTile * 2);
        mma(sum[j], a0, b[0], b[1]);
        if (k + 1 < n) mma(sum[j], a1, b[2], b[3]);
      }
    }
    __syncwarp();
    if (lane == 0) barrier_arrive(empty + stage);
  }

  // The ring is read to its end by everyone before partial sums take its place.
  auto* const partial = reinterpret_cast<float4*>(ring);
  const auto place = [&](int tile, int s, int share, int j) {
    return (((tile * P::kSegments + s) * P::kRowWarps + share) * P::kRowTiles + j) * 32 + lane;
  };
  sync_some(1, 32 * P::kWarps);
#pragma unroll
  for (int j = 0; j < P::kRowTiles; ++j) {
    partial[place(t, segment, row_share, j)] = {sum[j][0], sum[j][1], sum[j][2], sum[j][3]};
  }
  sync_some(1, 32 * P::kWarps);
  if (segment != 0 || (kPair && t % 2 != 0) || !exists(t)) return;
  const auto total = [&](int tile, int j) {
    const auto add = [](const float4& a, const float4& b) {
      return float4{a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
    };
    float4 y = partial[place(tile, 0, row_share, j)];
    if constexpr (P::kSegments > 1) y = add(y, partial[place(tile, 1, row_share, j)]);
    if constexpr (P::kSegments > 2) {
      y = add(y, add(partial[place(tile, 2, row_share, j)], partial[place(tile, 3, row_share, j)]));
    }
    return y;
  };
#pragma unroll
  for (int j = 0; j < P::kRowTiles; ++j) {
    const int first = (row_share * P::kRowTiles + j) * 8;
    if (first >= args.n_rows) break;
    finish_tile(args, part_of(t), tile_of(t), total(t, j), kPair ? total(t + 1, j) : float4{}, first,
                args.n_rows - first);
  }
}

template <typename P, bool kPair>
void launch_few(const LinearArgs& args, Stream stream) {
  static const bool once = [] {
    allow_shared(few_rows<P, kPair>, P::kBytes);
    return true;
  }();
  static_cast<void>(once);
  int most = 0;
  for (int p = 0; p < args.n_parts; ++p) most = max(most, args.parts[p].n_out);
  const int tiles = (most + kTile - 1) / kTile, of_block = kPair ? P::kTiles / 2 : P::kTiles;
  const dim3 grid(static_cast<unsigned>((tiles + of_block - 1) / of_block),
                  kPair ? 1u : static_cast<unsigned>(args.n_parts));
  launch(few_rows<P, kPair>, grid, 32 * (P::kWarps + 1), P::kBytes, stream, args);
}

template <int kRows>
void launch_rows(const LinearArgs& args, Stream stream) {
  const int segments = args.parts[0].n_segments;
  if (args.epilogue == Epilogue::silu_mul) {
    return segments == 1   ? launch_few<Plan<kRows, 4, 1>, true>(args, stream)
           : segments == 2 ? launch_few<Plan<kRows, kRows == 64 ? 4 : 2, 2>, true>(args, stream)
                           : launch_few<Plan<kRows, 2, 4>, true>(args, stream);
  }
  return segments == 1   ? launch_few<Plan<kRows, 4, 1>, false>(args, stream)
         : segments == 2 ? launch_few<Plan<kRows, kRows == 64 ? 4 : 2, 2>, false>(args, stream)
                         : launch_few<Plan<kRows, 2, 4>, false>(args, stream);
}

}  // namespace

void few_rows(const LinearArgs& args, Stream stream) {
  each_group(args, [&](const LinearArgs& some) {
    if (some.n_rows <= 16) {
      launch_rows<16>(some, stream);
    } else if (some.n_rows <= 32) {
      launch_rows<32>(some, stream);
    } else {
      launch_rows<64>(some, stream);
    }
  });
}

}  // namespace qwen3::cuda
