// What the kernels of products share.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/kernels.h"

namespace qwen3::cuda {

// In what these are given, either all parts are in codes or none is.

// Of experts with few rows each, eight at a time.
void expert_rows(const LinearArgs& args, Stream stream);
constexpr int kMaxFewRows = 8, kMaxStreamedRows = 128;
// Of few rows, no codes; this alone takes a norm.
void few_rows(const LinearArgs& args, Stream stream);
// The same of weights in codes; false, and nothing done, where the rows are too long to be held.
bool code_rows(const LinearArgs& args, Stream stream);
// Of up to kMaxStreamedRows rows; of a pair, both of one coding.
void streamed_rows(const LinearArgs& args, Stream stream);
LinearScratch streamed_rows_scratch(const LinearArgs& args);
// Of any number of rows.
void many_rows(const LinearArgs& args, Stream stream);
LinearScratch many_rows_scratch(const LinearArgs& args);
// Of experts with any number of rows, which lie in the order of pairs (ExpertRows::gathered).
void expert_many_rows(const LinearArgs& args, Stream stream);

// Rows for the copy engine: boxes of `n_pieces` pieces of 64 columns, in each all of `box_rows` rows, in each
// 128 bytes, of which part i of 16 stands in place i ^ row % 8.
CUtensorMap row_map(const Rows& x, int n_rows, int n_in, int box_rows, int n_pieces);

// Tiles of 16 outputs.
QWEN3_HD inline int tiles_of(const LinearPart& part) { return (part.n_out + kTile - 1) / kTile; }
// Columns of a single row that a kernel norms by the way (norms_by_the_way).
constexpr int kMaxNormed = 6144;
// Of shared memory, in a multiprocessor; and what of it a block has that is not dynamic.
constexpr int kAllBytes = 228 * 1024;
template <typename Shared>
constexpr int kStaticBytes = (static_cast<int>(sizeof(Shared)) + 1023) / 1024 * 1024 + 1024;

// A sum as the product has it.
__device__ inline float product_of(const LinearPart& part, int o, float sum) {
  sum *= scale_of_sums(part.coding);
  return part.bias != nullptr ? sum + part.bias[o] : sum;
}
__device__ inline bf16 silu_mul_of_rounded(float gate, float up) {
  return from_float<bf16>(silu_mul_of(round_bf16(gate), round_bf16(up)));
}

// One product `y` of row `row` and output `o` (and of up_proj), with what comes after it.
__device__ inline void finish(
    const LinearArgs& args, int part, int64_t row, int o, float y, float up) {
  const LinearPart& p = args.parts[part];
  y = product_of(p, o, y);
  const int64_t at = row * p.out.stride + o;
  if (args.epilogue == Epilogue::add) {
    static_cast<float*>(p.out.data)[at] += y;
  } else if (args.epilogue == Epilogue::silu_mul) {
    static_cast<bf16*>(p.out.data)[at] = silu_mul_of_rounded(y, product_of(args.parts[1], o, up));
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

// What kThreads threads have put into shared memory, kOuts outputs of n_rows rows, `stride` floats from row to row:
// four outputs at a time where rows of results allow it, and again everything is read before anything is written.
template <int kThreads, int kOuts, int kTogether = 8>
__device__ inline void finish_staged(const LinearArgs& args,
                                     int part,
                                     int64_t first_row,
                                     int n_rows,
                                     int first_out,
                                     const float* y,
                                     const float* up,
                                     int stride,
                                     int thread) {
  const LinearPart& p = args.parts[part];
  const int n_outs = min(kOuts, p.n_out - first_out);
  if (n_outs % 4 != 0 || p.out.stride % 4 != 0 ||
      reinterpret_cast<uintptr_t>(p.out.data) % 16 != 0) {
    for (int at = thread; at < n_rows * kOuts; at += kThreads) {
      const int row = at / kOuts, o = at % kOuts;
      if (o >= n_outs) continue;
      finish(args,
             part,
             first_row + row,
             first_out + o,
             y[row * stride + o],
             up != nullptr ? up[row * stride + o] : 0);
    }
    return;
  }
  constexpr int kStep = kThreads / (kOuts / 4);
  const int at_o = thread % (kOuts / 4) * 4, o = first_out + at_o;
  if (at_o >= n_outs) return;
  const bool adds = args.epilogue == Epilogue::add, halves = p.out.type == Element::bf16;
  for (int first = thread / (kOuts / 4); first < n_rows; first += kStep * kTogether) {
    float4 before[kTogether];
#pragma unroll
    for (int i = 0; i < kTogether; ++i) {
      const int row = first + i * kStep;
      if (adds && row < n_rows) {
        before[i] = *reinterpret_cast<const float4*>(static_cast<const float*>(p.out.data) +
                                                     (first_row + row) * p.out.stride + o);
      }
    }
#pragma unroll
    for (int i = 0; i < kTogether; ++i) {
      const int row = first + i * kStep;
      if (row >= n_rows) break;
      const int64_t at = (first_row + row) * p.out.stride + o;
      float4 v = *reinterpret_cast<const float4*>(y + row * stride + at_o);
      v = {product_of(p, o, v.x),
           product_of(p, o + 1, v.y),
           product_of(p, o + 2, v.z),
           product_of(p, o + 3, v.w)};
      if (args.epilogue == Epilogue::silu_mul) {
        const LinearPart& q = args.parts[1];
        const float4 u = *reinterpret_cast<const float4*>(up + row * stride + at_o);
        const float4 ups{product_of(q, o, u.x),
                         product_of(q, o + 1, u.y),
                         product_of(q, o + 2, u.z),
                         product_of(q, o + 3, u.w)};
        const __nv_bfloat162 low{silu_mul_of_rounded(v.x, ups.x), silu_mul_of_rounded(v.y, ups.y)},
            high{silu_mul_of_rounded(v.z, ups.z), silu_mul_of_rounded(v.w, ups.w)};
        *reinterpret_cast<uint2*>(static_cast<bf16*>(p.out.data) + at) = {
            reinterpret_cast<const uint32_t&>(low), reinterpret_cast<const uint32_t&>(high)};
      } else if (halves) {
        *reinterpret_cast<uint2*>(static_cast<bf16*>(p.out.data) + at) = {pack_bf16(v.x, v.y),
                                                                          pack_bf16(v.z, v.w)};
      } else {
        if (adds) v = {before[i].x + v.x, before[i].y + v.y, before[i].z + v.z, before[i].w + v.w};
        *reinterpret_cast<float4*>(static_cast<float*>(p.out.data) + at) = v;
      }
    }
  }
}

// The tree over the segments of a weight (layout.h): their sums lie `stride` apart.
__device__ inline float sum_of(float a, float b) { return a + b; }
__device__ inline float4 sum_of(const float4& a, const float4& b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
}
template <typename T>
__device__ T sum_segments(const T* partial, int stride, int n_segments) {
  T y = partial[0];
  if (n_segments > 1) y = sum_of(y, partial[stride]);
  if (n_segments > 2) y = sum_of(y, sum_of(partial[2 * stride], partial[3 * stride]));
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
