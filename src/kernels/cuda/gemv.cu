// Products with at most eight rows of activations (for experts: eight at a time): the weights stream
// through once, and their bytes are all that counts.
//
// Each warp has a ring in shared memory that bulk copies fill with its own weights; it fills before
// the wait for the kernel ahead, which weights do not depend on. One warp computes one segment of one
// tile of 16 rows; the warps of a group have all segments of a tile (of gate and up: of both), and the
// first of them adds the segments up and finishes the tile.
//
// Activations that are normed by the way are held whole by each block, which norms them all; others come
// through the ring, beside the weights that they are multiplied with.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kChunkTiles = 4;
constexpr int kWeightBytes = kChunkTiles * kTileBytes;
constexpr int kMaxRows = 8;
// Of a row's piece in the ring, 16 bytes more than 128: rows lie in different banks.
constexpr int kRowPiece = kChunkTiles * kTile * 2 + 16;
constexpr int kMaxStages = 8;

struct Shape {
  int group_warps;  // of a group
  int n_stages;
  int row_bytes;  // between rows of held activations
};

QWEN3_HD constexpr int stage_bytes(bool held) {
  return kWeightBytes + (held ? 0 : (kMaxRows * kRowPiece + 127) / 128 * 128);
}

struct Shared {
  float4 partial[2][kWarps][32];
  uint64_t full[kWarps][kMaxStages];
  float sums[8];
};

// One warp's share of an item.
struct Piece {
  const uint8_t* weights = nullptr;  // null: none
  int part = 0, tile = 0, segment = 0, n_segments = 1;
};

template <bool kExperts>
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
  __device__ int n_items() const {
    if constexpr (kExperts) return total_ * args_.experts.active[0];
    return total_;
  }
  // Of an item of experts.
  __device__ int expert(int item) const {
    return kExperts ? args_.experts.active[1 + item / total_] : 0;
  }
  __device__ int tiles_of_segment(int part) const {
    return args_.n_in / kTile / args_.parts[part].n_segments;
  }

  __device__ Piece piece(int item, int warp) const {
    int64_t offset = 0;
    if constexpr (kExperts) {
      offset = static_cast<int64_t>(expert(item)) * args_.experts.matrix_bytes;
      item %= total_;
    }
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
    piece.weights = static_cast<const uint8_t*>(args_.parts[piece.part].weight) + offset +
                    (piece.tile * n_tiles + piece.segment * tiles_of_segment(piece.part)) * kTileBytes;
    return piece;
  }

 private:
  __device__ int row_tiles_of(int part) const { return (args_.parts[part].n_out + kTile - 1) / kTile; }
  __device__ int tiles_per_item(int part) const {
    return args_.epilogue == Epilogue::silu_mul ? 1 : shape_.group_warps / args_.parts[part].n_segments;
  }

  const LinearArgs& args_;
  const Shape& shape_;
  int n_items_[3] = {0, 0, 0};
  int total_ = 0;
};

// What one warp reads, item after item, ahead of its sums.
template <bool kHeld, bool kExperts>
class Ring {
 public:
  __device__ Ring(const LinearArgs& args, const Work<kExperts>& work, uint8_t* bytes, uint64_t* full,
                  int n_stages, int first_item, int item_step, int warp)
      : args_(args), work_(work), bytes_(bytes), full_(full), n_stages_(n_stages), item_step_(item_step),
        warp_(warp), weights_{first_item}, rows_{first_item} {}

  // Before the wait: weights alone.
  __device__ void start_weights() {
    n_items_ = work_.n_items();
    enter(weights_);
    for (int i = 0; i < n_stages_; ++i) copy_weights();
  }
  // After it.
  __device__ void start_rows() {
    if constexpr (!kHeld) {
      enter(rows_);
      for (int i = 0; i < n_stages_; ++i) copy_rows();
    }
  }
  // The next chunk; valid until release().
  __device__ const uint8_t* wait() {
    barrier_wait(full_ + out_, phase_);
    return bytes_ + out_ * stage_bytes(kHeld);
  }
  __device__ void release() {
    __syncwarp();
    if (++out_ == n_stages_) {
      out_ = 0;
      phase_ ^= 1;
    }
    copy_weights();
    if constexpr (!kHeld) copy_rows();
  }

