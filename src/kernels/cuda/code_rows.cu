// Products of weights in codes with up to eight rows of activations. A warp has chains of sums (layout.h) for
// itself: it keeps a ring of its own full of codes, makes numbers of them, multiplies, and waits for no other
// warp until the sums of its tile's segments, or of gate and up, come together. The rows lie whole in
// shared memory; a single row is normed on its way there.
//
// Codes are so few bytes that with one copying warp for all (few_rows.cu) it was not memory that the warps waited for,
// but each other.
#include <algorithm>

#include "kernels/cuda/codes.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kMaxRows = 8, kMaxWarps = 16;
constexpr int kStageBytes = 2560;
constexpr int kNormers = 256;  // threads
// Rows come in pieces of so many columns, which need not be waited for all at once.
constexpr int kPieceColumns = 1024, kMaxPieces = 16;

QWEN3_HD constexpr int unit_bytes(Coding coding) { return 2 * tile_bytes(coding); }
// In a stage: eight of 4 bits, four of 8.
QWEN3_HD constexpr int stage_units(Coding coding) { return kStageBytes / unit_bytes(coding); }

// The warps of a part in each block: `n_slots` tiles at a time, `n_chains` warps each.
struct PartWarps {
  int first_warp, n_slots, n_chains;
};
struct Shape {
  PartWarps parts[3];
  int n_parts;
  int row_bytes;  // of all rows, before the rings
};

// A warp's codes, tile after tile, copied by its lanes up to kStages - 1 stages ahead of what it multiplies.
template <int kStages>
class CodeStream {
 public:
  // Tiles from `tile` on, each `step` one; of each `n_units` units from `first_unit` on.
  __device__ CodeStream(const LinearPart& part,
                        uint8_t* ring,
                        int tile,
                        int step,
                        int tile_units,
                        int first_unit,
                        int n_units)
      : ring_(ring),
        policy_(read_once_policy()),
        unit_bytes_(unit_bytes(part.coding)),
        tile_bytes_(n_units * unit_bytes_),
        left_(tile_bytes_) {
    if (tile * kTile < part.n_out)
      n_tiles_ = (part.n_out - tile * kTile + step * kTile - 1) / (step * kTile);
    const auto all_bytes = static_cast<int64_t>(tile_units) * unit_bytes_;
    next_ = static_cast<const uint8_t*>(part.weight) + tile * all_bytes +
            static_cast<int64_t>(first_unit) * unit_bytes_ + threadIdx.x % 32 * 16;
    to_next_tile_ = step * all_bytes - tile_bytes_;
  }

  __device__ void start() {
#pragma unroll
    for (int i = 0; i < kStages - 1; ++i) copy();
  }
  // The next stage; valid until the next wait().
  __device__ const uint8_t* wait() {
    copy_wait<kStages - 2>();
    __syncwarp();
    const uint8_t* const stage = ring_ + out_ * kStageBytes;
    if (++out_ == kStages) out_ = 0;
    return stage;
  }
  // Fills the stage that was valid before; once for each wait().
  __device__ void copy() {
    if (n_tiles_ > 0) {
      const int bytes = min(kStageBytes, left_), mine = threadIdx.x % 32 * 16;
      uint8_t* const to = ring_ + in_ * kStageBytes + mine;
      if (bytes == kStageBytes) {
#pragma unroll
        for (int i = 0; i < kStageBytes; i += 512) copy_16_once(to + i, next_ + i, policy_);
      } else {
        for (int i = 0; mine + i < bytes; i += 512) copy_16_once(to + i, next_ + i, policy_);
      }
      next_ += bytes;
      left_ -= bytes;
      if (left_ == 0) {
        left_ = tile_bytes_;
        next_ += to_next_tile_;
        --n_tiles_;
      }
    }
    if (++in_ == kStages) in_ = 0;
    copy_commit();  // of nothing, too: stages are counted by it
  }

 private:
  uint8_t* const ring_;
  const uint64_t policy_;
  const int unit_bytes_, tile_bytes_;
  int left_, n_tiles_ = 0;  // bytes of the tile, tiles
  const uint8_t* next_;     // this lane's
  int64_t to_next_tile_;
  int in_ = 0, out_ = 0;
};

// One row lies as it is. Of up to eight, as the copy engine brings them (row_map): pieces of 64 columns, in each eight rows,
// in each 8 parts of 16 bytes that are exchanged.
enum class Held { normed_row, row, rows };

// What is still to come of the rows, for a warp.
class RowPieces {
 public:
  __device__ RowPieces(uint64_t* full, int first_unit) : full_(full), next_(piece_of(first_unit)) {}

