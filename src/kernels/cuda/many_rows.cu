// Products with many rows of activations, which arithmetic limits: tiles of 128 outputs by up to 256 rows. A
// warpgroup copies, two multiply, 64 outputs each; of a pair, one has gate and the other up. The sums are
// those of few_rows.cu: a warpgroup's instruction adds 16 columns to a sum as a warp's does.
#include "kernels/cuda/codes.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kRowTiles = 8;                          // of 16 outputs, in a block
constexpr int kStepTiles = 4;                         // column tiles of a stage
constexpr int kTileStage = kStepTiles * kTileBytes;   // 2 KiB of each
constexpr int kWeightBytes = kRowTiles * kTileStage;  // 16 KiB
constexpr int kThreads = 384;
constexpr int kStride = 64 + 4;  // floats between rows of results on their way out

QWEN3_HD constexpr int stage_bytes(int rows) { return kWeightBytes + rows * 128; }
constexpr int kStagesFor(int rows) { return rows == 256 ? 4 : 6; }

// A stage of n column tiles.
template <int kTiles, Coding kCoding, int kSums>
__device__ void multiply(float (&sum)[kSums], const uint8_t* weights, uint64_t rows) {
  uint4 a[kTiles];
  if constexpr (kCoding != Coding::none) {
#pragma unroll
    for (int k = 0; k < kTiles; k += 2) {
      load_unit<kCoding>(a[k], a[k + 1], weights + k * tile_bytes(kCoding));
    }
  } else {
#pragma unroll
    for (int k = 0; k < kTiles; ++k)
      a[k] = reinterpret_cast<const uint4*>(weights)[k * 32 + threadIdx.x % 32];
  }
  wgmma_fence();
#pragma unroll
  for (int k = 0; k < kTiles; ++k)
    wgmma(sum, a[k], rows + static_cast<uint64_t>(k * (kTile * 2 >> 4)));
  wgmma_commit();
  wgmma_wait<0>();
}

// Sums of segments that wait for their neighbours stay in registers; where there are too many, in the card's memory,
// for which the second-level cache stands in. Each thread reads what it has written itself.
QWEN3_HD constexpr bool waits_in_memory(int rows, int segments) { return rows * segments > 256; }