 private:
  // A place in this warp's stream of chunks.
  struct Cursor {
    int item;
    const uint8_t* weights = nullptr;
    int first_tile = 0, n_tiles = 0, at = 0;
    int first_row = 0, n_rows = 0;  // of experts: what is left of their rows
    int stage = 0;
  };

  __device__ void enter(Cursor& c) const {
    for (; c.item < n_items_; c.item += item_step_) {
      const Piece piece = work_.piece(c.item, warp_);
      if (piece.weights == nullptr) continue;
      c.weights = piece.weights;
      c.n_tiles = work_.tiles_of_segment(piece.part);
      c.first_tile = piece.segment * c.n_tiles;
      c.at = 0;
      c.n_rows = args_.n_rows;
      if constexpr (kExperts) {
        const int e = work_.expert(c.item);
        c.first_row = args_.experts.offsets[e];
        c.n_rows = args_.experts.offsets[e + 1] - c.first_row;
      }
      return;
    }
  }
  __device__ void advance(Cursor& c) const {
    if (++c.stage == n_stages_) c.stage = 0;
    c.at += kChunkTiles;
    if (c.at < c.n_tiles) return;
    c.at = 0;
    c.first_row += kMaxRows;
    c.n_rows -= kMaxRows;
    if (c.n_rows > 0) return;
    c.item += item_step_;
    enter(c);
  }
  __device__ void copy_weights() {
    Cursor& c = weights_;
    if (c.item >= n_items_) return;
    const int n = min(c.n_tiles - c.at, kChunkTiles);
    if (threadIdx.x % 32 == 0) {
      const int row_bytes = kHeld ? 0 : min(c.n_rows, kMaxRows) * n * kTile * 2;
      expect_bytes(full_ + c.stage, static_cast<uint32_t>(n * kTileBytes + row_bytes));
      bulk_copy(bytes_ + c.stage * stage_bytes(kHeld), c.weights + static_cast<int64_t>(c.at) * kTileBytes,
                static_cast<uint32_t>(n) * kTileBytes, full_ + c.stage);
    }
    advance(c);
  }
  // A lane for each row.
  __device__ void copy_rows() {
    Cursor& c = rows_;
    if (c.item >= n_items_) return;
    const int n = min(c.n_tiles - c.at, kChunkTiles);
    const int lane = threadIdx.x % 32;
    __syncwarp();  // the barrier expects them already
    if (lane < min(c.n_rows, kMaxRows)) {
      int64_t row = c.first_row + lane;
      if (kExperts && args_.experts.tokens != nullptr) row = args_.experts.tokens[row];
      const auto* from = static_cast<const bf16*>(args_.x.data) + row * args_.x.stride +
                         static_cast<int64_t>(c.first_tile + c.at) * kTile;
      bulk_copy(bytes_ + c.stage * stage_bytes(kHeld) + kWeightBytes + lane * kRowPiece, from,
                static_cast<uint32_t>(n) * kTile * 2, full_ + c.stage);
    }
    advance(c);
  }

  const LinearArgs& args_;
  const Work<kExperts>& work_;
  uint8_t* const bytes_;
  uint64_t* const full_;
  const int n_stages_, item_step_, warp_;
  int n_items_ = 0;
  Cursor weights_, rows_;
  int out_ = 0;
  uint32_t phase_ = 0;
};

