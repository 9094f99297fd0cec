// Products with 9 to 128 rows of activations: the weights stream through once, as with few rows, but it takes the
// matrix instructions of a warpgroup to keep up with them. Four warps of a block have a tile of 16 outputs each (of a
// pair, two of gate and two of up) and all rows; two more keep a ring of stages full, one with weights and one with rows.
//
// A block has so many tiles of one part, with all their segments. Where that would have too few blocks, or each read too
// many rows for few tiles, a block has a share of all tiles and segments that costs what every other's does: then
// segments of a tile may lie in different blocks, their sums meet in memory, and the warp that comes last adds them up,
// which takes some 4 µs with 32 rows.
//
// Clusters whose blocks bring each other rows were no faster: what the second-level cache delivers is enough, and blocks
// that keep in step wait for each other.
#include <algorithm>
#include <type_traits>

#include "kernels/cuda/codes.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kWarps = 4;      // that multiply
constexpr int kThreads = 192;  // and two that copy
constexpr int kStepTiles = 8;  // of a stage
constexpr int kMaxStages = 16;
// What a multiprocessor reads while sums meet in memory: measured, of shapes from 0.6B to 30B-A3B.
constexpr int64_t kMeetingBytes = 64 << 10, kMeetingRowBytes = 2 << 10;

struct Shape {
  int n_stages, stage_bytes;
  int tile_stage;  // bytes between the tiles of a stage
  int rows_at;     // in a stage, after the weights
  int tiles;       // of a block, of one part and with all segments; 0: a block has a share
  int share;       // what its tiles cost, in column tiles
};

// What a block does at a time: tiles of one part, columns of one segment or of all.
struct Item {
  int part, segment, n_segments;
  int first_tile, n_tiles;  // of a pair: pairs
  int first_column_tile, n_column_tiles;
};

// The items of a block. Parts follow each other. Either a block has some tiles of one; or, of a share, in each part
// segments follow each other, in each the tiles, and a block has those that begin in its share of the cost.
class Schedule {
 public:
  __device__ Schedule(const LinearArgs& args, const Shape& shape)
      : args_(args),
        n_parts_(args.epilogue == Epilogue::silu_mul ? 1 : args.n_parts),
        most_(args.epilogue == Epilogue::silu_mul ? kWarps / 2 : kWarps),
        shares_(shape.tiles == 0),
        begin_(static_cast<int>(blockIdx.x) * shape.share),
        end_(begin_ + shape.share) {
    if (shares_) {
      enter_strip();
      return;
    }
    cost_ = args.n_in / kTile;
    int block = static_cast<int>(blockIdx.x);
    for (; part_ < n_parts_; ++part_) {
      const int tiles = tiles_of(args.parts[part_]), blocks = ceil_div_of(tiles, shape.tiles);
      if (block < blocks) {
        tile_ = block * shape.tiles;
        last_tile_ = min(tile_ + shape.tiles, tiles);
        return;
      }
      block -= blocks;
    }
  }
  __device__ bool valid() const { return part_ < n_parts_; }
  __device__ Item item() const {
    return {.part = part_,
            .segment = segment_,
            .n_segments = shares_ ? 1 : args_.parts[part_].n_segments,
            .first_tile = tile_,
            .n_tiles = min(last_tile_ - tile_, most_),
            .first_column_tile = segment_ * cost_,
            .n_column_tiles = cost_};
  }
  __device__ void advance() {
    tile_ += most_;
    if (tile_ < last_tile_) return;
    if (shares_) {
      next_strip();
      enter_strip();
    } else {
      part_ = n_parts_;
    }
  }

 private:
  __device__ void next_strip() {
    strip_ += tiles_of(args_.parts[part_]) * cost_;
    if (++segment_ == args_.parts[part_].n_segments) {
      segment_ = 0;
      ++part_;
    }
  }
  // The next one, from this on, in which the block has tiles.
  __device__ void enter_strip() {
    for (; part_ < n_parts_; next_strip()) {
      const LinearPart& part = args_.parts[part_];
      cost_ = args_.n_in / kTile / part.n_segments;
      const auto tiles_before = [&](int at) {
        return min(tiles_of(part), max(0, (at - strip_ + cost_ - 1) / cost_));
      };
      tile_ = tiles_before(max(begin_, strip_));
      last_tile_ = tiles_before(max(end_, strip_));
      if (tile_ < last_tile_) return;
    }
  }

