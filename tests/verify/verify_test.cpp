// Backends that compute rightly are within their bounds, on every kind of weight; wrong ones are named
// by the first tensor that they spoil.
#include "verify/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <numeric>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "engine/evaluate.h"
#include "formats/npy.h"
#include "kernels/forwarding_backend.h"
#include "kernels/reference/reference_backend.h"
#include "support/expect_error.h"
#include "support/quantized_twins.h"
#include "support/temp_dir.h"
#include "verify/foreign_taps.h"
#include "verify/yardstick.h"

namespace qwen3::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const std::vector<int32_t> kIds{3, 14, 15, 9, 26, 5, 35, 8, 9, 7};

fs::path data(const std::string& name) { return fs::path(QWEN3_SOURCE_DIR) / "tests/data" / name; }

LoadOptions on(const std::string& backend, const std::string& isa = "") {
  return {.backend = backend, .n_threads = 2, .cpu_isa = isa};
}

std::string story(const Verification& found) {
  const TensorCheck* first = found.first_outside();
  if (first == nullptr) return "within";
  return fmt::format(
      "{}: {:.3g} > {:.3g} {}", first->name, first->error, first->bound, first->problem);
}

Verification verified(VerifiedModel model, const std::optional<fs::path>& against = {}) {
  return model.run(kIds, against, [](std::string_view) {});
}

// The judged model's backend is `wrong`, around the reference.
template <typename Wrong>
Verification judge(const std::string& model) {
  ModelParts judged = load_parts(data(model), on("reference"));
  judged.backend = std::make_unique<Wrong>(std::move(judged.backend));
  return verified({std::move(judged), load_parts(data(model), on("reference")), model});
}

TEST(Verify, EveryKindOfWeightIsWithinItsBounds) {
  for (const char* model : {"models/dense",
                            "models/dense_bf16",
                            "models/dense_f16",
                            "models/dense_bias",
                            "models/dense_sliding",
                            "models/dense_after_rope",
                            "models/moe",
                            "models/moe_small",
                            "models/moe_sparse_step",
                            "gguf/dense.gguf",
                            "gguf/moe-00001-of-00003.gguf"}) {
    for (const char* isa : {"", "baseline"}) {
      const Verification found = verified(VerifiedModel::load(data(model), on("cpu", isa), model));
      EXPECT_TRUE(found.within()) << model << " " << isa << ": " << story(found);
      EXPECT_TRUE(found.kl && found.same_top) << model;
      EXPECT_EQ(found.kl->count(), 10);
    }
  }
}

TEST(Verify, EveryQuantisedCheckpointIsWithinItsBounds) {
  std::vector<int32_t> ids(48);  // as many as the built-in text has
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * 29 % kVocab);
  for (const Scheme& scheme : every_scheme()) {
    for (const Kind kind : {Kind::dense, Kind::tied, Kind::moe}) {
      const Twins twins(scheme, kind);
      VerifiedModel model = VerifiedModel::load(twins.dir.path(), on("cpu"), scheme.name);
      const Verification found = model.run(ids, {}, [](std::string_view) {});
      EXPECT_TRUE(found.within()) << scheme << " " << static_cast<int>(kind) << ": "
                                  << story(found);
    }
  }
}

TEST(Verify, TheReferenceIsExactlyItself) {
  for (const char* model : {"models/dense", "models/moe"}) {
    const Verification found = verified(VerifiedModel::load(data(model), on("reference"), model));
    for (const TensorCheck& check : found.tensors) {
      if (check.name.ends_with("routing_weights")) continue;  // from a float64 softmax
      EXPECT_LE(check.error, check.bound / 4) << check.name;
    }
  }
}

struct WrongSilu final : ForwardingBackend {
  using ForwardingBackend::ForwardingBackend;
  void silu_mul(const Tensor& out, const Tensor& gate, const Tensor& up) override {
    for (int64_t i = 0; i < out.numel(); ++i) {
      const float g = gate.f32()[i];
      out.f32()[i] = g / (1 + std::exp(-1.001f * g)) * up.f32()[i];
    }
  }
};

struct WrongRope final : ForwardingBackend {
  using ForwardingBackend::ForwardingBackend;
  void rope_rotate_half(const Tensor& x, const Tensor& cos, const Tensor& sin) override {
    inner().rope_rotate_half(x, sin, cos);
  }
};

