#include "trace/export_json.h"

#include <cmath>

namespace qwen3 {
namespace {

// Four significant decimals are what a reader can use, and keep reports small.
double rounded(double value) {
  if (!std::isfinite(value)) return 0;
  return std::round(value * 1e5) / 1e5;
}

}  // namespace

Json tap_json(const TapRecord& record) {
  const TensorStatistics& s = record.statistics;
  return {{"name", record.name},
          {"shape", record.shape},
          {"dtype", record.dtype},
          {"mean", s.mean},
          {"std", s.std},
          {"min", s.min},
          {"max", s.max},
          {"rms", s.rms},
          {"nan", s.n_nan},
          {"inf", s.n_inf},
          {"sample", record.sample}};
}

Json routing_json(const LayerRouting& routing) {
  const RoutingSummary s = summarise(routing);
  Json weights = Json::array();
  for (const double weight : s.weight) weights.push_back(rounded(weight));
  return {{"layer", routing.layer},
          {"top_k", routing.top_k},
          {"load", s.load},
          {"weight", std::move(weights)},
          {"idle_experts", s.n_idle},
          {"load_entropy", rounded(s.load_entropy)},
          {"imbalance", rounded(s.imbalance)},
          {"router_entropy", rounded(s.router_entropy)},
          {"aux_loss", s.aux_loss},
          {"educational_aux_loss", s.educational_aux_loss}};
}

Json routing_export(const std::vector<LayerRouting>& layers) {
  Json all = Json::array();
  for (const LayerRouting& layer : layers) {
    Json one = routing_json(layer);
    Json tokens = Json::array();
    for (int64_t t = 0; t < layer.n_tokens; ++t) {
      const auto begin = t * layer.top_k, end = begin + layer.top_k;
      tokens.push_back(
          {{"experts",
            std::vector<int32_t>(layer.experts.begin() + begin, layer.experts.begin() + end)},
           {"weights",
            std::vector<float>(layer.weights.begin() + begin, layer.weights.begin() + end)}});
    }
    one["tokens"] = std::move(tokens);
    all.push_back(std::move(one));
  }
  const AuxLosses losses = auxiliary_losses(layers);
  return {{"layers", std::move(all)},
          {"aux_loss", losses.transformers},
          {"educational_aux_loss", losses.educational}};
}

Json attention_json(const LayerAttention& attention) {
  Json heads = Json::array();
  for (const HeadSummary& head : attention.heads) {
    Json top = Json::array();
    for (const AttendedToken& token : head.top)
      top.push_back({token.position, rounded(token.share)});
    heads.push_back({{"entropy", rounded(head.entropy)},
                     {"self", rounded(head.self_share)},
                     {"first", rounded(head.first_share)},
                     {"distance", rounded(head.mean_distance)},
                     {"top", std::move(top)}});
  }
  return {{"layer", attention.layer}, {"heads", std::move(heads)}};
}

Json lens_json(const std::vector<LensToken>& best) {
  Json tokens = Json::array();
  for (const LensToken& token : best) tokens.push_back({token.id, rounded(token.probability)});
  return tokens;
}

Json op_json(const OpTotal& total) {
  return {{"op", total.op},
          {"calls", total.n_calls},
          {"seconds", total.seconds},
          {"bytes", total.bytes},
          {"flops", total.flops}};
}

}  // namespace qwen3
