// The last product of experts with few pairs (sorts_by_the_way()), down_proj, and the sum over each token's experts:
// a block has tiles of 16 outputs, of all experts that have rows, so that what they come to meets in shared memory.
//
// This kernel begins while the product ahead of it, expert_rows, still runs: it sorts pairs anew, by what expert_rows
// has waited for itself before it let anybody begin, and fills its rings with weights before it waits for rows.
#include "kernels/cuda/expert_ring.cuh"
#include "kernels/cuda/experts.cuh"
#include "kernels/cuda/launch.cuh"

namespace qwen3::cuda {
namespace {

template <int kWarps>
struct Shared {
  uint64_t full[kWarps][kMaxStages];
  FewPairs pairs;
};

// An item is a segment of an expert's tile; warps take them in turn.
template <int kWarps>
class Work {
 public:
  __device__ Work(const LinearArgs& args, const PairLists& lists)
      : args_(args),
        lists_(lists),
        of_tile_(lists.active[0] * args.parts[0].n_segments),
        turns_((of_tile_ + kWarps - 1) / kWarps),
        n_tiles_((tiles_of(args.parts[0]) - static_cast<int>(blockIdx.x) +
                  static_cast<int>(gridDim.x) - 1) /
                 static_cast<int>(gridDim.x)) {}
  // Of a warp: `turns` for each tile of the block.
  __device__ int turns() const { return turns_; }
  __device__ int n_items() const { return turns_ * n_tiles_; }
  __device__ int tile(int item) const {
    return static_cast<int>(blockIdx.x + item / turns_ * gridDim.x);
  }
  __device__ Piece piece(int item) const {
    const int unit = item % turns_ * kWarps + static_cast<int>(threadIdx.x / 32);
    if (unit >= of_tile_) return {};
    const int n_segments = args_.parts[0].n_segments;
    return piece_of<true>(args_, lists_, unit / n_segments, 0, tile(item), unit % n_segments);
  }

 private:
  const LinearArgs& args_;
  const PairLists& lists_;
  const int of_tile_, turns_, n_tiles_;
};

// Behind the rings: products of a tile, [pair, segment, output].
template <bool kCodes, int kChunkTiles, int kWarps>
__global__ void __launch_bounds__(32 * kWarps, 1)
    expert_sums_kernel(const __grid_constant__ LinearArgs args,
                       const __grid_constant__ RingShape shape) {
  extern __shared__ __align__(128) uint8_t rings[];
  __shared__ Shared<kWarps> shared;
  pdl_trigger();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  init_ring(shared.full[warp], shape.n_stages);
  const Routed& routed = args.experts.routed;
  const PairLists lists = shared.pairs.sort(routed);
  const Work<kWarps> work(args, lists);
  Ring<kChunkTiles, Work<kWarps>> ring(args,
                                       work,
                                       shape,
                                       nullptr,
                                       rings + warp * shape.n_stages * shape.stage_bytes,
                                       shared.full[warp],
                                       0,
                                       1);
  ring.start([] { pdl_wait(); });

  auto* const products =
      reinterpret_cast<float*>(rings + kWarps * shape.n_stages * shape.stage_bytes);
  const LinearPart& part = args.parts[0];
  const int n_segments = part.n_segments;
  const Coding coding = kCodes ? part.coding : Coding::none;
  for (int tile = static_cast<int>(blockIdx.x), item = 0; tile < tiles_of(part);
       tile += static_cast<int>(gridDim.x)) {
    for (int turn = 0; turn < work.turns(); ++turn, ++item) {
      const Piece piece = work.piece(item);
      if (piece.weights == nullptr) continue;
      for (int row = 0; row < piece.n_rows; row += kMaxExpertRows) {
        const float4 y = multiply_piece<kCodes>(ring, shape, piece, coding, piece.n_rows - row);
        const float values[2][2] = {{y.x, y.y}, {y.z, y.w}};
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          const int its = row + lane % 4 * 2 + j;
          if (its >= piece.n_rows) continue;
          float* const to =
              products + ((piece.first_row + its) * n_segments + piece.segment) * kTile + lane / 4;
          to[0] = values[0][j];
          to[8] = values[1][j];
        }
      }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < routed.n_tokens * kTile; i += 32 * kWarps) {
      const int token = i / kTile, o = tile * kTile + i % kTile;
      if (o >= part.n_out) continue;
      float& to = static_cast<float*>(part.out.data)[token * part.out.stride + o];
      const float before = args.epilogue == Epilogue::add ? to : 0;
      const int first = token * routed.top_k;
      const float sum = sum_of_products(part,
                                        o,
                                        products + i % kTile,
                                        routed,
                                        lists.pair_of + first,
                                        lists.leaf_of + first,
                                        lists.weights + first);
      to = args.epilogue == Epilogue::add ? before + sum : sum;
    }
    __syncthreads();
  }
}

template <bool kCodes, int kChunkTiles, int kWarps>
void launch_kernel(const LinearArgs& args, Stream stream) {
  // Half of the memory: the product ahead has the other half (expert_rows.cu).
  constexpr int kBytes = kAllBytes / 2 - kStaticBytes<Shared<kWarps>>;
  constexpr auto* kernel = expert_sums_kernel<kCodes, kChunkTiles, kWarps>;
  static const bool once = [] {
    allow_shared(kernel, kBytes);
    return true;
  }();
  static_cast<void>(once);
  const LinearPart& part = args.parts[0];
  const int product_bytes = args.experts.n_pairs * part.n_segments * kTile * 4;
  const RingShape shape =
      ring_shape(kChunkTiles, tile_bytes(part.coding), args.n_rows, kWarps, kBytes - product_bytes);
  launch(kernel,
         dim3(static_cast<unsigned>(min(tiles_of(part), multiprocessors()))),
         32 * kWarps,
         static_cast<size_t>(kWarps * shape.n_stages * shape.stage_bytes + product_bytes),
         stream,
         args,
         shape);
}

}  // namespace

void expert_sums(const LinearArgs& args, Stream stream) {
  args.parts[0].coding != Coding::none ? launch_kernel<true, 8, 16>(args, stream)
                                       : launch_kernel<false, 8, 8>(args, stream);
}

}  // namespace qwen3::cuda
