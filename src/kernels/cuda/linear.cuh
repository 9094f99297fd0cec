// What the kernels of products share.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/kernels.h"

namespace qwen3::cuda {

// In what these are given, either all parts are in codes or none is.

// Of experts with few rows each, eight at a time.
void expert_rows(const LinearArgs& args, Stream stream);
constexpr int kMaxFewRows = 64;
// Of up to 64 rows, which alone takes a norm.
void few_rows(const LinearArgs& args, Stream stream);
// The same of up to eight rows and weights in codes; false, and nothing done, where the rows are too long to be held.
bool code_rows(const LinearArgs& args, Stream stream);
// Of any number of rows.
void many_rows(const LinearArgs& args, Stream stream);
// Of experts with any number of rows, no pair.
void expert_many_rows(const LinearArgs& args, Stream stream);

// Rows for the copy engine: boxes of `n_pieces` pieces of 64 columns, in each all of `box_rows` rows, in each
// 128 bytes, of which part i of 16 stands in place i ^ row % 8.
CUtensorMap row_map(const Rows& x, int n_rows, int n_in, int box_rows, int n_pieces);

// Tiles of 16 outputs.
QWEN3_HD inline int tiles_of(const LinearPart& part) { return (part.n_out + kTile - 1) / kTile; }
// Columns of a single row that a kernel norms by the way (norms_by_the_way).
constexpr int kMaxNormed = 6144;
// Of shared memory, in a multiprocessor.
constexpr int kAllBytes = 228 * 1024;

// One product `y` of row `row` and output `o` (and of up_proj), with what comes after it.
__device__ inline void finish(
    const LinearArgs& args, int part, int64_t row, int o, float y, float up) {
  const LinearPart& p = args.parts[part];
  y *= scale_of_sums(p.coding);
  if (p.bias != nullptr) y += p.bias[o];
  const int64_t at = row * p.out.stride + o;
  if (args.epilogue == Epilogue::add) {
    static_cast<float*>(p.out.data)[at] += y;
  } else if (args.epilogue == Epilogue::silu_mul) {
    up *= scale_of_sums(args.parts[1].coding);
    if (args.parts[1].bias != nullptr) up += args.parts[1].bias[o];
    static_cast<bf16*>(p.out.data)[at] =
        from_float<bf16>(silu_mul_of(round_bf16(y), round_bf16(up)));
  } else if (p.out.type == Element::f32) {
    static_cast<float*>(p.out.data)[at] = y;
  } else {
    static_cast<bf16*>(p.out.data)[at] = from_float<bf16>(y);
  }
}

// Rows 2c and 2c + 1 of outputs g and g + 8 of a tile.
__device__ inline void finish_tile(const LinearArgs& args,
                                   int part,
                                   int tile,
                                   const float4& y,
                                   const float4& up,
                                   int64_t first_row,
                                   int n_rows) {
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

// The tree over the segments of a weight (layout.h): their sums lie `stride` apart.
__device__ inline float4 sum_segments(const float4* partial, int stride, int n_segments) {
  const auto sum = [](const float4& a, const float4& b) {
    return float4{a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
  };
  float4 y = partial[0];
  if (n_segments > 1) y = sum(y, partial[stride]);
  if (n_segments > 2) y = sum(y, sum(partial[2 * stride], partial[3 * stride]));
  return y;
}

// Calls launch(args) for each run of parts that are summed alike.
template <typename Launch>
void each_group(const LinearArgs& args, const Launch& launch) {
  LinearArgs some = args;
  for (int p = 0; p < args.n_parts; p += some.n_parts) {
    some.n_parts = 0;
    while (p + some.n_parts < args.n_parts &&
           args.parts[p + some.n_parts].n_segments == args.parts[p].n_segments) {
      some.parts[some.n_parts] = args.parts[p + some.n_parts];
      ++some.n_parts;
    }
    launch(some);
  }
}

}  // namespace qwen3::cuda
