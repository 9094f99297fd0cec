// Products with up to eight rows of activations: the weights stream through once, and their bytes are what
// counts. A block walks through items: some tiles of 16 outputs with all their segments, a warp for each
// pair of tile and segment. Two more warps keep a ring of stages full, one with weights and one with rows: long
// copies, since it is their number that costs. Weights do not depend on the kernel ahead, so the ring is
// filled before the wait for it.
//
// Activations come through the ring too. Only a single row that is normed by the way each block holds whole,
// having normed it itself: that costs less than a kernel before this one.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kRows = 8, kMaxStages = 8;
constexpr int kStepTiles = 16;                             // column tiles of a stage
constexpr int kBoxBytes = kRows * kStepTiles * kTile * 2;  // of a segment's rows in a stage

// kWarps pairs of tile and segment at a time, and two warps that copy.
constexpr int threads_of(int warps) { return 32 * (warps + 2); }

template <int kWarps>
struct Shared {
  float4 partial[kWarps][32];
  uint64_t full[kMaxStages], empty[kMaxStages];
  float sums[8];
};

struct Shape {
  int n_stages, stage_bytes, tiles_of_block;
  int piece_bytes;  // of a warp's weights in a stage
  int rows_at;      // in a stage, behind the weights
};

// Tiles (of a pair: pairs of tiles) of all parts in one row, which blocks share out evenly.
__device__ int count_tiles(const LinearArgs& args) {
  int n = tiles_of(args.parts[0]);
  if (args.epilogue != Epilogue::silu_mul) {
    if (args.n_parts > 1) n += tiles_of(args.parts[1]);
    if (args.n_parts > 2) n += tiles_of(args.parts[2]);
  }
  return n;
}

// What the warps of a block do at a time: some tiles of a part.
struct Item {
  int part, first_tile, n_tiles, n_segments;
  int segment_tiles;  // column tiles
};

template <int kWarps>
__device__ Item item_at(const LinearArgs& args, int tile, int end) {
  Item item{};
  const bool pair = args.epilogue == Epilogue::silu_mul;
  int left = end - tile;
  if (!pair) {
    for (; item.part + 1 < args.n_parts && tile >= tiles_of(args.parts[item.part]); ++item.part) {
      tile -= tiles_of(args.parts[item.part]);
    }
  }
  left = min(left, tiles_of(args.parts[item.part]) - tile);
  item.first_tile = tile;
  item.n_segments = args.parts[item.part].n_segments;
  item.n_tiles = min(left, kWarps / item.n_segments / (pair ? 2 : 1));
  item.segment_tiles = args.n_in / kTile / item.n_segments;
  return item;
}

// A piece of an item: a tile and a segment of it. Of a pair, gate and up are side by side.
struct Place {
  int part, tile, segment;
  bool exists;
};
__device__ Place place_of(const LinearArgs& args, const Item& item, int piece) {
  const int t = piece / item.n_segments;
  const bool pair = args.epilogue == Epilogue::silu_mul;
  const int part = pair ? t % 2 : item.part, tile = item.first_tile + (pair ? t / 2 : t);
  return {part, tile, piece % item.n_segments, tile < item.first_tile + item.n_tiles};
}

// One of the two copying warps.
template <int kWarps, bool kHeld>
class Copier {
 public:
  __device__ Copier(const LinearArgs& args,
                    const CUtensorMap& rows,
                    const Shape& shape,
                    uint8_t* ring,
                    uint64_t* full,
                    uint64_t* empty,
                    int first_tile,
                    int end)
      : args_(args),
        rows_(rows),
        shape_(shape),
        ring_(ring),
        full_(full),
        empty_(empty),
        end_(end) {
    at_.tile = first_tile;
    enter();
  }

  __device__ void run_weights() {
    for (; at_.tile < end_; advance()) {
      wait();
      copy_weights();
    }
  }
  __device__ void run_rows() {
    for (; at_.tile < end_; advance()) {
      wait();
      copy_rows();
    }
  }

 private:
  // A place in the block's stream of stages. What an item decides is found once for all its stages.
  struct Cursor {
    int tile = 0;                    // the first of the item
    int left = 0;                    // column tiles of a segment
    int stage = 0, turn = 0;         // how often the ring was full
    int n_tiles = 0, all_bytes = 0;  // of the item; of a column tile of all its pieces
    bool copies = false;             // whether this lane has weights, from
    const uint8_t* from = nullptr;
    bool has_rows = false;  // or rows of a segment, from this piece of 64 columns
    int piece = 0, n_segments = 1;
  };

