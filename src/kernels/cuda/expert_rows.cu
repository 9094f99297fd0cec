// Products of experts that have few rows each: eight rows of an expert at a time, wherever they lie.
//
// Each warp has a ring in shared memory that bulk copies fill with its own weights and the rows that they
// are multiplied with. One warp computes one segment of one tile of 16 outputs; the warps of a group have
// all segments of a tile (of gate and up: of both), and the first of them adds the segments up and finishes
// the tile.
#include "kernels/cuda/codes.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kMaxWarps = 8;
constexpr int kMaxRows = 8;
constexpr int kMaxStages = 16;
// Bytes of a row in the ring; 16 more, so that rows begin in other banks of the memory.
QWEN3_HD constexpr int row_piece(int chunk_tiles) { return chunk_tiles * kTile * 2 + 16; }

struct Shape {
  int group_warps;
  int n_stages;
  int weight_bytes;  // of a stage, before the rows
};

QWEN3_HD inline int stage_bytes(const Shape& shape, int chunk_tiles) {
  return shape.weight_bytes + kMaxRows * row_piece(chunk_tiles);
}

struct Shared {
  float4 partial[2][kMaxWarps][32];
  uint64_t full[kMaxWarps][kMaxStages];
};

// One warp's share of an item.
struct Piece {
  const uint8_t* weights = nullptr;  // null: none
  int part = 0, tile = 0, segment = 0, n_segments = 1;
};

class Work {
 public:
  __device__ Work(const LinearArgs& args, const Shape& shape) : args_(args), shape_(shape) {
#pragma unroll
    for (int p = 0; p < 3; ++p) {
      if (p >= (args.epilogue == Epilogue::silu_mul ? 1 : args.n_parts)) break;
      n_items_[p] = (row_tiles_of(p) + tiles_per_item(p) - 1) / tiles_per_item(p);
      total_ += n_items_[p];
    }
  }
  __device__ int n_items() const { return total_ * args_.experts.active[0]; }
  __device__ int expert(int item) const { return args_.experts.active[1 + item / total_]; }
  __device__ int tiles_of_segment(int part) const {
    return args_.n_in / kTile / args_.parts[part].n_segments;
  }

  __device__ Piece piece(int item, int warp) const {
    const int64_t number = expert(item);
    item %= total_;
    Piece piece;
    if (args_.epilogue == Epilogue::silu_mul) {
      piece.n_segments = args_.parts[0].n_segments;
      piece.part = warp / piece.n_segments;
      piece.tile = item;
    } else {
      if (item >= n_items_[0]) {
        item -= n_items_[0];
        piece.part = 1;
        if (item >= n_items_[1]) {
          item -= n_items_[1];
          piece.part = 2;
        }
      }
      piece.n_segments = args_.parts[piece.part].n_segments;
      piece.tile = item * tiles_per_item(piece.part) + warp / piece.n_segments;
    }
    piece.segment = warp % piece.n_segments;
    if (piece.tile >= row_tiles_of(piece.part)) return piece;
    const int64_t n_tiles = args_.n_in / kTile;
    const LinearPart& part = args_.parts[piece.part];
    piece.weights = static_cast<const uint8_t*>(part.weight) + number * part.matrix_bytes +
                    (piece.tile * n_tiles + piece.segment * tiles_of_segment(piece.part)) *
                        tile_bytes(part.coding);
    return piece;
  }

 private:
  __device__ int row_tiles_of(int part) const {
    return (args_.parts[part].n_out + kTile - 1) / kTile;
  }
  __device__ int tiles_per_item(int part) const {
    return args_.epilogue == Epilogue::silu_mul ? 1
                                                : shape_.group_warps / args_.parts[part].n_segments;
  }

  const LinearArgs& args_;
  const Shape& shape_;
  int n_items_[3] = {0, 0, 0};
  int total_ = 0;
};

// What one warp reads, item after item, ahead of its sums.
template <int kChunkTiles>
class Ring {
 public:
  __device__ Ring(const LinearArgs& args,
                  const Work& work,
                  const Shape& shape,
                  uint8_t* bytes,
                  uint64_t* full,
                  int first_item,
                  int item_step,
                  int warp)
      : args_(args),
        work_(work),
        bytes_(bytes),
        full_(full),
        n_stages_(shape.n_stages),
        weight_bytes_(shape.weight_bytes),
        stage_bytes_(stage_bytes(shape, kChunkTiles)),
        item_step_(item_step),
        warp_(warp),
        at_{first_item} {}

  __device__ void start() {
    n_items_ = work_.n_items();
    enter();
    for (int i = 0; i < n_stages_; ++i) copy();
  }
  // The next chunk; valid until release().
  __device__ const uint8_t* wait() {
    barrier_wait(full_ + out_, phase_);
    return bytes_ + out_ * stage_bytes_;
  }
  __device__ void release() {
    __syncwarp();
    if (++out_ == n_stages_) {
      out_ = 0;
      phase_ ^= 1;
    }
    copy();
  }

