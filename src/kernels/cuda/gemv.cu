// Products with at most eight rows of activations (for experts: eight at a time): the weights stream
// through once, and their bytes are all that counts.
//
// Each warp has a ring in shared memory that bulk copies fill with its own weights; it fills before
// the wait for the kernel ahead, which weights do not depend on. One warp computes one segment of one
// tile of 16 rows; the warps of a group have all segments of a tile (of gate and up: of both), and the
// first of them adds the segments up and finishes the tile.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kChunkTiles = 4;
constexpr int kChunkBytes = kChunkTiles * kTileBytes;
constexpr int kMaxStages = 8;

struct Shape {
  int group_warps;  // of a group
  int n_stages;
  int row_bytes;  // of activations in shared memory; 0: they stay where they are
};

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

// The weights of one warp, item after item, ahead of its sums.
template <bool kExperts>
class Ring {
 public:
  __device__ Ring(const LinearArgs& args, const Work<kExperts>& work, uint8_t* bytes, uint64_t* full,
                  int n_stages, int first_item, int item_step, int warp)
      : args_(args), work_(work), bytes_(bytes), full_(full), n_stages_(n_stages), item_(first_item),
        item_step_(item_step), warp_(warp) {}

  __device__ void start() {
    n_items_ = work_.n_items();
    enter();
    for (int i = 0; i < n_stages_; ++i) produce();
  }
  // The next chunk; valid until release().
  __device__ const uint8_t* wait() {
    barrier_wait(full_ + out_, phase_);
    return bytes_ + out_ * kChunkBytes;
  }
  __device__ void release() {
    __syncwarp();
    if (++out_ == n_stages_) {
      out_ = 0;
      phase_ ^= 1;
    }
    produce();
  }

 private:
  __device__ void enter() {
    for (; item_ < n_items_; item_ += item_step_) {
      const Piece piece = work_.piece(item_, warp_);
      if (piece.weights == nullptr) continue;
      from_ = piece.weights;
      n_left_ = n_tiles_ = work_.tiles_of_segment(piece.part);
      if constexpr (kExperts) {
        const int e = work_.expert(item_);
        n_passes_ = (args_.experts.offsets[e + 1] - args_.experts.offsets[e] + 7) / 8;
      }
      return;
    }
  }
  __device__ void produce() {
    if (item_ >= n_items_) return;
    const int n = min(n_left_, kChunkTiles);
    if (threadIdx.x % 32 == 0) {
      bulk_copy(bytes_ + in_ * kChunkBytes, from_ + (n_tiles_ - n_left_) * static_cast<int64_t>(kTileBytes),
                static_cast<uint32_t>(n) * kTileBytes, full_ + in_);
    }
    if (++in_ == n_stages_) in_ = 0;
    n_left_ -= n;
    if (n_left_ > 0) return;
    if (--n_passes_ > 0) {
      n_left_ = n_tiles_;
      return;
    }
    n_passes_ = 1;
    item_ += item_step_;
    enter();
  }

  const LinearArgs& args_;
  const Work<kExperts>& work_;
  uint8_t* const bytes_;
  uint64_t* const full_;
  const int n_stages_;
  int item_;
  const int item_step_, warp_;
  int n_items_ = 0;
  const uint8_t* from_ = nullptr;
  int n_tiles_ = 0, n_left_ = 0, n_passes_ = 1;
  int in_ = 0, out_ = 0;
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

// Rows 2c and 2c + 1 of outputs g and g + 8 of a tile.
__device__ void finish_tile(const LinearArgs& args, int part, int tile, const float4& y, const float4& up,
                            int64_t first_row, int n_rows) {
  const int lane = threadIdx.x % 32;
  const float values[2][2] = {{y.x, y.y}, {y.z, y.w}}, ups[2][2] = {{up.x, up.y}, {up.z, up.w}};
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int o = tile * kTile + lane / 4 + 8 * half;
    if (o >= args.parts[part].n_out) continue;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int row = lane % 4 * 2 + j;
      if (row < n_rows) finish(args, part, first_row + row, o, values[half][j], ups[half][j]);
    }
  }
}

