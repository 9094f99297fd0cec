// Products with many rows of activations, which arithmetic limits: tiles of 128 outputs by up to 256 rows. A
// warpgroup copies, two multiply, 64 outputs each; of a pair, one has gate and the other up. The sums are
// those of few_rows.cu: a warpgroup's instruction adds 16 columns to a sum as a warp's does.
#include <type_traits>
#include <utility>

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

// Sums of segments that wait for their neighbours stay in registers; where there are too many, in the card's memory,
// for which the second-level cache stands in. Each thread reads what it has written itself.
QWEN3_HD constexpr bool waits_in_memory(int rows, int segments) { return rows * segments > 256; }

// The rows of a block: of an expert, if there are experts, whose rows follow each other.
struct RowRange {
  int first, n;
  int expert;
};

// The tile-th tile of up to kRows rows of one expert, in their order; n is zero beyond the last.
template <int kRows>
__device__ RowRange find_rows(const ExpertRows& e, int tile) {
  __shared__ int found[2];
  if (threadIdx.x < 32) {
    int before = 0;
    if (threadIdx.x == 0) found[0] = -1;
    __syncwarp();
    for (int base = 0; base < e.n_experts; base += 32) {
      const int i = base + static_cast<int>(threadIdx.x);
      const int n = i < e.n_experts ? e.lists.offsets[i + 1] - e.lists.offsets[i] : 0;
      const int tiles = (n + kRows - 1) / kRows;
      int sum = tiles;
#pragma unroll
      for (int d = 1; d < 32; d *= 2) {
        const int other = __shfl_up_sync(kAllLanes, sum, d);
        if (static_cast<int>(threadIdx.x) >= d) sum += other;
      }
      const int first = before + sum - tiles;
      if (tile >= first && tile < first + tiles) {
        found[0] = i;
        found[1] = tile - first;
      }
      before += __shfl_sync(kAllLanes, sum, 31);
    }
  }
  __syncthreads();
  const int expert = found[0];
  if (expert < 0) return {0, 0, 0};
  const int first = e.lists.offsets[expert] + found[1] * kRows;
  return {first, min(e.lists.offsets[expert + 1] - first, kRows), expert};
}