struct WrongNorm final : ForwardingBackend {
  using ForwardingBackend::ForwardingBackend;
  void rms_norm(const Tensor& out, const Tensor& x, const Tensor& w, float eps) override {
    inner().rms_norm(out, x, w, eps + 1e-4f);
  }
};

struct BrokenProduct final : ForwardingBackend {
  using ForwardingBackend::ForwardingBackend;
  void linear(const Tensor& out, const Tensor& x, const Linear& w) override {
    inner().linear(out, x, w);
    if (++n_ == 4) out.f32()[0] = NAN;
  }
  int n_ = 0;
};

// Only where nothing is taken apart.
struct WrongFusion final : ForwardingBackend {
  using ForwardingBackend::ForwardingBackend;
  void norm_mlp(const Tensor& gate,
                const Tensor& up,
                const Tensor& h,
                const Tensor& x,
                const Norm& norm,
                const Linear& gate_proj,
                const Linear& up_proj) override {
    Backend::norm_mlp(gate, up, h, x, norm, gate_proj, up_proj);
    if (observer() == nullptr) gate.f32()[0] += 0.01f;
  }
};

struct WrongExpert final : ForwardingBackend {
  using ForwardingBackend::ForwardingBackend;
  void route_top_k(const Routing& routing, const Tensor& logits, Renormalise renormalise) override {
    for (int64_t i = 0; i < logits.numel(); ++i) logits.f32()[i] *= -1;
    inner().route_top_k(routing, logits, renormalise);
    for (int64_t i = 0; i < logits.numel(); ++i) logits.f32()[i] *= -1;
  }
};

struct NoExpert final : ForwardingBackend {
  using ForwardingBackend::ForwardingBackend;
  void route_top_k(const Routing& routing, const Tensor& logits, Renormalise renormalise) override {
    inner().route_top_k(routing, logits, renormalise);
    routing.experts.i32()[1] = routing.experts.i32()[0];
  }
};

struct Failing final : ForwardingBackend {
  using ForwardingBackend::ForwardingBackend;
  void linear(const Tensor& out, const Tensor& x, const Linear& w) override {
    if (++n_ > 20) fail(ErrorKind::io, "the device went away");
    inner().linear(out, x, w);
  }
  int n_ = 0;
};

template <typename Wrong>
std::string first_outside(const std::string& model) {
  const Verification found = judge<Wrong>(model);
  const TensorCheck* first = found.first_outside();
  return first == nullptr ? "none" : first->name + (first->fused ? " (fused)" : "");
}

TEST(Verify, NamesTheTensorOfAWrongOperation) {
  EXPECT_EQ(first_outside<ForwardingBackend>("models/dense"), "none");
  EXPECT_EQ(first_outside<WrongSilu>("models/dense"), "layers.0.mlp.act");
  EXPECT_EQ(first_outside<WrongSilu>("models/moe_small"), "layers.0.mlp.experts.act");
  EXPECT_EQ(first_outside<WrongRope>("models/dense"), "layers.0.self_attn.q_rope");
  EXPECT_EQ(first_outside<WrongNorm>("models/dense"), "layers.0.input_layernorm");
  EXPECT_EQ(first_outside<WrongFusion>("models/dense"), "layers.0.output (fused)");
  EXPECT_EQ(first_outside<WrongExpert>("models/moe"), "layers.1.mlp.selected_experts");
  EXPECT_EQ(first_outside<NoExpert>("models/moe"), "layers.1.mlp.selected_experts");
}

TEST(Verify, NaNIsOutsideEveryBound) {
  // The fused pass counts too, and comes first: the fourth product of the process is its first o_proj.
  const Verification found = judge<BrokenProduct>("models/dense");
  ASSERT_FALSE(found.within());
  EXPECT_TRUE(std::isnan(found.first_outside()->error));
  EXPECT_TRUE(found.first_outside()->fused);
  EXPECT_TRUE(found.expected_is_finite);
}

TEST(Verify, SaysWhyTheJudgedPassFailed) {
  EXPECT_ERROR(judge<Failing>("models/dense"), ErrorKind::io, "the device went away");
  EXPECT_ERROR(judge<Failing>("models/moe"), ErrorKind::io, "the device went away");
}

TEST(Verify, WhatTheListenerThrowsEndsAllPasses) {
  VerifiedModel model = VerifiedModel::load(data("models/moe"), on("cpu"), "moe");
  int n = 0;
  EXPECT_ERROR(
      model.run(kIds, {}, [&](std::string_view) { QWEN3_CHECK(++n < 9, ErrorKind::io, "stop"); }),
      ErrorKind::io,
      "stop");
}

