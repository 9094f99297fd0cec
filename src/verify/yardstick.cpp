#include "verify/yardstick.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <initializer_list>
#include <span>
#include <utility>
#include <variant>

#include "base/error.h"
#include "base/mix64.h"
#include "kernels/forwarding_backend.h"
#include "kernels/reference/reference_backend.h"

namespace qwen3 {
namespace {

constexpr int64_t kGroup = 32;      // that share a scale in int8
constexpr float kOneOp = 0x1p-22f;  // four float32 roundings

class FollowingBackend : public ForwardingBackend {
 public:
  explicit FollowingBackend(ChosenExperts* chosen)
      : ForwardingBackend(make_reference_backend()), chosen_(chosen) {}

  void route_top_k(const Routing& routing, const Tensor& logits, Renormalise renormalise) override {
    inner().route_top_k(routing, logits, renormalise);
    if (chosen_ == nullptr) return;
    const std::vector<int32_t>& experts = chosen_->wait(n_routed_++);
    const int64_t top_k = routing.experts.dim(1), n_experts = logits.dim(1);
    QWEN3_CHECK(std::ssize(experts) == logits.dim(0) * top_k,
                ErrorKind::internal,
                "verify: expected {} chosen experts, got {}",
                logits.dim(0) * top_k,
                experts.size());
    const bool valid = std::ranges::all_of(
        experts, [&](int32_t expert) { return expert >= 0 && expert < n_experts; });
    if (!valid) return;  // nowhere to follow; the comparison says so
    for (int64_t t = 0; t < logits.dim(0); ++t) {
      const float* row = logits.f32_row(t);
      const float top = *std::max_element(row, row + n_experts);
      double all = 0, chosen = 0;
      for (int64_t e = 0; e < n_experts; ++e) all += std::exp(double{row[e]} - top);
      for (int64_t i = 0; i < top_k; ++i) {
        chosen += std::exp(double{row[experts[static_cast<size_t>(t * top_k + i)]]} - top);
      }
      const double total = renormalise == Renormalise::yes ? chosen : all;
      for (int64_t i = 0; i < top_k; ++i) {
        const int32_t expert = experts[static_cast<size_t>(t * top_k + i)];
        routing.experts.i32()[t * top_k + i] = expert;
        routing.weights.f32()[t * top_k + i] =
            static_cast<float>(std::exp(double{row[expert]} - top) / total);
      }
    }
  }

 private:
  ChosenExperts* chosen_;
  size_t n_routed_ = 0;
};

class YardstickBackend final : public FollowingBackend {
 public:
  YardstickBackend(ChosenExperts* chosen, InputRoundings roundings, DType stored)
      : FollowingBackend(chosen), roundings_(std::move(roundings)), stored_(stored) {}

  void rms_norm(const Tensor& out, const Tensor& x, const Tensor& w, float eps) override {
    FollowingBackend::rms_norm(out, x, w, eps);
    disturb(out);
  }
  void rope_rotate_half(const Tensor& x, const Tensor& cos, const Tensor& sin) override {
    FollowingBackend::rope_rotate_half(x, cos, sin);
    disturb(x);
  }
  void attention(const Tensor& out,
                 const Tensor& q,
                 const KvLayer& kv,
                 const BoundBatch& batch,
                 const AttentionOptions& options) override {
    FollowingBackend::attention(out, q, kv, batch, options);
    disturb(out);
  }
  void silu_mul(const Tensor& out, const Tensor& gate, const Tensor& up) override {
    FollowingBackend::silu_mul(out, gate, up);
    disturb(out);
  }

  // Rows side by side, so that one running sum for each of them is no slower than the eight that the
  // reference has for one.
  void linear(const Tensor& out, const Tensor& x, const Linear& w) override {
    const int64_t n_rows = x.dim(0), n_in = w.weight.n_in();
    const auto n = static_cast<size_t>(n_rows);
    const InputRounding rounding = roundings_.of(w.weight);
    std::vector<float> row(static_cast<size_t>(n_in)), columns(row.size() * n), sums(n);
    for (int64_t t = 0; t < n_rows; ++t) {
      std::copy_n(x.f32_row(t), n_in, row.begin());
      round_inputs(row.data(), n_in, rounding);
      for (size_t i = 0; i < row.size(); ++i) columns[i * n + static_cast<size_t>(t)] = row[i];
    }
    for (int64_t o = 0; o < w.weight.n_out(); ++o) {
      unpack_rows(Tensor::view(row, {1, n_in}), w.weight, 0, o);
      std::ranges::fill(sums, 0.0f);
      for (size_t i = 0; i < row.size(); ++i) {
        for (size_t t = 0; t < n; ++t) sums[t] += columns[i * n + t] * row[i];
      }
      for (int64_t t = 0; t < n_rows; ++t) {
        const float sum = sums[static_cast<size_t>(t)];
        out.f32_row(t)[o] = w.bias ? sum + w.bias.f32()[o] : sum;
      }
    }
  }

