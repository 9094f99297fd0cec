// The three levels of an educational Qwen3 implementation: what flows through the model, as lines
// of text. Every line begins "[TRACE] "; shapes print as Python tuples.
//   input_flow   the main path: shapes into and out of every module
//   compact      the intermediate shapes too, and how often each expert was chosen
//   verbose      every tensor: name, shape, dtype, device
// docs/tracing.md lists the lines and where they differ from the original on purpose.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qwen3/shape.h"
#include "trace/tap.h"
#include "trace/tap_name.h"

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

  // `shape` is borrowed.
  LevelTap(TraceLevel level, const ModelShape& shape, TraceLanguage language, Print print);

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
  void line(TraceLevel level, std::initializer_list<std::string_view> parts);
  void always(std::initializer_list<std::string_view> parts);
  // Of verbose: a tensor by its whole name, or by what follows the layer's.
  void tensor_line(std::string_view name, std::string_view shape, std::string_view dtype);
  void layer_tensor(std::string_view part, std::string_view shape);

  void of_model(std::string_view part, const Tensor& value);
  void of_layer(const TapName& tap);
  void flow_of_layer(bool sparse);
  void flow_of_experts();
  void flow_of_mlp(std::string_view where, std::string_view outer, std::string_view inner);
  void of_attention(std::string_view part);
  void projections(std::string_view q_heads, std::string_view k_heads);
  void scores(std::string_view q);
  void of_mlp(std::string_view part, const Tensor& value);
  void of_expert(std::string_view step, const Tensor& value);
  std::string heads(int64_t n_heads) const;  // "(1, n_heads, S, head_dim)"
  std::string flat(int64_t features) const;  // "(1, S, features)"

  TraceLevel level_;
  const ModelShape& shape_;
  bool chinese_;
  Print print_;
  std::string text_;  // of the line that is made
  int64_t n_tokens_ = 0, n_keys_ = 0;
  std::string hidden_;              // "(1, S, hidden_size)" of this pass
  std::string layer_;               // "layer03", that the tensor belongs to
  std::vector<int64_t> histogram_;  // of the sparse layer that runs
};

}  // namespace qwen3
