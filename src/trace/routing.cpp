#include "trace/routing.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "trace/tap_name.h"

namespace qwen3 {
namespace {

// Sums over rows: how often each expert was chosen, and the router's probabilities.
struct Sums {
  std::vector<double> chosen, probability;  // [n_experts]
  double entropy = 0;                       // in nats
  double n_rows = 0;

  void resize(int64_t n_experts) {
    chosen.resize(static_cast<size_t>(n_experts));
    probability.resize(static_cast<size_t>(n_experts));
  }

  // Adds one row's softmax.
  void add_row(std::span<const float> logits) {
    const double top = *std::ranges::max_element(logits);
    double total = 0;
    for (const float logit : logits) total += std::exp(logit - top);
    for (size_t e = 0; e < logits.size(); ++e) {
      const double p = std::exp(logits[e] - top) / total;
      probability[e] += p;
      if (p > 0) entropy -= p * std::log(p);
    }
    n_rows += 1;
  }

  void add(const LayerRouting& r) {
    resize(r.n_experts);
    for (int64_t t = 0; t < r.n_tokens; ++t) {
      add_row(std::span(r.router_logits)
                  .subspan(static_cast<size_t>(t * r.n_experts), static_cast<size_t>(r.n_experts)));
    }
    for (const int32_t expert : r.experts) chosen[static_cast<size_t>(expert)] += 1;
  }

  // n_experts · Σ_e f[e] · P[e] with f = choices per row.
  double loss() const {
    if (n_rows == 0) return 0;
    double sum = 0;
    for (size_t e = 0; e < chosen.size(); ++e) sum += chosen[e] * probability[e];
    return static_cast<double>(chosen.size()) * sum / (n_rows * n_rows);
  }
};

double normalised_entropy(const std::vector<int64_t>& counts) {
  double total = 0, entropy = 0;
  for (const int64_t count : counts) total += static_cast<double>(count);
  if (total == 0 || counts.size() < 2) return 0;
  for (const int64_t count : counts) {
    const double p = static_cast<double>(count) / total;
    if (p > 0) entropy -= p * std::log(p);
  }
  return entropy / std::log(static_cast<double>(counts.size()));
}

template <typename T>
void append_rows(std::vector<T>& copy, const Tensor& tensor, const T* data) {
  for (int64_t row = 0; row < tensor.dim(0); ++row) {
    const T* from = data + row * tensor.row_stride();
    copy.insert(copy.end(), from, from + tensor.dim(1));
  }
}

}  // namespace

RoutingSummary summarise(const LayerRouting& r) {
  RoutingSummary summary;
  summary.load.resize(static_cast<size_t>(r.n_experts));
  summary.weight.resize(static_cast<size_t>(r.n_experts));
  for (size_t i = 0; i < r.experts.size(); ++i) {
    const auto expert = static_cast<size_t>(r.experts[i]);
    ++summary.load[expert];
    summary.weight[expert] += r.weights[i];
  }
  Sums sums;
  sums.add(r);
  summary.n_idle = std::ranges::count(summary.load, 0);
  summary.load_entropy = normalised_entropy(summary.load);
  if (!r.experts.empty()) {
    summary.imbalance = static_cast<double>(*std::ranges::max_element(summary.load)) *
                        static_cast<double>(r.n_experts) / static_cast<double>(r.experts.size());
  }
  if (r.n_tokens > 0 && r.n_experts > 1) {
    summary.router_entropy =
        sums.entropy / sums.n_rows / std::log(static_cast<double>(r.n_experts));
  }
  summary.aux_loss = sums.loss();
  if (r.top_k > 0) summary.educational_aux_loss = sums.loss() / static_cast<double>(r.top_k);
  return summary;
}

AuxLosses auxiliary_losses(const std::vector<LayerRouting>& layers) {
  AuxLosses losses;
  Sums sums;
  for (const LayerRouting& layer : layers) {
    sums.add(layer);
    losses.educational += summarise(layer).educational_aux_loss;
  }
  losses.transformers = sums.loss();
  if (!layers.empty()) losses.educational /= static_cast<double>(layers.size());
  return losses;
}

LayerRouting& RoutingRecorder::layer(int64_t index) {
  const auto known = std::ranges::find(layers_, index, &LayerRouting::layer);
  if (known != layers_.end()) return *known;
  LayerRouting fresh;
  fresh.layer = index;
  return layers_.emplace_back(std::move(fresh));
}

bool RoutingRecorder::wants(std::string_view name) const {
  const std::string_view part = parse_tap_name(name).part;
  return part == "mlp.router_logits" || part == "mlp.routing_weights" ||
         part == "mlp.selected_experts";
}

void RoutingRecorder::tensor(std::string_view name, const Tensor& value) {
  const TapName tap = parse_tap_name(name);
  if (tap.layer < 0 || tap.expert >= 0) return;
  if (tap.part == "mlp.router_logits") {
    LayerRouting& routing = layer(tap.layer);
    routing.n_tokens += value.dim(0);
    routing.n_experts = value.dim(1);
    append_rows(routing.router_logits, value, value.f32());
  } else if (tap.part == "mlp.routing_weights") {
    LayerRouting& routing = layer(tap.layer);
    routing.top_k = value.dim(1);
    append_rows(routing.weights, value, value.f32());
  } else if (tap.part == "mlp.selected_experts") {
    append_rows(layer(tap.layer).experts, value, value.i32());
  }
}

}  // namespace qwen3