 private:
  // What the roundings inside an operation, and that of what is kept, may do: up or down by chance,
  // which the number's own bits and place decide.
  void disturb(const Tensor& x) const {
    for (int64_t i = 0; i < x.numel(); ++i) {
      float& value = x.f32()[i];
      const uint64_t chance =
          mix64(std::bit_cast<uint32_t>(value) + (static_cast<uint64_t>(i) << 32));
      value *= 1 + ((chance & 1) != 0 ? kOneOp : -kOneOp);
      if (stored_ == DType::bf16) value = bf16_to_f32(f32_to_bf16(value));
    }
  }

  InputRoundings roundings_;
  DType stored_;
};

}  // namespace

std::vector<Weight> all_matrices(const Weights& weights) {
  std::vector<Weight> all{weights.embed_tokens};
  for (const LayerWeights& layer : weights.layers) {
    const AttentionWeights& a = layer.self_attn;
    for (const Linear* w :
         std::initializer_list<const Linear*>{&a.q_proj, &a.k_proj, &a.v_proj, &a.o_proj})
      all.push_back(w->weight);
    if (const auto* dense = std::get_if<MlpWeights>(&layer.mlp)) {
      for (const Linear* w : std::initializer_list<const Linear*>{
               &dense->gate_proj, &dense->up_proj, &dense->down_proj}) {
        all.push_back(w->weight);
      }
    } else {
      const auto& moe = std::get<MoeWeights>(layer.mlp);
      all.insert(
          all.end(),
          {moe.router.weight, moe.experts.gate_proj, moe.experts.up_proj, moe.experts.down_proj});
    }
  }
  if (weights.lm_head.weight) all.push_back(weights.lm_head.weight);
  return all;
}

InputRoundings::InputRoundings(const Weights& judged,
                               const Backend& backend,
                               const Weights& exact) {
  const std::vector<Weight> theirs = all_matrices(judged), ours = all_matrices(exact);
  QWEN3_CHECK(theirs.size() == ours.size(),
              ErrorKind::internal,
              "verify: expected {} matrices, got {}",
              ours.size(),
              theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    ranges_[ours[i].data()] = {ours[i].data() + ours[i].bytes(),
                               backend.input_rounding(theirs[i].type())};
  }
}

Backend::InputRounding InputRoundings::of(const Weight& exact) const {
  auto range = ranges_.upper_bound(exact.data());
  QWEN3_CHECK(range != ranges_.begin() && exact.data() < (--range)->second.end,
              ErrorKind::internal,
              "verify: a product with an unknown weight");
  return range->second.rounding;
}

void round_inputs(float* x, int64_t n, Backend::InputRounding rounding) {
  if (rounding == Backend::InputRounding::bfloat16) {
    for (int64_t i = 0; i < n; ++i) x[i] = bf16_to_f32(f32_to_bf16(x[i]));
  }
  if (rounding != Backend::InputRounding::int8) return;
  for (int64_t begin = 0; begin < n; begin += kGroup) {
    const std::span<float> group(x + begin, static_cast<size_t>(std::min(kGroup, n - begin)));
    float largest = 0;
    for (const float value : group) largest = std::max(largest, std::abs(value));
    if (largest == 0) continue;
    const float scale = largest / 127;
    for (float& value : group) value = std::nearbyint(value * (127 / largest)) * scale;
  }
}

std::unique_ptr<Backend> make_following_backend(ChosenExperts* chosen) {
  return std::make_unique<FollowingBackend>(chosen);
}

std::unique_ptr<Backend> make_yardstick_backend(ChosenExperts* chosen,
                                                InputRoundings roundings,
                                                DType stored) {
  return std::make_unique<YardstickBackend>(chosen, std::move(roundings), stored);
}

}  // namespace qwen3