// The tree over the segments.
__device__ float4 sum_segments(const float4 (*partial)[32], int n_segments, int lane) {
  const auto sum = [](const float4& a, const float4& b) {
    return float4{a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
  };
  float4 y = partial[0][lane];
  if (n_segments > 1) y = sum(y, partial[1][lane]);
  if (n_segments > 2) y = sum(y, sum(partial[2][lane], partial[3][lane]));
  return y;
}

// Four tiles of weights times up to eight rows, whose columns begin at `row` (this lane's address for
// load_matrices).
template <bool kWhole>
__device__ void multiply_chunk(float (&sum)[4], const uint4* weights, const uint8_t* row, int n_tiles) {
  const int lane = threadIdx.x % 32;
  uint4 a[kChunkTiles];
#pragma unroll
  for (int t = 0; t < kChunkTiles; ++t) {
    if (kWhole || t < n_tiles) a[t] = weights[t * 32 + lane];
  }
#pragma unroll
  for (int t = 0; t < kChunkTiles; t += 2) {
    if (!kWhole && t >= n_tiles) break;
    uint32_t b[4];
    load_matrices(b, row + t * kTile * 2);
    mma(sum, a[t], b[0], b[1]);
    if (kWhole || t + 1 < n_tiles) mma(sum, a[t + 1], b[2], b[3]);
  }
}

template <bool kHeld, bool kExperts>
__global__ void __launch_bounds__(32 * kWarps, 2) gemv(const __grid_constant__ LinearArgs args,
                                                    const __grid_constant__ Shape shape) {
  extern __shared__ __align__(128) uint8_t dynamic[];
  auto& shared = *reinterpret_cast<Shared*>(dynamic);
  uint8_t* const rings = dynamic + (sizeof(Shared) + 127) / 128 * 128;
  uint8_t* const activations = rings + kWarps * shape.n_stages * stage_bytes(kHeld);

  pdl_trigger();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (lane < shape.n_stages) barrier_init(&shared.full[warp][lane]);
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  __syncwarp();

  const int n_groups = kWarps / shape.group_warps, group = warp / shape.group_warps;
  const int in_group = warp % shape.group_warps;
  const int first_item = blockIdx.x + gridDim.x * group, item_step = gridDim.x * n_groups;
  const Work<kExperts> work(args, shape);
  Ring<kHeld, kExperts> ring(args, work, rings + warp * shape.n_stages * stage_bytes(kHeld), shared.full[warp],
                             shape.n_stages, first_item, item_step, in_group);
  if constexpr (!kExperts) ring.start_weights();
  pdl_wait();
  if constexpr (kExperts) ring.start_weights();
  ring.start_rows();

  if constexpr (kHeld) {
    for (int row = 0; row < args.n_rows; ++row) {
      auto* const to = reinterpret_cast<bf16*>(activations + row * shape.row_bytes);
      const float* x = static_cast<const float*>(args.x.data) + row * args.x.stride;
      const float scale = rms_scale(block_sum_of_squares(x, args.n_in, shared.sums), args.n_in, args.norm_eps);
      for (int i = 4 * threadIdx.x; i < args.n_in; i += 4 * 32 * kWarps) {
        const float4 v = load_4(x, i, args.n_in), w = load_4(args.norm_weight, i, args.n_in);
        const uint2 pair{pack_bf16(w.x * (v.x * scale), w.y * (v.y * scale)),
                         pack_bf16(w.z * (v.z * scale), w.w * (v.w * scale))};
        *reinterpret_cast<uint2*>(to + i) = pair;
        if (args.h.data != nullptr && blockIdx.x == 0) {
          *reinterpret_cast<uint2*>(static_cast<bf16*>(args.h.data) + row * args.h.stride + i) = pair;
        }
      }
    }
    __syncthreads();
  }

  const int n_items = work.n_items();
  int turn = 0;
  for (int item = first_item; item < n_items; item += item_step) {
    const Piece piece = work.piece(item, in_group);
    int64_t first_row = 0;
    int n_rows = args.n_rows;
    if constexpr (kExperts) {
      const int e = work.expert(item);
      first_row = args.experts.offsets[e];
      n_rows = args.experts.offsets[e + 1] - static_cast<int>(first_row);
    }
    for (; n_rows > 0; first_row += kMaxRows, n_rows -= kMaxRows) {
      float sum[4] = {0, 0, 0, 0};
      if (piece.weights != nullptr) {
        const int n_tiles = work.tiles_of_segment(piece.part);
        // Matrices of eight rows by eight columns, lane / 8 of them to the right. What stands in rows that
        // do not exist goes into sums that nobody takes.
        const int row = min(lane % 8, n_rows - 1), right = lane / 8 * 16;
        const uint8_t* held = activations + row * shape.row_bytes + piece.segment * n_tiles * kTile * 2 + right;
        for (int tile = 0; tile < n_tiles; tile += kChunkTiles) {
          const uint8_t* const stage = ring.wait();
          const auto* const weights = reinterpret_cast<const uint4*>(stage);
          const uint8_t* const x = kHeld ? held + tile * kTile * 2 : stage + kWeightBytes + row * kRowPiece + right;
          if (tile + kChunkTiles <= n_tiles) {
            multiply_chunk<true>(sum, weights, x, kChunkTiles);
          } else {
            multiply_chunk<false>(sum, weights, x, n_tiles - tile);
          }
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
          if (mine) up = sum_segments(partial + warp + piece.n_segments, piece.n_segments, lane);
        } else {
          mine = mine && piece.segment == 0;
        }
        if (mine) y = sum_segments(partial + warp, piece.n_segments, lane);
      }
      if (mine) finish_tile(args, piece.part, piece.tile, y, up, first_row, min(n_rows, kMaxRows));
    }
  }
}

constexpr int round_up_to(int n, int step) { return (n + step - 1) / step * step; }
constexpr int kFixedBytes = round_up_to(sizeof(Shared), 128);
constexpr int kMostShared = 224 * 1024;

int held_row_bytes(int n_in) { return round_up_to(2 * n_in, 128) + 16; }

// As many stages as leave room for the next kernel beside this one; fewer than four are too few.
int stages_for(bool held, int held_bytes) {
  const auto fit = [&](int budget) {
    return min((budget - kFixedBytes - held_bytes) / (kWarps * stage_bytes(held)), kMaxStages);
  };
  const int beside = fit(kMostShared / 2);
  return beside >= 4 ? beside : fit(kMostShared);
}

template <bool kHeld, bool kExperts>
void launch_gemv(const LinearArgs& args, Shape shape, int n_items, Stream stream) {
  static const bool once = [] {
    allow_shared(gemv<kHeld, kExperts>, kMostShared);
    return true;
  }();
  static_cast<void>(once);
  shape.row_bytes = held_row_bytes(args.n_in);
  const int held_bytes = kHeld ? args.n_rows * shape.row_bytes : 0;
  shape.n_stages = stages_for(kHeld, held_bytes);
  const int grid = kExperts ? multiprocessors() : min(multiprocessors(), n_items);
  launch(gemv<kHeld, kExperts>, dim3(static_cast<unsigned>(grid)), 32 * kWarps,
         static_cast<size_t>(kFixedBytes + kWarps * shape.n_stages * stage_bytes(kHeld) + held_bytes), stream, args,
         shape);
}

}  // namespace

bool gemv_holds(int n_rows, int n_in) {
  return n_rows <= kMaxRows && stages_for(true, n_rows * held_row_bytes(n_in)) >= 3;
}

void gemv(const LinearArgs& args, Stream stream) {
  const bool pair = args.epilogue == Epilogue::silu_mul;
  int most = 1;
  for (int p = 0; p < args.n_parts; ++p) most = max(most, args.parts[p].n_segments);
  Shape shape{.group_warps = pair ? 2 * most : most, .n_stages = 0, .row_bytes = 0};
  int n_items = 0;
  for (int p = 0; p < (pair ? 1 : args.n_parts); ++p) {
    const int tiles = (args.parts[p].n_out + kTile - 1) / kTile;
    const int per_item = pair ? 1 : shape.group_warps / args.parts[p].n_segments;
    n_items += (tiles + per_item - 1) / per_item;
  }
  if (args.experts.offsets != nullptr) {
    launch_gemv<false, true>(args, shape, n_items, stream);
  } else if (args.norm_weight != nullptr) {
    launch_gemv<true, false>(args, shape, n_items, stream);
  } else {
    launch_gemv<false, false>(args, shape, n_items, stream);
  }
}

}  // namespace qwen3::cuda