  const LinearArgs& args_;
  const int n_parts_, most_;
  const bool shares_;
  const int begin_, end_;
  int part_ = 0, segment_ = 0;
  int strip_ = 0;  // where the segment begins, in cost
  int cost_ = 0;   // of a tile: column tiles
  int tile_ = 0, last_tile_ = 0;
};

// A tile of an item; of a pair, gate and up take turns, so that any number of pairs begins with whole ones.
struct Place {
  int part, tile;
  bool exists;
};
__device__ inline Place place_of(const LinearArgs& args, const Item& item, int warp) {
  if (args.epilogue == Epilogue::silu_mul)
    return {warp % 2, item.first_tile + warp / 2, warp / 2 < item.n_tiles};
  return {item.part, item.first_tile + warp, warp < item.n_tiles};
}

// A place in the ring, as those see it who fill it. (nvcc 13.0 took an aggregate that begins with a number of the kernel's
// parameters for those parameters: hence a constructor.)
class Filling {
 public:
  __device__ Filling(int n_stages, uint64_t* empty) : n_stages_(n_stages), empty_(empty) {}

  __device__ int stage() const { return stage_; }
  __device__ void wait() const {
    if (turn_ > 0) barrier_wait(empty_ + stage_, static_cast<uint32_t>(turn_ - 1) & 1);
  }
  __device__ void next() {
    if (++stage_ < n_stages_) return;
    stage_ = 0;
    ++turn_;
  }

 private:
  const int n_stages_;
  uint64_t* const empty_;
  int stage_ = 0, turn_ = 0;
};

// The warp that copies weights: a lane for each tile.
template <int kRows, bool kCodes>
__device__ void copy_weights(const LinearArgs& args,
                             const Shape& shape,
                             Schedule schedule,
                             uint8_t* ring,
                             uint64_t* full,
                             uint64_t* empty) {
  const int lane = threadIdx.x % 32;
  Filling at(shape.n_stages, empty);
  for (; schedule.valid(); schedule.advance()) {
    const Item item = schedule.item();
    const Place place = place_of(args, item, lane < kWarps ? lane : 0);
    const LinearPart& part = args.parts[place.part];
    const bool copies = lane < kWarps && place.exists;
    const int of_tile = kCodes ? tile_bytes(part.coding) : kTileBytes;
    const int of_all = static_cast<int>(
        __reduce_add_sync(kAllLanes, copies ? static_cast<unsigned>(of_tile) : 0u));
    const auto* from =
        static_cast<const uint8_t*>(part.weight) +
        (static_cast<int64_t>(place.tile) * (args.n_in / kTile) + item.first_column_tile) * of_tile;
    for (int left = item.n_column_tiles; left > 0; left -= kStepTiles, at.next()) {
      at.wait();
      const int n = min(kStepTiles, left);
      if (lane == 0) {
        const int row_bytes = (n + kPieceTiles - 1) / kPieceTiles * kRows * 128;
        expect_bytes(full + at.stage(), static_cast<uint32_t>(of_all * n + row_bytes));
      }
      __syncwarp();
      if (copies) {
        bulk_copy_once(ring + at.stage() * shape.stage_bytes + lane * shape.tile_stage,
                       from,
                       static_cast<uint32_t>(n * of_tile),
                       full + at.stage());
      }
      from += kStepTiles * of_tile;
    }
  }
}

// The warp that copies rows: a lane for each piece.
template <int kRows>
__device__ void copy_rows(const CUtensorMap& rows,
                          const Shape& shape,
                          Schedule schedule,
                          uint8_t* ring,
                          uint64_t* full,
                          uint64_t* empty) {
  constexpr int kPieces = kStepTiles / kPieceTiles;
  const int lane = threadIdx.x % 32;
  uint8_t* const to = ring + shape.rows_at + lane * kRows * 128;
  Filling at(shape.n_stages, empty);
  for (; schedule.valid(); schedule.advance()) {
    const Item item = schedule.item();
    int piece = item.first_column_tile / kPieceTiles + lane;
    for (int left = item.n_column_tiles; left > 0; left -= kStepTiles, at.next()) {
      at.wait();
      if (lane < kPieces && lane * kPieceTiles < left)
        box_copy(to + at.stage() * shape.stage_bytes, rows, 0, piece, full + at.stage());
      piece += kPieces;
    }
  }
}

