// Products with quantised weights: every format on every instruction set of this machine, against a
// model in double precision that rounds activations as the backend documents.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "kernels/cpu/block_panels.h"
#include "kernels/cpu_testing.h"
#include "tensor/blocks.h"

namespace qwen3::testing {
namespace {

std::vector<WeightType> kept_types() {
  std::vector<WeightType> types;
  for (int i = 0; i < kWeightTypes; ++i) {
    const auto type = static_cast<WeightType>(i);
    if (cpu::blocks_of(type)) types.push_back(type);
  }
  return types;
}

// Offsets of the halves and floats of a block; what else it holds may be any bits.
void write_scales(WeightType type, std::byte* block, std::mt19937& random) {
  std::uniform_real_distribution<float> scale(0.001f, 0.02f);
  const auto half = [&](int at) {
    const uint16_t bits = f32_to_f16(scale(random));
    std::memcpy(block + at, &bits, sizeof bits);
  };
  switch (type) {
    case WeightType::q6_k:
      return half(208);
    case WeightType::q3_k:
      return half(108);
    case WeightType::q2_k:
      half(82);
      return half(80);
    case WeightType::mxfp4:
      block[0] = static_cast<std::byte>(118 + random() % 4);
      return;
    case WeightType::q4_1:
    case WeightType::q5_1:
    case WeightType::q4_k:
    case WeightType::q5_k:
      half(2);
      return half(0);
    case WeightType::affine4:
    case WeightType::affine8: {
      const float scales[2] = {f16_to_f32(f32_to_f16(scale(random))), 0.0f};
      const int32_t zero = static_cast<int32_t>(random() % 15);
      std::memcpy(block, scales, sizeof scales);
      std::memcpy(block + 8, &zero, sizeof zero);
      return;
    }
    case WeightType::fp8:
    case WeightType::fp8_128: {
      const float number = scale(random);
      std::memcpy(block, &number, sizeof number);
      for (int i = 4; i < block_of(type).bytes; ++i) {
        if ((block[i] & std::byte{0x7F}) == std::byte{0x7F}) block[i] = std::byte{0x81};  // not NaN
      }
      return;
    }
    default:
      return half(0);
  }
}

StoredWeight make_blocks(const Backend& backend, WeightType type, Shape shape, uint32_t seed) {
  std::mt19937 random(seed);
  StoredWeight w;
  const int64_t bytes = row_bytes(type, shape.numel());
  w.file = Storage(bytes);
  for (int64_t i = 0; i < bytes; ++i) w.file.data()[i] = static_cast<std::byte>(random());
  const int64_t block_bytes = block_of(type).bytes;
  for (int64_t at = 0; at < bytes; at += block_bytes) {
    write_scales(type, w.file.data() + at, random);
  }
  w.values.resize(static_cast<size_t>(shape.numel()));
  widen(w.values.data(), type, w.file.data(), shape.numel());
  w.packed = allocate_weight(backend, type, shape, w.packed_bytes);
  const int64_t n_out = w.packed.n_out();
  for (int64_t i = 0; i < w.packed.n_matrices(); ++i) {
    backend.pack_weight(w.packed, i, w.rows(i * n_out, n_out), 0);
  }
  return w;
}

// What quantise_row leaves of a row: int8 numbers and a float32 scale for each 32.
std::vector<double> quantised(const float* x, int64_t n) {
  std::vector<double> out(static_cast<size_t>(n));
  for (int64_t g = 0; g < n; g += 32) {
    float largest = 0;
    for (int64_t i = g; i < g + 32; ++i) largest = std::max(largest, std::abs(x[i]));
    const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
    for (int64_t i = g; i < g + 32; ++i) {
      out[static_cast<size_t>(i)] =
          double{largest / 127.0f} * std::nearbyint(double{x[i]} * double{inverse});
    }
  }
  return out;
}

// A row as the products of that type on that instruction set see it.
std::vector<double> rounded(WeightType type, CpuIsa isa, const float* x, int64_t n) {
  if (!is_fp8(type)) return quantised(x, n);
  const bool to_bf16 = rounds_activations(isa, WeightType::bf16);
  std::vector<double> out(x, x + n);
  for (double& value : out) {
    if (to_bf16) value = bf16_to_f32(f32_to_bf16(static_cast<float>(value)));
  }
  return out;
}

std::vector<float> product(Backend& backend,
                           const StoredWeight& w,
                           std::vector<float>& x,
                           int64_t m) {
  const int64_t n = w.packed.n_out(), k = w.packed.n_in();
  std::vector<float> out(static_cast<size_t>(m * n), NAN);
  backend.linear(Tensor::view(out, {m, n}), Tensor::view(x, {m, k}), {w.packed, {}});
  return out;
}

TEST(CpuBlocks, AreKeptAsTheyAreAndUnpackToEveryBit) {
  const auto backend = make_cpu_backend(1, CpuIsa::baseline);
  for (const WeightType type : kept_types()) {
    SCOPED_TRACE(weight_type_name(type));
    EXPECT_EQ(backend->kept_type(type, 512), type);
    const StoredWeight w = make_blocks(*backend, type, {37, 512}, 1);
    std::vector<float> rows(37 * 512, NAN);
    backend->unpack_rows(Tensor::view(rows, {37, 512}), w.packed, 0, 0);
    EXPECT_EQ(rows, w.values);
    // Packed in two calls, the second in the middle of what the first left.
    Storage again;
    const Weight split = allocate_weight(*backend, type, {37, 512}, again);
    backend->pack_weight(split, 0, w.rows(16, 21), 16);
    backend->pack_weight(split, 0, w.rows(0, 16), 0);
    EXPECT_EQ(std::memcmp(again.data(), w.packed_bytes.data(), static_cast<size_t>(again.bytes())),
              0);
    // In memory at most a tenth more than in the file, whatever the format; int4 and int8 carry their
    // scales in float32.
    const auto file = static_cast<double>(row_bytes(type, 512 * 4096));
    EXPECT_LE(static_cast<double>(backend->weight_format(type, 4096, 512).bytes), 1.1 * file);
  }
  EXPECT_EQ(kept_types().size(), 17u);
  EXPECT_EQ(backend->kept_type(WeightType::bf16, 512), WeightType::bf16);
}

TEST(CpuBlocks, ProductsMatchDoublePrecision) {
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    for (const WeightType type : kept_types()) {
      for (const auto& [m, n, k] :
           {std::array<int64_t, 3>{1, 16, 256}, {3, 50, 512}, {7, 33, 256}, {40, 130, 768}}) {
        const StoredWeight w = make_blocks(*backend, type, {n, k}, 2);
        auto x = random_floats(m * k, 3);
        const std::vector<float> out = product(*backend, w, x, m);
        Comparison comparison;
        for (int64_t t = 0; t < m; ++t) {
          const std::vector<double> row = rounded(type, isa, x.data() + t * k, k);
          for (int64_t o = 0; o < n; ++o) {
            double total = 0, magnitude = 0;
            for (int64_t i = 0; i < k; ++i) {
              const double term = row[static_cast<size_t>(i)] * w.at(o, i);
              total += term;
              magnitude += std::abs(term);
            }
            // Codes and offsets are summed apart: their parts may be larger than the whole.
            // e4m3 is summed input by input.
            const int64_t sums = is_fp8(type) ? k + 8 : 8 * (k / 16 + 8);
            const double bound = static_cast<double>(sums) * kEps * magnitude;
            comparison.look(
                static_cast<size_t>(t * n + o), out[static_cast<size_t>(t * n + o)], total, bound);
          }
        }
        comparison.expect(std::string(isa_name(isa)) + " " + std::string(weight_type_name(type)));
      }
    }
  }
}

TEST(CpuBlocks, ARowsBitsAreItsOwnAndTheSameOnEveryInstructionSetThatRoundsAlike) {
  constexpr int64_t kRows = 37, kOut = 70, kIn = 512;
  for (const WeightType type : kept_types()) {
    SCOPED_TRACE(weight_type_name(type));
    auto x = random_floats(kRows * kIn, 5);
    std::vector<float> with_fma, with_bf16;
    for (const CpuIsa isa : isas_here()) {
      SCOPED_TRACE(isa_name(isa));
      const auto backend = make_cpu_backend(2, isa);
      const StoredWeight w = make_blocks(*backend, type, {kOut, kIn}, 6);
      const std::vector<float> together = product(*backend, w, x, kRows);
      for (int64_t t = 0; t < kRows; ++t) {
        std::vector<float> row(x.begin() + t * kIn, x.begin() + (t + 1) * kIn);
        const std::vector<float> alone = product(*backend, w, row, 1);
        EXPECT_EQ(std::memcmp(alone.data(), together.data() + t * kOut, kOut * 4), 0) << t;
      }
      // Through registers, a tile, two that overlap, and two with a rest.
      for (const int64_t count : {5, 12, 31}) {
        std::vector<float> rows(x.begin(), x.begin() + count * kIn);
        const std::vector<float> fewer = product(*backend, w, rows, count);
        EXPECT_EQ(std::memcmp(fewer.data(), together.data(), fewer.size() * 4), 0) << count;
      }
      if (isa == CpuIsa::baseline) continue;
      const bool to_bf16 = is_fp8(type) && rounds_activations(isa, WeightType::bf16);
      std::vector<float>& first = to_bf16 ? with_bf16 : with_fma;
      if (first.empty()) first = together;
      EXPECT_EQ(first, together);
    }
  }
}

TEST(CpuBlocks, ExpertsOfMixedTypesEqualTheirDefinition) {
  constexpr int64_t kTokens = 9, kHidden = 256, kInner = 512, kExperts = 5, kTopK = 2;
  for (const CpuIsa isa : isas_here()) {
    SCOPED_TRACE(isa_name(isa));
    const auto backend = make_cpu_backend(2, isa);
    for (const auto& [up_type, down_type] : {std::pair{WeightType::q4_k, WeightType::q6_k},
                                             {WeightType::q8_0, WeightType::q8_0},
                                             {WeightType::q8_0, WeightType::bf16},
                                             {WeightType::f32, WeightType::q4_0},
                                             {WeightType::fp8_128, WeightType::fp8},
                                             {WeightType::fp8_128, WeightType::q8_0},
                                             {WeightType::q4_k, WeightType::fp8_128},
                                             {WeightType::bf16, WeightType::q8_0}}) {
      const auto make = [&](WeightType type, Shape shape, uint32_t seed) {
        return is_plain(type) ? make_weight(*backend, type, shape, seed)
                              : make_blocks(*backend, type, shape, seed);
      };
      const StoredWeight gate = make(up_type, {kExperts, kInner, kHidden}, 1);
      const StoredWeight up = make(up_type, {kExperts, kInner, kHidden}, 2);
      const StoredWeight down = make(down_type, {kExperts, kHidden, kInner}, 3);
      const ExpertWeights experts{gate.packed, up.packed, down.packed};
      auto h = random_floats(kTokens * kHidden, 4);
      std::vector<int32_t> chosen;
      std::vector<float> weights;
      for (int t = 0; t < kTokens; ++t) {
        chosen.insert(chosen.end(), {t % 5, (t + 2) % 5});
        weights.insert(weights.end(), {0.7f, 0.3f});
      }
      const Routing routing{Tensor::view(weights, {kTokens, kTopK}),
                            Tensor(chosen.data(), DType::i32, {kTokens, kTopK})};
      const auto run = [&](bool as_defined) {
        std::vector<float> x(kTokens * kHidden, 0.5f);
        const Tensor out = Tensor::view(x, {kTokens, kHidden});
        const Tensor input = Tensor::view(h, {kTokens, kHidden});
        if (as_defined) {
          backend->Backend::experts_add(out, input, experts, routing);
        } else {
          backend->experts_add(out, input, experts, routing);
        }
        return x;
      };
      EXPECT_EQ(run(false), run(true))
          << weight_type_name(up_type) << " " << weight_type_name(down_type);
    }
  }
}

TEST(CpuBlocks, AnActivationThatIsNoNumberSpoilsItsRowAlone) {
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(1, isa);
    const StoredWeight w = make_blocks(*backend, WeightType::q4_k, {16, 256}, 1);
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      auto x = random_floats(3 * 256, 2);
      x[256 + 77] = bad;
      const std::vector<float> out = product(*backend, w, x, 3);
      for (size_t i = 0; i < 48; ++i) {
        EXPECT_EQ(std::isnan(out[i]), i / 16 == 1) << isa_name(isa) << " " << i;
      }
    }
  }
}

