// What kernels of experts with few rows read: a warp's own weights, and eight rows at a time, wherever those lie, by
// bulk copies into a ring of the warp's own in shared memory.
#pragma once

#include "kernels/cuda/codes.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/linear.cuh"

namespace qwen3::cuda {

constexpr int kMaxExpertRows = 8;  // of an expert, at a time
constexpr int kMaxStages = 16;

// Bytes of a row in shared memory; 16 more, so that rows begin in other banks.
QWEN3_HD constexpr int row_piece(int tiles) { return tiles * kTile * 2 + 16; }

struct RingShape {
  int n_stages;
  int weight_bytes;  // of a stage, before the rows
  int stage_bytes;
};

// A ring of chunks of column tiles, of which the largest take `most_tile_bytes`, for each of `n_warps`.
inline RingShape ring_shape(
    int chunk_tiles, int most_tile_bytes, int n_rows, int n_warps, int bytes) {
  RingShape shape{.n_stages = 0, .weight_bytes = chunk_tiles * most_tile_bytes, .stage_bytes = 0};
  shape.stage_bytes = shape.weight_bytes + min(n_rows, kMaxExpertRows) * row_piece(chunk_tiles);
  shape.n_stages = min(bytes / (n_warps * shape.stage_bytes), kMaxStages);
  return shape;
}

// Of any part.
QWEN3_HD inline int most_tile_bytes(const LinearArgs& args) {
  int most = 0;
  for (int p = 0; p < args.n_parts; ++p) most = max(most, tile_bytes(args.parts[p].coding));
  return most;
}

// The barriers of a warp's ring, by the warp.
__device__ inline void init_ring(uint64_t* full, int n_stages) {
  const int lane = threadIdx.x % 32;
  if (lane < n_stages) barrier_init(full + lane);
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  __syncwarp();
}

// What a warp multiplies: a segment of a tile of outputs, with all rows of an expert.
struct Piece {
  const uint8_t* weights = nullptr;  // null: none
  int part = 0, tile = 0, segment = 0, n_segments = 1;
  int n_tiles = 0;                // column tiles
  int first_row = 0, n_rows = 0;  // in the order of pairs
};

// Of the rank-th expert that has rows. kSorted: lists.offsets are in the order of those (FewPairs).
template <bool kSorted>
__device__ Piece piece_of(
    const LinearArgs& args, const PairLists& lists, int rank, int part, int tile, int segment) {
  const LinearPart& p = args.parts[part];
  const int expert = lists.active[1 + rank], at = kSorted ? rank : expert;
  Piece piece{.part = part, .tile = tile, .segment = segment, .n_segments = p.n_segments};
  const int n_tiles = args.n_in / kTile;
  piece.n_tiles = n_tiles / p.n_segments;
  piece.weights =
      static_cast<const uint8_t*>(p.weight) + expert * p.matrix_bytes +
      (static_cast<int64_t>(tile) * n_tiles + segment * piece.n_tiles) * tile_bytes(p.coding);
  piece.first_row = lists.offsets[at];
  piece.n_rows = lists.offsets[at + 1] - piece.first_row;
  return piece;
}

// Column tiles of weights times up to eight rows; `row` is this lane's row of them for load_matrices.
template <int kTiles, bool kWhole, Coding kCoding>
__device__ void multiply_some(float (&sum)[4],
                              const uint8_t* weights,
                              const uint8_t* row,
                              int n_tiles) {
  const int lane = threadIdx.x % 32;
  uint4 a[kTiles];
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
    if (!kWhole && t >= n_tiles) break;
    if constexpr (kCoding == Coding::none) {
      a[t] = reinterpret_cast<const uint4*>(weights)[t * 32 + lane];
    } else if (t % 2 == 0) {
      load_unit<kCoding>(a[t], a[t + 1], weights + t * tile_bytes(kCoding));
    }
  }
#pragma unroll
  for (int t = 0; t < kTiles; t += 2) {
    if (!kWhole && t >= n_tiles) break;
    uint32_t b[4];
    load_matrices(b, row + (2 * t + lane / 8) * 16);
    mma(sum, a[t], b[0], b[1]);
    if (kWhole || t + 1 < n_tiles) mma(sum, a[t + 1], b[2], b[3]);
  }
}

// The same, up to kTiles of them, eight at a time.
template <bool kCodes, int kTiles>
__device__ void multiply_tiles(
    float (&sum)[4], const uint8_t* weights, const uint8_t* row, int n_tiles, Coding coding) {
  constexpr int kSome = kTiles < 8 ? kTiles : 8;
  with_coding<kCodes>(coding, [&](auto kind) {
    constexpr Coding kCoding = decltype(kind)::value;
#pragma unroll 1
    for (int tile = 0; tile < n_tiles; tile += kSome) {
      const uint8_t* const from = weights + tile * tile_bytes(kCoding);
      if (tile + kSome <= n_tiles) {
        multiply_some<kSome, true, kCoding>(sum, from, row + tile * kTile * 2, kSome);
      } else {
        multiply_some<kSome, false, kCoding>(sum, from, row + tile * kTile * 2, n_tiles - tile);
      }
    }
  });
}

// The chunks of one warp's pieces, ahead of its sums. Work has n_items(), and piece(item), which may be none; rows stand
// where `row_of` says, by their place among pairs (null: there).
template <int kChunkTiles, typename Work>
class Ring {
 public:
  __device__ Ring(const LinearArgs& args,
                  const Work& work,
                  const RingShape& shape,
                  const int32_t* row_of,
                  uint8_t* bytes,
                  uint64_t* full,
                  int first_item,
                  int item_step)
      : args_(args),
        work_(work),
        shape_(shape),
        row_of_(row_of),
        bytes_(bytes),
        full_(full),
        item_step_(item_step),
        n_items_(work.n_items()) {
    at_.item = first_item;
    enter(at_);
  }

