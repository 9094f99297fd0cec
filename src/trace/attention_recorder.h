// AttentionRecorder: where each head looks. It keeps summaries per head, and the full maps when the
// sequence is short enough.
//
// The reference backend shows the probabilities ("probs"); on the others they are computed again
// here from the queries and keys that the taps show. Of more than 256 tokens only some queries are
// looked at then, evenly spread, the last one included.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "trace/model_facts.h"
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

  // Maps are kept for sequences of up to max_map_tokens. `facts` is borrowed.
  AttentionRecorder(const ModelFacts& facts, int64_t max_map_tokens)
      : facts_(facts), max_map_tokens_(max_map_tokens) {}

  // One sequence, whole, as evaluate() runs it.
  void tensor(std::string_view name, const Tensor& value) override;
  const std::vector<LayerAttention>& layers() const { return layers_; }

 private:
  void remember(std::vector<float>& copy, const Tensor& value);
  void compute(int64_t layer);
  void from_probabilities(int64_t layer, const Tensor& probabilities);

  const ModelFacts& facts_;
  int64_t max_map_tokens_;
  std::vector<float> q_, k_;  // [n_tokens, heads, head_dim] of the layer that runs
  std::vector<LayerAttention> layers_;
};

}  // namespace qwen3
