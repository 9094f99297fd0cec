// Products of experts with many rows: tiles of 128 outputs by 64 rows of an expert, both operands through a
// pipeline of copies in shared memory (rows lie anywhere, which the copy engine cannot gather), eight warps of
// matrix steps. Sums are those of expert_rows.cu.
#include "kernels/cuda/codes.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kOuts = 128;                // of a block
constexpr int kRowTiles = kOuts / kTile;  // 8
constexpr int kStepTiles = 4;             // column tiles of a stage
constexpr int kStepColumns = kStepTiles * kTile;
constexpr int kWeightBytes = kRowTiles * kStepTiles * kTileBytes;  // 16 KiB

constexpr int kRows = 64;
constexpr int kStageBytes = kWeightBytes + kRows * kStepColumns * 2;
constexpr int kStages = 4;

// Where a block's rows lie.
struct RowRange {
  int64_t first;       // of `out`
  int n;               // at most kRows
  const int32_t* map;  // row of x for each, or null
  int expert;
};

// The tile-th tile of rows, in order of experts.
__device__ RowRange find_rows(const LinearArgs& args, int tile, int* found) {
  const ExpertRows& e = args.experts;
  if (threadIdx.x < 32) {
    int before = 0;
    if (threadIdx.x == 0) found[0] = -1;
    __syncwarp();
    for (int base = 0; base < e.n_experts; base += 32) {
      const int i = base + static_cast<int>(threadIdx.x);
      const int n = i < e.n_experts ? e.offsets[i + 1] - e.offsets[i] : 0;
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
  if (expert < 0) return {0, 0, nullptr, 0};
  const int first = e.offsets[expert] + found[1] * kRows;
  return {first, min(e.offsets[expert + 1] - first, kRows), e.tokens, expert};
}

template <int kSegments, bool kCodes>
__global__ void __launch_bounds__(kThreads)
    expert_many_rows_kernel(const __grid_constant__ LinearArgs args) {
  // A warp has 4 tiles of outputs by kRows / 4 rows.
  constexpr int kRowParts = kRows / 32;
  constexpr int kLevels = kSegments / 2;  // 1, 2 or 4 segments
  extern __shared__ __align__(128) uint8_t shared[];
  __shared__ int found[2];

  pdl_trigger();
  pdl_wait();
  const LinearPart& part = args.parts[blockIdx.z];
  const RowRange rows = find_rows(args, blockIdx.y, found);
  const int n_row_tiles = (part.n_out + kTile - 1) / kTile;
  const int first_tile = blockIdx.x * kRowTiles;
  if (rows.n <= 0 || first_tile >= n_row_tiles) return;

  const int n_tiles = args.n_in / kTile;
  const int segment_tiles = n_tiles / kSegments;
  const int segment_steps = (segment_tiles + kStepTiles - 1) / kStepTiles;
  const int n_steps = segment_steps * kSegments;
  const auto* const weight =
      static_cast<const uint8_t*>(part.weight) + rows.expert * part.matrix_bytes;
  const Coding coding = kCodes ? part.coding : Coding::none;
  const int of_tile = kCodes ? tile_bytes(coding) : kTileBytes;

  // ---- copies: each thread always the same places of a stage
  const auto tile_of_step = [&](int step) {
    return step / segment_steps * segment_tiles + step % segment_steps * kStepTiles;
  };
  const auto valid_tiles = [&](int step) {
    return min(kStepTiles, segment_tiles - step % segment_steps * kStepTiles);
  };
  const bf16* x_row[kRows / 32];
#pragma unroll
  for (int i = 0; i < kRows / 32; ++i) {
    const int row = static_cast<int>(threadIdx.x) / 8 + 32 * i;
    int64_t from = -1;
    if (row < rows.n) {
      from = rows.first + row;
      if (rows.map != nullptr) from = rows.map[from];
    }
    x_row[i] = from < 0 ? nullptr : static_cast<const bf16*>(args.x.data) + from * args.x.stride;
  }
  const auto copy_stage = [&](int step) {
    uint8_t* const to = shared + step % kStages * kStageBytes;
    const int tile = tile_of_step(step), n_valid = valid_tiles(step);
    const int of_stage = kStepTiles * of_tile;  // of a tile of outputs
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int at = (static_cast<int>(threadIdx.x) + i * kThreads) * 16;  // of up to 16 KiB
      if (kCodes && at >= kRowTiles * of_stage) break;
      const int row_tile = at / of_stage, in_row = at % of_stage;
      const bool valid = first_tile + row_tile < n_row_tiles && in_row < n_valid * of_tile;
      const uint8_t* from =
          weight + (static_cast<int64_t>(first_tile + row_tile) * n_tiles + tile) * of_tile +
          in_row;
      copy_16(to + at, valid ? from : weight, valid ? 16 : 0);
    }
    // Rows of 128 bytes; their pieces of 16 are exchanged by the row's number, against bank conflicts.
    const int piece = static_cast<int>(threadIdx.x) % 8;
#pragma unroll
    for (int i = 0; i < kRows / 32; ++i) {
      const int row = static_cast<int>(threadIdx.x) / 8 + 32 * i;
      const bool valid = x_row[i] != nullptr && piece < n_valid * 2;
      const bf16* from = x_row[i] + tile * kTile + piece * 8;
      copy_16(to + kWeightBytes + row * 128 + (piece ^ row % 8) * 16,
              valid ? static_cast<const void*>(from) : args.x.data,
              valid ? 16 : 0);
    }
  };

  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int warp_tile = warp / 4 * 4;           // first of its 4 tiles of outputs
  const int warp_row = warp % 4 * (kRows / 4);  // first of its rows
  float sum[4][kRowParts][4];
  float kept[kLevels > 0 ? kLevels : 1][4][kRowParts][4];
  const auto each = [&](const auto& body) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < kRowParts; ++j) {
#pragma unroll
        for (int k = 0; k < 4; ++k) body(i, j, k);
      }
    }
  };
  each([&](int i, int j, int k) { sum[i][j][k] = 0; });

