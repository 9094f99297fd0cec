#include "verify/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "base/error.h"
#include "eval/likelihood/logit_rows.h"
#include "trace/tap_name.h"

namespace qwen3 {
namespace {

constexpr int64_t kBlockTokens = 8;  // neighbours are alike: they count as one for the error

}  // namespace

const TensorCheck* Verification::first_outside() const {
  const auto found =
      std::ranges::find_if(tensors, [](const TensorCheck& check) { return !check.within(); });
  return found == tensors.end() ? nullptr : &*found;
}

std::string_view family_of(std::string_view tap_name) {
  const TapName tap = parse_tap_name(tap_name);
  const std::string_view part = tap.part;
  if (tap.layer < 0) {
    return part == "logits" ? "logits" : part == "norm" ? "norms" : "embedding";
  }
  if (part.starts_with("mlp.experts")) return "experts";
  if (part.ends_with("layernorm") || part.ends_with("_norm")) return "norms";
  if (part.starts_with("self_attn.")) {
    return part.ends_with("_proj") ? "projections" : "attention";
  }
  if (part.starts_with("mlp.router") || part.starts_with("mlp.routing") ||
      part.starts_with("mlp.selected")) {
    return "router";
  }
  return part.starts_with("mlp.") ? "mlp" : "residual";
}

Comparison::Comparison(const ModelShape& shape,
                       Sides sides,
                       std::function<void(std::string_view)> before_each)
    : shape_(shape), sides_(sides), before_each_(std::move(before_each)) {}

bool Comparison::wants(std::string_view name) const {
  const TapName tap = parse_tap_name(name);
  if (tap.part == "self_attn.probs") return false;
  if (sides_.foreign == nullptr) return true;
  return tap.part == "mlp.router_logits" || tap.part == "mlp.selected_experts" ||
         sides_.foreign->has(name);
}

double Comparison::Sums::relative() const {
  if (difference == 0) return 0;
  return std::sqrt(difference / expected);  // infinite where nothing but zeros was expected
}

void Comparison::Sums::add(const KeptTensor& judged, const KeptTensor& want_all, int64_t n_rows) {
  const int64_t n_all = want_all.n_rows();
  if (n_all == 0) return;
  const auto row_size = static_cast<int64_t>(want_all.values.size()) / n_all;
  for (int64_t i = 0; i < n_rows * row_size; ++i) {
    const double is = judged.values[static_cast<size_t>(i)];
    const double should = want_all.values[static_cast<size_t>(i)];
    const double delta = is == should ? 0 : std::abs(is - should);  // equal infinities agree
    difference += delta * delta;
    expected += should * should;
    const bool worse = delta > largest || (std::isnan(delta) && !std::isnan(largest));
    if (!worse) continue;
    largest = delta;
    row = i / row_size;
    column = i % row_size;
    got = is;
    want = should;
  }
}

double Comparison::bound(std::string_view name, double yardstick) const {
  const int64_t layer = parse_tap_name(name).layer;
  const bool at_the_end = name == "norm" || name == "logits";
  const int64_t depth = at_the_end ? shape_.num_hidden_layers : std::max<int64_t>(layer, 0);
  return kSlack * std::max(yardstick, kFloor * std::sqrt(static_cast<double>(depth + 1)));
}

int64_t Comparison::comparable_rows(int64_t n_rows) const {
  return result_.rows_until ? std::min(*result_.rows_until, n_rows) : n_rows;
}

void Comparison::record(std::string_view name, const Sums& sums, double yardstick, bool fused) {
  result_.tensors.push_back({.name = std::string(name),
                             .fused = fused,
                             .error = sums.relative(),
                             .yardstick = yardstick,
                             .bound = bound(name, yardstick),
                             .row = sums.row,
                             .column = sums.column,
                             .got = sums.got,
                             .expected = sums.want,
                             .problem = {}});
}

void Comparison::tensor(std::string_view name, const Tensor& value) {
  if (!wants(name)) return;
  before_each_(name);
  const TapName tap = parse_tap_name(name);
  const KeptTensor exact = keep_tensor(value);
  if (tap.part == "mlp.selected_experts") {
    compare_routing(name, exact);
    return;
  }
  if (tap.expert >= 0) {
    compare_experts(tap.step, name, exact);
    return;
  }
  if (tap.part == "mlp.output") finish_experts(tap.layer);
  compare(name, exact);
}

void Comparison::compare(std::string_view name, const KeptTensor& exact) {
  const std::optional<KeptTensor> judged = sides_.judged.take(name);
  const std::optional<KeptTensor> yardstick = sides_.yardstick.take(name);
  if (!judged || !yardstick || judged->shape != exact.shape || yardstick->shape != exact.shape) {
    result_.tensors.push_back(
        {.name = std::string(name), .problem = "the judged pass shows no such tensor"});
    throw ComparisonEnded();
  }
  Sums off;
  off.add(*yardstick, exact, exact.n_rows());
  const double allowed = off.relative();
  const bool routes = name.ends_with("mlp.router_logits");
  if (routes) {
    router_logits_ = exact;
    router_bound_ = bound(name, allowed);
  }
  if (sides_.foreign != nullptr && !sides_.foreign->has(name)) return;
  const KeptTensor foreign =
      sides_.foreign != nullptr ? sides_.foreign->read(name, exact.shape) : KeptTensor();
  const KeptTensor& expected = sides_.foreign != nullptr ? foreign : exact;
  const int64_t n_rows = comparable_rows(exact.n_rows());
  if (!std::ranges::all_of(expected.values, [](float x) { return std::isfinite(x); })) {
    result_.expected_is_finite = false;
  }
  Sums sums;
  sums.add(*judged, expected, n_rows);
  record(name, sums, allowed, false);
  const KeptTensor* as_served = &*judged;
  if (const auto fused = sides_.fused.find(name);
      fused != sides_.fused.end() && !result_.fused_left_at) {
    Sums fused_sums;
    fused_sums.add(fused->second, expected, n_rows);
    record(name, fused_sums, allowed, true);
    as_served = &fused->second;
  }
  if (name != "logits" || !result_.expected_is_finite) return;
  const auto finite = [](const KeptTensor& t) {
    return std::ranges::all_of(t.values, [](float x) { return std::isfinite(x); });
  };
  if (!finite(*as_served) || n_rows == 0) return;
  compare_logits(*as_served, expected, n_rows);
  if (!finite(*yardstick)) return;
  const auto vocabulary = static_cast<size_t>(exact.shape.back());
  double total = 0;
  for (int64_t t = 0; t < exact.n_rows(); ++t) {
    const size_t at = static_cast<size_t>(t) * vocabulary;
    total += row_divergence(std::span(exact.values).subspan(at, vocabulary),
                            std::span(yardstick->values).subspan(at, vocabulary),
                            t)
                 .kl;
  }
  result_.yardstick_kl = total / static_cast<double>(exact.n_rows());
}

void Comparison::compare_logits(const KeptTensor& judged,
                                const KeptTensor& expected,
                                int64_t n_rows) {
  const auto vocabulary = static_cast<size_t>(expected.shape.back());
  result_.kl.emplace();
  result_.same_top.emplace();
  for (int64_t t = 0; t < n_rows; ++t) {
    if (t % kBlockTokens == 0) {
      result_.kl->begin_block();
      result_.same_top->begin_block();
    }
    const size_t at = static_cast<size_t>(t) * vocabulary;
    const RowDivergence row = row_divergence(std::span(expected.values).subspan(at, vocabulary),
                                             std::span(judged.values).subspan(at, vocabulary),
                                             t);
    result_.kl->add(row.kl);
    result_.same_top->add(row.same_top ? 1 : 0);
  }
}

void Comparison::compare_experts(std::string_view step,
                                 std::string_view name,
                                 const KeptTensor& exact) {
  const std::optional<KeptTensor> judged = sides_.judged.take(name);
  const std::optional<KeptTensor> yardstick = sides_.yardstick.take(name);
  if (!judged || !yardstick || judged->shape != exact.shape || yardstick->shape != exact.shape) {
    result_.tensors.push_back(
        {.name = std::string(name), .problem = "the judged pass shows no such tensor"});
    throw ComparisonEnded();
  }
  ExpertSums& sums = experts_[std::string(step)];
  sums.judged.add(*judged, exact, exact.n_rows());
  sums.yardstick.add(*yardstick, exact, exact.n_rows());
}

void Comparison::finish_experts(int64_t layer) {
  for (const std::string_view step : {"input", "gate_proj", "up_proj", "act", ""}) {
    const auto found = experts_.find(step);
    if (found == experts_.end()) continue;
    const std::string name =
        fmt::format("layers.{}.mlp.experts{}{}", layer, step.empty() ? "" : ".", step);
    record(name, found->second.judged, found->second.yardstick.relative(), false);
  }
  experts_.clear();
}

// Before the weights of the experts, which are shown first: they are wrong if the choice is.
void Comparison::record_routing(TensorCheck check) {
  auto at = result_.tensors.end();
  while (at != result_.tensors.begin() && std::prev(at)->name.ends_with("routing_weights")) --at;
  result_.tensors.insert(at, std::move(check));
}

void Comparison::compare_routing(std::string_view name, const KeptTensor& exact) {
  const std::optional<KeptTensor> judged = sides_.judged.take(name);
  QWEN3_CHECK(judged && judged->shape == exact.shape && !router_logits_.values.empty(),
              ErrorKind::internal,
              "verify: {}: no routing to compare",
              name);
  const int64_t n_tokens = exact.n_rows(), top_k = exact.shape.back();
  const int64_t n_experts = router_logits_.shape.back();
  const bool foreign = sides_.foreign != nullptr && sides_.foreign->has(name);
  const KeptTensor others = foreign ? sides_.foreign->read(name, exact.shape) : KeptTensor();
  TensorCheck check{.name = std::string(name), .problem = {}};
  // A logit may be off by the bound of all of them, of the longest row's norm; two of them may meet
  // half-way.
  double longest = 0;
  for (int64_t t = 0; t < n_tokens; ++t) {
    double square = 0;
    for (int64_t e = 0; e < n_experts; ++e) {
      const double x = router_logits_.values[static_cast<size_t>(t * n_experts + e)];
      square += x * x;
    }
    longest = std::max(longest, std::sqrt(square));
  }
  const double margin = 2 * router_bound_ * longest;
  check.bound = margin;
  for (int64_t t = 0; t < comparable_rows(n_tokens); ++t) {
    const std::span<const float> logits =
        std::span(router_logits_.values)
            .subspan(static_cast<size_t>(t * n_experts), static_cast<size_t>(n_experts));
    std::set<int32_t> chosen, own;
    for (int64_t k = 0; k < top_k; ++k) {
      chosen.insert(static_cast<int32_t>(judged->values[static_cast<size_t>(t * top_k + k)]));
      if (foreign) {
        own.insert(static_cast<int32_t>(others.values[static_cast<size_t>(t * top_k + k)]));
      }
    }
    const auto known = [&](const std::set<int32_t>& experts) {
      return std::ssize(experts) == top_k && *experts.begin() >= 0 && *experts.rbegin() < n_experts;
    };
    if (!foreign) {
      std::vector<int32_t> order(static_cast<size_t>(n_experts));
      for (size_t e = 0; e < order.size(); ++e) order[e] = static_cast<int32_t>(e);
      std::ranges::stable_sort(order, [&](int32_t a, int32_t b) {
        return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
      });
      own.insert(order.begin(), order.begin() + top_k);
    }
    if (!known(chosen) || !known(own)) {
      check.row = t;
      check.problem =
          fmt::format("expected {} different experts below {} for token {}, got {}",
                      top_k,
                      n_experts,
                      t,
                      known(own) ? "others from the judged pass" : "others in the file");
      record_routing(std::move(check));
      throw ComparisonEnded();
    }
    ++result_.n_routed;
    if (chosen == own) continue;
    ++result_.n_flips;
    // How far the best that was left lies above the worst that was taken for it.
    double best = -std::numeric_limits<double>::infinity(), worst = -best;
    for (const int32_t e : own) {
      if (!chosen.contains(e)) best = std::max<double>(best, logits[static_cast<size_t>(e)]);
    }
    for (const int32_t e : chosen) {
      if (!own.contains(e)) worst = std::min<double>(worst, logits[static_cast<size_t>(e)]);
    }
    const double gap = std::abs(best - worst);
    if (gap <= margin) ++result_.n_ties;
    if (!(gap <= check.error)) {
      check.error = gap;
      check.row = t;
      check.got = worst;
      check.expected = best;
    }
    if (sides_.foreign != nullptr) {  // nobody follows: this row, and those that see it, are lost
      result_.rows_until = t;
      break;
    }
  }
  record_routing(std::move(check));
  if (result_.fused_left_at) return;
  if (const auto fused = sides_.fused.find(name);
      fused != sides_.fused.end() && fused->second.values != judged->values) {
    result_.fused_left_at = parse_tap_name(name).layer;
  }
}

}  // namespace qwen3
