#include "ceilings.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qwen3::bench {
namespace {

volatile float g_sink;  // keeps the loops alive

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512bf16"))) void bf16_peak_loop(int64_t n) {
  __m512 acc[12];
  for (__m512& a : acc) a = _mm512_setzero_ps();
  auto x = (__m512bh)_mm512_set1_epi32(0x3C003C00);
  for (int64_t i = 0; i < n; ++i) {
#pragma GCC unroll 12
    for (__m512& a : acc) a = _mm512_dpbf16_ps(a, x, x);
    asm volatile("" : "+v"(x));
  }
  for (int i = 1; i < 12; ++i) acc[0] += acc[i];
  g_sink = acc[0][0];
}
__attribute__((target("avx512f,avx512vnni"))) void int8_peak_loop(int64_t n) {
  __m512i acc[12];
  for (__m512i& a : acc) a = _mm512_setzero_si512();
  __m512i x = _mm512_set1_epi32(0x01010101);
  for (int64_t i = 0; i < n; ++i) {
#pragma GCC unroll 12
    for (__m512i& a : acc) a = _mm512_dpbusd_epi32(a, x, x);
    asm volatile("" : "+v"(x));
  }
  for (int i = 1; i < 12; ++i) acc[0] ^= acc[i];
  g_sink = static_cast<float>(acc[0][0]);
}
// Four sums at a time, as many as the instructions' latency wants; tiles of zeros.
__attribute__((target("amx-tile"))) void configure_whole_tiles() {
  struct alignas(64) {
    uint8_t palette = 1;
    uint8_t unused[15] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16};
  } config;
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}
__attribute__((target("amx-tile,amx-int8"))) void amx_int8_peak_loop(int64_t n) {
  configure_whole_tiles();
  for (int64_t i = 0; i < n; ++i) {
    _tile_dpbssd(0, 4, 5);
    _tile_dpbssd(1, 4, 5);
    _tile_dpbssd(2, 4, 5);
    _tile_dpbssd(3, 4, 5);
  }
  _tile_release();
}
__attribute__((target("amx-tile,amx-bf16"))) void amx_peak_loop(int64_t n) {
  configure_whole_tiles();
  for (int64_t i = 0; i < n; ++i) {
    _tile_dpbf16ps(0, 4, 5);
    _tile_dpbf16ps(1, 4, 5);
    _tile_dpbf16ps(2, 4, 5);
    _tile_dpbf16ps(3, 4, 5);
  }
  _tile_release();
}
__attribute__((target("avx512f"))) void f32_peak_loop_avx512(int64_t n) {
  __m512 acc[12];
  for (__m512& a : acc) a = _mm512_setzero_ps();
  __m512 x = _mm512_set1_ps(0.5f);
  for (int64_t i = 0; i < n; ++i) {
#pragma GCC unroll 12
    for (__m512& a : acc) a = _mm512_fmadd_ps(x, x, a);
    asm volatile("" : "+v"(x));
  }
  for (int i = 1; i < 12; ++i) acc[0] += acc[i];
  g_sink = acc[0][0];
}
__attribute__((target("avx2,fma"))) void f32_peak_loop_avx2(int64_t n) {
  __m256 acc[12];
  for (__m256& a : acc) a = _mm256_setzero_ps();
  __m256 x = _mm256_set1_ps(0.5f);
  for (int64_t i = 0; i < n; ++i) {
#pragma GCC unroll 12
    for (__m256& a : acc) a = _mm256_fmadd_ps(x, x, a);
    asm volatile("" : "+x"(x));
  }
  for (int i = 1; i < 12; ++i) acc[0] += acc[i];
  g_sink = acc[0][0];
}
__attribute__((target("avx2"))) void read_loop(const std::byte* data, int64_t bytes) {
  __m256i sums[8];
  for (__m256i& s : sums) s = _mm256_setzero_si256();
  for (int64_t i = 0; i < bytes; i += 256) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      sums[j] ^= _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data + i + j * 32));
    }
  }
  for (int i = 1; i < 8; ++i) sums[0] ^= sums[i];
  g_sink = static_cast<float>(_mm256_extract_epi32(sums[0], 0));
}
#else
void read_loop(const std::byte* data, int64_t bytes) {
  uint64_t sums[8] = {};
  for (int64_t i = 0; i < bytes; i += 64) {
    uint64_t line[8];
    std::memcpy(line, data + i, 64);
    for (int j = 0; j < 8; ++j) sums[j] ^= line[j];
  }
  for (int i = 1; i < 8; ++i) sums[0] ^= sums[i];
  g_sink = static_cast<float>(sums[0]);
}
#endif

}  // namespace

Machine::Machine(int n_threads, CpuIsa isa)
    : isa_(std::min(isa, cpu_info().best_isa)), pool_(n_threads), buffer_(int64_t{1} << 30) {
  for (int64_t i = 0; i < buffer_.bytes(); i += 4096) buffer_.data()[i] = std::byte{1};
}

double Machine::now_seconds() const {
  timespec now{};
  clock_gettime(pool_.size() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double Machine::best_of(int n, const std::function<void()>& run) const {
  double best = 1e30;
  for (int i = 0; i < n; ++i) {
    const double begin = now_seconds();
    run();
    best = std::min(best, now_seconds() - begin);
  }
  return best;
}

Ceilings Machine::measure() {
  Ceilings c;
  constexpr int64_t kPiece = 4 << 20;
  const int64_t n_pieces = buffer_.bytes() / kPiece;
  c.bytes_per_s = static_cast<double>(buffer_.bytes()) / best_of(3, [&] {
                    pool_.parallel_for(n_pieces, [&](int64_t i, int) {
                      read_loop(buffer_.data() + i * kPiece, kPiece);
                    });
                  });
#if defined(__x86_64__)
  constexpr int64_t kRounds = 400'000;
  const auto flops = [&](void (*loop)(int64_t), int flops_per_round) {
    const double seconds =
        best_of(4, [&] { pool_.parallel_for(pool_.size(), [&](int64_t, int) { loop(kRounds); }); });
    return static_cast<double>(pool_.size()) * kRounds * flops_per_round / seconds;
  };
  if (isa_ == CpuIsa::amx) {
    c.bf16_flops = flops(amx_peak_loop, 4 * 16 * 16 * 32 * 2);
    c.int8_flops = flops(amx_int8_peak_loop, 4 * 16 * 16 * 64 * 2);
  } else if (isa_ == CpuIsa::avx512_bf16) {
    c.bf16_flops = flops(bf16_peak_loop, 12 * 16 * 4);
    c.int8_flops = flops(int8_peak_loop, 12 * 64 * 2);
  }
  if (isa_ >= CpuIsa::avx512) {
    c.f32_flops = flops(f32_peak_loop_avx512, 12 * 16 * 2);
  } else if (isa_ == CpuIsa::avx2) {
    c.f32_flops = flops(f32_peak_loop_avx2, 12 * 8 * 2);
  }
#endif
  return c;
}

}  // namespace qwen3::bench