template <int kRows, int kSegments, bool kPair, bool kCodes>
__global__ void __launch_bounds__(kThreads, 1)
    many_rows_kernel(const __grid_constant__ LinearArgs args,
                     const __grid_constant__ CUtensorMap rows) {
  constexpr int kStages = kRows == 256 ? 4 : 6;
  constexpr int kLevels = kSegments / 2;
  constexpr bool kInMemory = waits_in_memory(kRows, kSegments);
  extern __shared__ __align__(1024) uint8_t ring[];
  __shared__ uint64_t full[kStages], empty[kStages];
  pdl_trigger();
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      barrier_init(full + i);
      barrier_init(empty + i, 8);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();

  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const auto part_of = [&](int t) { return kPair ? t / 4 : static_cast<int>(blockIdx.z); };
  const auto tile_of = [&](int t) {
    return static_cast<int>(blockIdx.y) * (kPair ? kRowTiles / 2 : kRowTiles) + (kPair ? t % 4 : t);
  };
  const auto exists = [&](int t) { return tile_of(t) * kTile < args.parts[part_of(t)].n_out; };
  const int first_row = blockIdx.x * kRows;
  const int n_tiles = args.n_in / kTile, segment_tiles = n_tiles / kSegments;
  const int segment_steps = (segment_tiles + kStepTiles - 1) / kStepTiles,
            n_steps = segment_steps * kSegments;
  const auto tile_at = [&](int step) {
    return step / segment_steps * segment_tiles + step % segment_steps * kStepTiles;
  };
  const auto valid_tiles = [&](int step) {
    return min(kStepTiles, segment_tiles - step % segment_steps * kStepTiles);
  };

  if (warp < 4) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    pdl_wait();
    if (!exists(0)) return;
    int n_here = 0;
    while (n_here < kRowTiles && exists(n_here)) ++n_here;
    if (kPair) {
      n_here = 0;
      for (int t = 0; t < kRowTiles; ++t) n_here += exists(t) ? 1 : 0;
    }
    // Two tiles each.
    const int t = 2 * warp + lane;
    const bool mine = lane < 2 && exists(t);
    const LinearPart& part = args.parts[part_of(t % kRowTiles)];
    const int of_tile = kCodes ? tile_bytes(part.coding) : kTileBytes;
    const auto* const from = static_cast<const uint8_t*>(part.weight) +
                             static_cast<int64_t>(tile_of(t % kRowTiles)) * n_tiles * of_tile;
    // Of a pair, gate and up may be of different types.
    int of_all = n_here * of_tile;
    if (kCodes && kPair) {
      of_all = 0;
      for (int i = 0; i < kRowTiles; ++i)
        of_all += exists(i) ? tile_bytes(args.parts[part_of(i)].coding) : 0;
    }
    for (int step = 0; step < n_steps; ++step) {
      const int stage = step % kStages;
      uint8_t* const to = ring + stage * stage_bytes(kRows);
      if (step >= kStages)
        barrier_wait(empty + stage, static_cast<uint32_t>(step / kStages - 1) & 1);
      const int n = valid_tiles(step), tile = tile_at(step);
      if (warp == 0 && lane == 0) {
        expect_bytes(full + stage, static_cast<uint32_t>(of_all * n + kRows * 128));
        box_copy(to + kWeightBytes, rows, first_row, tile / 4, full + stage);
      }
      if (mine) {
        bulk_copy(to + t * kTileStage,
                  from + static_cast<int64_t>(tile) * of_tile,
                  static_cast<uint32_t>(n * of_tile),
                  full + stage);
      }
    }
    return;
  }

  asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
  pdl_wait();
  if (!exists(0)) return;
  const int group = warp / 4 - 1, t = group * 4 + warp % 4;
  const Coding coding = kCodes ? args.parts[part_of(t)].coding : Coding::none;
  float sum[kRows / 2];
  float kept[kLevels > 0 && !kInMemory ? kLevels : 1][kRows / 2];
  // [levels, kRows / 2, 256 threads] for each block
  float* const waiting =
      args.waiting +
      (static_cast<int64_t>(blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x) *
          kLevels * (kRows / 2) * 256 +
      (threadIdx.x - 128);
  int step = 0;
#pragma unroll 1
  for (int segment = 0; segment < kSegments; ++segment) {
#pragma unroll
    for (float& v : sum) v = 0;
#pragma unroll 1
    for (int in_segment = 0; in_segment < segment_steps; ++in_segment, ++step) {
      const int stage = step % kStages;
      barrier_wait(full + stage, static_cast<uint32_t>(step / kStages) & 1);
      const uint8_t* const from = ring + stage * stage_bytes(kRows);
      const uint8_t* const weights = from + t * kTileStage;
      const uint64_t b = describe_rows(from + kWeightBytes);
      const int n = valid_tiles(step);
      with_coding<kCodes>(coding, [&](auto kind) {
        constexpr Coding kCoding = decltype(kind)::value;
        if (n == 4) {
          multiply<4, kCoding>(sum, weights, b);
        } else if (n == 2) {
          multiply<2, kCoding>(sum, weights, b);
        } else if constexpr (!kCodes) {  // whose units are two
          if (n == 3) {
            multiply<3, kCoding>(sum, weights, b);
          } else {
            multiply<1, kCoding>(sum, weights, b);
          }
        }
      });
      // Each warp for itself: it is done with what it read, the others may not be.
      __syncwarp();
      if (lane == 0) barrier_arrive(empty + stage);
    }
    if constexpr (kSegments > 1) {
      // The tree as a counter in binary: a full pair goes up a level.
      bool carry = true;
#pragma unroll
      for (int level = 0; level < kLevels; ++level) {
        float* const at = waiting + level * (kRows / 2) * 256;
        if (carry && (segment >> level & 1) != 0) {
#pragma unroll
          for (int i = 0; i < kRows / 2; ++i) {
            sum[i] = (kInMemory ? at[i * 256] : kept[level][i]) + sum[i];
          }
        } else if (carry) {
#pragma unroll
          for (int i = 0; i < kRows / 2; ++i) {
            if constexpr (kInMemory) {
              at[i * 256] = sum[i];
            } else {
              kept[level][i] = sum[i];
            }
          }
          carry = false;
        }
      }
    }
  }

  // Out through shared memory, so that rows are written side by side; both groups are done with the ring.
  sync_some(1, 256);
  auto* const staged = reinterpret_cast<float*>(ring) + group * kRows * kStride;
#pragma unroll
  for (int i = 0; i < kRows / 2; ++i) {
    const int o = warp % 4 * kTile + lane / 4 + i % 4 / 2 * 8,
              row = i / 4 * 8 + lane % 4 * 2 + i % 2;
    staged[row * kStride + o] = sum[i];
  }
  const int n_rows = min(kRows, args.n_rows - first_row);
  if constexpr (kPair) {
    sync_some(1, 256);
    const auto* const gate = reinterpret_cast<const float*>(ring);
    const float* const up = gate + kRows * kStride;
    for (int at = threadIdx.x - 128; at < n_rows * 64; at += 256) {
      const int row = at / 64, o = at % 64, out = blockIdx.y * 64 + o;
      if (out < args.parts[0].n_out) {
        finish(args, 0, first_row + row, out, gate[row * kStride + o], up[row * kStride + o]);
      }
    }
  } else {
    sync_some(2 + group, 128);
    for (int at = threadIdx.x % 128; at < n_rows * 64; at += 128) {
      const int row = at / 64, o = at % 64, out = blockIdx.y * 128 + group * 64 + o;
      if (out < args.parts[blockIdx.z].n_out) {
        finish(args, blockIdx.z, first_row + row, out, staged[row * kStride + o], 0);
      }
    }
  }
}

