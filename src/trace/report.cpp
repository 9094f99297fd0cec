#include "trace/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string_view>

#include "base/html_page.h"
#include "base/text.h"
#include "trace/export_json.h"
#include "trace/report_page.h"
#include "trace/tap_name.h"

namespace qwen3 {
namespace {

// What a page can hold and a browser still scrolls through.
constexpr int64_t kMaxExpertTaps = 2000;
constexpr int64_t kMaxMapBytes = 900'000;

uint8_t quantised(float share) {
  return static_cast<uint8_t>(std::lround(std::clamp(share, 0.0f, 1.0f) * 255));
}

Json model_json(const std::string& name, const ModelShape& f) {
  return {{"name", name},
          {"moe", f.moe()},
          {"layers", f.num_hidden_layers},
          {"sparse", f.layer_is_sparse},
          {"vocab_size", f.vocab_size},
          {"hidden_size", f.hidden_size},
          {"intermediate_size", f.intermediate_size},
          {"moe_intermediate_size", f.moe_intermediate_size},
          {"heads", f.num_attention_heads},
          {"kv_heads", f.num_key_value_heads},
          {"head_dim", f.head_dim},
          {"experts", f.num_experts},
          {"top_k", f.num_experts_per_tok},
          {"qk_norm_after_rope", f.qk_norm_after_rope}};
}

bool of_expert(const TapRecord& tap) { return parse_tap_name(tap.name).expert >= 0; }

Json tokens_json(const std::vector<ReportToken>& tokens) {
  Json list = Json::array();
  for (const ReportToken& token : tokens) list.push_back({token.id, token.text});
  return list;
}

// Tensors inside experts that the page leaves out: all of them, when there are too many.
int64_t n_expert_taps_left_out(const std::vector<TapRecord>& taps) {
  const int64_t n = std::ranges::count_if(taps, of_expert);
  return n > kMaxExpertTaps ? n : 0;
}

// [name, shape, dtype, mean, std, min, max, rms, nan, inf, sample] of each tensor.
Json taps_json(const std::vector<TapRecord>& taps) {
  const bool with_experts = n_expert_taps_left_out(taps) == 0;
  const auto brief = [](double value) {
    return std::isfinite(value) ? Json::parse(fmt::format("{:.5g}", value)) : Json();
  };
  Json list = Json::array();
  for (const TapRecord& tap : taps) {
    if (!with_experts && of_expert(tap)) continue;
    const TensorStatistics& s = tap.statistics;
    Json sample = Json::array();
    for (const float value : tap.sample) sample.push_back(brief(value));
    list.push_back({tap.name,
                    tap.shape,
                    tap.dtype,
                    brief(s.mean),
                    brief(s.std),
                    brief(s.min),
                    brief(s.max),
                    brief(s.rms),
                    s.n_nan,
                    s.n_inf,
                    std::move(sample)});
  }
  return list;
}

// Summaries, and per layer the experts (two bytes each, little endian) and weights (one byte each)
// of all tokens, as base64.
Json routing_data(const std::vector<LayerRouting>& layers) {
  Json list = Json::array();
  for (const LayerRouting& layer : layers) {
    Json one = routing_json(layer);
    std::vector<uint8_t> experts, weights;
    for (size_t i = 0; i < layer.experts.size(); ++i) {
      experts.push_back(static_cast<uint8_t>(layer.experts[i] & 255));
      experts.push_back(static_cast<uint8_t>(layer.experts[i] >> 8));
      weights.push_back(quantised(layer.weights[i]));
    }
    one["experts"] = base64(experts);
    one["weights"] = base64(weights);
    list.push_back(std::move(one));
  }
  return list;
}

Json lens_data(const LogitLens& lens) {
  Json layers = Json::array();
  for (const auto& rows : lens.layers()) {
    Json row_list = Json::array();
    for (const auto& best : rows) row_list.push_back(lens_json(best));
    layers.push_back(std::move(row_list));
  }
  return {{"first_row", lens.first_row()}, {"layers", std::move(layers)}};
}

// Summaries of all heads; the maps (one byte a share) only if all of them fit.
Json attention_data(const std::vector<LayerAttention>& layers) {
  int64_t n_bytes = 0;
  for (const LayerAttention& layer : layers) n_bytes += static_cast<int64_t>(layer.map.size());
  Json list = Json::array();
  for (const LayerAttention& layer : layers) {
    Json one = attention_json(layer);
    if (!layer.map.empty() && n_bytes <= kMaxMapBytes) {
      std::vector<uint8_t> bytes(layer.map.size());
      std::ranges::transform(layer.map, bytes.begin(), quantised);
      one["map"] = base64(bytes);
    }
    list.push_back(std::move(one));
  }
  return list;
}

Json time_data(const SpanLog& time, double seconds) {
  Json ops = Json::array();
  for (const OpTotal& total : time.totals()) ops.push_back(op_json(total));
  return {{"seconds", seconds}, {"ops", std::move(ops)}};
}

}  // namespace

std::string html_report(const ReportInput& input) {
  Json data{
      {"lang", input.chinese ? "zh" : "en"},
      {"subtitle", input.subtitle},
      {"model", model_json(input.model_name, *input.shape)},
      {"tokens", tokens_json(input.tokens)},
      {"n_prompt", input.n_prompt < 0 ? static_cast<int64_t>(input.tokens.size()) : input.n_prompt},
      {"tokens_not_recorded", input.n_not_recorded},
      {"named", tokens_json(input.named)}};
  if (input.taps != nullptr) {
    data["taps"] = taps_json(*input.taps);
    data["expert_taps_left_out"] = n_expert_taps_left_out(*input.taps);
  }
  if (input.routing != nullptr) data["routing"] = routing_data(*input.routing);
  if (input.lens != nullptr) data["lens"] = lens_data(*input.lens);
  if (input.attention != nullptr) data["attention"] = attention_data(*input.attention);
  if (input.time != nullptr) data["time"] = time_data(*input.time, input.seconds);
  return html_page(report_page(), data);
}

}  // namespace qwen3
