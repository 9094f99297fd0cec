// The cuda backend on a card: against the reference, and bit for bit against itself in other batches.
// Skipped where there is none.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>

#include "kernels/cuda/codes.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/reference/reference_backend.h"
#include "model/test_model.h"
#include "support/packed_codes.h"
#include "support/random_blocks.h"
#include "tensor/blocks.h"

namespace qwen3::test {
namespace {

#define SKIP_WITHOUT_CARD() \
  if (!has_cuda_device()) GTEST_SKIP() << "no card for the cuda backend"

std::vector<float> random_floats(int64_t n, uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = bf16_to_f32(f32_to_bf16(normal(random)));
  return values;
}

// A tensor on the card, of float32 or rounded to bfloat16.
struct OnCard {
  Storage storage;
  Tensor tensor;

  OnCard(Backend& backend, std::span<const float> values, Shape shape, DType type = DType::f32)
      : storage(backend.allocate(std::max<int64_t>(shape.numel(), 1) * 4)),
        tensor(storage.data(), type, shape, Place::device) {
    if (shape.numel() == 0) return;
    if (type == DType::f32) {
      backend.upload(tensor, values.data());
      return;
    }
    std::vector<uint16_t> bits(values.size());
    std::transform(values.begin(), values.end(), bits.begin(), f32_to_bf16);
    backend.upload(tensor, bits.data());
  }
};

std::vector<float> host(const Backend& backend, const Tensor& t) {
  HostBuffer buffer;
  const Tensor copy = backend.to_host(t, buffer);
  const auto* from = static_cast<const float*>(copy.data());
  return {from, from + t.numel()};
}

struct CardWeight {
  Storage storage;
  Weight weight;

  CardWeight(Backend& backend, std::span<const float> values, int64_t n_out, int64_t n_in) {
    const WeightFormat format = backend.weight_format(WeightType::bf16, n_out, n_in);
    storage = backend.allocate(format.bytes);
    weight = Weight(storage.data(), WeightType::bf16, {n_out, n_in}, format);
    std::vector<uint16_t> bits(values.size());
    std::transform(values.begin(), values.end(), bits.begin(), f32_to_bf16);
    // In two calls, as threads of the loader make them.
    const int64_t first = n_out / 2 / format.row_step * format.row_step;
    const auto* data = reinterpret_cast<const std::byte*>(bits.data());
    if (first > 0) backend.pack_weight(weight, 0, {WeightType::bf16, data, first, n_in}, 0);
    backend.pack_weight(
        weight, 0, {WeightType::bf16, data + first * n_in * 2, n_out - first, n_in}, first);
  }
};

// A matrix, or a stack of them, of blocks; and of the numbers that it stands for, in fragments.
struct CodesAndNumbers {
  Storage codes_storage, numbers_storage;
  Weight codes, numbers;
  std::vector<float> values, unrounded;

