// Weights into their layout and out of it, and rows of the embedding table.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"

namespace qwen3::cuda {
namespace {

// A thread makes one lane's 16 bytes.
__global__ void pack_kernel(
    uint4* to, const bf16* from, int64_t n_rows, int64_t n_in, int64_t n_lanes) {
  pdl_trigger();
  pdl_wait();
  const int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= n_lanes) return;
  const int lane = static_cast<int>(at % 32);
  const int64_t tile = at / 32, n_tiles = n_in / kTile;
  const int64_t row = tile / n_tiles * kTile + lane / 4,
                column = tile % n_tiles * kTile + lane % 4 * 2;
  const auto pair = [&](int64_t r, int64_t k) {
    return r < n_rows ? *reinterpret_cast<const uint32_t*>(from + r * n_in + k) : 0u;
  };
  to[at] = {
      pair(row, column), pair(row + 8, column), pair(row, column + 8), pair(row + 8, column + 8)};
}

// As matrix instructions see it, if it is `rounded`; else before that, which differs for codes.
__device__ float packed_element(
    const uint8_t* matrix, Coding coding, int64_t row, int64_t column, int64_t n_in, bool rounded) {
  const int64_t tile = row / kTile * (n_in / kTile) + column / kTile;
  const int r = static_cast<int>(row % kTile),
            at = fragment_index(r, static_cast<int>(column % kTile));
  if (coding == Coding::none) {
    return to_float(reinterpret_cast<const bf16*>(matrix + tile * kTileBytes)[at]);
  }
  const uint8_t* const unit = matrix + tile / 2 * 2 * tile_bytes(coding);
  const int half = static_cast<int>(tile % 2), lane = at / 8, element = at % 8;
  if (coding == Coding::int4) {
    const int place = place_of_4_bits(element);
    const int code = unit[lane * 8 + half * 4 + place / 2] >> (place % 2 * 4) & 15;
    const bf16* const scales = reinterpret_cast<const bf16*>(unit + scales_at(coding)) + 2 * r;
    const float a = to_float(scales[0]) / four_bit_scale(r),
                b = to_float(scales[1]) / kFourBitOffset;
    // A float32 between might stand on a tie that the number itself does not.
    if (rounded)
      return to_float(__hfma(
          from_float<bf16>(static_cast<float>(code)), from_float<bf16>(a), from_float<bf16>(b)));
    return code_value(coding, code, a, b, half);
  }
  const float2 scales = reinterpret_cast<const float2*>(unit + scales_at(coding))[r];
  const float value =
      code_value(coding, unit[lane * 16 + half * 8 + element], scales.x, scales.y, half);
  return rounded ? round_bf16(value) : value;
}

__global__ void unpack_kernel(
    float* to, const uint8_t* from, Coding coding, int64_t row, int64_t n_in) {
  pdl_trigger();
  pdl_wait();
  for (int64_t k = threadIdx.x; k < n_in; k += blockDim.x) {
    to[blockIdx.x * n_in + k] = packed_element(from, coding, row + blockIdx.x, k, n_in, true);
  }
}

__global__ void embed_tiles_kernel(
    float* out, const int32_t* ids, const uint8_t* table, Coding coding, TableRows own, int n_in) {
  pdl_trigger();
  pdl_wait();
  const int64_t row = static_cast<int64_t>(ids[blockIdx.x]) - own.first;
  const bool is_own = row >= 0 && row < own.n_own;
  for (int k = threadIdx.x; k < n_in; k += blockDim.x) {
    out[static_cast<int64_t>(blockIdx.x) * n_in + k] =
        is_own ? packed_element(table, coding, row, k, n_in, false) : 0;
  }
}

template <typename T>
__global__ void embed_rows_kernel(
    float* out, const int32_t* ids, const T* table, TableRows own, int n_in) {
  pdl_trigger();
  pdl_wait();
  const int64_t row = static_cast<int64_t>(ids[blockIdx.x]) - own.first;
  const bool is_own = row >= 0 && row < own.n_own;
  for (int k = threadIdx.x; k < n_in; k += blockDim.x) {
    out[static_cast<int64_t>(blockIdx.x) * n_in + k] = is_own ? to_float(table[row * n_in + k]) : 0;
  }
}

// A warp for each output and up to eight rows: lanes stride over the columns.
template <typename W, typename X, typename Y>
__global__ void linear_rows_kernel(Y* out,
                                   int64_t out_stride,
                                   const X* x,
                                   int64_t x_stride,
                                   const W* weight,
                                   const float* bias,
                                   int n_rows,
                                   int n_out,
                                   int n_in,
                                   bool add) {
  pdl_trigger();
  pdl_wait();
  const int o = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (o >= n_out) return;
  const W* const w = weight + static_cast<int64_t>(o) * n_in;
  const int first = blockIdx.y * 8;
  float sums[8] = {};
  for (int k = lane; k < n_in; k += 32) {
    const float v = to_float(w[k]);
#pragma unroll
    for (int r = 0; r < 8; ++r) {
      if (first + r < n_rows) sums[r] = fmaf(v, to_float(x[(first + r) * x_stride + k]), sums[r]);
    }
  }
#pragma unroll
  for (int r = 0; r < 8; ++r) {
    if (first + r >= n_rows) break;
    float y = warp_sum(sums[r]);
    if (lane != 0) continue;
    if (bias != nullptr) y += bias[o];
    Y& to = out[(first + r) * out_stride + o];
    to = add ? from_float<Y>(to_float(to) + y) : from_float<Y>(y);
  }
}

template <typename W, typename X>
void linear_rows_of(const Rows& out,
                    const X* x,
                    int64_t x_stride,
                    const W* weight,
                    const float* bias,
                    int n_rows,
                    int n_out,
                    int n_in,
                    bool add,
                    Stream stream) {
  const dim3 grid(static_cast<unsigned>((n_out + 3) / 4), static_cast<unsigned>((n_rows + 7) / 8));
  if (out.type == Element::f32) {
    launch(linear_rows_kernel<W, X, float>,
           grid,
           128,
           0,
           stream,
           static_cast<float*>(out.data),
           out.stride,
           x,
           x_stride,
           weight,
           bias,
           n_rows,
           n_out,
           n_in,
           add);
  } else {
    launch(linear_rows_kernel<W, X, bf16>,
           grid,
           128,
           0,
           stream,
           static_cast<bf16*>(out.data),
           out.stride,
           x,
           x_stride,
           weight,
           bias,
           n_rows,
           n_out,
           n_in,
           add);
  }
}

unsigned blocks(int64_t n, int threads) {
  return static_cast<unsigned>((n + threads - 1) / threads);
}

}  // namespace