// What the multiplying warps know of the ring.
struct Stages {
  const Shape& shape;
  uint8_t* ring;
  uint64_t* full;
  uint64_t* empty;
  int stage = 0;
  uint32_t phase = 0;

  __device__ const uint8_t* wait() const {
    barrier_wait(full + stage, phase);
    return ring + stage * shape.stage_bytes;
  }
  __device__ void next() {
    if (++stage == shape.n_stages) {
      stage = 0;
      phase ^= 1;
    }
  }
  // This warp is done with the stage.
  __device__ void release() const {
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(empty + stage);
  }
};

// Sums over the columns of a segment.
template <int kRows, Coding kCoding>
__device__ void add_up(float (&sum)[kRows / 2], int n_column_tiles, Stages& stages) {
#pragma unroll
  for (float& v : sum) v = 0;
  const int weights_at = static_cast<int>(threadIdx.x) / 32 * stages.shape.tile_stage;
#pragma unroll 1
  for (int left = n_column_tiles; left > 0; left -= kStepTiles, stages.next()) {
    const uint8_t* const stage = stages.wait();
    const uint8_t* const weights = stage + weights_at;
    const uint8_t* const rows = stage + stages.shape.rows_at;
    if (left >= kStepTiles) {
      multiply_tiles<kStepTiles, kRows, kCoding>(sum, weights, describe_rows(rows), 0);
    } else {
      constexpr int kUnitTiles = kCoding == Coding::none ? 1 : 2;
#pragma unroll 1
      for (int k = 0; k < left; k += kUnitTiles)
        multiply_tiles<kUnitTiles, kRows, kCoding>(sum, weights, describe_rows(rows), k);
    }
    stages.release();
  }
}

// Sums of a tile as they wait in memory: [rows / 8][32 lanes], each lane's four together.
template <int kSums>
__device__ void put_down(float4* to, const float (&sum)[kSums]) {
#pragma unroll
  for (int j = 0; j < kSums / 4; ++j)
    to[j * 32 + threadIdx.x % 32] = {sum[4 * j], sum[4 * j + 1], sum[4 * j + 2], sum[4 * j + 3]};
}
// The tree over segments, whose sums lie `stride` apart, past the cache that does not see what others wrote.
__device__ inline float4 sum_of_waiting(const float4* partial, int stride, int n_segments) {
  float4 some[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) some[i] = i < n_segments ? __ldcg(partial + i * stride) : float4{};
  return sum_segments(some, 1, n_segments);
}

// Results leave through shared memory, where each warp has room for the rows of a tile.
constexpr int kStride = kTile + 4;  // floats between rows
// The j-th eight of them.
__device__ inline void put_rows(float* to, int j, const float4& v) {
  const int lane = threadIdx.x % 32, g = lane / 4, row = 8 * j + lane % 4 * 2;
  to[row * kStride + g] = v.x;
  to[(row + 1) * kStride + g] = v.y;
  to[row * kStride + g + 8] = v.z;
  to[(row + 1) * kStride + g + 8] = v.w;
}
// This warp finishes n rows of a tile.
__device__ inline void finish_rows(const LinearArgs& args,
                                   int part,
                                   int tile,
                                   int first_row,
                                   int n,
                                   const float* y,
                                   const float* up) {
  finish_staged<32, kTile, 4>(args,
                              part,
                              first_row,
                              min(n, args.n_rows - first_row),
                              tile * kTile,
                              y,
                              up,
                              kStride,
                              static_cast<int>(threadIdx.x) % 32);
}

// A tile in part and segment among all that wait.
QWEN3_HD inline int64_t waiting_place(const LinearArgs& args, int part, int tile, int segment) {
  int64_t place = tile * args.parts[part].n_segments + segment;
  for (int p = 0; p < part; ++p) place += tiles_of(args.parts[p]) * args.parts[p].n_segments;
  return place;
}

// Orders what this thread has written, and what it reads next, for the whole card.
__device__ inline void fence_card() { asm volatile("fence.acq_rel.gpu;" ::: "memory"); }

