#include "model/weight_slots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <numeric>
#include <string_view>

#include "base/available_memory.h"
#include "base/error.h"

namespace qwen3 {
namespace {

using Kind = WeightSlot::Kind;
using Split = WeightSlot::Split;

class Walk {
 public:
  Walk(const HfConfig& config, std::vector<WeightSlot>& slots) : c_(config), slots_(slots) {}

  void layer(LayerWeights& layer, int64_t i) {
    const std::string name = fmt::format("model.layers.{}.", i);
    vector(name + "input_layernorm.weight", layer.input_layernorm, c_.hidden_size);
    attention(layer.self_attn, name + "self_attn.");
    vector(
        name + "post_attention_layernorm.weight", layer.post_attention_layernorm, c_.hidden_size);
    if (c_.layer_is_sparse[static_cast<size_t>(i)]) {
      moe(layer.mlp.emplace<MoeWeights>(), name + "mlp.");
    } else {
      mlp(layer.mlp.emplace<MlpWeights>(), name + "mlp.");
    }
  }

  WeightSlot& matrix(std::string name, Weight& weight, int64_t out, int64_t in) {
    return slots_.emplace_back(WeightSlot{Kind::matrix, std::move(name), {}, {out, in}, &weight});
  }
  WeightSlot& vector(std::string name, Tensor& tensor, int64_t size) {
    return slots_.emplace_back(
        WeightSlot{Kind::vector, std::move(name), {}, {size}, nullptr, &tensor});
  }
  static void split_rows(WeightSlot& slot, int64_t unit) {
    slot.split = Split::rows;
    slot.unit = unit;
  }
  static void split_rows(WeightSlot& slot, const Linear& reader) {
    slot.split = Split::rows;
    slot.shared = &reader.leaves;
  }
  static void split_columns(WeightSlot& slot, int64_t unit, SummedLinear& w) {
    slot.split = Split::columns;
    slot.unit = unit;
    slot.nodes = &w;
    slot.summed = &w.leaves;
  }

 private:
  void attention(AttentionWeights& w, const std::string& name) {
    const int64_t q_size = c_.num_attention_heads * c_.head_dim;
    const int64_t kv_size = c_.num_key_value_heads * c_.head_dim;
    const int64_t hidden = c_.hidden_size;
    split_rows(matrix(name + "q_proj.weight", w.q_proj.weight, q_size, hidden), w.o_proj);
    split_rows(matrix(name + "k_proj.weight", w.k_proj.weight, kv_size, hidden), w.o_proj);
    split_rows(matrix(name + "v_proj.weight", w.v_proj.weight, kv_size, hidden), w.o_proj);
    split_columns(
        matrix(name + "o_proj.weight", w.o_proj.weight, hidden, q_size), c_.head_dim, w.o_proj);
    if (c_.attention_bias) {
      split_rows(vector(name + "q_proj.bias", w.q_proj.bias, q_size), w.o_proj);
      split_rows(vector(name + "k_proj.bias", w.k_proj.bias, kv_size), w.o_proj);
      split_rows(vector(name + "v_proj.bias", w.v_proj.bias, kv_size), w.o_proj);
      vector(name + "o_proj.bias", w.o_proj.bias, hidden);
    }
    vector(name + "q_norm.weight", w.q_norm, c_.head_dim);
    vector(name + "k_norm.weight", w.k_norm, c_.head_dim);
  }

  void mlp(MlpWeights& w, const std::string& name) {
    const int64_t inner = c_.intermediate_size, hidden = c_.hidden_size;
    // Whole panels and tiles of matrix instructions; sizes that have none exist in tests only.
    const int64_t unit = inner % 16 == 0 ? 16 : inner % 2 == 0 ? 2 : inner;
    split_rows(matrix(name + "gate_proj.weight", w.gate_proj.weight, inner, hidden), w.down_proj);
    split_rows(matrix(name + "up_proj.weight", w.up_proj.weight, inner, hidden), w.down_proj);
    split_columns(
        matrix(name + "down_proj.weight", w.down_proj.weight, hidden, inner), unit, w.down_proj);
  }

  void moe(MoeWeights& w, const std::string& name) {
    const int64_t n = c_.num_experts, inner = c_.moe_intermediate_size, hidden = c_.hidden_size;
    matrix(name + "gate.weight", w.router.weight, n, hidden);
    experts(name, "gate_proj", w.experts.gate_proj, {n, inner, hidden});
    experts(name, "up_proj", w.experts.up_proj, {n, inner, hidden});
    experts(name, "down_proj", w.experts.down_proj, {n, hidden, inner});
    slots_.back().summed = &w.experts.leaves;
    slots_.back().tree = &w.tree;
  }

  void experts(const std::string& name, const char* projection, Weight& weight, Shape shape) {
    slots_.push_back({Kind::experts, name + "experts", projection, shape, &weight});
    slots_.back().split = Split::experts;
  }

