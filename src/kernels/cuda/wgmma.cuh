// Matrix instructions of a warpgroup, Hopper's fastest: one operand in registers, in the order in which weights
// are packed, the other in shared memory as the copy engine leaves it.
#pragma once

#include "kernels/cuda/codes.cuh"
#include "kernels/cuda/device.cuh"

namespace qwen3::cuda {

// Eight rows of 128 bytes, their parts exchanged, follow each other: 64 columns of any number of rows.
__device__ inline uint64_t describe_rows(const void* shared) {
  return (static_cast<uint64_t>(shared_address(shared) & 0x3FFFF) >> 4) | uint64_t{1} << 16 |
         uint64_t{1024 >> 4} << 32 | uint64_t{1} << 62;
}

// Blocks of eight rows by 16 bytes, each contiguous: how far it is to the next 16 bytes of the same rows, and to
// the next eight rows.
constexpr int kBlockBytes = 128;
__device__ inline uint64_t describe_blocks(const void* shared, int along, int down) {
  return (static_cast<uint64_t>(shared_address(shared) & 0x3FFFF) >> 4) |
         static_cast<uint64_t>(along >> 4) << 16 | static_cast<uint64_t>(down >> 4) << 32;
}
// What threads stored to shared memory, for the matrix instructions that come after a barrier.
__device__ inline void fence_for_matrices() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kPending>
__device__ inline void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// The numbers of a sum: their places in an instruction, and what stands in them.
// clang-format off
#define QWEN3_PLACES_8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define QWEN3_PLACES_16 QWEN3_PLACES_8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define QWEN3_PLACES_32 QWEN3_PLACES_16 \
  ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define QWEN3_PLACES_64 QWEN3_PLACES_32 \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47" \
  ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define QWEN3_PLACES_128 QWEN3_PLACES_64 \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79" \
  ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95" \
  ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
  ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define QWEN3_SUMS_8(d, i) \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define QWEN3_SUMS_16(d, i) QWEN3_SUMS_8(d, i), QWEN3_SUMS_8(d, i + 8)
#define QWEN3_SUMS_32(d, i) QWEN3_SUMS_16(d, i), QWEN3_SUMS_16(d, i + 16)
#define QWEN3_SUMS_64(d, i) QWEN3_SUMS_32(d, i), QWEN3_SUMS_32(d, i + 32)
#define QWEN3_SUMS_128(d, i) QWEN3_SUMS_64(d, i), QWEN3_SUMS_64(d, i + 64)
// clang-format on

// d += a · b: 64 outputs by 16 rows by 16 columns; a warp's part of `a` is a tile's fragment.
__device__ inline void wgmma(float (&d)[8], const uint4& a, uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {" QWEN3_PLACES_8
               "}, {%8, %9, %10, %11}, %12, 1, 1, 1, 0;\n"
               : QWEN3_SUMS_8(d, 0)
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "l"(b));
}

// d += a · b: 64 outputs by 32 rows by 16 columns; a warp's part of `a` is a tile's fragment.
__device__ inline void wgmma(float (&d)[16], const uint4& a, uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {" QWEN3_PLACES_16
               "}, {%16, %17, %18, %19}, %20, 1, 1, 1, 0;\n"
               : QWEN3_SUMS_16(d, 0)
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "l"(b));
}

// d += a · b: 64 outputs by 64 rows by 16 columns; a warp's part of `a` is a tile's fragment.
__device__ inline void wgmma(float (&d)[32], const uint4& a, uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" QWEN3_PLACES_32
               "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 0;\n"
               : QWEN3_SUMS_32(d, 0)
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "l"(b));
}

// d += a · b: 64 outputs by 128 rows by 16 columns; a warp's part of `a` is a tile's fragment.
__device__ inline void wgmma(float (&d)[64], const uint4& a, uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" QWEN3_PLACES_64
               "}, {%64, %65, %66, %67}, %68, 1, 1, 1, 0;\n"
               : QWEN3_SUMS_64(d, 0)
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "l"(b));
}

// d += a · b: 64 outputs by 256 rows by 16 columns; a warp's part of `a` is a tile's fragment.
__device__ inline void wgmma(float (&d)[128], const uint4& a, uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" QWEN3_PLACES_128
               "}, {%128, %129, %130, %131}, %132, 1, 1, 1, 0;\n"
               : QWEN3_SUMS_128(d, 0)
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "l"(b));
}

// d += a · b: 64 rows by 128 by 16, both operands in shared memory.
__device__ inline void wgmma(float (&d)[64], uint64_t a, uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" QWEN3_PLACES_64
               "}, %64, %65, 1, 1, 1, 0, 0;\n"
               : QWEN3_SUMS_64(d, 0)
               : "l"(a), "l"(b));
}

#undef QWEN3_PLACES_8
#undef QWEN3_PLACES_16
#undef QWEN3_PLACES_32
#undef QWEN3_PLACES_64
#undef QWEN3_PLACES_128
#undef QWEN3_SUMS_8
#undef QWEN3_SUMS_16
#undef QWEN3_SUMS_32
#undef QWEN3_SUMS_64
#undef QWEN3_SUMS_128

// Rows come in pieces of so many column tiles, 128 bytes of each row.
constexpr int kPieceTiles = 4;

// sum += kTiles column tiles of one tile of outputs for each warp, from the first-th of what lies at `weights` on, times
// the same columns of all rows (describe_rows()). It is over when this returns.
template <int kTiles, int kRows, Coding kCoding>
__device__ inline void multiply_tiles(float (&sum)[kRows / 2],
                                      const uint8_t* weights,
                                      uint64_t rows,
                                      int first) {
  uint4 a[kTiles];
#pragma unroll
  for (int k = 0; k < kTiles; ++k) {
    if constexpr (kCoding == Coding::none) {
      a[k] = reinterpret_cast<const uint4*>(weights)[(first + k) * 32 + threadIdx.x % 32];
    } else if (k % 2 == 0) {
      load_unit<kCoding>(a[k], a[k + 1], weights + (first + k) * tile_bytes(kCoding));
    }
  }
  wgmma_fence();
#pragma unroll
  for (int k = 0; k < kTiles; ++k) {
    const int at = first + k;
    wgmma(sum,
          a[k],
          rows + static_cast<uint64_t>(
                     (at / kPieceTiles * kRows * 128 + at % kPieceTiles * kTile * 2) >> 4));
  }
  wgmma_commit();
  wgmma_wait<0>();
}

}  // namespace qwen3::cuda