void pack_fragments(void* to, const void* from, int64_t n_rows, int64_t n_in, Stream stream) {
  const int64_t n_lanes = row_tiles(n_rows) * column_tiles(n_in) * 32;
  launch(pack_kernel,
         dim3(blocks(n_lanes, 256)),
         256,
         0,
         stream,
         static_cast<uint4*>(to),
         static_cast<const bf16*>(from),
         n_rows,
         n_in,
         n_lanes);
}

void unpack_tiles(float* to,
                  const void* from,
                  Coding coding,
                  int64_t row,
                  int64_t n_rows,
                  int64_t n_in,
                  Stream stream) {
  launch(unpack_kernel,
         dim3(static_cast<unsigned>(n_rows)),
         256,
         0,
         stream,
         to,
         static_cast<const uint8_t*>(from),
         coding,
         row,
         n_in);
}

void embed_tiles(float* out,
                 const int32_t* ids,
                 const void* table,
                 Coding coding,
                 TableRows own,
                 int n_rows,
                 int n_in,
                 Stream stream) {
  launch(embed_tiles_kernel,
         dim3(static_cast<unsigned>(n_rows)),
         256,
         0,
         stream,
         out,
         ids,
         static_cast<const uint8_t*>(table),
         coding,
         own,
         n_in);
}

void embed_rows(float* out,
                const int32_t* ids,
                const void* table,
                Element type,
                TableRows own,
                int n_rows,
                int n_in,
                Stream stream) {
  const dim3 grid(static_cast<unsigned>(n_rows));
  if (type == Element::f32) {
    launch(embed_rows_kernel<float>,
           grid,
           256,
           0,
           stream,
           out,
           ids,
           static_cast<const float*>(table),
           own,
           n_in);
  } else {
    launch(embed_rows_kernel<bf16>,
           grid,
           256,
           0,
           stream,
           out,
           ids,
           static_cast<const bf16*>(table),
           own,
           n_in);
  }
}

void linear_rows(const Rows& out,
                 const Rows& x,
                 const void* weight,
                 Element weight_type,
                 const float* bias,
                 int n_rows,
                 int n_out,
                 int n_in,
                 bool add,
                 Stream stream) {
  const auto with_weight = [&](const auto* w) {
    if (x.type == Element::f32) {
      linear_rows_of(out,
                     static_cast<const float*>(x.data),
                     x.stride,
                     w,
                     bias,
                     n_rows,
                     n_out,
                     n_in,
                     add,
                     stream);
    } else {
      linear_rows_of(out,
                     static_cast<const bf16*>(x.data),
                     x.stride,
                     w,
                     bias,
                     n_rows,
                     n_out,
                     n_in,
                     add,
                     stream);
    }
  };
  if (weight_type == Element::f32) {
    with_weight(static_cast<const float*>(weight));
  } else {
    with_weight(static_cast<const bf16*>(weight));
  }
}

}  // namespace qwen3::cuda
