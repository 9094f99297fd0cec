#include "trace/levels.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "trace/tap_name.h"

namespace qwen3 {
namespace {

std::string join(const std::vector<int64_t>& numbers) {
  std::string text;
  for (const int64_t number : numbers) {
    if (!text.empty()) text += ", ";
    text += std::to_string(number);
  }
  return text;
}

// A Python tuple: "(1, 3, 8)".
template <typename... Dims>
std::string tuple(Dims... dims) {
  return fmt::format("({})", join({static_cast<int64_t>(dims)...}));
}

std::string mlp_flow(std::string_view name, std::string_view outer, std::string_view inner) {
  return fmt::format(
      "{}.flow: in{} -> gate/up{} -> swiglu{} -> out{}", name, outer, inner, inner, outer);
}

constexpr std::string_view kFloat = "torch.float32", kIds = "torch.int64";

std::string tensor_line(std::string_view name, std::string_view shape, std::string_view dtype) {
  return fmt::format("{}: shape={}, dtype={}, device=cpu", name, shape, dtype);
}

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

LevelTap::LevelTap(TraceLevel level, const ModelFacts& facts, TraceLanguage language, Print print)
    : level_(level),
      facts_(facts),
      chinese_(language == TraceLanguage::chinese ||
               (language == TraceLanguage::as_original && !facts.moe)),
      print_(std::move(print)) {}

void LevelTap::line(TraceLevel level, std::string_view text) const {
  if (level == level_) always(text);
}

void LevelTap::always(std::string_view text) const { print_(fmt::format("[TRACE] {}", text)); }

void LevelTap::shape_line(std::string_view name, std::string_view shape) const {
  if (level_ == TraceLevel::verbose) always(tensor_line(name, shape, kFloat));
}

std::string LevelTap::heads(int64_t n_heads) const {
  return tuple(1, n_heads, n_tokens_, facts_.head_dim);
}

std::string LevelTap::flat(int64_t features) const { return tuple(1, n_tokens_, features); }

void LevelTap::begin_step(std::span<const int32_t> positions) {
  n_tokens_ = static_cast<int64_t>(positions.size());
  n_keys_ = positions.empty() ? 0 : int64_t{positions.back()} + 1;
  const std::string ids = tuple(1, n_tokens_), mask = tuple(1, 1, n_tokens_, n_keys_);
  const bool verbose = level_ == TraceLevel::verbose;
  always(fmt::format("Trace level={}. {}: input_flow / compact / verbose",
                     trace_level_name(level_),
                     chinese_ ? "可选" : "Available"));
  if (verbose) always(tensor_line("model.input_ids", ids, kIds));
  always(chinese_ ? "position_ids 未传入，已根据 input_ids 自动生成"
                  : "position_ids was not provided, generated from input_ids");
  if (verbose) always(tensor_line("model.position_ids", ids, kIds));
  shape_line("model.attention_mask", mask);
  if (facts_.moe) return;
  line(TraceLevel::input_flow,
       fmt::format(
           "model.inputs: input_ids{} + attention_mask{} -> position_ids{}", ids, mask, ids));
  line(TraceLevel::compact,
       fmt::format("model.inputs: input_ids{} position_ids{} attention_mask{}", ids, ids, mask));
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
  if (tap.layer < 0) {
    model_tensor(tap.part, value);
    return;
  }
  const std::string layer = fmt::format("layer{:02}", tap.layer);
  constexpr std::string_view kAttention = "self_attn.", kMlp = "mlp.";
  if (tap.expert >= 0) {
    expert_tensor(tap.step, value);
  } else if (tap.part.starts_with(kAttention)) {
    attention_tensor(tap.part.substr(kAttention.size()), layer + ".attn");
  } else if (tap.part.starts_with(kMlp)) {
    const std::string_view part = tap.part.substr(kMlp.size());
    if (facts_.is_sparse(tap.layer)) {
      moe_tensor(part, layer + ".moe", value);
    } else {
      dense_tensor(part, layer + ".mlp");
    }
  } else {
    layer_tensor(tap.part, tap.layer);
  }
}

void LevelTap::model_tensor(std::string_view part, const Tensor& value) {
  // The rows of the last two are those whose logits are wanted.
  const std::string hidden = tuple(1, value.dim(0), facts_.hidden_size);
  const std::string logits = tuple(1, value.dim(0), facts_.vocab_size);
  if (part == "embed_tokens") {
    line(TraceLevel::input_flow, "model.embedding: input_ids -> hidden_states" + hidden);
    line(TraceLevel::compact, "model.embedding: " + hidden);
    shape_line("model.embedding_output", hidden);
    if (facts_.moe) {
      line(TraceLevel::input_flow,
           fmt::format("model.rotary_emb: position_ids{} -> cos/sin{}",
                       tuple(1, n_tokens_),
                       flat(facts_.head_dim)));
    }
  } else if (part == "norm") {
    if (level_ != TraceLevel::verbose) always("model.final_norm: " + hidden);
    shape_line("model.final_norm_output", hidden);
  } else if (part == "logits") {
    line(TraceLevel::input_flow, "lm_head.flow: hidden_states" + hidden + " -> logits" + logits);
    line(TraceLevel::compact, "lm_head.flow: hidden" + hidden + " -> logits" + logits);
    shape_line("lm_head.logits", logits);
  }
}

void LevelTap::layer_begins(int64_t layer) {
  line(TraceLevel::compact, fmt::format("===== Decoder Layer {:02} =====", layer));
  line(TraceLevel::verbose,
       fmt::format("{} {}", chinese_ ? "进入 Decoder Layer" : "enter decoder layer", layer));
  const std::string prefix = fmt::format("layer{:02}", layer), hidden = flat(facts_.hidden_size);
  shape_line(prefix + ".input", hidden);
  shape_line(prefix + ".after_input_layernorm", hidden);
  shape_line(prefix + ".attn.input_hidden_states", hidden);
}

void LevelTap::attention_tensor(std::string_view part, const std::string& prefix) {
  const std::string q = heads(facts_.num_attention_heads), k = heads(facts_.num_key_value_heads);
  if (part == "v_proj") {
    qkv_lines(prefix);
  } else if (part == "q_norm") {
    shape_line(prefix + ".q_after_qknorm", q);
  } else if (part == "k_norm") {
    shape_line(prefix + ".k_after_qknorm", k);
  } else if (part == "q_rope") {
    shape_line(prefix + ".q_after_rope", q);
  } else if (part == "k_rope") {
    shape_line(prefix + ".k_after_rope", k);
  } else if (part == "mix") {
    score_lines(prefix);
  } else if (part == "o_proj") {
    shape_line(prefix + ".output", flat(facts_.hidden_size));
  }
}

void LevelTap::qkv_lines(const std::string& prefix) {
  const std::string q = flat(facts_.num_attention_heads * facts_.head_dim);
  const std::string k = flat(facts_.num_key_value_heads * facts_.head_dim);
  const std::string q_heads = heads(facts_.num_attention_heads);
  const std::string k_heads = heads(facts_.num_key_value_heads);
  line(TraceLevel::compact, fmt::format("{}.qkv_proj: q{} k{} v{}", prefix, q, k, k));
  line(TraceLevel::compact,
       fmt::format("{}.qkv_head: q{} k{} v{}", prefix, q_heads, k_heads, k_heads));
  shape_line(prefix + ".q_proj", q);
  shape_line(prefix + ".k_proj", k);
  shape_line(prefix + ".v_proj", k);
  shape_line(prefix + ".q_reshape", q_heads);
  shape_line(prefix + ".k_reshape", k_heads);
  shape_line(prefix + ".v_reshape", k_heads);
}

// Our attention repeats no keys and keeps no scores; the lines say the shapes of the mathematics.
void LevelTap::score_lines(const std::string& prefix) {
  const std::string q = heads(facts_.num_attention_heads);
  const std::string keys = tuple(1, facts_.num_attention_heads, n_keys_, facts_.head_dim);
  const std::string scores = tuple(1, facts_.num_attention_heads, n_tokens_, n_keys_);
  line(TraceLevel::compact,
       fmt::format("{}.{}: q{} k{} v{}",
                   prefix,
                   facts_.qk_norm_after_rope ? "after_rope_qknorm_gqa" : "after_qknorm_rope_gqa",
                   q,
                   keys,
                   keys));
  line(TraceLevel::compact,
       fmt::format("{}.score_to_context: scores{} -> context{}", prefix, scores, q));
  shape_line(prefix + ".k_after_gqa", keys);
  shape_line(prefix + ".v_after_gqa", keys);
  shape_line(prefix + ".attn_scores", scores);
  shape_line(prefix + ".attn_scores_masked", scores);
  shape_line(prefix + ".attn_probs", scores);
  shape_line(prefix + ".attn_context", q);
}

void LevelTap::dense_tensor(std::string_view part, const std::string& prefix) {
  const std::string inner = flat(facts_.intermediate_size);
  if (part == "gate_proj") {
    shape_line(prefix + ".gate_proj", inner);
  } else if (part == "up_proj") {
    shape_line(prefix + ".up_proj", inner);
  } else if (part == "act") {
    shape_line(prefix + ".swiglu_hidden", inner);
  } else if (part == "down_proj") {
    shape_line(prefix + ".output", flat(facts_.hidden_size));
  }
}

// The lines of a layer's second block when it is done: what went in, what came out.
void LevelTap::mlp_lines(const std::string& layer, bool sparse) const {
  const std::string hidden = flat(facts_.hidden_size);
  if (sparse) {
    expert_lines();
    line(TraceLevel::input_flow, layer + ".moe.flow: in" + hidden + " -> out" + hidden);
    line(TraceLevel::compact,
         fmt::format("{}.moe.routing: top_k={} expert_hist=[{}]",
                     layer,
                     facts_.num_experts_per_tok,
                     join(histogram_)));
    return;
  }
  const std::string inner = flat(facts_.intermediate_size);
  line(TraceLevel::input_flow, layer + ".mlp.flow: in" + hidden + " -> out" + hidden);
  line(TraceLevel::compact, mlp_flow(layer + ".mlp", hidden, inner));
}

// Of every expert that some token chose: its tokens are the rows it gets. The lines carry no layer,
// as in the original: the expert does not know its layer.
void LevelTap::expert_lines() const {
  for (const int64_t n_rows : histogram_) {
    if (n_rows == 0) continue;
    const std::string rows = tuple(n_rows, facts_.hidden_size);
    const std::string inner = tuple(n_rows, facts_.moe_intermediate_size);
    line(TraceLevel::input_flow, "mlp.flow: in" + rows + " -> out" + rows);
    line(TraceLevel::compact, mlp_flow("mlp", rows, inner));
  }
}

void LevelTap::expert_tensor(std::string_view step, const Tensor& value) {
  const std::string shape = tuple(value.dim(0), value.dim(1));
  if (step == "input") {
    shape_line("mlp.input", shape);
  } else if (step == "gate_proj") {
    shape_line("mlp.gate_proj", shape);
  } else if (step == "up_proj") {
    shape_line("mlp.up_proj", shape);
  } else if (step == "act") {
    shape_line("mlp.swiglu_hidden", shape);
  } else if (step.empty()) {
    shape_line("mlp.output", shape);
  }
}

void LevelTap::moe_tensor(std::string_view part, const std::string& prefix, const Tensor& value) {
  if (part == "router_logits") {
    shape_line(prefix + ".router_logits", tuple(value.dim(0), value.dim(1)));
  } else if (part == "selected_experts") {
    histogram_.assign(static_cast<size_t>(facts_.num_experts), 0);
    for (int64_t i = 0; i < value.numel(); ++i) {
      ++histogram_[static_cast<size_t>(value.i32()[i])];
    }
  } else if (part == "output") {
    shape_line(prefix + ".output", flat(facts_.hidden_size));
  }
}

void LevelTap::layer_tensor(std::string_view part, int64_t layer) {
  const std::string prefix = fmt::format("layer{:02}", layer), hidden = flat(facts_.hidden_size);
  if (part == "input_layernorm") {
    layer_begins(layer);
  } else if (part == "attn_residual") {
    if (level_ != TraceLevel::verbose) {
      always(prefix + ".attn.flow: in" + hidden + " -> out" + hidden);
    }
    shape_line(prefix + ".after_attn_residual", hidden);
  } else if (part == "post_attention_layernorm") {
    shape_line(prefix + ".after_post_attn_layernorm", hidden);
    shape_line(prefix + (facts_.is_sparse(layer) ? ".moe.input" : ".mlp.input"), hidden);
  } else if (part == "output") {
    if (level_ != TraceLevel::verbose) mlp_lines(prefix, facts_.is_sparse(layer));
    line(TraceLevel::input_flow,
         fmt::format(
             "{}.flow: in{} -> attn{} -> mlp{} -> out{}", prefix, hidden, hidden, hidden, hidden));
    line(TraceLevel::compact,
         fmt::format("{}.flow: in{} -> attn{} -> res1{} -> mlp{} -> out{}",
                     prefix,
                     hidden,
                     hidden,
                     hidden,
                     hidden,
                     hidden));
    shape_line(prefix + ".output", hidden);
    line(TraceLevel::verbose,
         fmt::format("{} {}", chinese_ ? "离开 Decoder Layer" : "leave decoder layer", layer));
  }
}

void LevelTap::cross_entropy(double loss) {
  always(fmt::format("lm_head.{}={:.6f}", facts_.moe ? "ce_loss" : "loss", loss));
}

void LevelTap::router_aux_loss(double loss) {
  always(fmt::format("lm_head.router_aux_loss={:.6f}", loss));
}

}  // namespace qwen3
