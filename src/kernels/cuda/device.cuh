// What the kernels share: numbers, matrix steps, reductions, and the rules of dependent launches.
//
// Dependent launches. Each kernel may start while the one before it still runs. So every kernel calls
// pdl_trigger() first of all, and pdl_wait() in every block, with or without work; before the wait it
// reads weights alone and writes no global memory. What an earlier kernel wrote is never read through
// the read-only cache.
#pragma once

#include <cuda.h>
#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/layout.h"

namespace qwen3::cuda {

constexpr unsigned kAllLanes = 0xFFFFFFFFu;

using bf16 = __nv_bfloat16;

__device__ inline void pdl_trigger() { asm volatile("griddepcontrol.launch_dependents;"); }
__device__ inline void pdl_wait() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

__device__ inline float to_float(float v) { return v; }
__device__ inline float to_float(bf16 v) { return __bfloat162float(v); }
template <typename T>
__device__ inline T from_float(float v);
template <>
__device__ inline float from_float<float>(float v) {
  return v;
}
template <>
__device__ inline bf16 from_float<bf16>(float v) {
  return __float2bfloat16_rn(v);
}
__device__ inline float round_bf16(float v) { return __bfloat162float(__float2bfloat16_rn(v)); }

// The first value in the low half.
__device__ inline uint32_t pack_bf16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return reinterpret_cast<const uint32_t&>(pair);
}

// d += a · b, 16 × 8 × 16.
__device__ inline void mma(float (&d)[4], const uint4& a, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

__device__ inline float exp2_of(float v) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(v));
  return r;
}

__device__ inline float silu_mul_of(float gate, float up) {
  return gate / (1.0f + __expf(-gate)) * up;
}

__device__ inline float warp_sum(float v) {
#pragma unroll
  for (int lane = 16; lane > 0; lane /= 2) v += __shfl_xor_sync(kAllLanes, v, lane);
  return v;
}

// Four numbers from i on; beyond n there are zeros. `x` is aligned if n is a multiple of four.
__device__ inline float4 load_4(const float* x, int i, int n) {
  if (n % 4 == 0) return *reinterpret_cast<const float4*>(x + i);
  return {x[i], i + 1 < n ? x[i + 1] : 0, i + 2 < n ? x[i + 2] : 0, i + 3 < n ? x[i + 3] : 0};
}
__device__ inline float4 load_4(const bf16* x, int i, int n) {
  return {to_float(x[i]),
          i + 1 < n ? to_float(x[i + 1]) : 0,
          i + 2 < n ? to_float(x[i + 2]) : 0,
          i + 3 < n ? to_float(x[i + 3]) : 0};
}

__device__ inline float sum_of_squares(const float4& v, float sum) {
  return fmaf(v.w, v.w, fmaf(v.z, v.z, fmaf(v.y, v.y, fmaf(v.x, v.x, sum))));
}

__device__ inline float sum_of_warps(const float (&sums)[8]) {
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

// Σ x[i]² of a row by 256 threads: each its groups of four, ascending; then trees over lanes and warps. The
// same bits for everybody who does it so. `sums` is shared memory.
template <typename T>
__device__ inline float block_sum_of_squares(const T* x, int n, float (&sums)[8]) {
  float sum = 0;
#pragma unroll 4
  for (int i = 4 * threadIdx.x; i < n; i += 1024) sum = sum_of_squares(load_4(x, i, n), sum);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
  __syncthreads();
  return sum_of_warps(sums);
}
// The same of the few numbers of a head, by a warp.
template <typename Load>
__device__ inline float warp_sum_of_squares(int n, const Load& load) {
  float sum = 0;
  for (int i = threadIdx.x % 32; i < n; i += 32) {
    const float v = load(i);
    sum = fmaf(v, v, sum);
  }
  return warp_sum(sum);
}

__device__ inline float rms_scale(float sum_of_squares, int n, float eps) {
  return 1.0f / sqrtf(sum_of_squares / static_cast<float>(n) + eps);
}

__device__ inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// 16 bytes into shared memory; of them the first `bytes` from `from`, the rest zero.
__device__ inline void copy_16(void* to, const void* from, int bytes = 16) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
               "l"(from),
               "r"(bytes));
}
// The same of 16 bytes that are read once: they shall not push what others want out of the second-level cache.
__device__ inline uint64_t read_once_policy() {
  uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
__device__ inline void copy_16_once(void* to, const void* from, uint64_t policy) {
  asm volatile(
      "cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
      "l"(from),
      "l"(policy));
}
__device__ inline void copy_commit() { asm volatile("cp.async.commit_group;"); }
template <int kPending>
__device__ inline void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Barriers that count the bytes of bulk copies.
__device__ inline void barrier_init(uint64_t* barrier, int n_arrivals = 1) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(n_arrivals));
}
__device__ inline void barrier_arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
}
// The one arrival that a barrier waits for, and the bytes of all copies that go with it.
__device__ inline void expect_bytes(uint64_t* barrier, uint32_t bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}
__device__ inline void bulk_copy(void* to, const void* from, uint32_t bytes, uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from),
      "r"(bytes),
      "r"(shared_address(barrier))
      : "memory");
}
// The same of bytes that are read once: they shall not push what others want out of the second-level cache.
__device__ inline void bulk_copy_once(void* to,
                                      const void* from,
                                      uint32_t bytes,
                                      uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], "
      "[%1], %2, [%3], "
      "%4;" ::"r"(shared_address(to)),
      "l"(from),
      "r"(bytes),
      "r"(shared_address(barrier)),
      "l"(read_once_policy())
      : "memory");
}
// A box of the map (row_map): pieces of 64 columns from `piece` on, of the rows from `row` on. What lies beyond
// the map is zero.
__device__ inline void box_copy(
    void* to, const CUtensorMap& map, int row, int piece, uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, "
      "%3, %4}], "
      "[%5];" ::"r"(shared_address(to)),
      "l"(&map),
      "r"(0),
      "r"(row),
      "r"(piece),
      "r"(shared_address(barrier))
      : "memory");
}
__device__ inline void barrier_wait(uint64_t* barrier, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}\n" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}

__device__ inline void sync_some(int barrier, int n_threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(n_threads) : "memory");
}

__device__ inline void load_matrices(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

}  // namespace qwen3::cuda
