#include "trace/attention_recorder.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "trace/tap_name.h"

namespace qwen3 {
namespace {

// The summary of all queries, and what the last one attends to.
HeadSummary summary_of(HeadSummary sums, std::span<const float> last_row, int64_t n_queries) {
  const auto n = static_cast<double>(n_queries);
  sums.entropy /= n;
  sums.self_share /= n;
  sums.first_share /= n;
  sums.mean_distance /= n;
  std::vector<int64_t> order(last_row.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto count =
      std::min<int64_t>(AttentionRecorder::kTop, static_cast<int64_t>(last_row.size()));
  std::ranges::partial_sort(order, order.begin() + count, [&](int64_t a, int64_t b) {
    const float pa = last_row[static_cast<size_t>(a)], pb = last_row[static_cast<size_t>(b)];
    return pa != pb ? pa > pb : a < b;
  });
  for (int64_t i = 0; i < count; ++i) {
    const int64_t position = order[static_cast<size_t>(i)];
    sums.top.push_back({position, last_row[static_cast<size_t>(position)]});
  }
  return sums;
}

// Rows between two queries that a summary looks at: long passes are sampled, because the work
// grows with the square. The last query is always among them.
int64_t query_stride(int64_t n_rows) {
  constexpr int64_t kMaxQueries = 256;
  return (n_rows + kMaxQueries - 1) / kMaxQueries;
}

float dot(const float* a, const float* b, int64_t n) {
  float sums[4] = {};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (int64_t lane = 0; lane < 4; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < n; ++i) sums[0] += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// Scores to probabilities, in place.
void softmax(std::span<float> row) {
  const double top = *std::ranges::max_element(row);
  double total = 0;
  for (float& p : row) {
    p = static_cast<float>(std::exp(p - top));
    total += p;
  }
  for (float& p : row) p = static_cast<float>(p / total);
}

// Triangular rows to a square: what a query cannot see is 0.
void append_square(std::vector<float>& map, std::span<const float> rows, int64_t n_tokens) {
  const auto n = static_cast<size_t>(n_tokens);
  for (size_t t = 0; t < n; ++t) {
    const auto row = rows.subspan(t * (t + 1) / 2, t + 1);
    map.insert(map.end(), row.begin(), row.end());
    map.resize(map.size() + n - row.size());
  }
}

}  // namespace

AttentionRecorder::Layer& AttentionRecorder::layer_at(int64_t index) {
  const auto known = std::ranges::find(layers_, index, &Layer::layer);
  if (known != layers_.end()) return *known;
  Layer fresh;
  fresh.layer = index;
  return layers_.emplace_back(std::move(fresh));
}

void AttentionRecorder::append(std::vector<float>& copy, const Tensor& value) const {
  const int64_t row_size = value.dim(1) * value.dim(2);
  for (int64_t row = 0; row < value.dim(0); ++row) {
    const float* from = value.f32_row(row);
    copy.insert(copy.end(), from, from + row_size);
  }
}

bool AttentionRecorder::wants(std::string_view name) const {
  const std::string_view part = parse_tap_name(name).part;
  return part == query_name() || part == key_name() || part == "self_attn.probs" ||
         part == "self_attn.mix";
}

void AttentionRecorder::tensor(std::string_view name, const Tensor& value) {
  const TapName tap = parse_tap_name(name);
  if (tap.layer < 0) return;
  if (tap.part == query_name()) {
    q_.clear();
    append(q_, value);
  } else if (tap.part == key_name()) {
    append(layer_at(tap.layer).keys, value);
  } else if (tap.part == "self_attn.probs") {
    from_probabilities(layer_at(tap.layer), value);
    q_.clear();
  } else if (tap.part == "self_attn.mix" && !q_.empty()) {
    compute(layer_at(tap.layer));
    q_.clear();
  }
}

// More tokens of a layer; beyond max_map_tokens there are no maps.
void AttentionRecorder::add_tokens(Layer& layer, int64_t n_heads, int64_t n_tokens) const {
  layer.heads.resize(static_cast<size_t>(n_heads));
  layer.n_tokens = n_tokens;
  if (n_tokens <= max_map_tokens_) return;
  for (Head& head : layer.heads) head.rows = {};
}

void AttentionRecorder::add_query(Head& head, std::span<const float> row) const {
  const size_t query = row.size() - 1;
  for (size_t j = 0; j < row.size(); ++j) {
    const double p = row[j];
    if (p <= 0) continue;
    head.sums.entropy -= p * std::log(p);
    head.sums.mean_distance += p * static_cast<double>(query - j);
  }
  head.sums.first_share += row.front();
  head.sums.self_share += row.back();
  head.last_row.assign(row.begin(), row.end());
}

void AttentionRecorder::from_probabilities(Layer& layer, const Tensor& p) {
  const int64_t n_heads = p.dim(0), n_rows = p.dim(1), n_keys = p.dim(2);
  layer.keys.clear();
  add_tokens(layer, n_heads, n_keys);
  layer.n_queries += n_rows;
  for (int64_t h = 0; h < n_heads; ++h) {
    Head& head = layer.heads[static_cast<size_t>(h)];
    for (int64_t r = 0; r < n_rows; ++r) {
      const std::span<const float> row(p.f32_row(h) + r * n_keys,
                                       static_cast<size_t>(n_keys - n_rows + r + 1));
      add_query(head, row);
      if (n_keys <= max_map_tokens_) head.rows.insert(head.rows.end(), row.begin(), row.end());
    }
  }
}

void AttentionRecorder::compute(Layer& layer) {
  const int64_t n_heads = shape_.num_attention_heads, head_dim = shape_.head_dim;
  const int64_t n_kv_heads = shape_.num_key_value_heads;
  const int64_t n_rows = static_cast<int64_t>(q_.size()) / (n_heads * head_dim);
  const int64_t n_keys = static_cast<int64_t>(layer.keys.size()) / (n_kv_heads * head_dim);
  const int64_t window = shape_.layer_sliding_window.empty()
                             ? 0
                             : shape_.layer_sliding_window[static_cast<size_t>(layer.layer)];
  const double scale = 1 / std::sqrt(static_cast<double>(head_dim));
  const int64_t stride = n_keys <= max_map_tokens_ ? 1 : query_stride(n_rows);
  add_tokens(layer, n_heads, n_keys);
  layer.n_queries += (n_rows + stride - 1) / stride;
  for (int64_t h = 0; h < n_heads; ++h) {
    Head& head = layer.heads[static_cast<size_t>(h)];
    const int64_t kv_head = h / (n_heads / n_kv_heads);  // grouped queries
    for (int64_t r = (n_rows - 1) % stride; r < n_rows; r += stride) {
      const int64_t t = n_keys - n_rows + r;
      const float* query = q_.data() + (r * n_heads + h) * head_dim;
      const int64_t first = window > 0 ? std::max<int64_t>(0, t - window + 1) : 0;
      std::vector<float> row(static_cast<size_t>(t + 1));
      for (int64_t j = first; j <= t; ++j) {
        const float* key = layer.keys.data() + (j * n_kv_heads + kv_head) * head_dim;
        row[static_cast<size_t>(j)] = static_cast<float>(scale * dot(query, key, head_dim));
      }
      softmax(std::span(row).subspan(static_cast<size_t>(first)));
      add_query(head, row);
      if (n_keys <= max_map_tokens_) head.rows.insert(head.rows.end(), row.begin(), row.end());
    }
  }
}

std::vector<LayerAttention> AttentionRecorder::layers() const {
  std::vector<LayerAttention> all;
  for (const Layer& layer : layers_) {
    if (layer.n_queries == 0) continue;
    LayerAttention& one = all.emplace_back();
    one.layer = layer.layer;
    one.n_heads = static_cast<int64_t>(layer.heads.size());
    one.n_tokens = layer.n_tokens;
    for (const Head& head : layer.heads) {
      one.heads.push_back(summary_of(head.sums, head.last_row, layer.n_queries));
      if (!head.rows.empty()) append_square(one.map, head.rows, layer.n_tokens);
    }
  }
  return all;
}

}  // namespace qwen3
