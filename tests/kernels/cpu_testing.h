// Common ground of the CPU backend's tests: seeded data, packed weights, one backend per
// instruction set of this machine, and comparison against a bound for each element.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "hardware/cpu_info.h"
#include "kernels/cpu/cpu_backend.h"
#include "qwen3/error.h"
#include "tensor/storage.h"

namespace qwen3::testing {

constexpr double kEps = 1.1920929e-7;  // float32
constexpr double kEpsBf16 = 0x1p-8;    // largest relative error of rounding to bfloat16

// Says once what is not tested because this machine lacks it.
inline const std::vector<CpuIsa>& isas_here() {
  static const std::vector<CpuIsa> here = [] {
    std::vector<CpuIsa> isas;
    for (const auto& [isa, name] : all_isas()) {
      try {
        make_cpu_backend(1, isa);
        isas.push_back(isa);
      } catch (const Error& error) {
        std::printf("not tested here: %s\n", error.what());
      }
    }
    return isas;
  }();
  return here;
}

// What is stored as bfloat16, weights or keys, meets activations rounded to bfloat16 on these
// instruction sets only.
inline bool rounds_activations(CpuIsa isa, WeightType stored) {
  return isa >= CpuIsa::avx512_bf16 && stored == WeightType::bf16;
}

inline std::vector<float> random_floats(int64_t n, uint32_t seed, float deviation = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = normal(generator);
  return values;
}

// Nearest binary16 for normal results; tests use no others.
inline uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const int32_t exponent = static_cast<int32_t>(bits >> 23 & 0xFF) - 112;
  if (exponent <= 0) return static_cast<uint16_t>(sign);
  return static_cast<uint16_t>(sign |
                               (static_cast<uint32_t>(exponent) << 10 | (bits >> 13 & 0x3FF)));
}

// A weight as the file would hold it (row-major) and as the backend packed it.
struct StoredWeight {
  std::vector<float> values;  // what the stored bits mean
  Storage file, packed_bytes;
  Weight packed;

  float at(int64_t row, int64_t col) const {
    return values[static_cast<size_t>(row * packed.n_in() + col)];
  }
  // Rows [begin, begin + count) of the file, all matrices counted through.
  WeightRows rows(int64_t begin, int64_t count) const {
    const int64_t bytes = row_bytes(packed.type(), packed.n_in());
    return {packed.type(), file.data() + begin * bytes, count, packed.n_in()};
  }
};

inline Weight allocate_weight(const Backend& backend,
                              WeightType type,
                              Shape shape,
                              Storage& bytes) {
  const int64_t n_matrices = shape.rank() == 3 ? shape[0] : 1;
  const WeightFormat format =
      backend.weight_format(type, shape[shape.rank() - 2], shape[shape.rank() - 1]);
  bytes = Storage(n_matrices * format.bytes);
  std::memset(bytes.data(), 0xFF, static_cast<size_t>(bytes.bytes()));  // NaN
  return {bytes.data(), type, shape, format};
}

inline StoredWeight make_weight(const Backend& backend,
                                WeightType type,
                                Shape shape,
                                uint32_t seed) {
  StoredWeight w;
  w.values = random_floats(shape.numel(), seed, 0.5f);
  w.file = Storage(row_bytes(type, shape.numel()));
  auto* f32 = reinterpret_cast<float*>(w.file.data());
  auto* u16 = reinterpret_cast<uint16_t*>(w.file.data());
  for (size_t i = 0; i < w.values.size(); ++i) {
    switch (type) {
      case WeightType::f32:
        f32[i] = w.values[i];
        break;
      case WeightType::bf16:
        u16[i] = f32_to_bf16(w.values[i]);
        break;
      case WeightType::f16:
        u16[i] = f32_to_f16(w.values[i]);
        break;
      default:
        ADD_FAILURE() << "blocks are made in cpu_blocks_test.cpp";
    }
    w.values[i] = load_f32(w.file.data(), dtype_of(type), static_cast<int64_t>(i));
  }
  w.packed = allocate_weight(backend, type, shape, w.packed_bytes);
  const int64_t n_out = w.packed.n_out();
  for (int64_t i = 0; i < w.packed.n_matrices(); ++i) {
    backend.pack_weight(w.packed, i, w.rows(i * n_out, n_out), 0);
  }
  return w;
}

// Every element within its own bound; reports the worst one, also when all is well.
struct Comparison {
  double worst = 0;  // error / bound
  size_t index = 0;
  double got = 0, expected = 0, bound = 0;

  void look(size_t i, double value, double truth, double limit) {
    const double ratio = std::abs(value - truth) / limit;
    if (ratio > worst || !(ratio == ratio)) {
      worst = ratio == ratio ? ratio : INFINITY;
      index = i;
      got = value;
      expected = truth;
      bound = limit;
    }
  }
  void expect(const std::string& what) const {
    EXPECT_LE(worst, 1.0) << what << ": element " << index << ": got " << got << ", expected "
                          << expected << ", bound " << bound;
    if (worst > 0.5 && worst <= 1.0) {
      std::printf("%s: worst error is %.2f of the bound, at %zu\n", what.c_str(), worst, index);
    }
  }
};

inline bool same_bits(const float* a, const float* b, int64_t n) {
  return std::memcmp(a, b, static_cast<size_t>(n) * sizeof(float)) == 0;
}

}  // namespace qwen3::testing
