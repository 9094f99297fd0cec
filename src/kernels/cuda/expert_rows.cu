// Products of experts that have few rows each: eight rows of an expert at a time, wherever they lie.
//
// Each warp has a ring in shared memory (expert_ring.cuh). One warp computes one segment of one tile of 16 outputs; the
// warps of a group have all segments of a tile (of gate and up: of both), and the first of them adds the segments up and
// finishes the tile.
//
// Few pairs (sorts_by_the_way()) each block sorts for itself, and then it leaves half of the shared memory to the
// product behind this one, which can so read its weights meanwhile (expert_sums.cu).
#include "kernels/cuda/expert_ring.cuh"
#include "kernels/cuda/experts.cuh"
#include "kernels/cuda/launch.cuh"

namespace qwen3::cuda {
namespace {

constexpr int kMaxWarps = 8;

template <bool kSorts>
struct Shared {
  float4 partial[2][kMaxWarps][32];
  uint64_t full[kMaxWarps][kMaxStages];
  FewPairs pairs;
};
template <>
struct Shared<false> {
  float4 partial[2][kMaxWarps][32];
  uint64_t full[kMaxWarps][kMaxStages];
};

// What the warp of this number in its group has to do. An item is what a group does at a time.
template <bool kSorts>
class Work {
 public:
  __device__ Work(const LinearArgs& args, const PairLists& lists, int group_warps, int warp)
      : args_(args), lists_(lists), group_warps_(group_warps), warp_(warp) {
#pragma unroll
    for (int p = 0; p < 3; ++p) {
      if (p >= (pair() ? 1 : args.n_parts)) break;
      n_items_[p] = (tiles_of(args.parts[p]) + tiles_per_item(p) - 1) / tiles_per_item(p);
      of_expert_ += n_items_[p];
    }
  }
  __device__ int n_items() const { return of_expert_ * lists_.active[0]; }

  __device__ Piece piece(int item) const {
    const int rank = item / of_expert_;
    item %= of_expert_;
    int part = 0, tile = item;
    if (pair()) {
      part = warp_ / args_.parts[0].n_segments;
    } else {
      if (item >= n_items_[0]) {
        item -= n_items_[0];
        part = 1;
        if (item >= n_items_[1]) {
          item -= n_items_[1];
          part = 2;
        }
      }
      tile = item * tiles_per_item(part) + warp_ / args_.parts[part].n_segments;
    }
    Piece piece =
        piece_of<kSorts>(args_, lists_, rank, part, tile, warp_ % args_.parts[part].n_segments);
    if (tile >= tiles_of(args_.parts[part])) piece.weights = nullptr;
    return piece;
  }

 private:
  __device__ bool pair() const { return args_.epilogue == Epilogue::silu_mul; }
  __device__ int tiles_per_item(int part) const {
    return pair() ? 1 : group_warps_ / args_.parts[part].n_segments;
  }

  const LinearArgs& args_;
  const PairLists& lists_;
  const int group_warps_, warp_;
  int n_items_[3] = {0, 0, 0};
  int of_expert_ = 0;
};

template <bool kCodes, int kChunkTiles, bool kSorts>
__global__ void __launch_bounds__(32 * kMaxWarps, 2)
    expert_rows_kernel(const __grid_constant__ LinearArgs args,
                       const __grid_constant__ RingShape shape,
                       int group_warps) {
  extern __shared__ __align__(128) uint8_t rings[];
  __shared__ Shared<kSorts> shared;
  if (!kSorts) pdl_trigger();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  init_ring(shared.full[warp], shape.n_stages);
  pdl_wait();
  PairLists lists = args.experts.lists;
  if constexpr (kSorts) {
    // So what begins early behind this kernel may read what this one has waited for.
    pdl_trigger();
    lists = shared.pairs.sort(args.experts.routed);
  }
  const int32_t* const row_of = args.experts.gathered ? nullptr : lists.tokens;

  const int n_groups = kMaxWarps / group_warps, group = warp / group_warps;
  const int in_group = warp % group_warps;
  const int first_item = blockIdx.x + gridDim.x * group, item_step = gridDim.x * n_groups;
  const Work<kSorts> work(args, lists, group_warps, in_group);
  Ring<kChunkTiles, Work<kSorts>> ring(args,
                                       work,
                                       shape,
                                       row_of,
                                       rings + warp * shape.n_stages * shape.stage_bytes,
                                       shared.full[warp],
                                       first_item,
                                       item_step);
  ring.start([] {});

  const int n_items = work.n_items();
  int turn = 0;
  for (int item = first_item; item < n_items; item += item_step) {
    const Piece piece = work.piece(item);
    const bool exists = piece.weights != nullptr;
    const Coding coding = kCodes ? args.parts[piece.part].coding : Coding::none;
    int64_t first_row = piece.first_row;
    for (int n_rows = piece.n_rows; n_rows > 0;
         first_row += kMaxExpertRows, n_rows -= kMaxExpertRows) {
      float4 y{}, up{};
      if (exists) y = multiply_piece<kCodes>(ring, shape, piece, coding, n_rows);
      bool mine = exists;
      if (group_warps > 1) {
        float4(*const partial)[32] = shared.partial[turn % 2];
        partial[warp][lane] = y;
        sync_some(1 + group, 32 * group_warps);
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
      if (mine)
        finish_tile(args, piece.part, piece.tile, y, up, first_row, min(n_rows, kMaxExpertRows));
    }
  }
}

// kBlocks of a multiprocessor, which together have one kShare-th of its memory.
template <bool kCodes, int kChunkTiles, bool kSorts, int kBlocks, int kShare>
void launch_kernel(const LinearArgs& args, Stream stream) {
  constexpr int kBytes = kAllBytes / kShare / kBlocks - kStaticBytes<Shared<kSorts>>;
  constexpr auto* kernel = expert_rows_kernel<kCodes, kChunkTiles, kSorts>;
  static const bool once = [] {
    allow_shared(kernel, kBytes);
    return true;
  }();
  static_cast<void>(once);
  int most = 1;
  for (int p = 0; p < args.n_parts; ++p) most = max(most, args.parts[p].n_segments);
  const RingShape shape = ring_shape(
      kChunkTiles, most_tile_bytes(args), kSorts ? args.n_rows : kMaxExpertRows, kMaxWarps, kBytes);
  launch(kernel,
         dim3(static_cast<unsigned>(kBlocks * multiprocessors())),
         32 * kMaxWarps,
         static_cast<size_t>(kMaxWarps * shape.n_stages * shape.stage_bytes),
         stream,
         args,
         shape,
         args.epilogue == Epilogue::silu_mul ? 2 * most : most);
}

}  // namespace

void expert_rows(const LinearArgs& args, Stream stream) {
  const bool codes = args.parts[0].coding != Coding::none;
  const ExpertRows& experts = args.experts;
  if (sorts_by_the_way(args.n_rows, experts.n_pairs, experts.n_experts)) {
    codes ? launch_kernel<true, 8, true, 2, 1>(args, stream)
          : launch_kernel<false, 8, true, 1, 2>(args, stream);
  } else {
    codes ? launch_kernel<true, 8, false, 2, 1>(args, stream)
          : launch_kernel<false, 4, false, 2, 1>(args, stream);
  }
}

}  // namespace qwen3::cuda
