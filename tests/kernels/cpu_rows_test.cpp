// Norms, RoPE, activations, routing and the rest of the row-wise operations of the CPU backend.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kernels/cpu_testing.h"

namespace qwen3::testing {
namespace {

const int64_t kSizes[] = {1, 7, 16, 31, 33, 128, 257};

TEST(CpuRows, RmsNorm) {
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    for (const int64_t n : kSizes) {
      for (const int64_t m : {1, 5, 300}) {
        auto x = random_floats(m * n, 1);
        auto w = random_floats(n, 2);
        std::vector<float> out(x.size());
        backend->rms_norm(
            Tensor::view(out, {m, n}), Tensor::view(x, {m, n}), Tensor::view(w, {n}), 1e-6f);
        Comparison comparison;
        for (int64_t t = 0; t < m; ++t) {
          double squares = 0;
          for (int64_t i = 0; i < n; ++i)
            squares += std::pow(double{x[static_cast<size_t>(t * n + i)]}, 2);
          const double factor = 1 / std::sqrt(squares / static_cast<double>(n) + double{1e-6f});
          for (int64_t i = 0; i < n; ++i) {
            const auto at = static_cast<size_t>(t * n + i);
            const double truth = x[at] * factor * w[static_cast<size_t>(i)];
            // Half of the relative error of a sum of n squares, and five roundings.
            comparison.look(at,
                            out[at],
                            truth,
                            (static_cast<double>(n) / 2 + 5) * kEps * std::abs(truth) + 1e-37);
          }
        }
        comparison.expect("rms_norm " + std::string(isa_name(isa)) + " n=" + std::to_string(n));
        backend->rms_norm(
            Tensor::view(x, {m, n}), Tensor::view(x, {m, n}), Tensor::view(w, {n}), 1e-6f);
        EXPECT_EQ(x, out) << "in place";
      }
    }
  }
}

TEST(CpuRows, RopeAndQkNormRope) {
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    for (const int64_t head_dim : {2, 14, 32, 66, 128}) {
      for (const int64_t m : {1, 70}) {
        const int64_t half = head_dim / 2;
        auto q = random_floats(m * 4 * head_dim, 1);
        auto k = random_floats(m * 2 * head_dim, 2);
        auto q_norm = random_floats(head_dim, 3);
        auto k_norm = random_floats(head_dim, 4);
        std::vector<float> cos, sin;
        for (int64_t i = 0; i < m * half; ++i) {
          cos.push_back(std::cos(0.37f * static_cast<float>(i)));
          sin.push_back(std::sin(0.37f * static_cast<float>(i)));
        }
        const Tensor cos_view = Tensor::view(cos, {m, half});
        const Tensor sin_view = Tensor::view(sin, {m, half});
        auto turned = q;
        backend->rope_rotate_half(Tensor::view(turned, {m, 4, head_dim}), cos_view, sin_view);
        Comparison comparison;
        for (int64_t row = 0; row < m * 4; ++row) {
          for (int64_t i = 0; i < half; ++i) {
            const auto a = static_cast<size_t>(row * head_dim + i);
            const auto b = a + static_cast<size_t>(half);
            const auto c = static_cast<size_t>(row / 4 * half + i);
            const double ac = double{q[a]} * cos[c], bs = double{q[b]} * sin[c];
            const double bc = double{q[b]} * cos[c], as = double{q[a]} * sin[c];
            comparison.look(a, turned[a], ac - bs, 2 * kEps * (std::abs(ac) + std::abs(bs)));
            comparison.look(b, turned[b], bc + as, 2 * kEps * (std::abs(bc) + std::abs(as)));
          }
        }
        comparison.expect("rope " + std::string(isa_name(isa)));

        for (const auto order :
             {QkNormRope::Order::norm_then_rope, QkNormRope::Order::rope_then_norm}) {
          const QkNormRope options = {Tensor::view(q_norm, {head_dim}),
                                      Tensor::view(k_norm, {head_dim}),
                                      1e-6f,
                                      cos_view,
                                      sin_view,
                                      order};
          const auto run = [&](bool traced) {
            const Observer observer = [](std::string_view, const Tensor&) {};
            backend->set_observer(traced ? &observer : nullptr);
            auto q_out = q;
            auto k_out = k;
            backend->qk_norm_rope(Tensor::view(q_out, {m, 4, head_dim}),
                                  Tensor::view(k_out, {m, 2, head_dim}),
                                  options);
            backend->set_observer(nullptr);
            q_out.insert(q_out.end(), k_out.begin(), k_out.end());
            return q_out;
          };
          EXPECT_EQ(run(false), run(true)) << isa_name(isa);
        }
      }
    }
  }
}

