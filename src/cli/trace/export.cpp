#include "cli/trace/export.h"

#include <fmt/format.h>

#include <set>

#include "base/error.h"
#include "base/output_file.h"
#include "cli/console.h"
#include "cli/generation.h"
#include "formats/npy.h"
#include "trace/export_json.h"
#include "trace/report.h"
#include "trace/timeline.h"

namespace qwen3::cli {

namespace fs = std::filesystem;

void write_routing(const Trace& trace, const fs::path& directory) {
  const auto& layers = trace.routing->layers();
  QWEN3_CHECK(!layers.empty(),
              ErrorKind::invalid_argument,
              "qwen3 trace: --routing-out: expected a model with experts; got {}, which is dense",
              trace.model->info().name);
  make_folder(directory);
  Json json = routing_export(layers);
  json["prompt_tokens"] = trace.n_prompt;
  write_file(directory / "routing.json", dump_json(json) + "\n");
  const int64_t n_tokens = layers.front().n_tokens, top_k = layers.front().top_k;
  const auto n_layers = static_cast<int64_t>(layers.size());
  std::vector<int32_t> experts;
  std::vector<float> weights;
  for (int64_t t = 0; t < n_tokens; ++t) {
    for (const LayerRouting& layer : layers) {
      const auto at = t * top_k;
      experts.insert(experts.end(), layer.experts.begin() + at, layer.experts.begin() + at + top_k);
      weights.insert(weights.end(), layer.weights.begin() + at, layer.weights.begin() + at + top_k);
    }
  }
  const Shape shape{n_tokens, n_layers, top_k};
  write_npy(directory / "experts.npy", Tensor(experts.data(), DType::i32, shape));
  write_npy(directory / "weights.npy", Tensor(weights.data(), DType::f32, shape));
}

void write_attention(const Trace& trace, const fs::path& directory) {
  make_folder(directory);
  for (const LayerAttention& layer : trace.attention->layers()) {
    std::vector<float> map = layer.map;
    write_npy(directory / fmt::format("layers.{}.self_attn.probs.npy", layer.layer),
              Tensor::view(map, {layer.n_heads, layer.n_tokens, layer.n_tokens}));
  }
}

void write_report(const TraceOptions& options, const Trace& trace) {
  ReportInput input;
  input.model_name = trace.model->info().name;
  input.shape = &trace.model->shape();
  input.subtitle = model_line(trace.model->info());
  std::set<int32_t> named;
  for (const int32_t id : trace.ids) input.tokens.push_back({id, trace.token_text(id)});
  if (trace.lens) {
    for (const auto& layer : trace.lens->layers()) {
      for (const auto& row : layer) {
        for (const LensToken& token : row) named.insert(token.id);
      }
    }
    input.lens = &*trace.lens;
  }
  for (const int32_t id : named) input.named.push_back({id, trace.token_text(id)});
  input.taps = &trace.statistics->records();
  input.routing = &trace.routing->layers();
  const std::vector<LayerAttention> attention = trace.attention->layers();
  input.attention = &attention;
  input.n_prompt = trace.n_prompt;
  input.time = &trace.time;
  input.seconds = trace.seconds;
  input.chinese = options.language == "zh";
  write_page(options.html, html_report(input), options.output);
}

void write_timeline(const Trace& trace, const fs::path& file) {
  const RequestSpans* requests = trace.requests ? &*trace.requests : nullptr;
  write_file(file, timeline_json(trace.model->info().name, trace.time, requests));
}

}  // namespace qwen3::cli