// Sums of segments that wait for those after them, two levels of the tree: in registers, or, of many rows, in memory,
// where each lane reads what it has written itself.
template <int kSums>
struct InRegisters {
  float sums[2][kSums];

  __device__ void put(int level, const float (&sum)[kSums]) {
#pragma unroll
    for (int i = 0; i < kSums; ++i) sums[level][i] = sum[i];
  }
  __device__ void add_to(float (&sum)[kSums], int level) const {
#pragma unroll
    for (int i = 0; i < kSums; ++i) sum[i] = sums[level][i] + sum[i];
  }
};
template <int kSums>
struct InMemory {
  float4* at;

  __device__ void put(int level, const float (&sum)[kSums]) {
    put_down(at + level * kSums * 8, sum);
  }
  __device__ void add_to(float (&sum)[kSums], int level) const {
    const float4* const from = at + level * kSums * 8 + threadIdx.x % 32;
#pragma unroll
    for (int j = 0; j < kSums / 4; ++j) {
      const float4 other = from[j * 32];
      sum[4 * j] = other.x + sum[4 * j];
      sum[4 * j + 1] = other.y + sum[4 * j + 1];
      sum[4 * j + 2] = other.z + sum[4 * j + 2];
      sum[4 * j + 3] = other.w + sum[4 * j + 3];
    }
  }
};
// Adds the sums of all segments of a tile as the tree has them, as a counter in binary: a full pair goes up a level.
template <int kLevel, typename Waiting, int kSums>
__device__ void carry(float (&sum)[kSums], Waiting& waiting, int segment) {
  if constexpr (kLevel < 2) {
    if ((segment >> kLevel & 1) == 0) return waiting.put(kLevel, sum);
    waiting.add_to(sum, kLevel);
    carry<kLevel + 1>(sum, waiting, segment);
  }
}

// Puts down the sums of a segment; the warp that comes last, of a pair to gate or up, finishes the tile.
template <int kRows>
__device__ void meet(const LinearArgs& args,
                     const Place& place,
                     int segment,
                     const float (&sum)[kRows / 2],
                     float* room) {
  constexpr int kRowTiles = kRows / 8;
  const int lane = threadIdx.x % 32, n_segments = args.parts[place.part].n_segments;
  const bool pair = args.epilogue == Epilogue::silu_mul;
  auto* const all = reinterpret_cast<float4*>(args.waiting);
  constexpr int64_t kEach = kRowTiles * 32;
  put_down(all + waiting_place(args, place.part, place.tile, segment) * kEach, sum);
  fence_card();
  __syncwarp();
  const int first_part = pair ? 0 : place.part;
  int counter = place.tile;
  for (int p = 0; p < first_part; ++p) counter += tiles_of(args.parts[p]);
  int before = 0;
  if (lane == 0) before = atomicAdd(args.arrivals + counter, 1);
  before = __shfl_sync(kAllLanes, before, 0);
  if (before + 1 < n_segments * (pair ? 2 : 1)) return;
  fence_card();
  if (lane == 0) args.arrivals[counter] = 0;
  const float4* const y = all + waiting_place(args, first_part, place.tile, 0) * kEach + lane;
  const float4* const up = all + waiting_place(args, 1, place.tile, 0) * kEach + lane;
  // Of a pair both have half of the room.
  const int step = pair ? kRowTiles / 2 : kRowTiles;
  float* const room_of_up = room + step * 8 * kStride;
  for (int first = 0; 8 * first < min(kRows, args.n_rows); first += step) {
#pragma unroll 4
    for (int j = 0; j < step; ++j) {
      put_rows(room, j, sum_of_waiting(y + (first + j) * 32, kEach, n_segments));
      if (pair) put_rows(room_of_up, j, sum_of_waiting(up + (first + j) * 32, kEach, n_segments));
    }
    __syncwarp();
    finish_rows(args, first_part, place.tile, 8 * first, 8 * step, room, room_of_up);
    __syncwarp();
  }
}

// Numbers are made of codes by too few warps if a multiprocessor has one block.
template <int kRows, bool kCodes>
constexpr int kBlocks = (kCodes && kRows <= 64) ? 2 : 1;

