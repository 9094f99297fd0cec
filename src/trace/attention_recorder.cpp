#include "trace/attention_recorder.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "trace/tap_name.h"

namespace qwen3 {
namespace {

// Adds the row of one query to the summary of its head. probabilities[j] belongs to key j.
void add_query(HeadSummary& head, std::span<const float> probabilities, int64_t query) {
  for (size_t j = 0; j < probabilities.size(); ++j) {
    const double p = probabilities[j];
    if (p <= 0) continue;
    head.entropy -= p * std::log(p);
    head.mean_distance += p * static_cast<double>(query - static_cast<int64_t>(j));
  }
  head.first_share += probabilities.front();
  head.self_share += probabilities[static_cast<size_t>(query)];
}

void finish(HeadSummary& head,
            std::span<const float> last_row,
            int64_t n_queries,
            int64_t n_tokens) {
  const auto n = static_cast<double>(n_queries);
  head.entropy /= n;
  head.self_share /= n;
  head.first_share /= n;
  head.mean_distance /= n;
  std::vector<int64_t> order(last_row.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto count = std::min<int64_t>(AttentionRecorder::kTop, n_tokens);
  std::ranges::partial_sort(order, order.begin() + count, [&](int64_t a, int64_t b) {
    const float pa = last_row[static_cast<size_t>(a)], pb = last_row[static_cast<size_t>(b)];
    return pa != pb ? pa > pb : a < b;
  });
  for (int64_t i = 0; i < count; ++i) {
    const int64_t position = order[static_cast<size_t>(i)];
    head.top.push_back({position, last_row[static_cast<size_t>(position)]});
  }
}

// Rows between two queries that a summary looks at: long sequences are sampled, for the work grows
// with the square. The last query is always among them.
int64_t query_stride(int64_t n_tokens) {
  constexpr int64_t kMaxQueries = 256;
  return (n_tokens + kMaxQueries - 1) / kMaxQueries;
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

}  // namespace

void AttentionRecorder::remember(std::vector<float>& copy, const Tensor& value) {
  copy.clear();
  const int64_t row_size = value.dim(1) * value.dim(2);
  for (int64_t row = 0; row < value.dim(0); ++row) {
    const float* from = value.f32_row(row);
    copy.insert(copy.end(), from, from + row_size);
  }
}

void AttentionRecorder::tensor(std::string_view name, const Tensor& value) {
  const TapName tap = parse_tap_name(name);
  if (tap.layer < 0) return;
  // With the order of the educational model the norm comes last.
  const std::string_view q = facts_.qk_norm_after_rope ? "self_attn.q_norm" : "self_attn.q_rope";
  const std::string_view k = facts_.qk_norm_after_rope ? "self_attn.k_norm" : "self_attn.k_rope";
  if (tap.part == q) {
    remember(q_, value);
  } else if (tap.part == k) {
    remember(k_, value);
  } else if (tap.part == "self_attn.probs") {
    from_probabilities(tap.layer, value);
    q_.clear();
  } else if (tap.part == "self_attn.mix" && !q_.empty()) {
    compute(tap.layer);
    q_.clear();
  }
}

void AttentionRecorder::from_probabilities(int64_t layer, const Tensor& p) {
  const int64_t n_heads = p.dim(0), n_tokens = p.dim(1);
  LayerAttention result{
      .layer = layer, .n_heads = n_heads, .n_tokens = n_tokens, .heads = {}, .map = {}};
  const auto n = static_cast<size_t>(n_tokens);
  for (int64_t head = 0; head < n_heads; ++head) {
    HeadSummary summary;
    std::span<const float> row;
    for (int64_t t = 0; t < n_tokens; ++t) {
      row = {p.f32_row(head) + t * n_tokens, n};
      add_query(summary, row, t);
    }
    finish(summary, row, n_tokens, n_tokens);
    result.heads.push_back(std::move(summary));
    if (n_tokens <= max_map_tokens_) {
      result.map.insert(result.map.end(), p.f32_row(head), p.f32_row(head) + n_tokens * n_tokens);
    }
  }
  layers_.push_back(std::move(result));
}

void AttentionRecorder::compute(int64_t layer) {
  const int64_t n_heads = facts_.num_attention_heads, head_dim = facts_.head_dim;
  const int64_t n_kv_heads = facts_.num_key_value_heads;
  const int64_t n_tokens = static_cast<int64_t>(q_.size()) / (n_heads * head_dim);
  const int64_t window = facts_.layer_sliding_window.empty()
                             ? 0
                             : facts_.layer_sliding_window[static_cast<size_t>(layer)];
  const double scale = 1 / std::sqrt(static_cast<double>(head_dim));
  const int64_t stride = n_tokens <= max_map_tokens_ ? 1 : query_stride(n_tokens);
  LayerAttention result{
      .layer = layer, .n_heads = n_heads, .n_tokens = n_tokens, .heads = {}, .map = {}};
  std::vector<float> row(static_cast<size_t>(n_tokens));
  for (int64_t head = 0; head < n_heads; ++head) {
    const int64_t kv_head = head / (n_heads / n_kv_heads);  // grouped queries
    HeadSummary summary;
    int64_t n_queries = 0;
    for (int64_t t = (n_tokens - 1) % stride; t < n_tokens; t += stride, ++n_queries) {
      const float* query = q_.data() + (t * n_heads + head) * head_dim;
      const int64_t first = window > 0 ? std::max<int64_t>(0, t - window + 1) : 0;
      std::ranges::fill(row, 0.0f);
      double top = -INFINITY, total = 0;
      for (int64_t j = first; j <= t; ++j) {
        const float* key = k_.data() + (j * n_kv_heads + kv_head) * head_dim;
        const double score = scale * dot(query, key, head_dim);
        row[static_cast<size_t>(j)] = static_cast<float>(score);
        top = std::max(top, score);
      }
      for (int64_t j = first; j <= t; ++j) {
        float& p = row[static_cast<size_t>(j)];
        p = static_cast<float>(std::exp(p - top));
        total += p;
      }
      for (float& p : row) p = static_cast<float>(p / total);
      add_query(summary, row, t);
      if (n_tokens <= max_map_tokens_) result.map.insert(result.map.end(), row.begin(), row.end());
    }
    finish(summary, row, n_queries, n_tokens);
    result.heads.push_back(std::move(summary));
  }
  layers_.push_back(std::move(result));
}

}  // namespace qwen3
