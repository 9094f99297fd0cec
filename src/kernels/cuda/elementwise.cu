// The operations between products, one by one: the definitions of the fused ones, and what runs while
// somebody looks.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"

namespace qwen3::cuda {
namespace {

template <typename Y, typename X>
__global__ void __launch_bounds__(256)
    rms_norm_kernel(Y* out, const X* x, const float* w, float eps, int n) {
  __shared__ float sums[8];
  pdl_trigger();
  pdl_wait();
  x += static_cast<int64_t>(blockIdx.x) * n;
  out += static_cast<int64_t>(blockIdx.x) * n;
  const float scale = rms_scale(block_sum_of_squares(x, n, sums), n, eps);
  for (int i = threadIdx.x; i < n; i += 256)
    out[i] = from_float<Y>(w[i] * (to_float(x[i]) * scale));
}

// Heads: a warp each.
__global__ void __launch_bounds__(256)
    head_norm_kernel(bf16* out, const bf16* x, const float* w, float eps, int64_t n_rows, int n) {
  pdl_trigger();
  pdl_wait();
  const int64_t row = static_cast<int64_t>(blockIdx.x) * 8 + threadIdx.x / 32;
  if (row >= n_rows) return;
  x += row * n;
  out += row * n;
  const float scale =
      rms_scale(warp_sum_of_squares(n, [&](int i) { return to_float(x[i]); }), n, eps);
  for (int i = threadIdx.x % 32; i < n; i += 32)
    out[i] = from_float<bf16>(w[i] * (to_float(x[i]) * scale));
}

template <typename T>
__global__ void rope_kernel(T* x, const float* cos, const float* sin, int n_heads, int head_dim) {
  pdl_trigger();
  pdl_wait();
  const int half = head_dim / 2, token = blockIdx.x;
  x += static_cast<int64_t>(token) * n_heads * head_dim;
  for (int at = threadIdx.x; at < n_heads * half; at += blockDim.x) {
    T* const head = x + at / half * head_dim;
    const int i = at % half;
    const float a = to_float(head[i]), b = to_float(head[i + half]);
    const float c = cos[token * half + i], s = sin[token * half + i];
    head[i] = from_float<T>(fmaf(a, c, -(b * s)));
    head[i + half] = from_float<T>(fmaf(b, c, a * s));
  }
}

template <typename Body>
__global__ void each_kernel(int64_t n, Body body) {
  pdl_trigger();
  pdl_wait();
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step)
    body(i);
}

template <typename Body>
void each(int64_t n, Stream stream, const Body& body) {
  const auto blocks = static_cast<unsigned>(min((n + 255) / 256, int64_t{1056}));
  launch(each_kernel<Body>, dim3(blocks), 256, 0, stream, n, body);
}

template <typename T>
struct Fill {
  T* x;
  float value;
  __device__ void operator()(int64_t i) const { x[i] = from_float<T>(value); }
};

template <typename T>
struct SiluMul {
  T* out;
  const T *gate, *up;
  __device__ void operator()(int64_t i) const {
    out[i] = from_float<T>(silu_mul_of(to_float(gate[i]), to_float(up[i])));
  }
};

struct Round {
  bf16* to;
  const float* from;
  __device__ void operator()(int64_t i) const { to[i] = from_float<bf16>(from[i]); }
};

struct Add {
  float* x;
  const float* y;
  __device__ void operator()(int64_t i) const { x[i] += y[i]; }
};

template <typename T>
__global__ void gather_kernel(T* out, const T* x, const int32_t* rows, int n) {
  pdl_trigger();
  pdl_wait();
  const int64_t from = rows[blockIdx.x];
  for (int i = threadIdx.x; i < n; i += blockDim.x)
    out[static_cast<int64_t>(blockIdx.x) * n + i] = x[from * n + i];
}

// A row may be named twice: each column is one thread's, rows in order.
__global__ void scatter_add_kernel(
    float* x, const float* y, const int32_t* rows, const float* scales, int n_rows, int n) {
  pdl_trigger();
  pdl_wait();
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  for (int r = 0; r < n_rows; ++r) {
    float& to = x[static_cast<int64_t>(rows[r]) * n + i];
    to = fmaf(y[static_cast<int64_t>(r) * n + i], scales[r], to);
  }
}

}  // namespace

