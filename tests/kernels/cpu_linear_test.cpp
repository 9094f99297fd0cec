// Linear layers and experts of the CPU backend against double-precision sums.
//
// Bound: a float32 sum of n products, in any order, errs by at most n·eps·Σ|x·w| (Higham, Accuracy
// and Stability of Numerical Algorithms, §3.1). Where activations are rounded to bfloat16 the
// oracle rounds them too, so the same bound holds.
#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/cpu_testing.h"

namespace qwen3::testing {
namespace {

constexpr WeightType kWeightTypes[] = {WeightType::f32, WeightType::bf16, WeightType::f16};

std::string label(CpuIsa isa, WeightType type, int64_t m, int64_t n, int64_t k) {
  return std::string(isa_name(isa)) + " " + std::string(weight_type_name(type)) +
         " m=" + std::to_string(m) + " n=" + std::to_string(n) + " k=" + std::to_string(k);
}

TEST(CpuPanels, PackingRoundTrips) {
  const auto backend = make_cpu_backend(1, CpuIsa::baseline);
  for (const WeightType type : kWeightTypes) {
    for (const auto& [rows, cols] : {std::pair(1, 1), {16, 2}, {31, 33}, {33, 7}, {257, 65}}) {
      const StoredWeight w = make_weight(*backend, type, {3, rows, cols}, 7);
      std::vector<float> out(static_cast<size_t>(rows * cols));
      for (int64_t index = 0; index < 3; ++index) {
        backend->unpack_rows(Tensor::view(out, {rows, cols}), w.packed, index, 0);
        EXPECT_TRUE(same_bits(out.data(), w.values.data() + index * rows * cols, rows * cols));
      }
    }
  }
}

// A loader packs row blocks as they arrive; the layout is documented in panels.h, byte for byte.
TEST(CpuPanels, PackingByBlocksGivesTheDocumentedLayout) {
  const auto backend = make_cpu_backend(1, CpuIsa::baseline);
  for (const WeightType type : kWeightTypes) {
    const int64_t rows = 41;
    const int64_t cols = 5;
    const StoredWeight w = make_weight(*backend, type, {rows, cols}, 3);
    Storage bytes;
    const Weight packed = allocate_weight(*backend, type, {rows, cols}, bytes);
    backend->pack_weight(packed, 0, w.rows(32, rows - 32), 32);
    backend->pack_weight(packed, 0, w.rows(0, 32), 0);
    const int64_t padded_cols = type == WeightType::f32 ? 5 : 6;
    for (int64_t r = 0; r < 48; ++r) {
      for (int64_t c = 0; c < padded_cols; ++c) {
        const int64_t at = type == WeightType::f32
                               ? (r / 16 * cols + c) * 16 + r % 16
                               : (r / 16 * padded_cols / 2 + c / 2) * 32 + r % 16 * 2 + c % 2;
        const float expected = r < rows && c < cols ? w.at(r, c) : 0.0f;
        ASSERT_EQ(load_f32(packed.data(), dtype_of(type), at), expected) << r << "," << c;
      }
    }
  }
}

TEST(CpuLinear, MatchesDoublePrecisionOnOddSizes) {
  struct Size {
    int64_t m, n, k;
  };
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    for (const WeightType type : kWeightTypes) {
      for (const auto& [m, n, k] : {Size{1, 1, 1},
                                    {1, 7, 31},
                                    {1, 257, 129},
                                    {2, 33, 7},
                                    {5, 64, 64},
                                    {7, 31, 33},
                                    {13, 100, 257},
                                    {31, 65, 33},
                                    {257, 130, 95}}) {
        const StoredWeight w = make_weight(*backend, type, {n, k}, 1);
        const auto x = random_floats(m * k, 2);
        const auto bias = random_floats(n, 3);
        std::vector<float> out(static_cast<size_t>(m * n), NAN);
        std::vector<float> sum(random_floats(m * n, 4));
        const std::vector<float> before = sum;
        const Tensor x_view(const_cast<float*>(x.data()), DType::f32, {m, k});
        backend->linear(Tensor::view(out, {m, n}),
                        x_view,
                        {w.packed, Tensor(const_cast<float*>(bias.data()), DType::f32, {n})});
        backend->linear_add(Tensor::view(sum, {m, n}), x_view, {w.packed, {}});

        Comparison linear;
        Comparison added;
        for (int64_t t = 0; t < m; ++t) {
          for (int64_t o = 0; o < n; ++o) {
            double total = 0;
            double magnitude = 0;
            for (int64_t i = 0; i < k; ++i) {
              float value = x[static_cast<size_t>(t * k + i)];
              if (rounds_activations(isa, type)) value = bf16_to_f32(f32_to_bf16(value));
              total += double{value} * w.at(o, i);
              magnitude += std::abs(double{value} * w.at(o, i));
            }
            const auto at = static_cast<size_t>(t * n + o);
            const double b = bias[static_cast<size_t>(o)];
            const auto n_terms = static_cast<double>(k + 1);
            linear.look(at, out[at], total + b, n_terms * kEps * (magnitude + std::abs(b)));
            added.look(at,
                       sum[at],
                       total + before[at],
                       n_terms * kEps * (magnitude + std::abs(before[at])));
          }
        }
        linear.expect("linear " + label(isa, type, m, n, k));
        added.expect("linear_add " + label(isa, type, m, n, k));
      }
    }
  }
}

TEST(CpuLinear, LinearsEqualTheirDefinitionBitForBit) {
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    for (const int64_t m : {1, 6, 50}) {
      const int64_t k = 96;
      // Types and sizes mixed on purpose: an operation looks at each weight.
      const StoredWeight a = make_weight(*backend, WeightType::bf16, {70, k}, 1);
      const StoredWeight b = make_weight(*backend, WeightType::f32, {33, k}, 2);
      const StoredWeight c = make_weight(*backend, WeightType::bf16, {16, k}, 3);
      auto x = random_floats(m * k, 4);
      auto bias = random_floats(33, 5);
      const auto run = [&](bool as_defined) {
        std::vector<float> out(static_cast<size_t>(m * (70 + 33 + 16)), NAN);
        const std::span<float> all(out);
        const auto ua = static_cast<size_t>(m * 70);
        const auto ub = static_cast<size_t>(m * 33);
        const std::initializer_list<Tensor> outs{Tensor::view(all, {m, 70}),
                                                 Tensor::view(all.subspan(ua), {m, 33}),
                                                 Tensor::view(all.subspan(ua + ub), {m, 16})};
        const Linear first{a.packed, {}}, second{b.packed, Tensor::view(bias, {33})},
            third{c.packed, {}};
        const std::initializer_list<const Linear*> weights{&first, &second, &third};
        const Tensor input = Tensor::view(x, {m, k});
        if (as_defined) {
          backend->Backend::linears(outs, input, weights);
        } else {
          backend->linears(outs, input, weights);
        }
        return out;
      };
      EXPECT_EQ(run(false), run(true)) << isa_name(isa) << " m=" << m;
    }
  }
}