template <int kRows, bool kCodes>
__global__ void __launch_bounds__(kThreads, kBlocks<kRows, kCodes>)
    streamed_rows_kernel(const __grid_constant__ LinearArgs args,
                         const __grid_constant__ CUtensorMap rows,
                         const __grid_constant__ Shape shape) {
  constexpr int kRowTiles = kRows / 8;
  constexpr bool kInRegisters = !kCodes && kRows <= 64;  // sums that wait
  extern __shared__ __align__(1024) uint8_t ring[];
  __shared__ uint64_t full[kMaxStages], empty[kMaxStages];
  pdl_trigger();
  const int warp = threadIdx.x / 32;
  if (static_cast<int>(threadIdx.x) < shape.n_stages) {
    barrier_init(full + threadIdx.x);
    barrier_init(empty + threadIdx.x, kWarps);
  }
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  __syncthreads();

  if (warp >= kWarps) {
    const Schedule schedule(args, shape);
    if (warp == kWarps) {
      copy_weights<kRows, kCodes>(args, shape, schedule, ring, full, empty);
    } else {
      pdl_wait();
      copy_rows<kRows>(rows, shape, schedule, ring, full, empty);
    }
  } else {
    pdl_wait();
    const bool pair = args.epilogue == Epilogue::silu_mul;
    auto* const rooms = reinterpret_cast<float*>(ring + shape.n_stages * shape.stage_bytes);
    float* const room = rooms + warp * kRows * kStride;
    Stages stages{shape, ring, full, empty};
    for (Schedule schedule(args, shape); schedule.valid(); schedule.advance()) {
      const Item item = schedule.item();
      const Place place = place_of(args, item, warp);
      float sum[kRows / 2];
      using Waiting = std::conditional_t<kInRegisters, InRegisters<kRows / 2>, InMemory<kRows / 2>>;
      Waiting waiting;
      if constexpr (!kInRegisters) {
        waiting.at = reinterpret_cast<float4*>(args.waiting) +
                     waiting_place(args, place.part, place.tile, 0) * kRowTiles * 32;
      }
#pragma unroll 1
      for (int segment = 0; segment < item.n_segments; ++segment) {
        with_coding<kCodes>(args.parts[place.part].coding, [&](auto kind) {
          add_up<kRows, decltype(kind)::value>(sum, item.n_column_tiles / item.n_segments, stages);
        });
        if (item.n_segments > 1 && place.exists) carry<0>(sum, waiting, segment);
      }
      if (args.parts[place.part].n_segments > item.n_segments) {
        if (place.exists) meet<kRows>(args, place, item.segment, sum, room);
        continue;
      }
      const auto sync = [&] {
        if (pair) {
          sync_some(1 + warp / 2, 64);
        } else {
          __syncwarp();
        }
      };
      // Of a pair the warps of gate and up see each other's sums, and each finishes half of the rows.
      const int n = pair ? kRows / 2 : kRows, first = pair ? warp % 2 * n : 0;
      const float* const y =
          (pair ? rooms + (warp & ~1) * kRows * kStride : room) + first * kStride;
#pragma unroll
      for (int j = 0; j < kRowTiles; ++j)
        put_rows(room, j, {sum[4 * j], sum[4 * j + 1], sum[4 * j + 2], sum[4 * j + 3]});
      sync();
      if (place.exists) {
        finish_rows(args,
                    pair ? 0 : place.part,
                    place.tile,
                    first,
                    n,
                    y,
                    pair ? y + kRows * kStride : nullptr);
      }
      sync();
    }
  }
}

constexpr int rows_for(int n_rows) {
  return n_rows <= 16 ? 16 : n_rows <= 32 ? 32 : n_rows <= 64 ? 64 : 128;
}

