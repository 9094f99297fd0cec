// Which kernel computes a product: decided by the number of rows alone.
#include <algorithm>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/linear.cuh"

namespace qwen3::cuda {

namespace {

bool in_codes(const LinearPart& part) { return part.coding != Coding::none; }

using Encode = decltype(&cuTensorMapEncodeTiled);

// Of the driver, which is not linked.
Encode encode() {
  static const Encode function = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    check(cudaGetDriverEntryPointByVersion(
              "cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result),
          "looking for the copy engine's driver call");
    return reinterpret_cast<Encode>(found);
  }();
  return function;
}

}  // namespace

CUtensorMap row_map(const Rows& x, int n_rows, int n_in, int box_rows, int n_pieces) {
  CUtensorMap map{};
  const cuuint64_t sizes[3] = {
      64, static_cast<cuuint64_t>(n_rows), static_cast<cuuint64_t>(ceil_div_of(n_in, 64))};
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(x.stride) * 2, 128};
  const cuuint32_t box[3] = {
      64, static_cast<cuuint32_t>(box_rows), static_cast<cuuint32_t>(n_pieces)};
  const cuuint32_t steps[3] = {1, 1, 1};
  const CUresult result = encode()(&map,
                                   CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                                   3,
                                   x.data,
                                   sizes,
                                   strides,
                                   box,
                                   steps,
                                   CU_TENSOR_MAP_INTERLEAVE_NONE,
                                   CU_TENSOR_MAP_SWIZZLE_128B,
                                   CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                                   CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  check(result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue,
        "describing rows to the copy engine");
  return map;
}

namespace {

// Products of parts in codes and of others are two.
template <typename Body>
bool each_kind(const LinearArgs& args, const Body& body) {
  for (int p = 1; p < args.n_parts; ++p) {
    if (in_codes(args.parts[p]) == in_codes(args.parts[0])) continue;
    LinearArgs first = args, rest = args;
    first.n_parts = p;
    rest.n_parts = args.n_parts - p;
    std::copy_n(args.parts + p, rest.n_parts, rest.parts);
    body(first);
    body(rest);
    return true;
  }
  return false;
}

// Warps of one warpgroup have gate and up by turns there, and their instructions must be the same.
bool streams(const LinearArgs& args) {
  return args.n_rows <= kMaxStreamedRows &&
         (args.epilogue != Epilogue::silu_mul || args.parts[0].coding == args.parts[1].coding);
}

}  // namespace

LinearScratch scratch_of(const LinearArgs& args) {
  LinearScratch most;
  const bool both = each_kind(args, [&](const LinearArgs& some) {
    const LinearScratch its = scratch_of(some);
    most.waiting_bytes = std::max(most.waiting_bytes, its.waiting_bytes);
    most.n_arrivals = std::max(most.n_arrivals, its.n_arrivals);
  });
  if (both) return most;
  if (args.n_rows <= kMaxFewRows && !in_codes(args.parts[0])) return {};
  return streams(args) ? streamed_rows_scratch(args) : many_rows_scratch(args);
}

void linear(const LinearArgs& args, Stream stream) {
  if (each_kind(args, [&](const LinearArgs& some) { linear(some, stream); })) return;
  if (args.experts.n_pairs > 0) {
    if (experts_have_few_rows(args.n_rows, args.experts.n_pairs, args.experts.n_experts)) {
      expert_rows(args, stream);
    } else {
      expert_many_rows(args, stream);
    }
  } else if (in_codes(args.parts[0]) && code_rows(args, stream)) {
    return;
  } else if (args.n_rows <= kMaxFewRows && !in_codes(args.parts[0])) {
    few_rows(args, stream);
  } else {
    streams(args) ? streamed_rows(args, stream) : many_rows(args, stream);
  }
}

}  // namespace qwen3::cuda