 private:
  // Where this warp's stream of chunks is.
  struct Cursor {
    int item;
    const uint8_t* weights = nullptr;
    int tile_bytes = 0;
    int first_tile = 0, n_tiles = 0, tile = 0;
    int first_row = 0, n_rows = 0;  // what is left of the expert's
    int stage = 0;
  };

  __device__ void enter() {
    for (; at_.item < n_items_; at_.item += item_step_) {
      const Piece piece = work_.piece(at_.item, warp_);
      if (piece.weights == nullptr) continue;
      at_.weights = piece.weights;
      at_.tile_bytes = tile_bytes(args_.parts[piece.part].coding);
      at_.n_tiles = work_.tiles_of_segment(piece.part);
      at_.first_tile = piece.segment * at_.n_tiles;
      at_.tile = 0;
      const int e = work_.expert(at_.item);
      at_.first_row = args_.experts.offsets[e];
      at_.n_rows = args_.experts.offsets[e + 1] - at_.first_row;
      return;
    }
  }
  // Weights, and a lane for each row.
  __device__ void copy() {
    if (at_.item >= n_items_) return;
    const int lane = threadIdx.x % 32;
    const int n = min(at_.n_tiles - at_.tile, kChunkTiles), n_rows = min(at_.n_rows, kMaxRows);
    uint8_t* const to = bytes_ + at_.stage * stage_bytes_;
    if (lane == 0) {
      expect_bytes(full_ + at_.stage,
                   static_cast<uint32_t>(n * at_.tile_bytes + n_rows * n * kTile * 2));
      bulk_copy_once(to,
                     at_.weights + static_cast<int64_t>(at_.tile) * at_.tile_bytes,
                     static_cast<uint32_t>(n * at_.tile_bytes),
                     full_ + at_.stage);
    }
    __syncwarp();
    if (lane < n_rows) {
      int64_t row = at_.first_row + lane;
      if (args_.experts.tokens != nullptr) row = args_.experts.tokens[row];
      const auto* from = static_cast<const bf16*>(args_.x.data) + row * args_.x.stride +
                         static_cast<int64_t>(at_.first_tile + at_.tile) * kTile;
      bulk_copy(to + weight_bytes_ + lane * row_piece(kChunkTiles),
                from,
                static_cast<uint32_t>(n) * kTile * 2,
                full_ + at_.stage);
    }
    if (++at_.stage == n_stages_) at_.stage = 0;
    at_.tile += kChunkTiles;
    if (at_.tile < at_.n_tiles) return;
    at_.tile = 0;
    at_.first_row += kMaxRows;
    at_.n_rows -= kMaxRows;
    if (at_.n_rows > 0) return;
    at_.item += item_step_;
    enter();
  }

  const LinearArgs& args_;
  const Work& work_;
  uint8_t* const bytes_;
  uint64_t* const full_;
  const int n_stages_, weight_bytes_, stage_bytes_, item_step_, warp_;
  int n_items_ = 0;
  Cursor at_;
  int out_ = 0;
  uint32_t phase_ = 0;
};

// A chunk of weights times up to eight rows; `row` is this lane's row of the chunk for load_matrices.
template <int kChunkTiles, bool kWhole, Coding kCoding>
__device__ void multiply_chunk(float (&sum)[4],
                               const uint8_t* weights,
                               const uint8_t* row,
                               int n_tiles) {
  const int lane = threadIdx.x % 32;
  uint4 a[kChunkTiles];
#pragma unroll
  for (int t = 0; t < kChunkTiles; ++t) {
    if (!kWhole && t >= n_tiles) break;
    if constexpr (kCoding == Coding::none) {
      a[t] = reinterpret_cast<const uint4*>(weights)[t * 32 + lane];
    } else if (t % 2 == 0) {
      load_unit<kCoding>(a[t], a[t + 1], weights + t * tile_bytes(kCoding));
    }
  }
#pragma unroll
  for (int t = 0; t < kChunkTiles; t += 2) {
    if (!kWhole && t >= n_tiles) break;
    uint32_t b[4];
    load_matrices(b, row + (2 * t + lane / 8) * 16);
    mma(sum, a[t], b[0], b[1]);
    if (kWhole || t + 1 < n_tiles) mma(sum, a[t + 1], b[2], b[3]);
  }
}