  __device__ void wait() {
    if (at_.turn > 0) barrier_wait(empty_ + at_.stage, static_cast<uint32_t>(at_.turn - 1) & 1);
  }
  __device__ void enter() {
    Cursor& c = at_;
    const Item item = item_at<kWarps>(args_, c.tile, end_);
    const int lane = threadIdx.x % 32;
    const Place place = place_of(args_, item, lane < kWarps ? lane : 0);
    c.left = item.segment_tiles;
    c.n_tiles = item.n_tiles;
    c.copies = lane < kWarps && place.exists;
    c.all_bytes = static_cast<int>(
        __reduce_add_sync(kAllLanes, c.copies ? static_cast<unsigned>(kTileBytes) : 0u));
    c.from = static_cast<const uint8_t*>(args_.parts[place.part].weight) +
             (static_cast<int64_t>(place.tile) * (args_.n_in / kTile) +
              place.segment * item.segment_tiles) *
                 kTileBytes;
    c.n_segments = item.n_segments;
    c.has_rows = !kHeld && lane < item.n_segments;
    c.piece = lane * item.segment_tiles / 4;
  }
  __device__ void advance() {
    Cursor& c = at_;
    if (++c.stage == shape_.n_stages) {
      c.stage = 0;
      ++c.turn;
    }
    c.left -= kStepTiles;
    c.from += kStepTiles * kTileBytes;
    c.piece += kStepTiles / 4;
    if (c.left > 0) return;
    c.tile += c.n_tiles;
    if (c.tile < end_) enter();
  }
  __device__ void copy_weights() {
    const Cursor& c = at_;
    const int n = min(kStepTiles, c.left);
    if (threadIdx.x % 32 == 0) {
      expect_bytes(full_ + c.stage,
                   static_cast<uint32_t>(c.all_bytes * n + (kHeld ? 0 : c.n_segments * kBoxBytes)));
    }
    __syncwarp();
    if (c.copies) {
      bulk_copy_once(ring_ + c.stage * shape_.stage_bytes + threadIdx.x % 32 * shape_.piece_bytes,
                     c.from,
                     static_cast<uint32_t>(n * kTileBytes),
                     full_ + c.stage);
    }
  }
  __device__ void copy_rows() {
    const Cursor& c = at_;
    if (!c.has_rows) return;
    box_copy(ring_ + c.stage * shape_.stage_bytes + shape_.rows_at + threadIdx.x % 32 * kBoxBytes,
             rows_,
             0,
             c.piece,
             full_ + c.stage);
  }

  const LinearArgs& args_;
  const CUtensorMap& rows_;
  const Shape& shape_;
  uint8_t* const ring_;
  uint64_t* const full_;
  uint64_t* const empty_;
  const int end_;
  Cursor at_;
};

// What a warp multiplies at a time: two column tiles of weights, and its rows: pieces of 64 columns, in each the rows, in
// each 8 parts of 16 bytes that are exchanged. A held row stands for all eight: nobody takes what the others come to.
struct Operands {
  uint4 a[2];
  uint32_t b[4];

  template <bool kHeld>
  __device__ void load(const uint4* weights, const uint8_t* rows, int k) {
    const int lane = threadIdx.x % 32;
    a[0] = weights[k * 32];
    a[1] = weights[k * 32 + 32];
    load_matrices(b,
                  kHeld
                      ? rows + k * kTile * 2 + lane / 8 * 16
                      : rows + k / 4 * (kRows * 128) + ((2 * (k % 4) + lane / 8) ^ lane % 8) * 16);
  }
  __device__ void multiply(float (&sum)[4], bool both) const {
    mma(sum, a[0], b[0], b[1]);
    if (both) mma(sum, a[1], b[2], b[3]);
  }
};