  // Fills the ring. Rows are there once `wait` has returned; weights always are.
  template <typename Wait>
  __device__ void start(const Wait& wait) {
    Cursor rows = at_;
    for (int i = 0; i < shape_.n_stages; ++i) {
      copy_weights();
      advance(at_);
    }
    wait();
    for (int i = 0; i < shape_.n_stages; ++i) {
      copy_rows(rows);
      advance(rows);
    }
  }
  // The next chunk; valid until release().
  __device__ const uint8_t* wait() {
    barrier_wait(full_ + out_, phase_);
    return bytes_ + out_ * shape_.stage_bytes;
  }
  __device__ void release() {
    __syncwarp();
    if (++out_ == shape_.n_stages) {
      out_ = 0;
      phase_ ^= 1;
    }
    copy_weights();
    copy_rows(at_);
    advance(at_);
  }

 private:
  // A place in this warp's stream of chunks.
  struct Cursor {
    int item;
    const uint8_t* weights = nullptr;
    int tile_bytes = 0;
    int first_tile = 0, n_tiles = 0, tile = 0;
    int first_row = 0, n_rows = 0;  // what is left of the expert's
    int stage = 0;
  };

  __device__ void enter(Cursor& c) const {
    for (; c.item < n_items_; c.item += item_step_) {
      const Piece piece = work_.piece(c.item);
      if (piece.weights == nullptr) continue;
      c.weights = piece.weights;
      c.tile_bytes = tile_bytes(args_.parts[piece.part].coding);
      c.n_tiles = piece.n_tiles;
      c.first_tile = piece.segment * piece.n_tiles;
      c.tile = 0;
      c.first_row = piece.first_row;
      c.n_rows = piece.n_rows;
      return;
    }
  }
  __device__ void advance(Cursor& c) const {
    if (c.item >= n_items_) return;
    if (++c.stage == shape_.n_stages) c.stage = 0;
    c.tile += kChunkTiles;
    if (c.tile < c.n_tiles) return;
    c.tile = 0;
    c.first_row += kMaxExpertRows;
    c.n_rows -= kMaxExpertRows;
    if (c.n_rows > 0) return;
    c.item += item_step_;
    enter(c);
  }
  __device__ void copy_weights() const {
    const Cursor& c = at_;
    if (c.item >= n_items_) return;
    if (threadIdx.x % 32 == 0) {
      const int n = min(c.n_tiles - c.tile, kChunkTiles), n_rows = min(c.n_rows, kMaxExpertRows);
      expect_bytes(full_ + c.stage,
                   static_cast<uint32_t>(n * c.tile_bytes + n_rows * n * kTile * 2));
      bulk_copy_once(bytes_ + c.stage * shape_.stage_bytes,
                     c.weights + static_cast<int64_t>(c.tile) * c.tile_bytes,
                     static_cast<uint32_t>(n * c.tile_bytes),
                     full_ + c.stage);
    }
    __syncwarp();
  }
  // A lane for each.
  __device__ void copy_rows(const Cursor& c) const {
    if (c.item >= n_items_) return;
    const int lane = threadIdx.x % 32;
    const int n = min(c.n_tiles - c.tile, kChunkTiles), n_rows = min(c.n_rows, kMaxExpertRows);
    if (lane < n_rows) {
      int64_t row = c.first_row + lane;
      if (row_of_ != nullptr) row = row_of_[row];
      const auto* from = static_cast<const bf16*>(args_.x.data) + row * args_.x.stride +
                         static_cast<int64_t>(c.first_tile + c.tile) * kTile;
      bulk_copy(bytes_ + c.stage * shape_.stage_bytes + shape_.weight_bytes +
                    lane * row_piece(kChunkTiles),
                from,
                static_cast<uint32_t>(n) * kTile * 2,
                full_ + c.stage);
    }
  }

  const LinearArgs& args_;
  const Work& work_;
  const RingShape& shape_;
  const int32_t* const row_of_;
  uint8_t* const bytes_;
  uint64_t* const full_;
  const int item_step_, n_items_;
  Cursor at_;
  int out_ = 0;
  uint32_t phase_ = 0;
};

// A piece times the up to eight of its rows that the ring has next: rows 2c and 2c + 1 of outputs g and g + 8.
template <bool kCodes, int kChunkTiles, typename Work>
__device__ float4 multiply_piece(Ring<kChunkTiles, Work>& ring,
                                 const RingShape& shape,
                                 const Piece& piece,
                                 Coding coding,
                                 int n_rows) {
  float sum[4] = {0, 0, 0, 0};
  // What stands in rows that do not exist goes into sums that nobody takes.
  const int row = min(static_cast<int>(threadIdx.x) % 8, n_rows - 1);
  for (int first = 0; first < piece.n_tiles; first += kChunkTiles) {
    const uint8_t* const stage = ring.wait();
    const uint8_t* const x = stage + shape.weight_bytes + row * row_piece(kChunkTiles);
    multiply_tiles<kCodes, kChunkTiles>(
        sum, stage, x, min(piece.n_tiles - first, kChunkTiles), coding);
    ring.release();
  }
  return {sum[0], sum[1], sum[2], sum[3]};
}

}  // namespace qwen3::cuda