template <bool kShared, bool kExperts>
__global__ void __launch_bounds__(32 * kWarps) gemv(const __grid_constant__ LinearArgs args,
                                                    const __grid_constant__ Shape shape) {
  extern __shared__ __align__(128) uint8_t dynamic[];
  auto& shared = *reinterpret_cast<Shared*>(dynamic);
  uint8_t* const rings = dynamic + (sizeof(Shared) + 127) / 128 * 128;
  uint8_t* const activations = rings + kWarps * shape.n_stages * kChunkBytes;

  pdl_trigger();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (lane < shape.n_stages) barrier_init(&shared.full[warp][lane]);
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  __syncwarp();

  const int n_groups = kWarps / shape.group_warps, group = warp / shape.group_warps;
  const int in_group = warp % shape.group_warps;
  const int first_item = blockIdx.x + gridDim.x * group, item_step = gridDim.x * n_groups;
  const Work<kExperts> work(args, shape);
  Ring<kExperts> ring(args, work, rings + warp * shape.n_stages * kChunkBytes, shared.full[warp],
                      shape.n_stages, first_item, item_step, in_group);
  if constexpr (!kExperts) ring.start();
  pdl_wait();
  if constexpr (kExperts) ring.start();

  if constexpr (kShared) {
    for (int row = 0; row < args.n_rows; ++row) {
      auto* const to = reinterpret_cast<bf16*>(activations + row * shape.row_bytes);
      if (args.norm_weight != nullptr) {
        const float* x = static_cast<const float*>(args.x.data) + row * args.x.stride;
        const float scale =
            rms_scale(block_sum_of_squares(x, args.n_in, shared.sums), args.n_in, args.norm_eps);
        for (int i = threadIdx.x; i < args.n_in; i += blockDim.x) {
          to[i] = from_float<bf16>(args.norm_weight[i] * (x[i] * scale));
          if (args.h.data != nullptr && blockIdx.x == 0) {
            static_cast<bf16*>(args.h.data)[row * args.h.stride + i] = to[i];
          }
        }
      } else {
        const auto* x = reinterpret_cast<const uint4*>(static_cast<const bf16*>(args.x.data) +
                                                       row * args.x.stride);
        for (int i = threadIdx.x; i < args.n_in / 8; i += blockDim.x) {
          reinterpret_cast<uint4*>(to)[i] = x[i];
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
    for (; n_rows > 0; first_row += 8, n_rows -= 8) {
      float sum[4] = {0, 0, 0, 0};
      if (piece.weights != nullptr) {
        const int n_tiles = work.tiles_of_segment(piece.part);
        const int first_column = piece.segment * n_tiles * kTile;
        const int row = lane / 4;
        const bool has_row = row < n_rows;
        const uint8_t* x = nullptr;
        if constexpr (kShared) {
          x = activations + row * shape.row_bytes;
        } else if (has_row) {
          int64_t from = first_row + row;
          if (kExperts && args.experts.tokens != nullptr) from = args.experts.tokens[from];
          x = reinterpret_cast<const uint8_t*>(static_cast<const bf16*>(args.x.data) + from * args.x.stride);
        }
        x += (first_column + lane % 4 * 2) * 2;
        for (int tile = 0; tile < n_tiles; tile += kChunkTiles) {
          const auto* chunk = reinterpret_cast<const uint4*>(ring.wait());
#pragma unroll
          for (int t = 0; t < kChunkTiles; ++t) {
            if (tile + t >= n_tiles) break;
            const uint4 a = chunk[t * 32 + lane];
            uint32_t b0 = 0, b1 = 0;
            if (has_row) {
              b0 = *reinterpret_cast<const uint32_t*>(x + (tile + t) * 32);
              b1 = *reinterpret_cast<const uint32_t*>(x + (tile + t) * 32 + 16);
            }
            mma(sum, a, b0, b1);
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
      if (mine) finish_tile(args, piece.part, piece.tile, y, up, first_row, min(n_rows, 8));
    }
  }
}

constexpr int round_up_to(int n, int step) { return (n + step - 1) / step * step; }
constexpr int kFixedBytes = round_up_to(sizeof(Shared), 128);
constexpr int kStageBytes = kWarps * kChunkBytes;
constexpr int kMostShared = 224 * 1024;

int activation_row_bytes(int n_in) { return round_up_to(2 * n_in, 128) + 16; }

// As many stages as leave room for the next kernel beside this one; fewer than four are too few.
int stages_for(int activation_bytes) {
  const auto fit = [&](int budget) {
    return (budget - kFixedBytes - activation_bytes) / kStageBytes;
  };
  const int beside = fit(kMostShared / 2);
  return beside >= 4 ? min(beside, kMaxStages) : min(fit(kMostShared), kMaxStages);
}

template <bool kShared, bool kExperts>
void launch_gemv(const LinearArgs& args, const Shape& shape, int n_items, Stream stream) {
  static const bool once = [] {
    allow_shared(gemv<kShared, kExperts>, kMostShared);
    return true;
  }();
  static_cast<void>(once);
  const int activation_bytes = kShared ? args.n_rows * shape.row_bytes : 0;
  const int grid = kExperts ? multiprocessors() : min(multiprocessors(), n_items);
  launch(gemv<kShared, kExperts>, dim3(static_cast<unsigned>(grid)), 32 * kWarps,
         static_cast<size_t>(kFixedBytes + shape.n_stages * kStageBytes + activation_bytes), stream, args, shape);
}

}  // namespace

bool gemv_holds(int n_rows, int n_in) {
  return n_rows <= kMaxNormedRows && stages_for(n_rows * activation_row_bytes(n_in)) >= 3;
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
    shape.n_stages = stages_for(0);
    launch_gemv<false, true>(args, shape, n_items, stream);
  } else if (gemv_holds(args.n_rows, args.n_in)) {
    shape.row_bytes = activation_row_bytes(args.n_in);
    shape.n_stages = stages_for(args.n_rows * shape.row_bytes);
    launch_gemv<true, false>(args, shape, n_items, stream);
  } else {
    shape.n_stages = stages_for(0);
    launch_gemv<false, false>(args, shape, n_items, stream);
  }
}

}  // namespace qwen3::cuda
