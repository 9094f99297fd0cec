// AttentionRecorder: where each head looks. It keeps summaries per head, and the full maps when the
// sequence is short enough. Over several passes the queries of a layer follow one another.
//
// The reference backend shows the probabilities ("probs"); on the others they are computed again
// here from the queries and keys that the taps show. Of a pass of more than 256 tokens only some
// queries are looked at then, evenly spread, the last one included.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "qwen3/shape.h"
#include "trace/tap.h"

namespace qwen3 {

struct AttendedToken {
  int64_t position = 0;
  double share = 0;  // mean over the queries that can see it
};

struct HeadSummary {
  double entropy = 0;              // mean over queries, in nats
  double self_share = 0;           // mean probability of the token itself
  double first_share = 0;          // mean probability of the first token ("attention sink")
  double mean_distance = 0;        // mean of probability · (query - key)
  std::vector<AttendedToken> top;  // most attended, by the last token
};

struct LayerAttention {
  int64_t layer = 0;
  int64_t n_heads = 0, n_tokens = 0;
  std::vector<HeadSummary> heads;  // [n_heads]
  std::vector<float> map;          // [n_heads, n_tokens, n_tokens]; empty: too long
};

class AttentionRecorder final : public Tap {
 public:
  static constexpr int64_t kTop = 5;

  // Maps are kept for sequences of up to max_map_tokens. `shape` is borrowed.
  AttentionRecorder(const ModelShape& shape, int64_t max_map_tokens)
      : shape_(shape), max_map_tokens_(max_map_tokens) {}

  // One sequence, its tokens in order, from the first.
  bool wants(std::string_view name) const override;
  void tensor(std::string_view name, const Tensor& value) override;
  // What was seen so far, in order of the layers.
  std::vector<LayerAttention> layers() const;

 private:
  // Sums over the queries so far. The row of query t is its probabilities over keys 0 to t.
  struct Head {
    HeadSummary sums;
    std::vector<float> last_row;
    std::vector<float> rows;  // of all queries, one after the other; while maps are kept
  };
  struct Layer {
    int64_t layer = 0;
    int64_t n_tokens = 0, n_queries = 0;
    std::vector<float> keys;  // [n_tokens, n_kv_heads, head_dim], unless probabilities are shown
    std::vector<Head> heads;
  };

  // The names of queries and keys as the scores see them. With the order of the educational model
  // the norm comes last.
  std::string_view query_name() const {
    return shape_.qk_norm_after_rope ? "self_attn.q_norm" : "self_attn.q_rope";
  }
  std::string_view key_name() const {
    return shape_.qk_norm_after_rope ? "self_attn.k_norm" : "self_attn.k_rope";
  }
  Layer& layer_at(int64_t index);
  void append(std::vector<float>& copy, const Tensor& value) const;
  void compute(Layer& layer);
  void from_probabilities(Layer& layer, const Tensor& probabilities);
  void add_tokens(Layer& layer, int64_t n_heads, int64_t n_tokens) const;
  void add_query(Head& head, std::span<const float> row) const;

  const ModelShape& shape_;
  int64_t max_map_tokens_;
  std::vector<float> q_;  // [n_rows, heads, head_dim] of the layer that runs
  std::vector<Layer> layers_;
};

}  // namespace qwen3
