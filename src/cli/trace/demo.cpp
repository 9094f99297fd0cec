#include "cli/trace/demo.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <map>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/evaluate.h"
#include "engine/model_parts.h"
#include "kernels/reference/reference_backend.h"
#include "trace/statistics.h"
#include "trace/tap_name.h"

namespace qwen3::cli {
namespace {

constexpr uint64_t kSeed = 42;
constexpr int64_t kSample = 4;
constexpr std::array<int32_t, 6> kIds = {1, 7, 3, 9, 5, 11};

constexpr std::string_view kConfig = R"({
  "model_type": "qwen3_moe", "vocab_size": 128, "hidden_size": 16, "intermediate_size": 32,
  "moe_intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4,
  "num_key_value_heads": 2, "head_dim": 4, "num_experts": 4, "num_experts_per_tok": 2,
  "norm_topk_prob": true, "decoder_sparse_step": 1, "max_position_embeddings": 32768,
  "rope_theta": 1000000.0, "rms_norm_eps": 1e-6, "tie_word_embeddings": false,
  "hidden_act": "silu", "torch_dtype": "float32"})";

struct Words {
  std::string_view device, title, symbols, batch, length, hidden, experts, top_k;
  std::string_view ids, mask, step, purpose, in_shape, in_stats, out_shape, out_stats, sample,
      detail;
  std::string_view parameters, inner_steps, inner_shapes, outputs, attention_steps, moe_steps;
  std::string_view histogram, first_token, extra_shape, extra_stats, extra_meaning;
  std::string_view logits, logits_sample, n_router, router_shape, remark;
  std::string_view embed, rotary, norm, head, input_norm, attention, post_norm, mlp;
};

constexpr Words kChinese = {
    .device = "使用设备: cpu",
    .title = "===== 维度流动演示（中文详细版）=====",
    .symbols = "符号说明：",
    .batch = "  B = batch size（批大小）",
    .length = "  S = sequence length（序列长度）",
    .hidden = "  H = hidden size（隐藏维度）",
    .experts = "  E = num_experts（专家数量）",
    .top_k = "  K = top-k（每个 token 选择的专家数）",
    .ids = "[输入] input_ids 形状：{}，数值：{}",
    .mask = "[输入] attention_mask 形状：{}",
    .step = "[流程 {:02}] 模块：{}",
    .purpose = "  作用：{}",
    .in_shape = "  输入形状：{}",
    .in_stats = "  输入统计：{}",
    .out_shape = "  输出形状：{}",
    .out_stats = "  输出统计：{}",
    .sample = "  输出样本（第0个样本/第0个token前{}维）：{}",
    .detail = "  细节：{}",
    .parameters = "参数: ",
    .inner_steps = "内部步骤: ",
    .inner_shapes = "内部维度: ",
    .outputs = "输出: ",
    .attention_steps = "QKV投影 -> QK-Norm -> RoPE -> GQA -> Softmax -> 加权求和",
    .moe_steps = "gate打分 -> softmax -> top-k路由 -> expert并行 -> 加权聚合",
    .histogram = "路由命中计数: ",
    .first_token = "首token路由: ",
    .extra_shape = "  附加输出 router_logits 形状：{}",
    .extra_stats = "  附加输出 router_logits 统计：{}",
    .extra_meaning = "  含义：每个 token 对每个 expert 的路由打分（训练可用于负载均衡损失）",
    .logits = "[输出] 最终 logits 形状：{}",
    .logits_sample = "[输出] logits 样本（第0个样本第0个token前4维）：{}",
    .n_router = "[输出] 捕获到的 router 层数：{}",
    .router_shape = "  - 第 {} 层 router_logits 形状：{}",
    .remark = "说明：如果该层是 MoE 层，router_logits 形状通常是 [B, S, E]。",
    .embed = "词嵌入：把 token id 映射为向量表示",
    .rotary = "旋转位置编码：生成 RoPE 的 cos/sin，并供各层注意力复用",
    .norm = "最终归一化：稳定输出分布",
    .head = "语言模型头：把隐藏状态映射到词表 logits",
    .input_norm = "输入层归一化（Pre-Norm）",
    .attention = "自注意力：让每个 token 融合上下文信息",
    .post_norm = "注意力后归一化",
    .mlp = "前馈网络/MoE：进行非线性变换（MoE 时含路由）"};