// Two experts with one row in the router: which of them is taken is a matter of taste.
struct TakesTheOther final : ForwardingBackend {
  using ForwardingBackend::ForwardingBackend;
  void route_top_k(const Routing& routing, const Tensor& logits, Renormalise renormalise) override {
    inner().route_top_k(routing, logits, renormalise);
    const int64_t top_k = routing.experts.dim(1);
    for (int64_t t = 0; t < routing.experts.dim(0); ++t) {
      int32_t* row = routing.experts.i32() + t * top_k;
      const bool both = std::find(row, row + top_k, 1) != row + top_k;
      for (int64_t k = 0; k < top_k && !both; ++k) {
        if (row[k] == 0) row[k] = 1;
      }
    }
  }
};

void twin_experts(const Weights& weights) {
  for (const LayerWeights& layer : weights.layers) {
    const auto* moe = std::get_if<MoeWeights>(&layer.mlp);
    if (moe == nullptr) continue;
    const Weight& router = moe->router.weight;
    const auto bytes = static_cast<size_t>(row_bytes(router.type(), router.n_in()));
    std::memcpy(router.data() + bytes, router.data(), bytes);
  }
}

TEST(Verify, ARoutingTieIsNoFault) {
  ModelParts judged = load_parts(data("models/moe_small"), on("reference"));
  ModelParts exact = load_parts(data("models/moe_small"), on("reference"));
  twin_experts(judged.weights);
  twin_experts(exact.weights);
  judged.backend = std::make_unique<TakesTheOther>(std::move(judged.backend));
  const Verification found = verified({std::move(judged), std::move(exact), "moe"});
  EXPECT_TRUE(found.within()) << story(found);
  EXPECT_GT(found.n_flips, 0);
  EXPECT_EQ(found.n_ties, found.n_flips);
}

// ---- another program's tensors ----------------------------------------------------------------------

class Dump final : public Tap {
 public:
  explicit Dump(fs::path directory) : directory_(std::move(directory)) {}
  void tensor(std::string_view name, const Tensor& value) override {
    write_npy(directory_ / (std::string(name) + ".npy"), value);
  }

 private:
  fs::path directory_;
};

void dump(const std::string& model, const fs::path& directory) {
  const std::shared_ptr<Model> good = Model::load(data(model), on("reference"));
  Dump tap(directory);
  evaluate(*good, kIds, {.tap = &tap}, [](int64_t, const Tensor&) {});
}

TEST(VerifyAgainst, CatchesOneChangedWeight) {
  const TempDir taps;
  dump("models/dense", taps.path());
  const auto load = [] { return load_parts(data("models/dense"), on("reference")); };
  EXPECT_TRUE(verified({load(), load(), "good"}, taps.path()).within());
  ModelParts judged = load(), exact = load();
  for (const ModelParts* parts : {&judged, &exact}) {
    const Weight& w = parts->weights.layers[1].self_attn.v_proj.weight;
    ASSERT_EQ(w.type(), WeightType::f32);
    reinterpret_cast<float*>(w.data())[5 * w.n_in() + 2] += 1e-3f;
  }
  const Verification found = verified({std::move(judged), std::move(exact), "bad"}, taps.path());
  ASSERT_FALSE(found.within());
  EXPECT_EQ(found.first_outside()->name, "layers.1.self_attn.v_proj");
  EXPECT_EQ(found.first_outside()->column, 5);
}

TEST(VerifyAgainst, AFlipEndsTheRowsThatSeeIt) {
  const TempDir taps;
  dump("models/moe", taps.path());
  const fs::path file = taps.path() / "layers.1.mlp.selected_experts.npy";
  const NpyArray chosen = read_npy(file);
  std::vector<int32_t> experts(chosen.values.begin(), chosen.values.end());
  const auto top_k = static_cast<size_t>(chosen.shape.back());
  for (int32_t e = 0;; ++e) {  // one that token 4 did not go to
    const auto row = experts.begin() + static_cast<ptrdiff_t>(4 * top_k);
    if (std::find(row, row + static_cast<ptrdiff_t>(top_k), e) !=
        row + static_cast<ptrdiff_t>(top_k))
      continue;
    *row = e;
    break;
  }
  write_npy(file, Tensor(experts.data(), DType::i32, {chosen.shape[0], chosen.shape[1]}));
  const Verification found =
      verified(VerifiedModel::load(data("models/moe"), on("reference"), "moe"), taps.path());
  ASSERT_FALSE(found.within());  // far from a tie
  EXPECT_EQ(found.first_outside()->name, "layers.1.mlp.selected_experts");
  EXPECT_EQ(found.first_outside()->row, 4);
  EXPECT_EQ(found.rows_until, 4);
  EXPECT_EQ(found.kl->count(), 4);
}