template <int kRows, int kSegments, bool kPair, bool kCodes>
void launch_tiles(const LinearArgs& args, Stream stream) {
  constexpr int kRing = kStagesFor(kRows) * stage_bytes(kRows), kOut = 2 * kRows * kStride * 4;
  constexpr int kBytes = kRing > kOut ? kRing : kOut;
  static const bool once = [] {
    allow_shared(many_rows_kernel<kRows, kSegments, kPair, kCodes>, kBytes);
    return true;
  }();
  static_cast<void>(once);
  int most = 0;
  for (int p = 0; p < args.n_parts; ++p) most = max(most, args.parts[p].n_out);
  const int outs = kPair ? 64 : 128;
  const dim3 grid(static_cast<unsigned>((args.n_rows + kRows - 1) / kRows),
                  static_cast<unsigned>((most + outs - 1) / outs),
                  kPair ? 1u : static_cast<unsigned>(args.n_parts));
  launch(many_rows_kernel<kRows, kSegments, kPair, kCodes>,
         grid,
         kThreads,
         kBytes,
         stream,
         args,
         row_map(args.x, args.n_rows, args.n_in, kRows, 1));
}

// Tiles of 256 rows move half the bytes; but all multiprocessors should have one.
template <bool kPair>
bool wide(const LinearArgs& args) {
  int n_outs = 0;
  for (int p = 0; p < args.n_parts; ++p) n_outs += (args.parts[p].n_out + 127) / 128;
  return args.n_rows > 128 && (args.n_rows + 255) / 256 * n_outs >= multiprocessors();
}

template <bool kPair, bool kCodes>
void launch_many(const LinearArgs& args, Stream stream) {
  switch (args.parts[0].n_segments) {
    case 1:
      return wide<kPair>(args) ? launch_tiles<256, 1, kPair, kCodes>(args, stream)
                               : launch_tiles<128, 1, kPair, kCodes>(args, stream);
    case 2:
      return wide<kPair>(args) && args.waiting != nullptr
                 ? launch_tiles<256, 2, kPair, kCodes>(args, stream)
                 : launch_tiles<128, 2, kPair, kCodes>(args, stream);
    default:
      return args.n_rows > 64 && args.waiting != nullptr
                 ? launch_tiles<128, 4, kPair, kCodes>(args, stream)
                 : launch_tiles<64, 4, kPair, kCodes>(args, stream);
  }
}

}  // namespace

int64_t waiting_bytes(const LinearArgs& args) {
  int n_out = 0, n_segments = 1;
  for (int p = 0; p < args.n_parts; ++p) {
    n_out = max(n_out, args.parts[p].n_out);
    n_segments = max(n_segments, args.parts[p].n_segments);
  }
  if (args.n_rows <= kMaxFewRows || n_segments == 1) return 0;
  const int outs = args.epilogue == Epilogue::silu_mul ? 64 : 128;
  const int64_t blocks = ceil_div_of(args.n_rows, n_segments == 2 ? 256 : 128) *
                         ceil_div_of(n_out, outs) * args.n_parts;
  return blocks * 128 * 256 * 4;
}

void many_rows(const LinearArgs& args, Stream stream) {
  const bool codes = args.parts[0].coding != Coding::none;
  if (args.epilogue == Epilogue::silu_mul) {
    return codes ? launch_many<true, true>(args, stream) : launch_many<true, false>(args, stream);
  }
  each_group(args, [&](const LinearArgs& some) {
    codes ? launch_many<false, true>(some, stream) : launch_many<false, false>(some, stream);
  });
}

}  // namespace qwen3::cuda