// The promise of backend.h: a row has the same bits alone, in any batch, with any number of
// threads.
TEST(CpuLinear, RowsAreBitIdenticalInAnyBatch) {
  const int64_t k = 257;
  const int64_t n = 200;
  const int64_t m = 150;
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    const auto other = make_cpu_backend(5, isa);
    for (const WeightType type : kWeightTypes) {
      const StoredWeight w = make_weight(*backend, type, {n, k}, 1);
      auto x = random_floats(m * k, 2);
      std::vector<float> all(static_cast<size_t>(m * n));
      const Tensor x_view = Tensor::view(x, {m, k});
      backend->linear(Tensor::view(all, {m, n}), x_view, {w.packed, {}});
      for (const int64_t count : {1, 2, 3, 5, 6, 7, 16, 17, 24, 25, 33, 127}) {
        std::vector<float> part(static_cast<size_t>(count * n));
        Backend& runner = count % 2 == 0 ? *other : *backend;
        runner.linear(
            Tensor::view(part, {count, n}), x_view.rows(m - count, count), {w.packed, {}});
        EXPECT_TRUE(same_bits(part.data(), all.data() + (m - count) * n, count * n))
            << label(isa, type, count, n, k);
      }
    }
  }
}

TEST(CpuLinear, StridedRowsAndEmptyBatches) {
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    const StoredWeight w = make_weight(*backend, WeightType::bf16, {20, 24}, 1);
    const auto x = random_floats(3 * 24, 2);
    std::vector<float> out(3 * 20);
    backend->linear(Tensor::view(out, {3, 20}),
                    Tensor(const_cast<float*>(x.data()), DType::f32, {3, 24}),
                    {w.packed, {}});
    std::vector<float> none;
    backend->linear(Tensor(out.data(), DType::f32, {0, 20}),
                    Tensor(out.data(), DType::f32, {0, 24}),
                    {w.packed, {}});
    std::vector<float> alone(20);
    backend->linear(Tensor::view(alone, {1, 20}),
                    Tensor(const_cast<float*>(x.data() + 24), DType::f32, {1, 24}),
                    {w.packed, {}});
    EXPECT_TRUE(same_bits(alone.data(), out.data() + 20, 20));
  }
}

