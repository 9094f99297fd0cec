// The three levels of an educational Qwen3 implementation: what flows through the model, as lines
// of text. Every line begins "[TRACE] "; shapes print as Python tuples.
//   input_flow   the main path: shapes into and out of every module
//   compact      the intermediate shapes too, and how often each expert was chosen
//   verbose      every tensor: name, shape, dtype, device
// docs/tracing.md lists the lines and where they differ from the original on purpose.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trace/model_facts.h"
#include "trace/tap.h"

namespace qwen3 {

enum class TraceLevel { input_flow, compact, verbose };

// "input_flow" ("flow", "input"), "compact", "verbose" in any case. `where` begins the message.
// Throws Error{invalid_argument} for anything else.
TraceLevel parse_trace_level(std::string_view text, std::string_view where);
std::string_view trace_level_name(TraceLevel level);

// The original writes its fixed sentences in Chinese for the dense model, in English for the MoE.
enum class TraceLanguage { as_original, english, chinese };

class LevelTap final : public Tap {
 public:
  using Print = std::function<void(std::string_view line)>;  // without a line end

  // `facts` is borrowed.
  LevelTap(TraceLevel level, const ModelFacts& facts, TraceLanguage language, Print print);

  // Every pass has its lines, as a call of the original has: one sequence, with the keys of the
  // tokens before.
  void begin_step(std::span<const int32_t> positions) override;
  // verbose: all tensors. The other levels are told from those that every pass has: nothing is
  // computed for their lines.
  bool wants(std::string_view name) const override;
  void tensor(std::string_view name, const Tensor& value) override;
  // After it, when there were labels. The auxiliary loss is the educational one, not yet scaled.
  void cross_entropy(double loss);
  void router_aux_loss(double loss);

 private:
  void line(TraceLevel level, std::string_view text) const;
  void always(std::string_view text) const;
  void shape_line(std::string_view name, std::string_view shape) const;
  void model_tensor(std::string_view part, const Tensor& value);
  void layer_begins(int64_t layer);
  void attention_tensor(std::string_view part, const std::string& prefix);
  void qkv_lines(const std::string& prefix);
  void score_lines(const std::string& prefix);
  void dense_tensor(std::string_view part, const std::string& prefix);
  void mlp_lines(const std::string& layer, bool sparse) const;
  void expert_lines() const;
  void expert_tensor(std::string_view step, const Tensor& value);
  void moe_tensor(std::string_view part, const std::string& prefix, const Tensor& value);
  void layer_tensor(std::string_view part, int64_t layer);
  std::string heads(int64_t n_heads) const;  // "(1, n_heads, S, head_dim)"
  std::string flat(int64_t features) const;  // "(1, S, features)"

  TraceLevel level_;
  const ModelFacts& facts_;
  bool chinese_;
  Print print_;
  int64_t n_tokens_ = 0, n_keys_ = 0;
  std::vector<int64_t> histogram_;  // of the sparse layer that runs
};

}  // namespace qwen3