  const HfConfig& c_;
  std::vector<WeightSlot>& slots_;
};

}  // namespace

std::vector<WeightSlot> weight_slots(const HfConfig& config, Weights& weights) {
  weights.layers.clear();
  weights.layers.resize(static_cast<size_t>(config.num_hidden_layers));
  std::vector<WeightSlot> slots;
  Walk walk(config, slots);
  const int64_t vocabulary = config.vocab_size, hidden = config.hidden_size;
  Walk::split_rows(
      walk.matrix("model.embed_tokens.weight", weights.embed_tokens, vocabulary, hidden),
      kVocabularyUnit);
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    walk.layer(weights.layers[static_cast<size_t>(i)], i);
  }
  walk.vector("model.norm.weight", weights.norm, config.hidden_size);
  if (!config.tie_word_embeddings) {
    Walk::split_rows(walk.matrix("lm_head.weight", weights.lm_head.weight, vocabulary, hidden),
                     kVocabularyUnit);
  }
  for (size_t i = 0; i < slots.size(); ++i) slots[i].number = i;
  return slots;
}

namespace {

// The least columns that a matrix of this type can be cut into, as far as its size allows.
int64_t block_unit(WeightType stored, int64_t n_in) {
  const bool wide = stored == WeightType::fp8 || stored == WeightType::affine4 ||
                    stored == WeightType::affine8;  // files scale 128 columns together
  constexpr int64_t kScaled = 128;
  return wide && n_in % kScaled == 0 ? kScaled : block_of(stored).elements;
}

Leaves leaves_of(const WeightSlot& slot, WeightType stored) {
  switch (slot.split) {
    case Split::none:
      return {};
    case Split::rows:
      return {slot.n_rows(), slot.unit};
    case Split::columns:
      return {slot.row_numel(), std::lcm(slot.unit, block_unit(stored, slot.row_numel()))};
    case Split::experts:
      return {slot.n_matrices(), slot.unit};
  }
  return {};
}

}  // namespace

void find_leaves(std::vector<WeightSlot>& slots, const std::vector<WeightType>& stored) {
  assert(slots.size() == stored.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    slots[i].leaves = leaves_of(slots[i], stored[i]);
    if (slots[i].summed != nullptr) *slots[i].summed = slots[i].leaves;
  }
  for (WeightSlot& slot : slots) {
    if (slot.shared != nullptr) slot.leaves = *slot.shared;
  }
}

namespace {

WeightFormat format_of(const WeightSlot& slot, WeightType type, const Backend& backend) {
  WeightFormat format = backend.weight_format(type, slot.n_rows(), slot.row_numel());
  if (slot.kind == WeightSlot::Kind::experts) return format;  // each of them is whole
  const bool summed = slot.split == WeightSlot::Split::columns;
  const std::optional<int32_t> n_pieces =
      backend.sum_pieces(type,
                         {.n_out = slot.model_rows > 0 ? slot.model_rows : slot.n_rows(),
                          .n_in = slot.model_columns > 0 ? slot.model_columns : slot.row_numel(),
                          .leaves = summed ? slot.leaves : Leaves{}});
  QWEN3_CHECK(
      n_pieces.has_value(),
      ErrorKind::unsupported,
      "{}: so many ranks cut its sum of {} inputs of {} where this backend does not; choose "
      "fewer ranks, or backend cpu",
      slot.name,
      slot.model_columns,
      weight_type_name(type));
  format.n_pieces = *n_pieces;
  return format;
}

}  // namespace

void carve(Arena& arena,
           const std::vector<WeightSlot>& slots,
           const std::vector<WeightType>& types,
           const Backend& backend) {
  for (size_t i = 0; i < slots.size(); ++i) {
    const WeightSlot& slot = slots[i];
    if (slot.kind == Kind::vector) {
      *slot.vector = arena.take(DType::f32, slot.shape);
      continue;
    }
    const WeightFormat format = format_of(slot, types[i], backend);
    *slot.weight =
        Weight(arena.take(slot.n_matrices() * format.bytes), types[i], slot.shape, format);
  }
}

void allocate(Weights& weights,
              const std::vector<WeightSlot>& slots,
              const std::vector<WeightType>& types,
              const Backend& backend,
              int64_t available,
              std::string_view where) {
  Arena measure;
  carve(measure, slots, types, backend);
  bool wide = false;  // whether a smaller dtype would help
  for (size_t i = 0; i < slots.size(); ++i) {
    wide = wide || (slots[i].kind != Kind::vector && types[i] == WeightType::f32);
  }
  QWEN3_CHECK(measure.used() <= available,
              ErrorKind::out_of_memory,
              "{}: needs {} for weights, {} available; a smaller model{} or a machine with {} more "
              "would do",
              where,
              format_bytes(measure.used()),
              format_bytes(available),
              wide ? ", dtype bfloat16" : "",
              format_bytes(measure.used() - available));
  weights.storage = backend.allocate(measure.used());
  Arena arena(weights.storage);
  carve(arena, slots, types, backend);
}

int64_t rows_per_job(const WeightSlot& slot, const Backend& backend, int64_t row_bytes) {
  if (slot.kind == Kind::vector) return slot.n_rows();
  constexpr int64_t kJobBytes = 512 << 10;
  const int64_t step =
      backend.weight_format(slot.weight->type(), slot.n_rows(), slot.row_numel()).row_step;
  return std::max(step, kJobBytes / row_bytes / step * step);
}

}  // namespace qwen3