  CodesAndNumbers(Backend& backend, WeightType type, Shape shape, uint32_t seed) {
    const int64_t n_in = shape[shape.rank() - 1], n_out = shape[shape.rank() - 2];
    const int64_t n = shape.numel() / (n_in * n_out);
    EXPECT_EQ(backend.kept_type(type, n_in), type) << weight_type_name(type);
    const auto place = [&](Storage& storage, WeightType of) {
      const WeightFormat format = backend.weight_format(of, n_out, n_in);
      storage = backend.allocate(n * format.bytes);
      return Weight(storage.data(), of, shape, format);
    };
    codes = place(codes_storage, type);
    numbers = place(numbers_storage, WeightType::bf16);
    values.resize(static_cast<size_t>(shape.numel()));
    unrounded.resize(values.size());
    const std::vector<std::byte> blocks = random_blocks(type, shape.numel(), seed);
    const cuda::Coding coding = cuda::coding_of(type);
    std::vector<std::byte> packed(static_cast<size_t>(cuda::coded_bytes(coding, n_out, n_in)));
    std::vector<uint16_t> bits(values.size());
    for (int64_t m = 0; m < n; ++m) {
      const int64_t first = n_out / 2 / kTile * kTile;  // in two calls
      const std::byte* const rows = blocks.data() + m * n_out * row_bytes(type, n_in);
      cuda::pack_codes(packed.data(), type, rows, n_out, n_in);
      for (int64_t i = 0; i < n_out * n_in; ++i) {
        unrounded[static_cast<size_t>(m * n_out * n_in + i)] =
            packed_number(packed.data(), coding, i / n_in, i % n_in, n_in);
      }
      if (first > 0) backend.pack_weight(codes, m, {type, rows, first, n_in}, 0);
      backend.pack_weight(
          codes, m, {type, rows + first * row_bytes(type, n_in), n_out - first, n_in}, first);
      const std::span<float> of_matrix = std::span(values).subspan(
          static_cast<size_t>(m * n_out * n_in), static_cast<size_t>(n_out * n_in));
      backend.unpack_rows(Tensor(of_matrix.data(), DType::f32, {n_out, n_in}), codes, m, 0);
      std::transform(of_matrix.begin(), of_matrix.end(), bits.begin(), f32_to_bf16);
      backend.pack_weight(
          numbers,
          m,
          {WeightType::bf16, reinterpret_cast<const std::byte*>(bits.data()), n_out, n_in},
          0);
    }
  }
  static constexpr int64_t kTile = 16;
};

constexpr WeightType kCoded[] = {WeightType::q4_0,
                                 WeightType::q4_1,
                                 WeightType::q5_0,
                                 WeightType::q5_1,
                                 WeightType::q8_0,
                                 WeightType::q3_k,
                                 WeightType::q4_k,
                                 WeightType::q5_k,
                                 WeightType::q6_k,
                                 WeightType::affine4,
                                 WeightType::affine8,
                                 WeightType::fp8,
                                 WeightType::fp8_128};

TEST(Cuda, CodesGiveTheBitsOfTheirNumbersRounded) {
  SKIP_WITHOUT_CARD();
  const auto backend = make_cuda_backend();
  backend->reserve({.n_tokens = 1024, .n_logit_rows = 1024, .n_features = 4096, .kv_len = 64});
  for (const WeightType type : kCoded) {
    const int64_t least = block_of(type).elements;
    for (const auto& [n_out, n_in] : std::vector<std::pair<int64_t, int64_t>>{
             {17, least}, {96, 3 * least}, {1024, 1024}, {4096, 2048}, {9000, 512}, {48, 16384}}) {
      SCOPED_TRACE(testing::Message() << weight_type_name(type) << " " << n_out << " x " << n_in);
      const CodesAndNumbers w(*backend, type, {n_out, n_in}, 3);
      for (size_t i = 0; i < w.values.size(); ++i)
        ASSERT_EQ(w.values[i], bf16_to_f32(f32_to_bf16(w.unrounded[i]))) << i;
      constexpr int64_t kRows = 300;
      const std::vector<float> x = random_floats(kRows * n_in, 2);
      for (const int64_t n : {1, 2, 8, 9, 31, 33, 64, 65, 129, 300}) {
        const OnCard input(
            *backend, std::span(x).first(static_cast<size_t>(n * n_in)), {n, n_in}, DType::bf16);
        const std::vector<float> nothing(static_cast<size_t>(n * n_out), NAN);
        const OnCard ours(*backend, nothing, {n, n_out}), theirs(*backend, nothing, {n, n_out});
        backend->linear(ours.tensor, input.tensor, {w.codes, {}});
        backend->linear(theirs.tensor, input.tensor, {w.numbers, {}});
        ASSERT_EQ(host(*backend, ours.tensor), host(*backend, theirs.tensor)) << n << " rows";
      }
      const std::vector<int32_t> ids{0, static_cast<int32_t>(n_out) - 1, 5};
      const OnCard rows(
          *backend, std::vector<float>(static_cast<size_t>(3 * n_in), NAN), {3, n_in});
      const Storage place = backend->allocate(64);
      const Tensor id(place.data(), DType::i32, {3}, Place::device);
      backend->upload(id, ids.data());
      backend->embed(rows.tensor, id, w.codes);
      const std::vector<float> embedded = host(*backend, rows.tensor);
      for (size_t r = 0; r < 3; ++r) {
        for (int64_t k = 0; k < n_in; ++k) {
          ASSERT_EQ(embedded[r * static_cast<size_t>(n_in) + static_cast<size_t>(k)],
                    w.unrounded[static_cast<size_t>(ids[r] * n_in + k)]);
        }
      }
    }
  }
}

// A normed pair with its activation, of the same and of two types; and experts.
TEST(Cuda, CodesGiveTheBitsOfTheirNumbersInFusedOperations) {
  SKIP_WITHOUT_CARD();
  const auto backend = make_cuda_backend();
  backend->reserve({.n_tokens = 1024, .n_logit_rows = 1024, .n_features = 4096, .kv_len = 64});
  constexpr int64_t kIn = 512, kOut = 768, kExperts = 16, kTopK = 4;
  for (const auto& [first, second] :
       std::vector<std::pair<WeightType, WeightType>>{{WeightType::q4_k, WeightType::q4_k},
                                                      {WeightType::q4_k, WeightType::q6_k},
                                                      {WeightType::fp8, WeightType::fp8},
                                                      {WeightType::q8_0, WeightType::affine4}}) {
    SCOPED_TRACE(testing::Message() << weight_type_name(first) << ", " << weight_type_name(second));
    const CodesAndNumbers gate(*backend, first, {kOut, kIn}, 1),
        up(*backend, second, {kOut, kIn}, 2);
    const CodesAndNumbers gates(*backend, first, {kExperts, kOut, kIn}, 3),
        ups(*backend, second, {kExperts, kOut, kIn}, 4),
        downs(*backend, second, {kExperts, kIn, kOut}, 5);
    const OnCard norm(*backend, random_floats(kIn, 6), {kIn});
    for (const int64_t n : {1, 2, 8, 9, 40, 130}) {
      const std::vector<float> numbers = random_floats(n * kIn, 7);
      const OnCard x(*backend, numbers, {n, kIn});
      const auto normed = [&](const Weight& a, const Weight& b) {
        const OnCard g(
            *backend, std::vector<float>(static_cast<size_t>(n * kOut)), {n, kOut}, DType::bf16),
            u(*backend, std::vector<float>(static_cast<size_t>(n * kOut)), {n, kOut}, DType::bf16),
            h(*backend, std::vector<float>(static_cast<size_t>(n * kIn)), {n, kIn}, DType::bf16);
        backend->norm_mlp(
            g.tensor, u.tensor, h.tensor, x.tensor, {norm.tensor, 1e-6f}, {a, {}}, {b, {}});
        return host(*backend, g.tensor);
      };
      ASSERT_EQ(normed(gate.codes, up.codes), normed(gate.numbers, up.numbers)) << n;
      ASSERT_EQ(normed(gate.codes, up.numbers), normed(gate.numbers, up.numbers)) << n;

      const OnCard h(*backend, numbers, {n, kIn}, DType::bf16);
      std::vector<float> weights(static_cast<size_t>(n * kTopK), 0.25f);
      std::vector<int32_t> chosen(weights.size());
      for (size_t i = 0; i < chosen.size(); ++i)
        chosen[i] = static_cast<int32_t>((i / kTopK * 5 + i % kTopK * 3) % kExperts);
      const OnCard shares(*backend, weights, {n, kTopK});
      const Storage place = backend->allocate(n * kTopK * 4);
      const Tensor experts(place.data(), DType::i32, {n, kTopK}, Place::device);
      backend->upload(experts, chosen.data());
      const auto routed = [&](const Weight& a, const Weight& b, const Weight& c) {
        const OnCard y(*backend, numbers, {n, kIn});
        backend->experts_add(y.tensor, h.tensor, {a, b, c}, {shares.tensor, experts});
        return host(*backend, y.tensor);
      };
      ASSERT_EQ(routed(gates.codes, ups.codes, downs.codes),
                routed(gates.numbers, ups.numbers, downs.numbers))
          << n;
    }
  }
}

// |error| of a chain of matrix steps: each rounds to 2^-23 of the running sum, and cuts what it adds at
// 2^-24 of the largest of its numbers (a Hopper's 25 bits).
double chain_bound(double sum_of_magnitudes, int64_t n_in) {
  return sum_of_magnitudes * (static_cast<double>(n_in) / 16 + 4) * 0x1p-23 + 1e-30;
}

TEST(Cuda, ProductsOfAnySizeAreWithinTheirBoundAndRowsDoNotDependOnTheBatch) {
  SKIP_WITHOUT_CARD();
  const auto backend = make_cuda_backend();
  backend->reserve({.n_tokens = 1024, .n_logit_rows = 1024, .n_features = 4096, .kv_len = 64});
  for (const auto& [n_out, n_in] : std::vector<std::pair<int64_t, int64_t>>{{16, 16},
                                                                            {17, 1008},
                                                                            {96, 256},
                                                                            {256, 96},
                                                                            {1024, 1024},
                                                                            {4096, 2048},
                                                                            {9000, 512},
                                                                            {40, 30}}) {
    SCOPED_TRACE(testing::Message() << n_out << " x " << n_in);
    const std::vector<float> w = random_floats(n_out * n_in, 1, 0.05f);
    const CardWeight weight(*backend, w, n_out, n_in);
    {
      std::vector<float> back(static_cast<size_t>(n_out * n_in));
      backend->unpack_rows(Tensor::view(back, {n_out, n_in}), weight.weight, 0, 0);
      ASSERT_EQ(back, w);
    }
    constexpr int64_t kRows = 300;
    const std::vector<float> x = random_floats(kRows * n_in, 2);
    std::vector<std::vector<float>> results;
    for (const int64_t n : {1, 2, 7, 8, 9, 31, 33, 64, 65, 127, 129, 300}) {
      const OnCard input(
          *backend, std::span(x).first(static_cast<size_t>(n * n_in)), {n, n_in}, DType::bf16);
      const OnCard output(
          *backend, std::vector<float>(static_cast<size_t>(n * n_out), NAN), {n, n_out});
      backend->linear(output.tensor, input.tensor, {weight.weight, {}});
      results.push_back(host(*backend, output.tensor));
    }
    const std::vector<float>& all = results.back();
    for (const std::vector<float>& some : results) {
      ASSERT_EQ(std::memcmp(some.data(), all.data(), some.size() * 4), 0)
          << some.size() / static_cast<size_t>(n_out);
    }
    for (int64_t r = 0; r < kRows; r += 37) {
      for (int64_t o = 0; o < n_out; o += 1 + n_out / 50) {
        double sum = 0, magnitudes = 0;
        for (int64_t k = 0; k < n_in; ++k) {
          const double term = static_cast<double>(w[static_cast<size_t>(o * n_in + k)]) *
                              x[static_cast<size_t>(r * n_in + k)];
          sum += term;
          magnitudes += std::abs(term);
        }
        ASSERT_NEAR(all[static_cast<size_t>(r * n_out + o)], sum, chain_bound(magnitudes, n_in));
      }
    }
  }
}

// A stack of matrices in fragments, and those of some of its experts.
struct CardStack {
  Storage storage;
  Weight all;