TEST(VerifyAgainst, HostileFilesAreOneLine) {
  const auto refuse = [](const fs::path& taps, ErrorKind kind, const std::string& words) {
    EXPECT_ERROR(
        verified(VerifiedModel::load(data("models/dense"), on("cpu"), "dense"), taps), kind, words);
  };
  const TempDir taps;
  refuse(taps.path() / "none", ErrorKind::not_found, "no such directory");
  refuse(taps.path(), ErrorKind::not_found, "expected taps of this model");
  std::vector<float> values(10 * 64);
  const fs::path file = taps.path() / "layers.0.output.npy";
  write_npy(file, Tensor::view(values, {9, 64}));
  refuse(taps.path(), ErrorKind::corrupt_file, "expected 10 rows");
  write_npy(file, Tensor::view(values, {10, 3}));
  refuse(taps.path(), ErrorKind::corrupt_file, "is it of the same model?");
  write_npy(file, Tensor::view(values, {10, 64}));
  fs::resize_file(file, fs::file_size(file) - 4);
  refuse(taps.path(), ErrorKind::corrupt_file, "bytes of data");
  taps.write("layers.0.output.npy", "");
  refuse(taps.path(), ErrorKind::corrupt_file, "expected a .npy file");
}

TEST(ForeignIds, AreWholeNumbersInOneRow) {
  const TempDir taps;
  EXPECT_FALSE(foreign_ids(taps.path()));
  std::vector<float> values{1, 2, 3, 4.5f, -1, NAN};
  const auto write = [&](size_t n, Shape shape) {
    write_npy(taps.path() / "input_ids.npy", Tensor::view(std::span(values).first(n), shape));
  };
  write(3, {3});
  EXPECT_EQ(foreign_ids(taps.path()), (std::vector<int32_t>{1, 2, 3}));
  write(3, {1, 3});
  EXPECT_EQ(foreign_ids(taps.path()), (std::vector<int32_t>{1, 2, 3}));
  write(2, {2, 1});
  EXPECT_ERROR(foreign_ids(taps.path()), ErrorKind::corrupt_file, "in one row");
  for (const size_t n : {4, 5, 6}) {
    write(n, {static_cast<int64_t>(n)});
    EXPECT_ERROR(foreign_ids(taps.path()), ErrorKind::corrupt_file, "expected token ids");
  }
}

// ---- the parts --------------------------------------------------------------------------------------

TEST(RoundInputs, IsWhatProductsDo) {
  std::vector<float> x(40, 0.0f);
  x[0] = 127;
  x[1] = 2.5f;
  x[2] = -3.5f;
  x[33] = 1e-3f;
  std::vector<float> y = x;
  round_inputs(y.data(), 40, Backend::InputRounding::none);
  EXPECT_EQ(y, x);
  round_inputs(y.data(), 40, Backend::InputRounding::int8);
  EXPECT_EQ(y[0], 127);
  EXPECT_EQ(y[1], 2);
  EXPECT_EQ(y[2], -4);
  EXPECT_NEAR(y[33], 1e-3f, 1e-9f);  // a scale of its own
  y = {1 + 0x1p-9f};
  round_inputs(y.data(), 1, Backend::InputRounding::bfloat16);
  EXPECT_EQ(y[0], 1);
}

TEST(TapChannel, ForgetsEarlierLayersAndEndsWithoutAName) {
  TapChannel channel;
  channel.push("layers.0.output", {{1}, {1.0f}});
  channel.push("layers.1.output", {{1}, {2.0f}});
  channel.end();
  EXPECT_EQ(channel.take("layers.1.output")->values.front(), 2);
  EXPECT_FALSE(channel.take("layers.2.output"));
  channel.abandon();
  EXPECT_ERROR(channel.push("norm", {}), ErrorKind::internal, "ended before");
}

}  // namespace
}  // namespace qwen3::test