#pragma unroll
  for (int step = 0; step < kStages - 1; ++step) {
    if (step < n_steps) copy_stage(step);
    copy_commit();
  }
  int in_segment = 0, segment = 0;
#pragma unroll 1
  for (int step = 0; step < n_steps; ++step) {
    copy_wait<kStages - 2>();
    __syncthreads();
    if (step + kStages - 1 < n_steps) copy_stage(step + kStages - 1);
    copy_commit();

    const uint8_t* const stage = shared + step % kStages * kStageBytes;
    const int n_valid = valid_tiles(step);
    with_coding<kCodes>(coding, [&](auto kind) {
      constexpr Coding kCoding = decltype(kind)::value;
      constexpr int kTogether = kCodes ? 2 : 1;  // tiles
#pragma unroll
      for (int t = 0; t < kStepTiles; t += kTogether) {
        if (t >= n_valid) break;
        uint4 a[kTogether][4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const uint8_t* const from =
              stage + ((warp_tile + i) * kStepTiles + t) * tile_bytes(kCoding);
          if constexpr (kCodes) {
            load_unit<kCoding>(a[0][i], a[1][i], from);
          } else {
            a[0][i] = reinterpret_cast<const uint4*>(from)[lane];
          }
        }
#pragma unroll
        for (int u = 0; u < kTogether; ++u) {
#pragma unroll
          for (int j = 0; j < kRowParts; j += 2) {
            uint32_t b[4];
            const int row = warp_row + j * 8 + lane / 16 * 8 + lane % 8,
                      piece = 2 * (t + u) + lane / 8 % 2;
            load_matrices(b, stage + kWeightBytes + row * 128 + (piece ^ row % 8) * 16);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
              mma(sum[i][j], a[u][i], b[0], b[1]);
              mma(sum[i][j + 1], a[u][i], b[2], b[3]);
            }
          }
        }
      }
    });
    if constexpr (kSegments > 1) {
      if (++in_segment == segment_steps) {
        in_segment = 0;
        // The tree as a counter in binary: a full pair goes up a level.
        bool carry = true;
#pragma unroll
        for (int level = 0; level < kLevels; ++level) {
          if (carry && (segment >> level & 1) != 0) {
            each([&](int i, int j, int k) { sum[i][j][k] = kept[level][i][j][k] + sum[i][j][k]; });
          } else if (carry) {
            each([&](int i, int j, int k) {
              kept[level][i][j][k] = sum[i][j][k];
              sum[i][j][k] = 0;
            });
            carry = false;
          }
        }
        ++segment;
      }
    }
  }

  // ---- out of the registers, through shared memory, so that rows are written side by side
  copy_wait<0>();
  __syncthreads();
  auto* const staged = reinterpret_cast<float*>(shared);  // [kRows][kOuts + 4]
  constexpr int kStride = kOuts + 4;
  each([&](int i, int j, int k) {
    const int o = (warp_tile + i) * kTile + lane / 4 + k / 2 * 8;
    const int row = warp_row + j * 8 + lane % 4 * 2 + k % 2;
    staged[row * kStride + o] = sum[i][j][k];
  });
  __syncthreads();
  for (int at = threadIdx.x; at < rows.n * kOuts; at += kThreads) {
    const int row = at / kOuts, o = at % kOuts;
    const int out = blockIdx.x * kOuts + o;
    if (out < part.n_out)
      finish(args, blockIdx.z, rows.first + row, out, staged[row * kStride + o], 0);
  }
}

template <int kSegments, bool kCodes>
void launch_segments(const LinearArgs& args, Stream stream) {
  constexpr int kBytes = kStages * kStageBytes;
  static_assert(kRows * (kOuts + 4) * 4 <= kBytes);
  static const bool once = [] {
    allow_shared(expert_many_rows_kernel<kSegments, kCodes>, kBytes);
    return true;
  }();
  static_cast<void>(once);
  int most_out = 0;
  for (int p = 0; p < args.n_parts; ++p) most_out = max(most_out, args.parts[p].n_out);
  // A partly filled tile for each expert.
  const int n_rows = args.experts.n_pairs;
  const int n_tiles = (n_rows + kRows - 1) / kRows + min(args.experts.n_experts, n_rows);
  const dim3 grid(static_cast<unsigned>((most_out + kOuts - 1) / kOuts),
                  static_cast<unsigned>(n_tiles),
                  static_cast<unsigned>(args.n_parts));
  launch(expert_many_rows_kernel<kSegments, kCodes>, grid, kThreads, kBytes, stream, args);
}

template <bool kCodes>
void launch_experts(const LinearArgs& args, Stream stream) {
  each_group(args, [&](const LinearArgs& some) {
    switch (some.parts[0].n_segments) {
      case 1:
        return launch_segments<1, kCodes>(some, stream);
      case 2:
        return launch_segments<2, kCodes>(some, stream);
      default:
        return launch_segments<4, kCodes>(some, stream);
    }
  });
}

}  // namespace

void expert_many_rows(const LinearArgs& args, Stream stream) {
  args.parts[0].coding != Coding::none ? launch_experts<true>(args, stream)
                                       : launch_experts<false>(args, stream);
}

}  // namespace qwen3::cuda