TEST(CpuLinear, F16SpecialValues) {
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(1, isa);
    // Smallest subnormal, largest subnormal, largest normal, negative zero, both columns of a pair.
    std::vector<uint16_t> bits = {0x0001, 0x83FF, 0x7BFF, 0x8000, 0x3C00, 0xFC00};
    Storage bytes;
    const Weight packed = allocate_weight(*backend, WeightType::f16, {6, 2}, bytes);
    std::vector<uint16_t> file;
    for (const uint16_t b : bits) {
      file.push_back(b);
      file.push_back(0);
    }
    const auto* rows = reinterpret_cast<const std::byte*>(file.data());
    backend->pack_weight(packed, 0, {WeightType::f16, rows, 6, 2}, 0);
    std::vector<float> x = {1.0f, 1.0f};
    std::vector<float> out(6);
    backend->linear(Tensor::view(out, {1, 6}), Tensor::view(x, {1, 2}), {packed, {}});
    for (size_t i = 0; i < bits.size(); ++i) EXPECT_EQ(out[i], f16_to_f32(bits[i])) << i;
  }
}

// ---- experts ----------------------------------------------------------------------------------

struct Moe {
  StoredWeight gate, up, down;
  std::vector<float> weights;
  std::vector<int32_t> experts;
  Routing routing;
};

Moe make_moe(const Backend& backend,
             WeightType type,
             int64_t n_tokens,
             int64_t n_experts,
             int64_t top_k,
             int64_t hidden,
             int64_t inter) {
  Moe moe;
  moe.gate = make_weight(backend, type, {n_experts, inter, hidden}, 1);
  moe.up = make_weight(backend, type, {n_experts, inter, hidden}, 2);
  moe.down = make_weight(backend, type, {n_experts, hidden, inter}, 3);
  std::mt19937 generator(4);
  for (int64_t t = 0; t < n_tokens; ++t) {
    std::vector<int32_t> ids(static_cast<size_t>(n_experts));
    for (size_t e = 0; e < ids.size(); ++e) ids[e] = static_cast<int32_t>(e);
    std::shuffle(ids.begin(), ids.end(), generator);
    for (int64_t k = 0; k < top_k; ++k) {
      moe.experts.push_back(ids[static_cast<size_t>(k)]);
      moe.weights.push_back(1.0f / static_cast<float>(k + 2));
    }
  }
  moe.routing = {Tensor::view(moe.weights, {n_tokens, top_k}),
                 Tensor(moe.experts.data(), DType::i32, {n_tokens, top_k})};
  return moe;
}