  // By one thread. A piece each 1,024 columns, whole in the case of several rows.
  template <Held kHeld>
  static __device__ void bring(uint8_t* to,
                               const LinearArgs& args,
                               const CUtensorMap& map,
                               uint64_t* full) {
    for (int i = 0; i * kPieceColumns < args.n_in; ++i) {
      if constexpr (kHeld == Held::rows) {
        constexpr int kBytes = kPieceColumns * kMaxRows * 2;
        expect_bytes(full + i, kBytes);
        box_copy(to + i * kBytes, map, 0, i * (kPieceColumns / 64), full + i);
      } else {
        const int at = i * kPieceColumns;
        const auto bytes = static_cast<uint32_t>(2 * min(kPieceColumns, args.n_in - at));
        expect_bytes(full + i, bytes);
        bulk_copy(to + 2 * at, static_cast<const bf16*>(args.x.data) + at, bytes, full + i);
      }
    }
  }
  // Until unit `last` is there.
  __device__ void wait_for(int last) {
    for (; next_ <= piece_of(last); ++next_) barrier_wait(full_ + next_, 0);
  }

 private:
  static __device__ int piece_of(int unit) { return unit / (kPieceColumns / kUnit); }

  uint64_t* const full_;
  int next_;
};

// Where a lane finds what it gives to load_matrices for a unit of 32 columns.
template <Held kHeld>
class LaneRows {
 public:
  __device__ LaneRows(const uint8_t* rows, int first_unit) {
    const int lane = threadIdx.x % 32;
    if constexpr (kHeld == Held::rows) {
      base_ = rows + first_unit / 2 * 1024 + lane % 8 * 128;
      for (int half = 0; half < 2; ++half) at_[half] = ((4 * half + lane / 8) ^ lane % 8) * 16;
    } else {
      base_ = rows + first_unit * (kUnit * 2) + lane / 8 * 16;
    }
  }
  // `unit` of the segment. Lanes of a single row give it for all eight: nobody wants what the others come to.
  __device__ void load(uint32_t (&b)[4], int unit) const {
    load_matrices(
        b,
        kHeld == Held::rows ? base_ + unit / 2 * 1024 + at_[unit % 2] : base_ + unit * (kUnit * 2));
  }

 private:
  const uint8_t* base_;
  int at_[2];
};

// What a thread brings of a row that is normed: groups of four columns, as block_sum_of_squares() has it.
struct NormedRow {
  float4 weight[kMaxNormed / 1024];

  __device__ void load_weight(const LinearArgs& args) {
#pragma unroll
    for (int j = 0; j < kMaxNormed / 1024; ++j) {
      const int at = 4 * threadIdx.x + 1024 * j;
      weight[j] = threadIdx.x < kNormers && at < args.n_in
                      ? *reinterpret_cast<const float4*>(args.norm_weight + at)
                      : float4{};
    }
  }
  __device__ void bring(uint8_t* to, const LinearArgs& args, float (&sums)[8]) const {
    const auto* const x = static_cast<const float*>(args.x.data);
    const bool norms = threadIdx.x < kNormers;
    float4 v[kMaxNormed / 1024];
    float sum = 0;
#pragma unroll
    for (int j = 0; j < kMaxNormed / 1024; ++j) {
      const int at = 4 * threadIdx.x + 1024 * j;
      v[j] = norms && at < args.n_in ? *reinterpret_cast<const float4*>(x + at) : float4{};
    }
#pragma unroll
    for (int j = 0; j < kMaxNormed / 1024; ++j) sum = sum_of_squares(v[j], sum);
    sum = warp_sum(sum);
    if (norms && threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    const float scale = rms_scale(sum_of_warps(sums), args.n_in, args.norm_eps);
#pragma unroll
    for (int j = 0; j < kMaxNormed / 1024; ++j) {
      const int at = 4 * threadIdx.x + 1024 * j;
      if (!norms || at >= args.n_in) continue;
      const float4& w = weight[j];
      const uint2 four{pack_bf16(w.x * (v[j].x * scale), w.y * (v[j].y * scale)),
                       pack_bf16(w.z * (v[j].z * scale), w.w * (v[j].w * scale))};
      *reinterpret_cast<uint2*>(to + 2 * at) = four;
      if (args.h.data != nullptr && blockIdx.x == 0) {
        *reinterpret_cast<uint2*>(static_cast<bf16*>(args.h.data) + at) = four;
      }
    }
  }
};

// Two units on their way into matrix instructions, and the rows that they meet.
struct Group {
  uint4 a[4] = {};
  uint32_t b[2][4] = {};
};

// The sums of a tile. While the instructions add one group to them, each after the one before, the
// next group's numbers are made.
class Chain {
 public:
  // A stage of `n` units, from `unit` on. `meanwhile` is done while the first sums are on their way.
  template <Coding kCoding, bool kWhole, typename Rows, typename Meanwhile>
  __device__ void add_stage(
      const uint8_t* codes, const Rows& rows, int unit, int n, const Meanwhile& meanwhile) {
#pragma unroll
    for (int u = 0; u < stage_units(kCoding); u += 2) {
      if (!kWhole && u >= n) break;
      const bool both = kWhole || u + 1 < n;
      Group next;
      CodedUnit<kCoding> first, second;
      first.load(codes + u * unit_bytes(kCoding));
      rows.load(next.b[0], unit + u);
      if (both) {
        second.load(codes + (u + 1) * unit_bytes(kCoding));
        rows.load(next.b[1], unit + u + 1);
      }
      add<0>();
      if (u == 0) meanwhile();
      next.a[0] = first.template tile<0>();
      add<1>();
      next.a[1] = first.template tile<1>();
      add<2>();
      if (both) next.a[2] = second.template tile<0>();
      add<3>();
      if (both) next.a[3] = second.template tile<1>();
      group_ = next;
    }
  }
  __device__ float4 end() {
    add<0>();
    add<1>();
    add<2>();
    add<3>();
    return {sum_[0], sum_[1], sum_[2], sum_[3]};
  }