template <bool kCodes, int kChunkTiles>
__global__ void __launch_bounds__(32 * kMaxWarps, 2)
    expert_rows_kernel(const __grid_constant__ LinearArgs args,
                       const __grid_constant__ Shape shape) {
  extern __shared__ __align__(128) uint8_t rings[];
  __shared__ Shared shared;
  pdl_trigger();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (lane < shape.n_stages) barrier_init(&shared.full[warp][lane]);
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  __syncwarp();
  pdl_wait();

  const int n_groups = kMaxWarps / shape.group_warps, group = warp / shape.group_warps;
  const int in_group = warp % shape.group_warps;
  const int first_item = blockIdx.x + gridDim.x * group, item_step = gridDim.x * n_groups;
  const Work work(args, shape);
  Ring<kChunkTiles> ring(args,
                         work,
                         shape,
                         rings + warp * shape.n_stages * stage_bytes(shape, kChunkTiles),
                         shared.full[warp],
                         first_item,
                         item_step,
                         in_group);
  ring.start();

  const int n_items = work.n_items();
  int turn = 0;
  for (int item = first_item; item < n_items; item += item_step) {
    const Piece piece = work.piece(item, in_group);
    const int expert = work.expert(item);
    int64_t first_row = args.experts.offsets[expert];
    int n_rows = args.experts.offsets[expert + 1] - static_cast<int>(first_row);
    for (; n_rows > 0; first_row += kMaxRows, n_rows -= kMaxRows) {
      float sum[4] = {0, 0, 0, 0};
      if (piece.weights != nullptr) {
        const int n_tiles = work.tiles_of_segment(piece.part);
        const Coding coding = kCodes ? args.parts[piece.part].coding : Coding::none;
        // What stands in rows that do not exist goes into sums that nobody takes.
        const int row = min(lane % 8, n_rows - 1);
        for (int tile = 0; tile < n_tiles; tile += kChunkTiles) {
          const uint8_t* const stage = ring.wait();
          const uint8_t* const x = stage + shape.weight_bytes + row * row_piece(kChunkTiles);
          with_coding<kCodes>(coding, [&](auto kind) {
            constexpr Coding kCoding = decltype(kind)::value;
            if (tile + kChunkTiles <= n_tiles) {
              multiply_chunk<kChunkTiles, true, kCoding>(sum, stage, x, kChunkTiles);
            } else {
              multiply_chunk<kChunkTiles, false, kCoding>(sum, stage, x, n_tiles - tile);
            }
          });
          ring.release();
        }
      }
      float4 y{sum[0], sum[1], sum[2], sum[3]}, up{};
      bool mine = piece.weights != nullptr;
      if (shape.group_warps > 1) {
        float4(*const partial)[32] = shared.partial[turn % 2];
        partial[warp][lane] = y;
        sync_some(1 + group, 32 * shape.group_warps);
        ++turn;
        if (args.epilogue == Epilogue::silu_mul) {
          mine = mine && in_group == 0;
          if (mine)
            up = sum_segments(&partial[warp + piece.n_segments][lane], 32, piece.n_segments);
        } else {
          mine = mine && piece.segment == 0;
        }
        if (mine) y = sum_segments(&partial[warp][lane], 32, piece.n_segments);
      }
      if (mine) finish_tile(args, piece.part, piece.tile, y, up, first_row, min(n_rows, kMaxRows));
    }
  }
}

// kBlocks of a multiprocessor.
template <bool kCodes, int kChunkTiles, int kBlocks>
void launch_kernel(const LinearArgs& args, Stream stream) {
  constexpr int kRingBytes =
      kAllBytes / kBlocks - 1024 - (static_cast<int>(sizeof(Shared)) + 1023) / 1024 * 1024;
  static const bool once = [] {
    allow_shared(expert_rows_kernel<kCodes, kChunkTiles>, kRingBytes);
    return true;
  }();
  static_cast<void>(once);
  int most = 1, most_bytes = 0;
  for (int p = 0; p < args.n_parts; ++p) {
    most = max(most, args.parts[p].n_segments);
    most_bytes = max(most_bytes, tile_bytes(args.parts[p].coding));
  }
  Shape shape{.group_warps = args.epilogue == Epilogue::silu_mul ? 2 * most : most,
              .n_stages = 0,
              .weight_bytes = kChunkTiles * most_bytes};
  const int of_stage = stage_bytes(shape, kChunkTiles);
  shape.n_stages = min(kRingBytes / (kMaxWarps * of_stage), kMaxStages);
  launch(expert_rows_kernel<kCodes, kChunkTiles>,
         dim3(static_cast<unsigned>(kBlocks * multiprocessors())),
         32 * kMaxWarps,
         static_cast<size_t>(kMaxWarps * shape.n_stages * of_stage),
         stream,
         args,
         shape);
}

}  // namespace

void expert_rows(const LinearArgs& args, Stream stream) {
  if (args.parts[0].coding != Coding::none) {
    launch_kernel<true, 8, 2>(args, stream);
  } else if (args.n_rows == 1) {
    // So few tiles that two blocks of a multiprocessor would have unequal numbers of them.
    launch_kernel<false, 8, 1>(args, stream);
  } else {
    launch_kernel<false, 4, 2>(args, stream);
  }
}

}  // namespace qwen3::cuda