constexpr Words kEnglish = {
    .device = "Device: cpu",
    .title = "===== Dimension flow, step by step =====",
    .symbols = "Symbols:",
    .batch = "  B = batch size",
    .length = "  S = sequence length",
    .hidden = "  H = hidden size",
    .experts = "  E = num_experts",
    .top_k = "  K = top-k (experts chosen for each token)",
    .ids = "[input] input_ids shape: {}, values: {}",
    .mask = "[input] attention_mask shape: {}",
    .step = "[step {:02}] module: {}",
    .purpose = "  purpose: {}",
    .in_shape = "  input shape: {}",
    .in_stats = "  input statistics: {}",
    .out_shape = "  output shape: {}",
    .out_stats = "  output statistics: {}",
    .sample = "  output sample (batch 0, token 0, first {}): {}",
    .detail = "  detail: {}",
    .parameters = "parameters: ",
    .inner_steps = "inner steps: ",
    .inner_shapes = "inner shapes: ",
    .outputs = "outputs: ",
    .attention_steps = "QKV projection -> QK-Norm -> RoPE -> GQA -> softmax -> weighted sum",
    .moe_steps = "router scores -> softmax -> top-k -> experts -> weighted sum",
    .histogram = "tokens per expert: ",
    .first_token = "first token: ",
    .extra_shape = "  extra output router_logits shape: {}",
    .extra_stats = "  extra output router_logits statistics: {}",
    .extra_meaning =
        "  meaning: the router's score of every expert for every token (training uses "
        "it for the load-balancing loss)",
    .logits = "[output] logits shape: {}",
    .logits_sample = "[output] logits sample (batch 0, token 0, first 4): {}",
    .n_router = "[output] layers with a router: {}",
    .router_shape = "  - layer {} router_logits shape: {}",
    .remark = "Note: the router_logits of an MoE layer have the shape [B, S, E].",
    .embed = "word embedding: turns token ids into vectors",
    .rotary = "rotary position embedding: cos and sin, shared by the attention of all layers",
    .norm = "final norm: steadies the distribution of the output",
    .head = "language model head: hidden states to logits over the vocabulary",
    .input_norm = "norm before attention (pre-norm)",
    .attention = "self-attention: lets each token take in its context",
    .post_norm = "norm after attention",
    .mlp = "feed-forward / MoE: a non-linear step (with routing in an MoE)"};

// A tensor kept for later, as its module saw it: without the batch dimension, which is 1.
struct Kept {
  std::vector<int64_t> shape;
  std::vector<float> values;
  TensorStatistics statistics;
};

Kept keep(const Tensor& tensor) {
  Kept kept{.shape = {}, .values = {}, .statistics = statistics_of(tensor)};
  for (int i = 0; i < tensor.rank(); ++i) kept.shape.push_back(tensor.dim(i));
  const int64_t row = tensor.numel() / tensor.dim(0);
  for (int64_t t = 0; t < tensor.dim(0); ++t) {
    for (int64_t i = 0; i < row; ++i) {
      const int64_t at = t * tensor.row_stride() + i;
      kept.values.push_back(tensor.dtype() == DType::i32 ? static_cast<float>(tensor.i32()[at])
                                                         : tensor.f32()[at]);
    }
  }
  return kept;
}

std::string tuple_of(const Kept& kept) {
  return fmt::format("(1, {})", fmt::join(kept.shape, ", "));
}

std::string statistics_text(const Kept& kept) {
  const TensorStatistics& s = kept.statistics;
  return fmt::format(
      "mean={:.4f}, std={:.4f}, min={:.4f}, max={:.4f}", s.mean, s.std, s.min, s.max);
}

std::string sample_text(const Kept& kept) {
  const auto n = std::min<size_t>(kSample, static_cast<size_t>(kept.shape.back()));
  std::string text;
  for (size_t i = 0; i < n; ++i) {
    text += fmt::format("{}{:.4f}", i == 0 ? "" : ", ", kept.values[i]);
  }
  return "[" + text + "]";
}

template <typename... Args>
void say(std::string& out, std::string_view format, const Args&... args) {
  out += fmt::format(fmt::runtime(format), args...);
  out += '\n';
}

// Watches the pass and writes one step per module, in order of execution.
class DemoTap final : public Tap {
 public:
  DemoTap(const ModelShape& shape, const Words& words, std::string& out)
      : shape_(shape), words_(words), out_(out) {
    std::vector<int32_t> ids(kIds.begin(), kIds.end());
    ids_ = keep(Tensor(ids.data(), DType::i32, {static_cast<int64_t>(ids.size())}));
  }