template <int kWarps, bool kHeld>
__global__ void __launch_bounds__(threads_of(kWarps), 1)
    few_rows_kernel(const __grid_constant__ LinearArgs args,
                    const __grid_constant__ CUtensorMap rows,
                    const __grid_constant__ Shape shape) {
  extern __shared__ __align__(1024) uint8_t ring[];
  __shared__ Shared<kWarps> shared;
  constexpr int kWorkers = 32 * kWarps;
  pdl_trigger();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (threadIdx.x < 32) {
    if (static_cast<int>(threadIdx.x) < shape.n_stages) {
      barrier_init(shared.full + threadIdx.x);
      barrier_init(shared.empty + threadIdx.x, kWarps);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  if (warp >= kWarps) {
    const int first = static_cast<int>(blockIdx.x) * shape.tiles_of_block;
    Copier<kWarps, kHeld> copier(args,
                                 rows,
                                 shape,
                                 ring,
                                 shared.full,
                                 shared.empty,
                                 first,
                                 min(count_tiles(args), first + shape.tiles_of_block));
    if (warp == kWarps) {
      copier.run_weights();
    } else if (!kHeld) {
      pdl_wait();
      copier.run_rows();
    }
    return;
  }
  // The norm's weight, meanwhile.
  constexpr int kNormers = kWorkers < 256 ? kWorkers : 256, kVirtual = 256 / kNormers;
  const bool norms = threadIdx.x < kNormers;
  float4 norm_weight[kHeld ? kVirtual : 1][kMaxNormed / 1024];
  if constexpr (kHeld) {
#pragma unroll
    for (int i = 0; i < kVirtual; ++i) {
#pragma unroll
      for (int j = 0; j < kMaxNormed / 1024; ++j) {
        const int at = 4 * (threadIdx.x + i * kNormers) + 1024 * j;
        norm_weight[i][j] = norms && at < args.n_in
                                ? *reinterpret_cast<const float4*>(args.norm_weight + at)
                                : float4{};
      }
    }
  }
  pdl_wait();

  uint8_t* const held = ring + shape.n_stages * shape.stage_bytes;
  if constexpr (kHeld) {
    // As block_sum_of_squares() and rms_norm have it; the row stays in registers meanwhile.
    const auto* const x = static_cast<const float*>(args.x.data);
    float4 v[kVirtual][kMaxNormed / 1024];
#pragma unroll
    for (int i = 0; i < kVirtual; ++i) {
#pragma unroll
      for (int j = 0; j < kMaxNormed / 1024; ++j) {
        const int at = 4 * (threadIdx.x + i * kNormers) + 1024 * j;
        v[i][j] = norms && at < args.n_in ? *reinterpret_cast<const float4*>(x + at) : float4{};
      }
    }
#pragma unroll
    for (int i = 0; i < kVirtual; ++i) {
      float sum = 0;
#pragma unroll
      for (int j = 0; j < kMaxNormed / 1024; ++j) sum = sum_of_squares(v[i][j], sum);
      sum = warp_sum(sum);
      if (norms && lane == 0) shared.sums[warp + i * kWarps] = sum;
    }
    sync_some(1, kWorkers);
    const float scale = rms_scale(sum_of_warps(shared.sums), args.n_in, args.norm_eps);
#pragma unroll
    for (int i = 0; i < kVirtual; ++i) {
#pragma unroll
      for (int j = 0; j < kMaxNormed / 1024; ++j) {
        const int at = 4 * (threadIdx.x + i * kNormers) + 1024 * j;
        if (!norms || at >= args.n_in) continue;
        const float4& w = norm_weight[i][j];
        const uint2 four{pack_bf16(w.x * (v[i][j].x * scale), w.y * (v[i][j].y * scale)),
                         pack_bf16(w.z * (v[i][j].z * scale), w.w * (v[i][j].w * scale))};
        *reinterpret_cast<uint2*>(held + 2 * at) = four;
        if (args.h.data != nullptr && blockIdx.x == 0) {
          *reinterpret_cast<uint2*>(static_cast<bf16*>(args.h.data) + at) = four;
        }
      }
    }
    sync_some(1, kWorkers);
  }

  const int end = min(count_tiles(args), static_cast<int>(blockIdx.x + 1) * shape.tiles_of_block);
  const bool pair = args.epilogue == Epilogue::silu_mul;
  int stage = 0;
  uint32_t phase = 0;
  Item item{};
  const auto next_stage = [&] {
    __syncwarp();
    if (lane == 0) barrier_arrive(shared.empty + stage);
    if (++stage == shape.n_stages) {
      stage = 0;
      phase ^= 1;
    }
  };
  for (int tile = blockIdx.x * shape.tiles_of_block; tile < end; tile += item.n_tiles) {
    item = item_at<kWarps>(args, tile, end);
    const int n_pieces = item.n_tiles * item.n_segments * (pair ? 2 : 1);
    const int n_steps = (item.segment_tiles + kStepTiles - 1) / kStepTiles;
    const Place place = place_of(args, item, warp);
    const bool exists = warp < n_pieces;
    float sum[4] = {};
    const int weights_at = warp * shape.piece_bytes;
    const int rows_at = shape.rows_at + place.segment * kBoxBytes + lane % 8 * 128;
    for (int step = 0; step < n_steps; ++step, next_stage()) {
      const int first = step * kStepTiles;
      barrier_wait(shared.full + stage, phase);
      const uint8_t* const from = ring + stage * shape.stage_bytes;
      const uint8_t* const x =
          kHeld ? held + (place.segment * item.segment_tiles + first) * kTile * 2 : from + rows_at;
      const int n = min(kStepTiles, item.segment_tiles - first);
      const auto* const weights = reinterpret_cast<const uint4*>(from + weights_at) + lane;
      Operands operands[2];
      if (!exists) {
        // Nothing to do but to keep in step.
      } else if (n == kStepTiles) {
        // The next ones are on their way while these are multiplied.
        operands[0].load<kHeld>(weights, x, 0);
#pragma unroll
        for (int k = 0; k < kStepTiles; k += 2) {
          if (k + 2 < kStepTiles) operands[(k / 2 + 1) % 2].load<kHeld>(weights, x, k + 2);
          operands[k / 2 % 2].multiply(sum, true);
        }
      } else {
        // What lies behind the last tile is loaded too, and not multiplied.
        for (int k = 0; k < n; k += 2) {
          operands[0].load<kHeld>(weights, x, k);
          operands[0].multiply(sum, k + 1 < n);
        }
      }
    }
    const float4 mine{sum[0], sum[1], sum[2], sum[3]};
    const int sharers = item.n_segments * (pair ? 2 : 1);  // warps of a tile
    if (sharers == 1) {
      if (exists) finish_tile(args, place.part, place.tile, mine, {}, 0, args.n_rows);
      continue;
    }
    if (exists) shared.partial[warp][lane] = mine;
    sync_some(1, kWorkers);
    if (exists && warp % sharers == 0) {
      const auto total = [&](int from) {
        return sum_segments(&shared.partial[from][lane], 32, item.n_segments);
      };
      finish_tile(args,
                  pair ? 0 : place.part,
                  place.tile,
                  total(warp),
                  pair ? total(warp + item.n_segments) : float4{},
                  0,
                  args.n_rows);
    }
    sync_some(1, kWorkers);
  }
}

// Left to attention, which can then begin, or end, beside any of these.
constexpr int kSparedBytes = 48 * 1024;

// Weights that a multiprocessor streams, from which on it pays to have most of its memory, though the next
// product's ring cannot begin beside this one then.
constexpr int64_t kDeepBytes = 128 * 1024;

template <int kWarps, bool kHeld>
void launch_warps(const LinearArgs& args, Stream stream) {
  static const bool once = [] {
    allow_shared(few_rows_kernel<kWarps, kHeld>, kAllBytes - kStaticBytes<Shared<kWarps>>);
    return true;
  }();
  static_cast<void>(once);
  const bool pair = args.epilogue == Epilogue::silu_mul;
  int n_tiles = 0, most_segments = 1;
  for (int p = 0; p < args.n_parts; ++p) {
    if (!pair || p == 0) n_tiles += (args.parts[p].n_out + kTile - 1) / kTile;
    most_segments = max(most_segments, args.parts[p].n_segments);
  }
  const int64_t bytes = int64_t{n_tiles} * (pair ? 2 : 1) * (args.n_in / kTile) * kTileBytes;
  const int tiles_of_block = (n_tiles + multiprocessors() - 1) / multiprocessors();
  // Boxes of rows begin at multiples of 1024 bytes.
  const int rows_at =
      (min(kWarps, tiles_of_block * most_segments * (pair ? 2 : 1)) * kStepTiles * kTileBytes +
       1023) /
      1024 * 1024;
  Shape shape{.n_stages = 0,
              .stage_bytes = rows_at + (kHeld ? 0 : most_segments * kBoxBytes),
              .tiles_of_block = tiles_of_block,
              .piece_bytes = kStepTiles * kTileBytes,
              .rows_at = rows_at};
  const int held_bytes = kHeld ? 2 * args.n_in + 64 : 0;  // the last pair of tiles may be half
  const auto fit = [&](int budget) {
    return min((budget - kStaticBytes<Shared<kWarps>> - held_bytes) / shape.stage_bytes,
               kMaxStages);
  };
  const bool deep = bytes / multiprocessors() > kDeepBytes;
  shape.n_stages =
      deep || fit(kAllBytes / 2) < 2 ? fit(kAllBytes - kSparedBytes) : fit(kAllBytes / 2);
  const CUtensorMap map =
      kHeld ? CUtensorMap{} : row_map(args.x, args.n_rows, args.n_in, kRows, kStepTiles / 4);
  launch(few_rows_kernel<kWarps, kHeld>,
         dim3(static_cast<unsigned>((n_tiles + shape.tiles_of_block - 1) / shape.tiles_of_block)),
         threads_of(kWarps),
         static_cast<size_t>(shape.n_stages * shape.stage_bytes + held_bytes),
         stream,
         args,
         map,
         shape);
}

template <bool kHeld>
void launch_rows(const LinearArgs& args, Stream stream) {
  int most = 1;
  for (int p = 0; p < args.n_parts; ++p) most = max(most, args.parts[p].n_segments);
  const bool eight = most == 4 && args.epilogue == Epilogue::silu_mul;
  eight ? launch_warps<8, kHeld>(args, stream) : launch_warps<4, kHeld>(args, stream);
}

}  // namespace

bool norms_by_the_way(int n_rows, int n_in) {
  return n_rows == 1 && n_in <= kMaxNormed && n_in % 4 == 0;
}

void few_rows(const LinearArgs& args, Stream stream) {
  args.norm_weight != nullptr ? launch_rows<true>(args, stream) : launch_rows<false>(args, stream);
}

}  // namespace qwen3::cuda