template <int kRows, int kSegments, bool kPair, bool kCodes, bool kExperts>
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
  // What runs side by side shares weights: blocks of rows come first. Experts have few of those, and share rows.
  const int row_block = static_cast<int>(kExperts ? blockIdx.y : blockIdx.x),
            out_block = static_cast<int>(kExperts ? blockIdx.x : blockIdx.y);
  const auto part_of = [&](int t) { return kPair ? t / 4 : static_cast<int>(blockIdx.z); };
  const auto tile_of = [&](int t) {
    return out_block * (kPair ? kRowTiles / 2 : kRowTiles) + (kPair ? t % 4 : t);
  };
  const auto exists = [&](int t) { return tile_of(t) * kTile < args.parts[part_of(t)].n_out; };
  RowRange range{row_block * kRows, min(kRows, args.n_rows - row_block * kRows), 0};
  if constexpr (kExperts) {
    pdl_wait();
    range = find_rows<kRows>(args.experts, row_block);
    if (range.n <= 0) return;
  }
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
                             range.expert * part.matrix_bytes +
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
        box_copy(to + kWeightBytes, rows, range.first, tile / 4, full + stage);
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
          multiply_tiles<4, kRows, kCoding>(sum, weights, b, 0);
        } else if (n == 2) {
          multiply_tiles<2, kRows, kCoding>(sum, weights, b, 0);
        } else if constexpr (!kCodes) {  // whose units are two
          if (n == 3) {
            multiply_tiles<3, kRows, kCoding>(sum, weights, b, 0);
          } else {
            multiply_tiles<1, kRows, kCoding>(sum, weights, b, 0);
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
  if constexpr (kPair) {
    sync_some(1, 256);
    const auto* const gate = reinterpret_cast<const float*>(ring);
    finish_staged<256, 64>(args,
                           0,
                           range.first,
                           range.n,
                           out_block * 64,
                           gate,
                           gate + kRows * kStride,
                           kStride,
                           static_cast<int>(threadIdx.x) - 128);
  } else {
    sync_some(2 + group, 128);
    finish_staged<128, 64>(args,
                           static_cast<int>(blockIdx.z),
                           range.first,
                           range.n,
                           out_block * 128 + group * 64,
                           staged,
                           nullptr,
                           kStride,
                           static_cast<int>(threadIdx.x) % 128);
  }
}

template <int kRows, int kSegments, bool kPair, bool kCodes, bool kExperts>
void launch_tiles(const LinearArgs& args, Stream stream) {
  constexpr int kRing = kStagesFor(kRows) * stage_bytes(kRows), kOut = 2 * kRows * kStride * 4;
  constexpr int kBytes = kRing > kOut ? kRing : kOut;
  auto* const kernel = &many_rows_kernel<kRows, kSegments, kPair, kCodes, kExperts>;
  static const bool once = [&] {
    allow_shared(kernel, kBytes);
    return true;
  }();
  static_cast<void>(once);
  int most = 0;
  for (int p = 0; p < args.n_parts; ++p) most = max(most, args.parts[p].n_out);
  const int outs = kPair ? 64 : 128, n_rows = kExperts ? args.experts.n_pairs : args.n_rows;
  // Of each expert one tile may be filled in part.
  const int n_row_blocks =
      (n_rows + kRows - 1) / kRows + (kExperts ? min(args.experts.n_experts, n_rows) : 0);
  dim3 grid(static_cast<unsigned>(n_row_blocks),
            static_cast<unsigned>((most + outs - 1) / outs),
            kPair ? 1u : static_cast<unsigned>(args.n_parts));
  if (kExperts) std::swap(grid.x, grid.y);
  launch(
      kernel, grid, kThreads, kBytes, stream, args, row_map(args.x, n_rows, args.n_in, kRows, 1));
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
      return wide<kPair>(args) ? launch_tiles<256, 1, kPair, kCodes, false>(args, stream)
                               : launch_tiles<128, 1, kPair, kCodes, false>(args, stream);
    case 2:
      return wide<kPair>(args) ? launch_tiles<256, 2, kPair, kCodes, false>(args, stream)
                               : launch_tiles<128, 2, kPair, kCodes, false>(args, stream);
    default:
      return launch_tiles<128, 4, kPair, kCodes, false>(args, stream);
  }
}
template <bool kPair, bool kCodes>
void launch_experts(const LinearArgs& args, Stream stream) {
  switch (args.parts[0].n_segments) {
    case 1:
      return launch_tiles<128, 1, kPair, kCodes, true>(args, stream);
    case 2:
      return launch_tiles<128, 2, kPair, kCodes, true>(args, stream);
    default:
      return launch_tiles<64, 4, kPair, kCodes, true>(args, stream);
  }
}

template <typename Launch>
void with_kinds(const LinearArgs& args, const Launch& launch) {
  const auto with_pair = [&](auto codes) {
    if (args.epilogue == Epilogue::silu_mul) return launch(args, std::true_type{}, codes);
    each_group(args, [&](const LinearArgs& some) { launch(some, std::false_type{}, codes); });
  };
  if (args.parts[0].coding != Coding::none) return with_pair(std::true_type{});
  with_pair(std::false_type{});
}

}  // namespace

LinearScratch many_rows_scratch(const LinearArgs& args) {
  int n_out = 0, n_segments = 1;
  for (int p = 0; p < args.n_parts; ++p) {
    n_out = max(n_out, args.parts[p].n_out);
    n_segments = max(n_segments, args.parts[p].n_segments);
  }
  if (n_segments == 1) return {};
  const int outs = args.epilogue == Epilogue::silu_mul ? 64 : 128;
  const int64_t blocks = ceil_div_of(args.n_rows, n_segments == 2 ? 256 : 128) *
                         ceil_div_of(n_out, outs) * args.n_parts;
  return {.waiting_bytes = blocks * 128 * 256 * 4};
}

void many_rows(const LinearArgs& args, Stream stream) {
  with_kinds(args, [&](const LinearArgs& some, auto pair, auto codes) {
    launch_many<pair(), codes()>(some, stream);
  });
}

void expert_many_rows(const LinearArgs& args, Stream stream) {
  with_kinds(args, [&](const LinearArgs& some, auto pair, auto codes) {
    launch_experts<pair(), codes()>(some, stream);
  });
}

}  // namespace qwen3::cuda