  bool wants(std::string_view name) const override {
    return parse_tap_name(name).part != kExpertsPart;
  }
  void tensor(std::string_view name, const Tensor& value) override {
    const TapName tap = parse_tap_name(name);
    kept_[std::string(tap.part)] = keep(value);
    const std::string layer = fmt::format("model.layers.{}.", tap.layer);
    if (tap.part == "embed_tokens") {
      embedding();
    } else if (tap.part == "input_layernorm") {
      norm(layer + "input_layernorm", words_.input_norm, stream_, at(tap.part));
    } else if (tap.part == "self_attn.o_proj") {
      attention(layer + "self_attn");
    } else if (tap.part == "post_attention_layernorm") {
      norm(layer + "post_attention_layernorm", words_.post_norm, at("attn_residual"), at(tap.part));
    } else if (tap.part == "mlp.output") {
      moe(layer + "mlp");
    } else if (tap.part == "output") {
      stream_ = at(tap.part);
    } else if (tap.part == "norm") {
      norm("model.norm", words_.norm, stream_, at(tap.part));
    } else if (tap.part == "logits") {
      step("lm_head", words_.head, at("norm"), at("logits"));
      detail(words_.parameters,
             fmt::format("hidden_size={}, vocab_size={}", shape_.hidden_size, shape_.vocab_size));
    }
  }

  const Kept& at(std::string_view part) const { return kept_.at(std::string(part)); }
  const std::vector<Kept>& routers() const { return routers_; }

 private:
  void step(const std::string& module, std::string_view purpose, const Kept& in, const Kept& out) {
    say(out_, words_.step, ++n_steps_, module);
    say(out_, words_.purpose, purpose);
    say(out_, words_.in_shape, tuple_of(in));
    say(out_, words_.in_stats, statistics_text(in));
    say(out_, words_.out_shape, tuple_of(out));
    say(out_, words_.out_stats, statistics_text(out));
    say(out_, words_.sample, kSample, sample_text(out));
  }

  void detail(std::string_view label, const std::string& text) {
    say(out_, words_.detail, std::string(label) + text);
  }

  void embedding() {
    stream_ = at("embed_tokens");
    step("model.embed_tokens", words_.embed, ids_, stream_);
    detail(words_.parameters,
           fmt::format("vocab_size={}, hidden_size={}", shape_.vocab_size, shape_.hidden_size));
    // transformers' cos has every angle twice, once for each half of the head.
    Kept cos = at("rotary_cos");
    cos.shape.back() *= 2;
    const size_t half = static_cast<size_t>(shape_.head_dim / 2);
    std::vector<float> doubled;
    for (size_t begin = 0; begin < cos.values.size(); begin += half) {
      for (int copy = 0; copy < 2; ++copy) {
        doubled.insert(doubled.end(),
                       cos.values.begin() + static_cast<int64_t>(begin),
                       cos.values.begin() + static_cast<int64_t>(begin + half));
      }
    }
    cos.values = std::move(doubled);
    step("model.rotary_emb", words_.rotary, stream_, cos);
    detail(words_.parameters,
           fmt::format("head_dim={}, max_position_embeddings={}, rope_theta={:.1f}",
                       shape_.head_dim,
                       shape_.max_position_embeddings,
                       shape_.rope_theta));
    detail(words_.outputs, fmt::format("cos{}, sin{}", tuple_of(cos), tuple_of(cos)));
  }

  void norm(const std::string& module, std::string_view purpose, const Kept& in, const Kept& out) {
    step(module, purpose, in, out);
    detail(words_.parameters, fmt::format("eps={}", shape_.rms_norm_eps));
  }

  void attention(const std::string& module) {
    const auto n_tokens = kIds.size();
    step(module, words_.attention, at("input_layernorm"), at("self_attn.o_proj"));
    detail(words_.parameters,
           fmt::format("num_heads={}, num_kv_heads={}, head_dim={}",
                       shape_.num_attention_heads,
                       shape_.num_key_value_heads,
                       shape_.head_dim));
    detail(words_.inner_steps, std::string(words_.attention_steps));
    detail(words_.inner_shapes,
           fmt::format("Q=(1,{0},{1},{2}), K/V=(1,{0},{3},{2}), AttnScore=(1,{1},{0},{0})",
                       n_tokens,
                       shape_.num_attention_heads,
                       shape_.head_dim,
                       shape_.num_key_value_heads));
  }