 private:
  // Groups that are not there are zeros, which change no sum: none is -0.
  template <int kTileOfGroup>
  __device__ void add() {
    const auto& b = group_.b[kTileOfGroup / 2];
    mma(sum_, group_.a[kTileOfGroup], b[kTileOfGroup % 2 * 2], b[kTileOfGroup % 2 * 2 + 1]);
  }

  Group group_;
  float sum_[4] = {};
};

template <Held kHeld, int kStages>
__global__ void __launch_bounds__(32 * kMaxWarps, 1)
    code_rows_kernel(const __grid_constant__ LinearArgs args,
                     const __grid_constant__ CUtensorMap map,
                     const __grid_constant__ Shape shape) {
  extern __shared__ __align__(1024) uint8_t memory[];
  __shared__ uint64_t full[kMaxPieces];
  __shared__ float4 partial[kMaxWarps][32];
  __shared__ float sums[8];
  pdl_trigger();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (kHeld != Held::normed_row) {
    if (threadIdx.x < kMaxPieces) barrier_init(full + threadIdx.x);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }

  const bool pair = args.epilogue == Epilogue::silu_mul;
  int p = 0;
  while (p + 1 < shape.n_parts && warp >= shape.parts[p + 1].first_warp) ++p;
  const PartWarps& of_part = shape.parts[p];
  const int slot = (warp - of_part.first_warp) / of_part.n_chains,
            chain = (warp - of_part.first_warp) % of_part.n_chains;
  const int n_segments = args.parts[p].n_segments;
  // Of a pair, the chains of gate come before those of up.
  const LinearPart& part = args.parts[pair ? chain / n_segments : p];
  const int tile_units = args.n_in / kUnit, n_units = tile_units / n_segments,
            first_unit = chain % n_segments * n_units;
  const int grid = static_cast<int>(gridDim.x), step = of_part.n_slots * grid;
  const int first_tile = slot * grid + static_cast<int>(blockIdx.x);
  const int n_tiles = slot < of_part.n_slots ? tiles_of(part) : 0;

  uint8_t* const ring = memory + shape.row_bytes + warp * kStages * kStageBytes;
  CodeStream<kStages> codes(part, ring, first_tile, step, tile_units, first_unit, n_units);
  if (first_tile < n_tiles) codes.start();

  if constexpr (kHeld == Held::normed_row) {
    NormedRow row;
    row.load_weight(args);
    pdl_wait();
    row.bring(memory, args, sums);
    __syncthreads();
  } else {
    __syncthreads();
    pdl_wait();
    if (threadIdx.x == 0) RowPieces::bring<kHeld>(memory, args, map, full);
    __syncwarp();
  }

  RowPieces pieces(full, first_unit);
  const LaneRows<kHeld> rows(memory, first_unit);
  for (int tile = first_tile; tile < n_tiles; tile += step) {
    Chain sums_of_tile;
    with_coding<true>(part.coding, [&](auto kind) {
      constexpr Coding kCoding = decltype(kind)::value;
      constexpr int kUnits = stage_units(kCoding);
      for (int unit = 0; unit < n_units; unit += kUnits) {
        const int n = min(n_units - unit, kUnits);
        if (kHeld != Held::normed_row) pieces.wait_for(first_unit + unit + n - 1);
        const uint8_t* const stage = codes.wait();
        if (n == kUnits) {
          sums_of_tile.add_stage<kCoding, true>(stage, rows, unit, n, [&] { codes.copy(); });
        } else {
          sums_of_tile.add_stage<kCoding, false>(stage, rows, unit, n, [&] { codes.copy(); });
        }
      }
    });
    float4 y = sums_of_tile.end(), up{};
    if (of_part.n_chains > 1) {
      const int first = warp - chain;
      partial[warp][lane] = y;
      sync_some(1 + first / 2, 32 * of_part.n_chains);
      if (chain == 0) {
        y = sum_segments(&partial[first][lane], 32, n_segments);
        if (pair) up = sum_segments(&partial[first + n_segments][lane], 32, n_segments);
      }
      if (tile + step < n_tiles) sync_some(1 + first / 2, 32 * of_part.n_chains);
    }
    if (chain == 0) finish_tile(args, p, tile, y, up, 0, args.n_rows);
  }
}

constexpr int kFixedBytes = 12 * 1024;  // of the kernel's own arrays, and what the card keeps

// How the warps of a block are shared out among parts and tiles.
Shape shape_of(const LinearArgs& args) {
  const bool pair = args.epilogue == Epilogue::silu_mul;
  Shape shape{};
  shape.n_parts = pair ? 1 : args.n_parts;
  int tiles_of_block[3] = {};
  for (int i = 0; i < shape.n_parts; ++i) {
    tiles_of_block[i] = (tiles_of(args.parts[i]) + multiprocessors() - 1) / multiprocessors();
    shape.parts[i] = {0, tiles_of_block[i], args.parts[i].n_segments * (pair ? 2 : 1)};
  }
  const auto n_warps = [&] {
    int n = 0;
    for (int i = 0; i < shape.n_parts; ++i) n += shape.parts[i].n_slots * shape.parts[i].n_chains;
    return n;
  };
  while (n_warps() > kMaxWarps) {
    --std::max_element(shape.parts, shape.parts + shape.n_parts, [](const auto& a, const auto& b) {
        return a.n_slots < b.n_slots;
      })->n_slots;
  }
  int warp = 0;
  for (int i = 0; i < shape.n_parts; ++i) {
    PartWarps& part = shape.parts[i];
    // No more at a time than give the same number of rounds.
    const int rounds = (tiles_of_block[i] + part.n_slots - 1) / part.n_slots;
    part.n_slots = (tiles_of_block[i] + rounds - 1) / rounds;
    part.first_warp = warp;
    warp += part.n_slots * part.n_chains;
  }
  const int pieces = (args.n_in + kPieceColumns - 1) / kPieceColumns;
  shape.row_bytes = pieces * kPieceColumns * 2 * (args.n_rows == 1 ? 1 : kMaxRows);
  return shape;
}

int warps_of(const Shape& shape) {
  const PartWarps& last = shape.parts[shape.n_parts - 1];
  return last.first_warp + last.n_slots * last.n_chains;
}

size_t bytes_of(const Shape& shape, int n_stages) {
  return static_cast<size_t>(shape.row_bytes + warps_of(shape) * n_stages * kStageBytes);
}

template <Held kHeld, int kStages>
void launch_shape(const LinearArgs& args, const Shape& shape, Stream stream) {
  static const bool once = [] {
    allow_shared(code_rows_kernel<kHeld, kStages>, kAllBytes - kFixedBytes);
    return true;
  }();
  static_cast<void>(once);
  int most_tiles = 0;
  for (int i = 0; i < shape.n_parts; ++i)
    most_tiles = std::max(most_tiles, tiles_of(args.parts[i]));
  launch(code_rows_kernel<kHeld, kStages>,
         dim3(static_cast<unsigned>(std::min(most_tiles, multiprocessors()))),
         std::max(32 * warps_of(shape), kHeld == Held::normed_row ? kNormers : 32),
         bytes_of(shape, kStages),
         stream,
         args,
         kHeld == Held::rows ? row_map(args.x, args.n_rows, args.n_in, kMaxRows, kPieceColumns / 64)
                             : CUtensorMap{},
         shape);
}

// Few warps need long rings; many fill half of a multiprocessor's memory with short ones, and the next product's
// rings can be filled meanwhile.
template <Held kHeld>
void launch_rows(const LinearArgs& args, const Shape& shape, Stream stream) {
  if (bytes_of(shape, 8) <= kAllBytes / 2 - kFixedBytes) {
    launch_shape<kHeld, 8>(args, shape, stream);
  } else {
    launch_shape<kHeld, 3>(args, shape, stream);
  }
}

}  // namespace

bool code_rows(const LinearArgs& args, Stream stream) {
  if (args.n_rows > kMaxRows || args.n_in > kPieceColumns * kMaxPieces) return false;
  const Shape shape = shape_of(args);
  if (bytes_of(shape, 3) > kAllBytes - kFixedBytes) return false;
  if (args.norm_weight != nullptr) {
    launch_rows<Held::normed_row>(args, shape, stream);
  } else if (args.n_rows == 1) {
    launch_rows<Held::row>(args, shape, stream);
  } else {
    launch_rows<Held::rows>(args, shape, stream);
  }
  return true;
}

}  // namespace qwen3::cuda