TEST(CpuRows, SiluMulAndAdd) {
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    for (const int64_t n : kSizes) {
      const int64_t m = 70;
      auto gate = random_floats(m * n, 1, 20.0f);
      gate[0] = -1e4f;  // exp(-gate) beyond float32
      gate[static_cast<size_t>(m * n - 1)] = 1e4f;
      auto up = random_floats(m * n, 2);
      auto sum = gate;
      std::vector<float> out(gate.size());
      backend->silu_mul(
          Tensor::view(out, {m, n}), Tensor::view(gate, {m, n}), Tensor::view(up, {m, n}));
      Comparison comparison;
      for (size_t i = 0; i < out.size(); ++i) {
        const double g = gate[i];
        const double truth = g / (1 + std::exp(-g)) * up[i];
        // Below -87 the exponential is held, so the result is only known to be tiny.
        comparison.look(i, out[i], truth, 8 * kEps * std::abs(truth) + 1e-34);
      }
      comparison.expect("silu_mul " + std::string(isa_name(isa)));
      backend->add(Tensor::view(sum, {m, n}), Tensor::view(up, {m, n}));
      for (size_t i = 0; i < sum.size(); ++i) ASSERT_EQ(sum[i], gate[i] + up[i]);
    }
  }
}

// exp through silu over its whole range: silu(x) = x / (1 + exp(-x)) with up = 1.
TEST(CpuRows, ExponentialIsAccurateEverywhere) {
  std::vector<float> x;
  for (float v = -86.0f; v < 87.0f; v += 0.00731f) x.push_back(v);
  const auto n = static_cast<int64_t>(x.size());
  std::vector<float> up(x.size(), 1.0f);
  std::vector<float> out(x.size());
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(1, isa);
    backend->silu_mul(Tensor::view(out, {1, n}), Tensor::view(x, {1, n}), Tensor::view(up, {1, n}));
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double truth = x[i] / (1 + std::exp(-double{x[i]}));
      if (truth != 0) worst = std::max(worst, std::abs(out[i] / truth - 1));
    }
    EXPECT_LT(worst, 4 * kEps) << isa_name(isa);
  }
}