  void moe(const std::string& module) {
    step(module, words_.mlp, at("post_attention_layernorm"), at("mlp.output"));
    detail(words_.parameters,
           fmt::format("num_experts={}, top_k={}, norm_topk_prob={}",
                       shape_.num_experts,
                       shape_.num_experts_per_tok,
                       shape_.norm_topk_prob ? "True" : "False"));
    detail(words_.inner_steps, std::string(words_.moe_steps));
    const Kept &experts = at("mlp.selected_experts"), &weights = at("mlp.routing_weights");
    std::vector<int64_t> histogram(static_cast<size_t>(shape_.num_experts));
    for (const float expert : experts.values) ++histogram[static_cast<size_t>(expert)];
    detail(words_.histogram, fmt::format("expert_hist=[{}]", fmt::join(histogram, ", ")));
    std::string ids, probs;
    for (size_t k = 0; k < static_cast<size_t>(shape_.num_experts_per_tok); ++k) {
      const char* comma = k == 0 ? "" : ", ";
      ids += fmt::format("{}{}", comma, static_cast<int64_t>(experts.values[k]));
      probs += fmt::format(
          "{}{}", comma, std::round(static_cast<double>(weights.values[k]) * 1e4) / 1e4);
    }
    detail(words_.first_token, fmt::format("experts=[{}], probs=[{}]", ids, probs));
    routers_.push_back(at("mlp.router_logits"));
    say(out_, words_.extra_shape, tuple_of(routers_.back()));
    say(out_, words_.extra_stats, statistics_text(routers_.back()));
    say(out_, words_.extra_meaning);
  }

  const ModelShape& shape_;
  const Words& words_;
  std::string& out_;
  Kept ids_, stream_;
  std::map<std::string, Kept, std::less<>> kept_;  // the latest of each part
  std::vector<Kept> routers_;
  int64_t n_steps_ = 0;
};

// Weights as PyTorch draws them for new modules: N(0, 1) for embeddings, a variance of 1/(3 · in)
// for matrices. random_weights() draws N(0, 0.02²).
void rescale(const Backend& backend, const Weight& weight, double deviation) {
  const auto factor = static_cast<float>(deviation / 0.02);
  std::vector<float> values(static_cast<size_t>(weight.n_out() * weight.n_in()));
  const Tensor rows = Tensor::view(values, {weight.n_out(), weight.n_in()});
  for (int64_t i = 0; i < weight.n_matrices(); ++i) {
    backend.unpack_rows(rows, weight, i, 0);
    for (float& value : values) value *= factor;
    const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
    backend.pack_weight(weight, i, {WeightType::f32, bytes, weight.n_out(), weight.n_in()}, 0);
  }
}

void rescale(const Backend& backend, const Weights& weights) {
  const auto linear = [&](const Weight& w) {
    rescale(backend, w, 1 / std::sqrt(3.0 * static_cast<double>(w.n_in())));
  };
  rescale(backend, weights.embed_tokens, 1.0);
  linear(weights.lm_head.weight);
  for (const LayerWeights& layer : weights.layers) {
    const AttentionWeights& a = layer.self_attn;
    for (const Linear* w :
         std::initializer_list<const Linear*>{&a.q_proj, &a.k_proj, &a.v_proj, &a.o_proj})
      linear(w->weight);
    const auto& moe = std::get<MoeWeights>(layer.mlp);
    linear(moe.router.weight);
    linear(moe.experts.gate_proj);
    linear(moe.experts.up_proj);
    linear(moe.experts.down_proj);
  }
}

std::shared_ptr<Model> demo_model() {
  ModelParts parts{.config = parse_hf_config(kConfig, "demo"), .backend = make_reference_backend()};
  parts.weights = random_weights(parts.config, *parts.backend, WeightType::f32, kSeed, 1);
  rescale(*parts.backend, parts.weights);
  return make_model(std::move(parts), "demo");
}

}  // namespace

std::string dimension_flow_demo(bool english) {
  const Words& w = english ? kEnglish : kChinese;
  const std::string rule(60, '-');
  const std::shared_ptr<Model> model = demo_model();
  const auto n_tokens = static_cast<int64_t>(kIds.size());
  std::string out;
  say(out, w.device);
  say(out, "");
  for (const std::string_view line :
       {w.title, w.symbols, w.batch, w.length, w.hidden, w.experts, w.top_k}) {
    say(out, line);
  }
  out += rule + '\n';
  say(out, w.ids, fmt::format("(1, {})", n_tokens), fmt::format("[[{}]]", fmt::join(kIds, ", ")));
  say(out, w.mask, fmt::format("(1, 1, {}, {})", n_tokens, n_tokens));
  out += rule + '\n';
  DemoTap tap(model->shape(), w, out);
  evaluate(*model, kIds, {.tap = &tap}, [](int64_t, const Tensor&) {});
  out += rule + '\n';
  say(out, w.logits, tuple_of(tap.at("logits")));
  say(out, w.logits_sample, sample_text(tap.at("logits")));
  say(out, w.n_router, tap.routers().size());
  for (size_t i = 0; i < tap.routers().size(); ++i) {
    say(out, w.router_shape, i, tuple_of(tap.routers()[i]));
  }
  say(out, w.remark);
  return out;
}

}  // namespace qwen3::cli