  CardStack(Backend& backend, Shape shape, uint32_t seed) {
    const int64_t n = shape[0], n_out = shape[1], n_in = shape[2];
    const WeightFormat format = backend.weight_format(WeightType::bf16, n_out, n_in);
    storage = backend.allocate(n * format.bytes);
    all = Weight(storage.data(), WeightType::bf16, shape, format);
    std::vector<uint16_t> bits(static_cast<size_t>(n_out * n_in));
    for (int64_t m = 0; m < n; ++m) {
      const auto values = random_floats(n_out * n_in, seed + static_cast<uint32_t>(m), 0.05f);
      std::transform(values.begin(), values.end(), bits.begin(), f32_to_bf16);
      backend.pack_weight(
          all,
          m,
          {WeightType::bf16, reinterpret_cast<const std::byte*>(bits.data()), n_out, n_in},
          0);
    }
  }
  Weight some(int64_t first, int64_t n) const {
    const Shape& shape = all.shape();
    return {storage.data() + first * all.format().bytes,
            all.type(),
            {n, shape[1], shape[2]},
            all.format()};
  }
};

// With one token, few pairs, more, and so many that experts have many rows each; whole, and as ranks share experts.
TEST(Cuda, ExpertsGiveATokenTheSameBitsInAnyBatch) {
  SKIP_WITHOUT_CARD();
  const auto backend = make_cuda_backend();
  backend->reserve({.n_tokens = 1024, .n_logit_rows = 1024, .n_features = 4096, .kv_len = 64});
  struct Sizes {
    int64_t hidden, inner, n_experts, top_k;
  };
  for (const Sizes& z :
       {Sizes{16, 16, 1, 1},
        {64, 32, 4, 2},
        {48, 80, 11, 3},  // odd numbers of tiles
        {272, 48, 8, 8},
        {512, 768, 16, 4},
        {2048, 768, 32, 8},
        {64, 16384, 4, 4},     // rows too long to be held
        {32, 12288, 64, 64},   // more pairs than are sorted by the way, but of one token
        {65536, 16, 2, 2}}) {  // more tiles than a block looks at ahead
    SCOPED_TRACE(testing::Message() << z.hidden << ", " << z.n_experts << " x " << z.inner << ", "
                                    << z.top_k << " of a token");
    const CardStack gate(*backend, {z.n_experts, z.inner, z.hidden}, 1),
        up(*backend, {z.n_experts, z.inner, z.hidden}, 100),
        down(*backend, {z.n_experts, z.hidden, z.inner}, 200);
    constexpr int64_t kTokens = 150;
    const std::vector<float> numbers = random_floats(kTokens * z.hidden, 7);
    const std::vector<float> shares = random_floats(kTokens * z.top_k, 8);
    // Any experts in any order, some of them popular; each token has each at most once.
    std::mt19937 random(9);
    std::vector<int32_t> chosen;
    for (int64_t t = 0; t < kTokens; ++t) {
      std::vector<int32_t> ids(static_cast<size_t>(z.n_experts));
      std::iota(ids.begin(), ids.end(), 0);
      std::shuffle(ids.begin(), ids.end(), random);
      if (t % 3 == 0) std::sort(ids.begin(), ids.end());
      chosen.insert(chosen.end(), ids.begin(), ids.begin() + z.top_k);
    }
    const Storage place = backend->allocate(kTokens * z.top_k * 4);
    // Tokens [first, first + n) by the experts at hand of a node.
    const auto sums = [&](int64_t first, int64_t n, int begin, int end) {
      const Leaves leaves = Leaves{z.n_experts, 1}.node(begin, end);
      const auto of = [&](const std::vector<float>& all, int64_t width) {
        return std::span(all).subspan(static_cast<size_t>(first * width),
                                      static_cast<size_t>(n * width));
      };
      const OnCard h(*backend, of(numbers, z.hidden), {n, z.hidden}, DType::bf16),
          weights(*backend, of(shares, z.top_k), {n, z.top_k}),
          x(*backend, of(numbers, z.hidden), {n, z.hidden});
      const Tensor experts(place.data(), DType::i32, {n, z.top_k}, Place::device);
      backend->upload(experts, chosen.data() + first * z.top_k);
      const int64_t at = leaves.first(), count = leaves.count();
      const ExpertWeights some{
          gate.some(at, count), up.some(at, count), down.some(at, count), leaves};
      backend->experts_sum(x.tensor, h.tensor, some, {weights.tensor, experts});
      std::vector<float> found = host(*backend, x.tensor);
      backend->upload(x.tensor, of(numbers, z.hidden).data());
      backend->experts_add(x.tensor, h.tensor, some, {weights.tensor, experts});
      const std::vector<float> added = host(*backend, x.tensor);
      for (size_t i = 0; i < found.size(); ++i)
        EXPECT_EQ(added[i], of(numbers, z.hidden)[i] + found[i]) << i;
      return found;
    };
    for (const auto& [begin, end] :
         std::vector<std::pair<int, int>>{{0, 8}, {0, 4}, {4, 8}, {6, 7}}) {
      SCOPED_TRACE(testing::Message() << "leaves " << begin << " to " << end);
      const std::vector<float> all = sums(0, kTokens, begin, end);
      if (begin == 0 && end == 8) {
        EXPECT_TRUE(std::ranges::any_of(all, [](float v) { return v != 0; }));
      }
      for (const auto& [first, n] : std::vector<std::pair<int64_t, int64_t>>{
               {0, 1}, {1, 1}, {149, 1}, {3, 2}, {5, 4}, {0, 8}, {7, 9}, {2, 33}, {0, 70}}) {
        const std::vector<float> some = sums(first, n, begin, end);
        ASSERT_EQ(std::memcmp(some.data(), all.data() + first * z.hidden, some.size() * 4), 0)
            << n << " tokens from " << first;
      }
    }
  }
}

TEST(Cuda, AScanListsTheLargestLogits) {
  SKIP_WITHOUT_CARD();
  const auto backend = make_cuda_backend();
  for (const int64_t vocab : {50, 2560, 151936}) {
    constexpr int64_t kRows = 5;
    const int64_t n_real = vocab - 17;
    std::vector<float> logits = random_floats(kRows * vocab, 7, 3);  // many equals
    logits[static_cast<size_t>(2 * vocab + vocab / 2)] = NAN;
    logits[static_cast<size_t>(3 * vocab + vocab - 1)] = INFINITY;  // beyond the real ones
    std::fill_n(logits.begin() + 4 * vocab, vocab, 1.0f);
    const OnCard input(*backend, logits, {kRows, vocab});
    HostBuffer buffer;
    std::vector<RowScan> scans;
    ASSERT_TRUE(backend->scan(input.tensor, n_real, buffer, scans));
    ASSERT_EQ(scans.size(), static_cast<size_t>(kRows));
    EXPECT_FALSE(scans[2].finite);
    EXPECT_FALSE(scans[3].finite);
    EXPECT_TRUE(scans[4].finite);
    EXPECT_EQ(scans[4].listed, vocab < 512);
    for (const size_t r : {0u, 1u}) {
      EXPECT_TRUE(scans[r].finite);
      // With fewer columns than are to be listed, everything is, if it is little enough.
      ASSERT_EQ(scans[r].listed, vocab != 2560);
      if (!scans[r].listed) continue;
      const float* row = logits.data() + static_cast<int64_t>(r) * vocab;
      std::vector<int32_t> ids;
      for (int32_t i = 0; i < n_real; ++i) {
        if (row[i] >= scans[r].threshold) ids.push_back(i);
      }
      ASSERT_EQ(std::vector<int32_t>(scans[r].ids.begin(), scans[r].ids.end()), ids);
      ASSERT_GE(static_cast<int64_t>(ids.size()), std::min<int64_t>(Backend::kListed, n_real));
      for (size_t i = 0; i < ids.size(); ++i) ASSERT_EQ(scans[r].values[i], row[ids[i]]);
    }
  }
}

const std::vector<std::string> kModels = {"nano", "nano-moe"};
std::filesystem::path model_path(const std::string& name) {
  // On a machine with a card the repository may lie elsewhere than where this was built (script/gpu-run).
  const char* there = std::getenv("QWEN3_SOURCE_DIR");
  return std::filesystem::path(there != nullptr ? there : QWEN3_SOURCE_DIR) / "models" / name;
}

std::vector<int32_t> some_ids(int64_t n, int32_t vocab, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids(static_cast<size_t>(n));
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % static_cast<uint32_t>(vocab));
  return ids;
}

TEST(Cuda, LogitsAreNearTheReference) {
  SKIP_WITHOUT_CARD();
  for (const std::string& name : kModels) {
    const auto cuda = make_cuda_backend(), reference = make_reference_backend();
    TestModel ours(model_path(name), *cuda, WeightsDType::as_stored, 16);
    TestModel theirs(model_path(name), *reference, WeightsDType::as_stored, 16);
    const std::vector<int32_t> ids = some_ids(120, 2560, 3);
    TestSequence a, b;
    const Array mine = ours.forward(a, ids), truth = theirs.forward(b, ids);
    double error = 0, size = 0;
    int64_t agree = 0;
    for (int64_t t = 0; t < 120; ++t) {
      int64_t best = 0, true_best = 0;
      for (int64_t i = 0; i < 2560; ++i) {
        const float x = mine.values[static_cast<size_t>(t * 2560 + i)];
        const float y = truth.values[static_cast<size_t>(t * 2560 + i)];
        error += (static_cast<double>(x) - y) * (static_cast<double>(x) - y);
        size += static_cast<double>(y) * y;
        if (x > mine.values[static_cast<size_t>(t * 2560 + best)]) best = i;
        if (y > truth.values[static_cast<size_t>(t * 2560 + true_best)]) true_best = i;
      }
      agree += best == true_best ? 1 : 0;
    }
    std::printf("%s: relative error %.2e, same best token in %lld of 120\n",
                name.c_str(),
                std::sqrt(error / size),
                static_cast<long long>(agree));
    EXPECT_LT(std::sqrt(error / size), 0.03) << name;  // bfloat16 activations
    EXPECT_GE(agree, 110) << name;
  }
}

TEST(Cuda, ASequenceHasTheSameBitsInAnyBatchAndAnyChunks) {
  SKIP_WITHOUT_CARD();
  for (const std::string& name : kModels) {
    SCOPED_TRACE(name);
    const auto backend = make_cuda_backend();
    constexpr int64_t kTokens = 330;
    const std::vector<int32_t> ids = some_ids(kTokens, 2560, 4);
    const auto in_chunks = [&](int64_t size) {
      TestModel fresh(model_path(name), *backend, WeightsDType::as_stored, 16);
      TestSequence sequence;
      std::vector<float> logits;
      for (int64_t at = 0; at < kTokens; at += size) {
        const int64_t n = std::min(size, kTokens - at);
        const Array some = fresh.forward(
            sequence, std::span(ids).subspan(static_cast<size_t>(at), static_cast<size_t>(n)));
        logits.insert(logits.end(), some.values.begin(), some.values.end());
      }
      return logits;
    };
    const std::vector<float> whole = in_chunks(128);
    for (const int64_t size : {1, 7, 8, 16, 17, 33, 64, 127}) {
      ASSERT_EQ(in_chunks(size), whole) << "chunks of " << size;
    }
    // Beside others: some that decode, some that come with a prompt.
    for (const int64_t n_others : {1, 3, 6, 12, 24}) {
      TestModel fresh(model_path(name), *backend, WeightsDType::as_stored, 16);
      std::vector<TestSequence> sequences(static_cast<size_t>(n_others + 1));
      int64_t at = 0;
      for (const int64_t size : {40, 1, 1, 1, 1, 50, 1, 1, 60, 1, 1}) {
        std::vector<TestModel::Chunk> chunks;
        std::vector<std::vector<int32_t>> theirs;
        theirs.reserve(static_cast<size_t>(n_others));
        for (int64_t s = 0; s < n_others; ++s) {
          const int64_t n = size == 40 ? 3 : size > 1 ? 1 + s % 2 : 1;
          theirs.push_back(some_ids(n, 2560, static_cast<uint32_t>(100 * at + s)));
          chunks.push_back({&sequences[static_cast<size_t>(s)], theirs.back()});
        }
        const size_t place = static_cast<size_t>(n_others) / 2;
        chunks.insert(chunks.begin() + static_cast<int64_t>(place),
                      {&sequences.back(),
                       std::span(ids).subspan(static_cast<size_t>(at), static_cast<size_t>(size))});
        const Array logits = fresh.forward(chunks);
        int64_t row = 0;
        for (size_t c = 0; c < place; ++c) row += static_cast<int64_t>(chunks[c].ids.size());
        ASSERT_EQ(std::memcmp(logits.values.data() + row * 2560,
                              whole.data() + at * 2560,
                              static_cast<size_t>(size * 2560) * 4),
                  0)
            << n_others << " others, from token " << at;
        at += size;
      }
    }
  }
}

// Little of everything, for tools that make each access slow.
TEST(Cuda, SanitizableSmallSteps) {
  SKIP_WITHOUT_CARD();
  for (const std::string& name : kModels) {
    const auto backend = make_cuda_backend();
    TestModel model(model_path(name), *backend, WeightsDType::as_stored, 16);
    TestSequence a, b;
    const std::vector<int32_t> ids = some_ids(140, 2560, 8);
    const std::span<const int32_t> all(ids);
    model.forward(a, all.first(70));
    model.forward(b, all.first(5));
    for (size_t i = 0; i < 3; ++i) {
      const std::vector<TestModel::Chunk> both{{&a, all.subspan(70 + i, 1)},
                                               {&b, all.subspan(5 + i, 1)}};
      model.forward(both);
    }
    const std::vector<TestModel::Chunk> mixed{{&a, all.subspan(73, 60)}, {&b, all.subspan(8, 1)}};
    const Array logits = model.forward(mixed);
    EXPECT_TRUE(std::ranges::all_of(logits.values, [](float v) { return std::isfinite(v); }));
    HostBuffer buffer;
    std::vector<RowScan> scans;
    const OnCard rows(*backend, logits.values, {61, 2560});
    EXPECT_TRUE(backend->scan(rows.tensor, 2550, buffer, scans));
  }
}

TEST(Cuda, EarlyLaunchesChangeNoBit) {
  SKIP_WITHOUT_CARD();
  for (const std::string& name : kModels) {
    const std::vector<int32_t> ids = some_ids(200, 2560, 6);
    std::vector<std::vector<float>> all;
    for (const bool early : {true, false, true}) {
      use_dependent_launches(early);
      const auto backend = make_cuda_backend();
      TestModel model(model_path(name), *backend, WeightsDType::as_stored, 16);
      TestSequence sequence;
      std::vector<float> logits;
      for (size_t at = 0; at < ids.size();) {
        const size_t n = at == 0 ? 70 : 1;
        const Array some = model.forward(sequence, std::span(ids).subspan(at, n));
        logits.insert(logits.end(), some.values.begin(), some.values.end());
        at += n;
      }
      all.push_back(std::move(logits));
    }
    use_dependent_launches(true);
    EXPECT_EQ(all[0], all[1]) << name;
    EXPECT_EQ(all[0], all[2]) << name;
  }
}

TEST(Cuda, WhoLooksChangesNoBit) {
  SKIP_WITHOUT_CARD();
  for (const std::string& name : kModels) {
    SCOPED_TRACE(name);
    const auto backend = make_cuda_backend();
    const std::vector<int32_t> ids = some_ids(150, 2560, 5);
    for (const int64_t size : {1, 5, 50}) {
      TestModel plain(model_path(name), *backend, WeightsDType::as_stored, 16);
      TestModel watched(model_path(name), *backend, WeightsDType::as_stored, 16);
      TestSequence a, b;
      for (int64_t at = 0; at < 150; at += size) {
        const std::span<const int32_t> next =
            std::span(ids).subspan(static_cast<size_t>(at), static_cast<size_t>(size));
        TapCollector tap;
        ASSERT_EQ(plain.forward(a, next).values, watched.forward(b, next, &tap).values)
            << size << " at " << at;
        ASSERT_GT(tap.names.size(), 50u);
        ASSERT_TRUE(tap.arrays.contains("layers.0.self_attn.probs"));
      }
    }
  }
}

}  // namespace
}  // namespace qwen3::test