template <int kRows, bool kCodes>
void launch_streamed(const LinearArgs& args, Stream stream) {
  constexpr int kAll = kAllBytes / kBlocks<kRows, kCodes> - 2048;
  constexpr int kRooms = kWarps * kRows * kStride * 4;
  auto* const kernel = &streamed_rows_kernel<kRows, kCodes>;
  static const bool once = [&] {
    allow_shared(kernel, kAll);
    return true;
  }();
  static_cast<void>(once);
  const bool pair = args.epilogue == Epilogue::silu_mul;
  const int column_tiles = args.n_in / kTile;
  int most_bytes = 0;
  int64_t cost = 0;
  for (int p = 0; p < args.n_parts; ++p) {
    most_bytes = max(most_bytes, tile_bytes(args.parts[p].coding));
    if (!pair || p == 0) cost += int64_t{tiles_of(args.parts[p])} * column_tiles;
  }
  Shape shape{
      .tile_stage = kStepTiles * most_bytes,
      .rows_at = static_cast<int>(ceil_div_of(kWarps * kStepTiles * most_bytes, 1024)) * 1024};
  shape.stage_bytes = shape.rows_at + kStepTiles / kPieceTiles * kRows * 128;
  shape.n_stages = min((kAll - kRooms) / shape.stage_bytes, kMaxStages);
  const int64_t all_blocks = kBlocks<kRows, kCodes> * multiprocessors();
  const int n_parts = pair ? 1 : args.n_parts;
  const auto blocks_with = [&](int tiles) {
    int64_t n = 0;
    for (int p = 0; p < n_parts; ++p) n += ceil_div_of(tiles_of(args.parts[p]), tiles);
    return n;
  };
  shape.tiles = 1;
  while (blocks_with(shape.tiles) > all_blocks) ++shape.tiles;
  int64_t n_blocks = blocks_with(shape.tiles);

  // Shares are multiples of what the dearest segment of a tile costs.
  int64_t dearest = 0;
  bool fits = true;  // segments begin with stages
  int n_cut = 0;
  for (int p = 0; p < args.n_parts; ++p) {
    const int n_segments = args.parts[p].n_segments;
    dearest = max(dearest, int64_t{column_tiles / n_segments});
    if (n_segments == 1) continue;
    ++n_cut;
    fits = fits && column_tiles % (n_segments * kStepTiles) == 0;
  }
  const int64_t share = ceil_div_of(ceil_div_of(cost, all_blocks), dearest) * dearest;
  // Bytes that a block reads for tiles worth so many column tiles, rows included.
  const int at_a_time = pair ? kWarps / 2 : kWarps;
  const auto bytes_of = [&](int64_t weights, int64_t rows) {
    return weights * most_bytes * (pair ? 2 : 1) + rows * kRows * kTile * 2;
  };
  const int64_t together = bytes_of(int64_t{shape.tiles} * column_tiles,
                                    int64_t{ceil_div_of(shape.tiles, at_a_time)} * column_tiles);
  const int64_t apart =
      bytes_of(share, share / at_a_time) + kMeetingBytes + kRows * kMeetingRowBytes;
  // A part that is not cut has no small segments to make shares even with.
  if (n_cut > 0 && (!fits || (n_cut == args.n_parts && together >= apart))) {
    shape.tiles = 0;
    shape.share = static_cast<int>(share);
    n_blocks = ceil_div_of(cost, share);
  }
  launch(kernel,
         dim3(static_cast<unsigned>(n_blocks)),
         kThreads,
         kAll,
         stream,
         args,
         row_map(args.x, args.n_rows, args.n_in, kRows, 1),
         shape);
}

template <bool kCodes>
void launch_rows(const LinearArgs& args, Stream stream) {
  switch (rows_for(args.n_rows)) {
    case 16:
      return launch_streamed<16, kCodes>(args, stream);
    case 32:
      return launch_streamed<32, kCodes>(args, stream);
    case 64:
      return launch_streamed<64, kCodes>(args, stream);
    default:
      return launch_streamed<128, kCodes>(args, stream);
  }
}

}  // namespace

LinearScratch streamed_rows_scratch(const LinearArgs& args) {
  LinearScratch scratch;
  bool waits = false;
  for (int p = 0; p < args.n_parts; ++p) {
    waits = waits || args.parts[p].n_segments > 1;
    scratch.n_arrivals += tiles_of(args.parts[p]);
  }
  if (!waits) return {};
  scratch.waiting_bytes =
      waiting_place(args, args.n_parts, 0, 0) * rows_for(args.n_rows) * kTile * 4;
  return scratch;
}

void streamed_rows(const LinearArgs& args, Stream stream) {
  args.parts[0].coding != Coding::none ? launch_rows<true>(args, stream)
                                       : launch_rows<false>(args, stream);
}

}  // namespace qwen3::cuda