// With an input of a single one, an output is a weight: every e4m3, whichever way it is widened.
TEST(CpuBlocks, EveryFloatOfEightBitsIsItself) {
  constexpr int64_t kIn = 256, kOut = 16;
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(1, isa);
    for (const WeightType type : {WeightType::fp8, WeightType::fp8_128}) {
      StoredWeight w = make_blocks(*backend, type, {kOut, kIn}, 1);
      const int64_t block = block_of(type).elements;
      for (int64_t o = 0; o < kOut; ++o) {
        for (int64_t i = 0; i < kIn; ++i) {
          auto code = static_cast<uint8_t>(i + o);
          if ((code & 0x7F) == 0x7F) code = 0;
          const int64_t row = o * row_bytes(type, kIn);
          w.file.data()[row + i / block * block_of(type).bytes + 4 + i % block] = std::byte{code};
        }
      }
      widen(w.values.data(), type, w.file.data(), kOut * kIn);
      backend->pack_weight(w.packed, 0, w.rows(0, kOut), 0);
      std::vector<float> x(kIn * kIn, 0.0f);
      for (int64_t i = 0; i < kIn; ++i) x[static_cast<size_t>(i * kIn + i)] = 1.0f;
      const std::vector<float> together = product(*backend, w, x, kIn);
      for (int64_t i = 0; i < kIn; ++i) {
        std::vector<float> one(x.begin() + i * kIn, x.begin() + (i + 1) * kIn);
        const std::vector<float> alone = product(*backend, w, one, 1);
        for (int64_t o = 0; o < kOut; ++o) {
          ASSERT_EQ(together[static_cast<size_t>(i * kOut + o)], w.at(o, i)) << isa_name(isa) << i;
          ASSERT_EQ(alone[static_cast<size_t>(o)], w.at(o, i)) << isa_name(isa) << " " << i;
        }
      }
    }
  }
}

TEST(CpuBlocks, EmbeddingsAreLookedUpInTheirOwnBits) {
  const auto backend = make_cpu_backend(1, isas_here().back());
  const StoredWeight w = make_blocks(*backend, WeightType::q6_k, {50, 256}, 1);
  std::vector<int32_t> ids = {49, 0, 17};
  std::vector<float> out(3 * 256);
  backend->embed(Tensor::view(out, {3, 256}), Tensor(ids.data(), DType::i32, {3}), w.packed);
  for (size_t t = 0; t < 3; ++t) {
    for (int64_t i = 0; i < 256; ++i)
      EXPECT_EQ(out[t * 256 + static_cast<size_t>(i)], w.at(ids[t], i));
  }
}

}  // namespace
}  // namespace qwen3::testing
