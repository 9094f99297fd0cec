#include "trace/levels.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace qwen3 {
namespace {

// A Python tuple: "(1, 3, 8)".
template <typename... Dims>
std::string tuple(int64_t first, Dims... others) {
  std::string text = "(" + std::to_string(first);
  ((text += ", " + std::to_string(others)), ...);
  return text += ")";
}

std::string two_digits(int64_t number) { return (number < 10 ? "0" : "") + std::to_string(number); }

constexpr std::string_view kFloat = "torch.float32", kIds = "torch.int64";

}  // namespace

TraceLevel parse_trace_level(std::string_view text, std::string_view where) {
  std::string level(text);
  std::ranges::transform(level, level.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (level == "input_flow" || level == "flow" || level == "input") return TraceLevel::input_flow;
  if (level == "compact") return TraceLevel::compact;
  if (level == "verbose") return TraceLevel::verbose;
  fail(ErrorKind::invalid_argument,
       "{}: unknown trace level; expected input_flow, compact or verbose; got \"{}\"",
       where,
       text);
}

std::string_view trace_level_name(TraceLevel level) {
  switch (level) {
    case TraceLevel::input_flow:
      return "input_flow";
    case TraceLevel::compact:
      return "compact";
    case TraceLevel::verbose:
      return "verbose";
  }
  return "?";
}

LevelTap::LevelTap(TraceLevel level, const ModelShape& shape, TraceLanguage language, Print print)
    : level_(level),
      shape_(shape),
      chinese_(language == TraceLanguage::chinese ||
               (language == TraceLanguage::as_original && !shape.moe())),
      print_(std::move(print)) {}

// A token's pass has dozens of lines, so a line must cost little beside a small model's operations:
// it is put together in one buffer, and only at its level.
void LevelTap::line(TraceLevel level, std::initializer_list<std::string_view> parts) {
  if (level == level_) always(parts);
}

void LevelTap::always(std::initializer_list<std::string_view> parts) {
  text_.assign("[TRACE] ");
  for (const std::string_view part : parts) text_.append(part);
  print_(text_);
}

void LevelTap::tensor_line(std::string_view name, std::string_view shape, std::string_view dtype) {
  line(TraceLevel::verbose, {name, ": shape=", shape, ", dtype=", dtype, ", device=cpu"});
}

void LevelTap::layer_tensor(std::string_view part, std::string_view shape) {
  line(TraceLevel::verbose, {layer_, part, ": shape=", shape, ", dtype=", kFloat, ", device=cpu"});
}

std::string LevelTap::heads(int64_t n_heads) const {
  return tuple(1, n_heads, n_tokens_, shape_.head_dim);
}

std::string LevelTap::flat(int64_t features) const { return tuple(1, n_tokens_, features); }

void LevelTap::begin_step(std::span<const int32_t> positions) {
  n_tokens_ = static_cast<int64_t>(positions.size());
  n_keys_ = positions.empty() ? 0 : int64_t{positions.back()} + 1;
  hidden_ = flat(shape_.hidden_size);
  const std::string ids = tuple(1, n_tokens_), mask = tuple(1, 1, n_tokens_, n_keys_);
  always({"Trace level=",
          trace_level_name(level_),
          chinese_ ? ". 可选" : ". Available",
          ": input_flow / compact / verbose"});
  tensor_line("model.input_ids", ids, kIds);
  always({chinese_ ? "position_ids 未传入，已根据 input_ids 自动生成"
                   : "position_ids was not provided, generated from input_ids"});
  tensor_line("model.position_ids", ids, kIds);
  tensor_line("model.attention_mask", mask, kFloat);
  if (shape_.moe()) return;
  line(TraceLevel::input_flow,
       {"model.inputs: input_ids", ids, " + attention_mask", mask, " -> position_ids", ids});
  line(TraceLevel::compact,
       {"model.inputs: input_ids", ids, " position_ids", ids, " attention_mask", mask});
}

bool LevelTap::wants(std::string_view name) const {
  if (level_ == TraceLevel::verbose) return true;
  const std::string_view part = parse_tap_name(name).part;
  constexpr std::string_view kFlow[] = {
      "embed_tokens", "attn_residual", "mlp.selected_experts", "output", "norm", "logits"};
  constexpr std::string_view kCompact[] = {"input_layernorm", "self_attn.v_proj", "self_attn.mix"};
  return std::ranges::count(kFlow, part) > 0 ||
         (level_ == TraceLevel::compact && std::ranges::count(kCompact, part) > 0);
}

void LevelTap::tensor(std::string_view name, const Tensor& value) {
  if (!wants(name)) return;
  const TapName tap = parse_tap_name(name);
  layer_ = "layer" + two_digits(tap.layer);
  if (tap.layer < 0) {
    of_model(tap.part, value);
  } else if (tap.part == kExpertsPart) {
    of_expert(tap.step, value);
  } else if (tap.part.starts_with("self_attn.")) {
    of_attention(tap.part);
  } else if (tap.part.starts_with("mlp.")) {
    of_mlp(tap.part, value);
  } else {
    of_layer(tap);
  }
}

void LevelTap::of_model(std::string_view part, const Tensor& value) {
  // The rows of the last two are those whose logits are wanted.
  const std::string hidden = tuple(1, value.dim(0), shape_.hidden_size);
  if (part == "embed_tokens") {
    line(TraceLevel::input_flow, {"model.embedding: input_ids -> hidden_states", hidden});
    line(TraceLevel::compact, {"model.embedding: ", hidden});
    tensor_line("model.embedding_output", hidden, kFloat);
    if (!shape_.moe()) return;
    const std::string ids = tuple(1, n_tokens_), angles = flat(shape_.head_dim);
    line(TraceLevel::input_flow, {"model.rotary_emb: position_ids", ids, " -> cos/sin", angles});
  } else if (part == "norm") {
    if (level_ != TraceLevel::verbose) always({"model.final_norm: ", hidden});
    tensor_line("model.final_norm_output", hidden, kFloat);
  } else if (part == "logits") {
    const std::string logits = tuple(1, value.dim(0), shape_.vocab_size);
    line(TraceLevel::input_flow, {"lm_head.flow: hidden_states", hidden, " -> logits", logits});
    line(TraceLevel::compact, {"lm_head.flow: hidden", hidden, " -> logits", logits});
    tensor_line("lm_head.logits", logits, kFloat);
  }
}

void LevelTap::of_layer(const TapName& tap) {
  const std::string number = std::to_string(tap.layer);
  if (tap.part == "input_layernorm") {
    line(TraceLevel::compact, {"===== Decoder Layer ", two_digits(tap.layer), " ====="});
    line(TraceLevel::verbose, {chinese_ ? "进入 Decoder Layer " : "enter decoder layer ", number});
    for (const char* part : {".input", ".after_input_layernorm", ".attn.input_hidden_states"}) {
      layer_tensor(part, hidden_);
    }
  } else if (tap.part == "attn_residual") {
    if (level_ != TraceLevel::verbose) {
      always({layer_, ".attn.flow: in", hidden_, " -> out", hidden_});
    }
    layer_tensor(".after_attn_residual", hidden_);
  } else if (tap.part == "post_attention_layernorm") {
    layer_tensor(".after_post_attn_layernorm", hidden_);
    layer_tensor(shape_.is_sparse(tap.layer) ? ".moe.input" : ".mlp.input", hidden_);
  } else if (tap.part == "output") {
    flow_of_layer(shape_.is_sparse(tap.layer));
    layer_tensor(".output", hidden_);
    line(TraceLevel::verbose, {chinese_ ? "离开 Decoder Layer " : "leave decoder layer ", number});
  }
}

// When a layer is done, input_flow and compact say what its second block and the whole did.
void LevelTap::flow_of_layer(bool sparse) {
  const std::string_view h = hidden_;
  if (sparse) {
    flow_of_experts();
    line(TraceLevel::input_flow, {layer_, ".moe.flow: in", h, " -> out", h});
  } else {
    flow_of_mlp(layer_ + ".", h, flat(shape_.intermediate_size));
  }
  line(TraceLevel::input_flow, {layer_, ".flow: in", h, " -> attn", h, " -> mlp", h, " -> out", h});
  line(TraceLevel::compact,
       {layer_, ".flow: in", h, " -> attn", h, " -> res1", h, " -> mlp", h, " -> out", h});
}

// Of every expert that some token chose: its tokens are the rows it gets. The lines carry no layer,
// as in the original: the expert does not know its layer.
void LevelTap::flow_of_experts() {
  std::string loads;
  for (const int64_t n_rows : histogram_) {
    loads.append(loads.empty() ? "" : ", ").append(std::to_string(n_rows));
    if (n_rows == 0) continue;
    const std::string inner = tuple(n_rows, shape_.moe_intermediate_size);
    flow_of_mlp("", tuple(n_rows, shape_.hidden_size), inner);
  }
  const std::string top_k = std::to_string(shape_.num_experts_per_tok);
  line(TraceLevel::compact, {layer_, ".moe.routing: top_k=", top_k, " expert_hist=[", loads, "]"});
}

void LevelTap::flow_of_mlp(std::string_view where, std::string_view outer, std::string_view inner) {
  line(TraceLevel::input_flow, {where, "mlp.flow: in", outer, " -> out", outer});
  line(TraceLevel::compact,
       {where, "mlp.flow: in", outer, " -> gate/up", inner, " -> swiglu", inner, " -> out", outer});
}

void LevelTap::of_attention(std::string_view part) {
  const std::string q = heads(shape_.num_attention_heads), k = heads(shape_.num_key_value_heads);
  if (part == "self_attn.v_proj") {
    projections(q, k);
  } else if (part == "self_attn.q_norm") {
    layer_tensor(".attn.q_after_qknorm", q);
  } else if (part == "self_attn.k_norm") {
    layer_tensor(".attn.k_after_qknorm", k);
  } else if (part == "self_attn.q_rope") {
    layer_tensor(".attn.q_after_rope", q);
  } else if (part == "self_attn.k_rope") {
    layer_tensor(".attn.k_after_rope", k);
  } else if (part == "self_attn.mix") {
    scores(q);
  } else if (part == "self_attn.o_proj") {
    layer_tensor(".attn.output", hidden_);
  }
}

void LevelTap::projections(std::string_view q_heads, std::string_view k_heads) {
  const std::string q = flat(shape_.num_attention_heads * shape_.head_dim);
  const std::string k = flat(shape_.num_key_value_heads * shape_.head_dim);
  line(TraceLevel::compact, {layer_, ".attn.qkv_proj: q", q, " k", k, " v", k});
  line(TraceLevel::compact, {layer_, ".attn.qkv_head: q", q_heads, " k", k_heads, " v", k_heads});
  layer_tensor(".attn.q_proj", q);
  layer_tensor(".attn.k_proj", k);
  layer_tensor(".attn.v_proj", k);
  layer_tensor(".attn.q_reshape", q_heads);
  layer_tensor(".attn.k_reshape", k_heads);
  layer_tensor(".attn.v_reshape", k_heads);
}

// Our attention repeats no keys and keeps no scores; the lines say the shapes of the mathematics.
void LevelTap::scores(std::string_view q) {
  const std::string keys = tuple(1, shape_.num_attention_heads, n_keys_, shape_.head_dim);
  const std::string shape = tuple(1, shape_.num_attention_heads, n_tokens_, n_keys_);
  const std::string_view after = shape_.qk_norm_after_rope ? ".attn.after_rope_qknorm_gqa: q"
                                                           : ".attn.after_qknorm_rope_gqa: q";
  line(TraceLevel::compact, {layer_, after, q, " k", keys, " v", keys});
  line(TraceLevel::compact, {layer_, ".attn.score_to_context: scores", shape, " -> context", q});
  layer_tensor(".attn.k_after_gqa", keys);
  layer_tensor(".attn.v_after_gqa", keys);
  layer_tensor(".attn.attn_scores", shape);
  layer_tensor(".attn.attn_scores_masked", shape);
  layer_tensor(".attn.attn_probs", shape);
  layer_tensor(".attn.attn_context", q);
}

void LevelTap::of_mlp(std::string_view part, const Tensor& value) {
  if (part == "mlp.selected_experts") {
    histogram_.assign(static_cast<size_t>(shape_.num_experts), 0);
    for (int64_t i = 0; i < value.numel(); ++i) ++histogram_[static_cast<size_t>(value.i32()[i])];
  } else if (part == "mlp.router_logits") {
    layer_tensor(".moe.router_logits", tuple(value.dim(0), value.dim(1)));
  } else if (part == "mlp.output") {
    layer_tensor(".moe.output", hidden_);
  } else if (part == "mlp.gate_proj") {
    layer_tensor(".mlp.gate_proj", flat(shape_.intermediate_size));
  } else if (part == "mlp.up_proj") {
    layer_tensor(".mlp.up_proj", flat(shape_.intermediate_size));
  } else if (part == "mlp.act") {
    layer_tensor(".mlp.swiglu_hidden", flat(shape_.intermediate_size));
  } else if (part == "mlp.down_proj") {
    layer_tensor(".mlp.output", hidden_);
  }
}

void LevelTap::of_expert(std::string_view step, const Tensor& value) {
  const std::string shape = tuple(value.dim(0), value.dim(1));
  if (step == "input") {
    tensor_line("mlp.input", shape, kFloat);
  } else if (step == "gate_proj") {
    tensor_line("mlp.gate_proj", shape, kFloat);
  } else if (step == "up_proj") {
    tensor_line("mlp.up_proj", shape, kFloat);
  } else if (step == "act") {
    tensor_line("mlp.swiglu_hidden", shape, kFloat);
  } else if (step.empty()) {
    tensor_line("mlp.output", shape, kFloat);
  }
}

void LevelTap::cross_entropy(double loss) {
  always({"lm_head.", shape_.moe() ? "ce_loss" : "loss", "=", fmt::format("{:.6f}", loss)});
}

void LevelTap::router_aux_loss(double loss) {
  always({"lm_head.router_aux_loss=", fmt::format("{:.6f}", loss)});
}

}  // namespace qwen3