TEST(CpuRows, RouteTopK) {
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    for (const auto& [n_experts, top_k] :
         {std::pair(1, 1), {7, 3}, {16, 16}, {128, 8}, {131, 9}, {300, 40}}) {
      for (const auto renormalise : {Backend::Renormalise::no, Backend::Renormalise::yes}) {
        const int64_t m = 90;
        auto logits = random_floats(m * n_experts, 1, 3.0f);
        for (size_t i = 0; i < logits.size(); i += 3) logits[i] = 1.5f;  // many ties
        std::vector<float> weights(static_cast<size_t>(m * top_k));
        std::vector<int32_t> experts(weights.size());
        backend->route_top_k(
            {Tensor::view(weights, {m, top_k}), Tensor(experts.data(), DType::i32, {m, top_k})},
            Tensor::view(logits, {m, n_experts}),
            renormalise);
        Comparison comparison;
        for (int64_t t = 0; t < m; ++t) {
          const float* row = logits.data() + t * n_experts;
          std::vector<int32_t> order(static_cast<size_t>(n_experts));
          std::iota(order.begin(), order.end(), 0);
          std::stable_sort(
              order.begin(), order.end(), [&](int a, int b) { return row[a] > row[b]; });
          double total = 0;
          double chosen = 0;
          for (int64_t i = 0; i < n_experts; ++i) {
            total += std::exp(double{row[i]});
            if (i < top_k) chosen += std::exp(double{row[order[static_cast<size_t>(i)]]});
          }
          for (int64_t i = 0; i < top_k; ++i) {
            const auto at = static_cast<size_t>(t * top_k + i);
            ASSERT_EQ(experts[at], order[static_cast<size_t>(i)])
                << isa_name(isa) << " row " << t << " rank " << i;
            const double truth = std::exp(double{row[experts[at]]}) /
                                 (renormalise == Backend::Renormalise::yes ? chosen : total);
            comparison.look(
                at, weights[at], truth, static_cast<double>(n_experts + 12) * kEps * truth);
          }
        }
        comparison.expect("route_top_k " + std::string(isa_name(isa)));
      }
    }
  }
}

TEST(CpuRows, EmbedReadsPackedTables) {
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    for (const WeightType type : {WeightType::f32, WeightType::bf16, WeightType::f16}) {
      const int64_t size = 65;
      const StoredWeight w = make_weight(*backend, type, {41, size}, 1);
      const std::vector<int32_t> ids = {0, 40, 16, 15, 16};
      std::vector<float> out(ids.size() * static_cast<size_t>(size));
      backend->embed(Tensor::view(out, {5, size}), Tensor::view(ids), w.packed);
      for (size_t i = 0; i < ids.size(); ++i) {
        EXPECT_TRUE(same_bits(
            out.data() + i * static_cast<size_t>(size), w.values.data() + ids[i] * size, size));
      }
    }
  }
}

TEST(CpuRows, GatherAndScatterAdd) {
  const auto backend = make_cpu_backend(2, cpu_info().best_isa);
  const int64_t size = 37;
  auto x = random_floats(5 * size, 1);
  const std::vector<int32_t> rows = {4, 0, 4, 2};
  std::vector<float> scales = {0.5f, 2.0f, -1.0f, 3.0f};
  std::vector<float> out(rows.size() * static_cast<size_t>(size));
  backend->gather_rows(
      Tensor::view(out, {4, size}), Tensor::view(x, {5, size}), Tensor::view(rows));
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_TRUE(
        same_bits(out.data() + i * static_cast<size_t>(size), x.data() + rows[i] * size, size));
  }
  auto sum = x;
  backend->scatter_add_rows(Tensor::view(sum, {5, size}),
                            Tensor::view(out, {4, size}),
                            Tensor::view(rows),
                            Tensor::view(scales, {4}));
  for (int64_t i = 0; i < size; ++i) {
    const auto at = static_cast<size_t>(i);
    const auto row4 = static_cast<size_t>(4 * size + i);
    EXPECT_FLOAT_EQ(sum[at], x[at] + 2.0f * x[at]);
    EXPECT_FLOAT_EQ(sum[row4], x[row4] + 0.5f * x[row4] - x[row4]);
    EXPECT_EQ(sum[static_cast<size_t>(size) + at], x[static_cast<size_t>(size) + at]);
  }
}

TEST(CpuBackend, DescribesItselfAndRefusesForeignInstructionSets) {
  const auto backend = make_cpu_backend(2, CpuIsa::baseline);
  EXPECT_EQ(backend->info().name, "cpu");
  EXPECT_EQ(backend->info().n_threads, 2);
  EXPECT_NE(backend->info().hardware.find("baseline"), std::string::npos);
#if defined(__x86_64__)
  EXPECT_THROW(make_cpu_backend(1, CpuIsa::neon), Error);
#else
  EXPECT_THROW(make_cpu_backend(1, CpuIsa::avx2), Error);
#endif
}

}  // namespace
}  // namespace qwen3::testing