TEST(CpuExperts, MatchDoublePrecision) {
  const int64_t hidden = 49;
  const int64_t inter = 35;
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    for (const WeightType type : kWeightTypes) {
      for (const auto& [m, n_experts, top_k] :
           {std::tuple(1, 3, 1), {1, 130, 8}, {19, 5, 2}, {40, 130, 8}}) {
        const Moe moe = make_moe(*backend, type, m, n_experts, top_k, hidden, inter);
        const bool rounds = rounds_activations(isa, type);
        const auto as_seen = [&](double v) {
          return rounds ? double{bf16_to_f32(f32_to_bf16(static_cast<float>(v)))} : v;
        };
        auto h = random_floats(m * hidden, 5);
        auto x = random_floats(m * hidden, 6);
        const auto before = x;
        backend->experts_add(Tensor::view(x, {m, hidden}),
                             Tensor::view(h, {m, hidden}),
                             {moe.gate.packed, moe.up.packed, moe.down.packed},
                             moe.routing);
        Comparison comparison;
        for (int64_t t = 0; t < m; ++t) {
          std::vector<double> truth(hidden), bound(hidden);
          for (int64_t o = 0; o < hidden; ++o) {
            truth[static_cast<size_t>(o)] = before[static_cast<size_t>(t * hidden + o)];
            bound[static_cast<size_t>(o)] = std::abs(truth[static_cast<size_t>(o)]) * kEps * 10;
          }
          for (int64_t rank = 0; rank < top_k; ++rank) {
            const int64_t e = moe.experts[static_cast<size_t>(t * top_k + rank)];
            const double scale = moe.weights[static_cast<size_t>(t * top_k + rank)];
            std::vector<double> act(inter), act_error(inter);
            for (int64_t i = 0; i < inter; ++i) {
              double g = 0, u = 0, g_size = 0, u_size = 0;
              for (int64_t j = 0; j < hidden; ++j) {
                const double value = as_seen(h[static_cast<size_t>(t * hidden + j)]);
                g += value * moe.gate.at(e * inter + i, j);
                u += value * moe.up.at(e * inter + i, j);
                g_size += std::abs(value * moe.gate.at(e * inter + i, j));
                u_size += std::abs(value * moe.up.at(e * inter + i, j));
              }
              const double silu = g / (1 + std::exp(-g));
              act[static_cast<size_t>(i)] = silu * u;
              // |silu'| <= 1.1; the rest are the errors of both sums and of one rounding.
              const double n_eps = (hidden + 4) * kEps;
              act_error[static_cast<size_t>(i)] =
                  1.1 * n_eps * g_size * std::abs(u) + std::abs(silu) * n_eps * u_size +
                  std::abs(silu * u) * ((rounds ? kEpsBf16 : 0) + 8 * kEps);
            }
            for (int64_t o = 0; o < hidden; ++o) {
              double sum = 0, error = 0;
              for (int64_t i = 0; i < inter; ++i) {
                const double w = moe.down.at(e * hidden + o, i);
                const auto at = static_cast<size_t>(i);
                sum += act[at] * w;
                error += std::abs(w) * (act_error[at] + (inter + 2) * kEps * std::abs(act[at]));
              }
              truth[static_cast<size_t>(o)] += scale * sum;
              bound[static_cast<size_t>(o)] +=
                  scale * (error + static_cast<double>(top_k + 1) * kEps * std::abs(sum));
            }
          }
          for (int64_t o = 0; o < hidden; ++o) {
            const auto at = static_cast<size_t>(t * hidden + o);
            comparison.look(
                at, x[at], truth[static_cast<size_t>(o)], bound[static_cast<size_t>(o)]);
          }
        }
        comparison.expect("experts_add " + label(isa, type, m, n_experts, top_k));
      }
    }
  }
}

TEST(CpuExperts, RowsAreBitIdenticalInAnyBatch) {
  const int64_t hidden = 64;
  const int64_t inter = 48;
  const int64_t m = 37;
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    const auto other = make_cpu_backend(3, isa);
    const Moe moe = make_moe(*backend, WeightType::bf16, m, 16, 4, hidden, inter);
    const ExpertWeights experts = {moe.gate.packed, moe.up.packed, moe.down.packed};
    auto h = random_floats(m * hidden, 5);
    const auto before = random_floats(m * hidden, 6);
    auto all = before;
    const Tensor h_view = Tensor::view(h, {m, hidden});
    backend->experts_add(Tensor::view(all, {m, hidden}), h_view, experts, moe.routing);
    for (int64_t t = 0; t < m; ++t) {
      auto one = before;
      Backend& runner = t % 2 == 0 ? *backend : *other;
      runner.experts_add(Tensor::view(one, {m, hidden}).rows(t, 1),
                         h_view.rows(t, 1),
                         experts,
                         {moe.routing.weights.rows(t, 1), moe.routing.experts.rows(t, 1)});
      EXPECT_TRUE(same_bits(one.data() + t * hidden, all.data() + t * hidden, hidden))
          << isa_name(isa) << " token " << t;
    }
  }
}

}  // namespace
}  // namespace qwen3::testing