void round_rows(void* to, const float* from, int64_t n, Stream stream) {
  each(n, stream, Round{static_cast<bf16*>(to), from});
}

void fill(void* x, Element type, float value, int64_t n, Stream stream) {
  if (type == Element::f32) {
    each(n, stream, Fill<float>{static_cast<float*>(x), value});
  } else {
    each(n, stream, Fill<bf16>{static_cast<bf16*>(x), value});
  }
}

void rms_norm(void* out,
              Element out_type,
              const void* x,
              Element x_type,
              const float* w,
              float eps,
              int64_t n_rows,
              int n,
              Stream stream) {
  const dim3 grid(static_cast<unsigned>(n_rows));
  if (x_type == Element::bf16) {
    launch(head_norm_kernel,
           dim3(static_cast<unsigned>((n_rows + 7) / 8)),
           256,
           0,
           stream,
           static_cast<bf16*>(out),
           static_cast<const bf16*>(x),
           w,
           eps,
           n_rows,
           n);
  } else if (out_type == Element::bf16) {
    launch(rms_norm_kernel<bf16, float>,
           grid,
           256,
           0,
           stream,
           static_cast<bf16*>(out),
           static_cast<const float*>(x),
           w,
           eps,
           n);
  } else {
    launch(rms_norm_kernel<float, float>,
           grid,
           256,
           0,
           stream,
           static_cast<float*>(out),
           static_cast<const float*>(x),
           w,
           eps,
           n);
  }
}

void rope(void* x,
          Element type,
          const float* cos,
          const float* sin,
          int n_tokens,
          int n_heads,
          int head_dim,
          Stream stream) {
  const dim3 grid(static_cast<unsigned>(n_tokens));
  if (type == Element::f32) {
    launch(rope_kernel<float>,
           grid,
           256,
           0,
           stream,
           static_cast<float*>(x),
           cos,
           sin,
           n_heads,
           head_dim);
  } else {
    launch(rope_kernel<bf16>,
           grid,
           256,
           0,
           stream,
           static_cast<bf16*>(x),
           cos,
           sin,
           n_heads,
           head_dim);
  }
}

void silu_mul(void* out, const void* gate, const void* up, Element type, int64_t n, Stream stream) {
  if (type == Element::f32) {
    each(n,
         stream,
         SiluMul<float>{static_cast<float*>(out),
                        static_cast<const float*>(gate),
                        static_cast<const float*>(up)});
  } else {
    each(
        n,
        stream,
        SiluMul<bf16>{
            static_cast<bf16*>(out), static_cast<const bf16*>(gate), static_cast<const bf16*>(up)});
  }
}

void add(float* x, const float* y, int64_t n, Stream stream) { each(n, stream, Add{x, y}); }

void gather_rows(
    void* out, const void* x, Element type, const int32_t* rows, int n_rows, int n, Stream stream) {
  const dim3 grid(static_cast<unsigned>(n_rows));
  if (type == Element::f32) {
    launch(gather_kernel<float>,
           grid,
           256,
           0,
           stream,
           static_cast<float*>(out),
           static_cast<const float*>(x),
           rows,
           n);
  } else {
    launch(gather_kernel<bf16>,
           grid,
           256,
           0,
           stream,
           static_cast<bf16*>(out),
           static_cast<const bf16*>(x),
           rows,
           n);
  }
}

void scatter_add_rows(float* x,
                      const float* y,
                      const int32_t* rows,
                      const float* scales,
                      int n_rows,
                      int n,
                      Stream stream) {
  if (n_rows == 0) return;
  launch(scatter_add_kernel,
         dim3(static_cast<unsigned>((n + 255) / 256)),
         256,
         0,
         stream,
         x,
         y,
         rows,
         scales,
         n_rows,
         n);
}

}  // namespace qwen3::cuda
