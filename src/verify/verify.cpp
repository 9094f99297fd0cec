#include "verify/verify.h"

#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/evaluate.h"
#include "trace/tap_name.h"
#include "verify/comparison.h"
#include "verify/yardstick.h"

namespace qwen3 {
namespace {

// Hands a pass's tensors over.
class ChannelTap final : public Tap {
 public:
  ChannelTap(const Comparison& comparison, TapChannel& channel, ChosenExperts* chosen)
      : comparison_(comparison), channel_(channel), chosen_(chosen) {}
  bool wants(std::string_view name) const override { return comparison_.wants(name); }
  void tensor(std::string_view name, const Tensor& value) override {
    if (!wants(name)) return;
    KeptTensor kept = keep_tensor(value);
    if (chosen_ != nullptr && name.ends_with("mlp.selected_experts")) {
      std::vector<int32_t> experts(kept.values.size());
      for (size_t i = 0; i < experts.size(); ++i) experts[i] = static_cast<int32_t>(kept.values[i]);
      chosen_->publish(std::move(experts));
    }
    channel_.push(name, std::move(kept));
  }

 private:
  const Comparison& comparison_;
  TapChannel& channel_;
  ChosenExperts* chosen_;  // told of the experts; null: nobody
};

// Listens to nothing that would take a fused operation apart, but for the router.
class FusedTap final : public Tap {
 public:
  bool wants(std::string_view name) const override {
    const std::string_view part = parse_tap_name(name).part;
    return part == "output" || part == "logits" || part == "mlp.selected_experts";
  }
  void tensor(std::string_view name, const Tensor& value) override {
    if (wants(name)) taps.insert_or_assign(std::string(name), keep_tensor(value));
  }
  FusedTaps taps;
};

// The same matrices and vectors for a second model; the first one's storage has to outlive it.
Weights borrowed(const Weights& weights) {
  return {.embed_tokens = weights.embed_tokens,
          .layers = weights.layers,
          .norm = weights.norm,
          .lm_head = weights.lm_head,
          .storage = {}};
}

void run_pass(Model& model, std::span<const int32_t> ids, Tap& tap) {
  evaluate(model, ids, {.tap = &tap}, [](int64_t, const Tensor&) {});
}

}  // namespace

struct VerifiedModel::Passes {
  TapChannel judged, yardstick;
  ChosenExperts chosen;
};

VerifiedModel VerifiedModel::load(const std::filesystem::path& path,
                                  const LoadOptions& options,
                                  const std::string& name) {
  LoadOptions exact = options;
  exact.backend = "reference";
  exact.cpu_isa.clear();
  ModelParts judged = load_parts(path, options);
  return {std::move(judged), load_parts(path, exact), name};
}

VerifiedModel::VerifiedModel(ModelParts judged, ModelParts exact, const std::string& name)
    : passes_(std::make_shared<Passes>()) {
  for (const Weight& matrix : all_matrices(judged.weights)) {
    Kept& kept = kept_[matrix.type()];
    ++kept.n_matrices;
    kept.rounding = judged.backend->input_rounding(matrix.type());
  }
  InputRoundings roundings(judged.weights, *judged.backend, exact.weights);
  ModelParts yardstick{
      .config = exact.config,
      .backend = make_yardstick_backend(
          &passes_->chosen, std::move(roundings), judged.backend->activation_dtype()),
      .weights = borrowed(exact.weights),
      .weight_type = exact.weight_type};
  exact.backend = make_following_backend(&passes_->chosen);
  judged_ = make_model(std::move(judged), name);
  exact_ = make_model(std::move(exact), name);
  yardstick_ = make_model(std::move(yardstick), name);
}

Verification VerifiedModel::run(std::span<const int32_t> ids,
                                const std::optional<std::filesystem::path>& against,
                                const std::function<void(std::string_view)>& before_each) {
  std::optional<ForeignTaps> foreign;
  if (against) {
    foreign.emplace(*against, judged_->shape(), static_cast<int64_t>(ids.size()));
  }
  FusedTap fused;
  run_pass(*judged_, ids, fused);
  TapChannel &judged = passes_->judged, &yardstick = passes_->yardstick;
  ChosenExperts& chosen = passes_->chosen;
  Comparison comparison(judged_->shape(),
                        {.judged = judged,
                         .yardstick = yardstick,
                         .fused = fused.taps,
                         .foreign = foreign ? &*foreign : nullptr},
                        before_each);
  const auto pass = [&](Model& model, TapChannel& channel, ChosenExperts* told) {
    return std::jthread([&, &to = channel, told, &run = model] {
      std::exception_ptr error;
      try {
        ChannelTap tap(comparison, to, told);
        run_pass(run, ids, tap);
      } catch (...) {
        error = std::current_exception();
      }
      if (told != nullptr) told->end();
      to.end(error);
    });
  };
  // Joined after the channels are let go, whatever happens in between.
  const std::jthread judging = pass(*judged_, judged, &chosen);
  const std::jthread measuring = pass(*yardstick_, yardstick, nullptr);
  struct LetGo {
    Passes& passes;
    ~LetGo() {
      passes.judged.abandon();
      passes.yardstick.abandon();
      passes.chosen.end();
    }
  } const let_go{*passes_};
  try {
    run_pass(*exact_, ids, comparison);
  } catch (const ComparisonEnded&) {
    QWEN3_CHECK(!comparison.result().within(),
                ErrorKind::internal,
                "verify: the comparison ended without a reason");
  } catch (...) {  // perhaps only because the judged pass had failed before
    if (const std::exception_ptr first = judged.error()) std::rethrow_exception(first);
    throw;
  }
  return comparison.result();
}

}  // namespace qwen3
