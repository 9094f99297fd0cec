// One block of experts with literal weights: hidden 2, four experts, two chosen, renormalised. The
// goldens are transformers' Qwen3MoeTopKRouter and Qwen3MoeSparseMoeBlock.
#include <gtest/gtest.h>

#include <numeric>

#include "base/input_file.h"
#include "base/json.h"
#include "kernels/reference/reference_backend.h"
#include "support/tensors.h"

namespace qwen3::test {
namespace {

constexpr int64_t kHidden = 2, kExperts = 4, kTopK = 2;

std::vector<float> flat(const Json& rows) {
  std::vector<float> values;
  for (const Json& row : rows) {
    for (const Json& value : row) values.push_back(value.get<float>());
  }
  return values;
}

class MoeBlock : public ::testing::Test {
 protected:
  static Json read() {
    const std::string file = QWEN3_SOURCE_DIR "/tests/data/models/moe_block.json";
    return parse_json(read_text_file(file, 1 << 20), file);
  }

  // Routes the case's tokens and checks logits, experts (in order) and weights.
  void route(const Json& golden) {
    SCOPED_TRACE(golden["name"].get<std::string>());
    x_ = flat(golden["x"]);
    const auto n_tokens = static_cast<int64_t>(x_.size()) / kHidden;
    logits_.assign(static_cast<size_t>(n_tokens * kExperts), 0);
    weights_.assign(static_cast<size_t>(n_tokens * kTopK), 0);
    experts_.assign(static_cast<size_t>(n_tokens * kTopK), 0);
    const Tensor logits = Tensor::view(logits_, {n_tokens, kExperts});
    backend_->linear(logits, x(), {reference_weight(router_, {kExperts, kHidden}), {}});
    backend_->route_top_k(routing(), logits, Backend::Renormalise::yes);
    EXPECT_LE(relative_error(logits_, flat(golden["router_logits"])), 1e-6);
    EXPECT_LE(relative_error(weights_, flat(golden["routing_weights"])), 1e-6);
    EXPECT_EQ(std::vector<float>(experts_.begin(), experts_.end()),
              flat(golden["selected_experts"]));
  }

  Tensor x() { return Tensor::view(x_, {static_cast<int64_t>(x_.size()) / kHidden, kHidden}); }
  Routing routing() {
    const Shape shape{static_cast<int64_t>(x_.size()) / kHidden, kTopK};
    return {Tensor::view(weights_, shape), Tensor(experts_.data(), DType::i32, shape)};
  }

  std::unique_ptr<Backend> backend_ = make_reference_backend();
  Json data_ = read();
  std::vector<float> router_ = flat(data_["router"]);
  std::vector<float> x_, logits_, weights_;
  std::vector<int32_t> experts_;
};

// Every expert is a 2x2 matrix of ones without bias: it returns [x0 + x1, x0 + x1].
TEST_F(MoeBlock, LinearExperts) {
  std::vector<float> ones(kHidden * kHidden, 1.0f);
  for (const Json& golden : data_["cases"]) {
    route(golden);
    std::vector<float> sum(x_.size(), 0.0f), product(x_.size());
    const Tensor out = Tensor::view(sum, x().shape());
    const Tensor expert = Tensor::view(product, x().shape());
    std::vector<int32_t> rows(x_.size() / kHidden);
    std::iota(rows.begin(), rows.end(), 0);
    backend_->linear(expert, x(), {reference_weight(ones, {kHidden, kHidden}), {}});
    for (size_t rank = 0; rank < kTopK; ++rank) {
      std::vector<float> scales;
      for (size_t t = 0; t < rows.size(); ++t) scales.push_back(weights_[t * kTopK + rank]);
      backend_->scatter_add_rows(out,
                                 expert,
                                 Tensor::view(rows),
                                 Tensor::view(scales, {static_cast<int64_t>(rows.size())}));
    }
    EXPECT_LE(relative_error(sum, flat(golden["linear_output"])), 1e-6) << golden["name"];
  }
}

// transformers' own SwiGLU experts, every weight one; and the sum lands on top of what was there.
TEST_F(MoeBlock, SwigluExperts) {
  std::vector<float> ones(kExperts * kHidden * kHidden, 1.0f);
  const Weight matrices = reference_weight(ones, {kExperts, kHidden, kHidden});
  for (const Json& golden : data_["cases"]) {
    route(golden);
    std::vector<float> sum(x_.size(), 0.25f), expected = flat(golden["swiglu_output"]);
    for (float& value : expected) value += 0.25f;
    backend_->experts_add(
        Tensor::view(sum, x().shape()), x(), {matrices, matrices, matrices}, routing());
    EXPECT_LE(relative_error(sum, expected), 1e-6) << golden["name"];
  }
}

// torch.topk promises no order among equals; here the lower id wins, at the edge of the choice too.
TEST_F(MoeBlock, LowerIdWinsTies) {
  const auto choose = [&](std::vector<float> logits, int64_t top_k) {
    const auto n_experts = static_cast<int64_t>(logits.size());
    std::vector<float> weights(static_cast<size_t>(top_k));
    std::vector<int32_t> experts(weights.size());
    backend_->route_top_k(
        {Tensor::view(weights, {1, top_k}), Tensor(experts.data(), DType::i32, {1, top_k})},
        Tensor::view(logits, {1, n_experts}),
        Backend::Renormalise::no);
    return experts;
  };
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(choose({.25f, .25f, .25f, .25f}, 2), (Ids{0, 1}));
  EXPECT_EQ(choose({.1f, .3f, .3f, .2f, .3f}, 2), (Ids{1, 2}));
  EXPECT_EQ(choose({0, 2, 1, 2, 1}, 3), (Ids{1, 3, 2}));
  EXPECT_EQ(choose(std::vector<float>(130, 0.0f), 8), (Ids{0, 1, 2, 3, 4, 5, 6, 7}));
}

}  // namespace
}  // namespace qwen3::test
