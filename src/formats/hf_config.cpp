// Defaults follow transformers' Qwen3Config and Qwen3MoeConfig (5.x), and only where a checkpoint
// may leave the key out: tie_word_embeddings false, attention_bias false, hidden_act "silu",
// rms_norm_eps 1e-6, use_sliding_window false, max_window_layers 28, head_dim 128 (dense class
// only), decoder_sparse_step 1, norm_topk_prob false, router_aux_loss_coef 0.001. Sizes, rope_theta
// and max_position_embeddings must be written: guessing them gives a model that runs and is wrong.
// head_dim is never hidden_size / num_attention_heads: that is false for most Qwen3 models.
#include "formats/hf_config.h"

#include <algorithm>

#include "base/error.h"
#include "formats/config_overrides.h"
#include "formats/json_fields.h"

namespace qwen3 {
namespace {

using Null = JsonFields::Null;
constexpr auto kAbove = JsonFields::Low::excluded;

// Hard limits, several times beyond any real model, so that no product downstream overflows int64:
// weights <= 2^48 elements, keys and values <= 2^26 positions * 2^12 layers * 2^20 = 2^58 elements.
constexpr int64_t kMaxFeatures = int64_t{1} << 20;
constexpr int64_t kMaxVocab = int64_t{1} << 24;
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxHeads = 65536;
constexpr int64_t kMaxExperts = 65536;
constexpr int64_t kMaxPositions = int64_t{1} << 26;
constexpr double kMaxParameters = 0x1p48;
constexpr JsonFields::IntRange kTokenIds = {0, kMaxVocab - 1};

void read_identity(HfConfig& c, const JsonFields& f) {
  const std::string type = f.required_string("model_type");
  if (type == "qwen3") {
    c.model_type = ModelType::qwen3;
  } else if (type == "qwen3_moe") {
    c.model_type = ModelType::qwen3_moe;
  } else {
    f.unsupported("model_type", "qwen3, qwen3_moe");
  }
  c.architectures = f.string_list("architectures");
  c.quantization = parse_quantization(f);
  if (f.optional_string("hidden_act", Null::refused).value_or("silu") != "silu") {
    f.unsupported("hidden_act", "silu");
  }
  const std::string_view key = f.spelling("dtype", "torch_dtype");
  const std::string dtype = f.optional_string(key, Null::absent).value_or("bfloat16");
  if (dtype == "bfloat16") {
    c.dtype = DType::bf16;
  } else if (dtype == "float16") {
    c.dtype = DType::f16;
  } else if (dtype == "float32") {
    c.dtype = DType::f32;
  } else {
    f.unsupported(key, "bfloat16, float16, float32");
  }
}

void read_sizes(HfConfig& c, const JsonFields& f) {
  c.vocab_size = f.required_int("vocab_size", {1, kMaxVocab});
  c.hidden_size = f.required_int("hidden_size", {1, kMaxFeatures});
  c.intermediate_size = f.required_int("intermediate_size", {1, kMaxFeatures});
  c.num_hidden_layers = f.required_int("num_hidden_layers", {1, kMaxLayers});
  c.num_attention_heads = f.required_int("num_attention_heads", {1, kMaxHeads});
  c.num_key_value_heads = f.required_int("num_key_value_heads", {1, kMaxHeads});
  if (c.num_attention_heads % c.num_key_value_heads != 0) {
    fail(ErrorKind::corrupt_file,
         "{}: num_key_value_heads: expected a divisor of num_attention_heads {}, got {}",
         f.where(),
         c.num_attention_heads,
         c.num_key_value_heads);
  }
  const bool dense = c.model_type == ModelType::qwen3;
  const auto head_dim = f.optional_int("head_dim", {2, kMaxFeatures}, Null::refused);
  if (!head_dim && !dense) f.refuse("head_dim", "the size of one attention head, often 128");
  c.head_dim = head_dim.value_or(128);
  if (c.head_dim % 2 != 0) f.refuse("head_dim", "an even number (RoPE turns pairs)");
  if (c.num_attention_heads * c.head_dim > kMaxFeatures) {
    fail(ErrorKind::corrupt_file,
         "{}: num_attention_heads {} * head_dim {}: expected at most {}",
         f.where(),
         c.num_attention_heads,
         c.head_dim,
         kMaxFeatures);
  }
  c.max_position_embeddings = f.required_int("max_position_embeddings", {1, kMaxPositions});
  c.rms_norm_eps = f.optional_real("rms_norm_eps", {0, 1, kAbove}, Null::refused).value_or(1e-6);
  c.tie_word_embeddings = f.optional_bool("tie_word_embeddings").value_or(false);
  c.attention_bias = f.optional_bool("attention_bias").value_or(false);
}

void read_yarn(RopeScaling& s, const JsonFields& f, int64_t max_position_embeddings) {
  // transformers 4.50 to 4.57 ignored an explicit factor; before and after, it counts, as here.
  s.original_max_position_embeddings =
      f.optional_int("original_max_position_embeddings", {1, kMaxPositions}, Null::refused)
          .value_or(max_position_embeddings);
  const auto factor = f.optional_real("factor", {1, 1e6}, Null::absent);
  const double ratio = static_cast<double>(max_position_embeddings) /
                       static_cast<double>(s.original_max_position_embeddings);
  if (!factor && ratio <= 1) {
    f.refuse("factor",
             "a number >= 1, or max_position_embeddings above original_max_position_embeddings");
  }
  s.factor = factor.value_or(ratio);
  s.beta_fast = f.optional_real("beta_fast", {0, 1e6, kAbove}, Null::absent).value_or(32);
  s.beta_slow = f.optional_real("beta_slow", {0, 1e6, kAbove}, Null::absent).value_or(1);
  if (s.beta_fast < s.beta_slow) f.refuse("beta_fast", "a number >= beta_slow");
  s.attention_factor = f.optional_real("attention_factor", {0, 1e3, kAbove}, Null::absent);
  s.mscale = f.optional_real("mscale", {0, 1e3}, Null::absent);
  s.mscale_all_dim = f.optional_real("mscale_all_dim", {0, 1e3}, Null::absent);
  s.truncate = f.optional_bool("truncate").value_or(true);
}

// transformers 4: rope_theta at the top level and rope_scaling (null or an object). transformers 5:
// one object rope_parameters that holds rope_theta too.
void read_rope(HfConfig& c, const JsonFields& f) {
  constexpr JsonFields::RealRange kTheta = {1, 1e12, kAbove};
  const Json* scaling = f.find("rope_scaling");
  const Json* parameters = f.find("rope_parameters");
  if (scaling != nullptr && parameters != nullptr && *scaling != *parameters) {
    f.refuse("rope_scaling", "nothing besides rope_parameters");
  }
  static const Json kNone = Json::object();
  const std::string_view name = parameters != nullptr ? "rope_parameters" : "rope_scaling";
  const Json* source = parameters != nullptr ? parameters : scaling;
  if (source != nullptr && !source->is_object()) f.refuse(name, "an object or null");
  const JsonFields r(
      source != nullptr ? *source : kNone, f.where(), std::string(name) + ".", f.log());

  const auto inner_theta = r.optional_real("rope_theta", kTheta, Null::refused);
  const auto outer_theta = f.optional_real("rope_theta", kTheta, Null::refused);
  if (!inner_theta && !outer_theta) f.refuse("rope_theta", "a number above 1");
  if (inner_theta && outer_theta && *inner_theta != *outer_theta) {
    r.refuse("rope_theta", "the same value as rope_theta at the top level");
  }
  c.rope_theta = inner_theta ? *inner_theta : *outer_theta;

  for (const JsonFields* fields : {&f, &r}) {
    const auto part = fields->optional_real("partial_rotary_factor", {0, 1}, Null::absent);
    if (part.value_or(1) != 1) fields->unsupported("partial_rotary_factor", "1");
  }
  for (const auto& [key, value] : (source != nullptr ? *source : kNone).items()) {
    if (value.is_object()) r.unsupported(key, "one set of parameters for all layers");
  }
  const std::string_view type_key = r.spelling("rope_type", "type");
  const std::string type = r.optional_string(type_key, Null::refused).value_or("default");
  RopeScaling& s = c.rope_scaling;
  if (type == "yarn") {
    s.type = RopeScaling::Type::yarn;
    read_yarn(s, r, c.max_position_embeddings);
  } else if (type == "linear") {
    s.type = RopeScaling::Type::linear;
    s.factor = r.required_real("factor", {1, 1e6});
  } else if (type != "default") {
    r.unsupported(type_key, "default, linear, yarn");
  } else if (r.find("factor") != nullptr) {
    r.refuse(type_key, "\"yarn\" or \"linear\" beside a factor");
  }
}

// The dense class lets layers >= max_window_layers slide, unless layer_types says which. The MoE
// class knows neither key: with a window, every layer slides. Both ignore sliding_window unless
// use_sliding_window is true.
void read_sliding_window(HfConfig& c, const JsonFields& f) {
  const auto n_layers = static_cast<size_t>(c.num_hidden_layers);
  const bool dense = c.model_type == ModelType::qwen3;
  const bool use = f.optional_bool("use_sliding_window").value_or(false);
  // The class default of 4096 would be a guess: with use_sliding_window, the size must be there.
  const auto window = f.optional_int("sliding_window", {1, (int64_t{1} << 31) - 1}, Null::absent);
  const int64_t first =
      f.optional_int("max_window_layers", {0, kMaxLayers}, Null::refused).value_or(28);
  if (use && !window && !f.has("sliding_window")) {
    f.refuse("sliding_window", "a size or null with use_sliding_window true");
  }
  const int64_t size = use ? window.value_or(0) : 0;
  c.layer_sliding_window.assign(n_layers, size);
  if (dense) {
    const auto n_full = std::min<int64_t>(first, c.num_hidden_layers);
    std::fill_n(c.layer_sliding_window.begin(), n_full, 0);
  }
  if (f.find("layer_types") == nullptr) return;

  const std::vector<std::string> types = f.string_list("layer_types");
  if (types.size() != n_layers) {
    f.refuse("layer_types", fmt::format("{} entries, one per layer", n_layers));
  }
  for (size_t i = 0; i < n_layers; ++i) {
    const bool slides = types[i] == "sliding_attention";
    if (!slides && types[i] != "full_attention") {
      f.unsupported("layer_types", "full_attention, sliding_attention");
    }
    if (slides && size == 0) {
      f.refuse("layer_types",
               "no sliding_attention unless use_sliding_window and sliding_window say so");
    }
    if (!dense && !slides && size != 0) {
      f.refuse("layer_types",
               "sliding_attention everywhere (in qwen3_moe a window holds for every layer)");
    }
    c.layer_sliding_window[i] = slides ? size : 0;
  }
}

void read_experts(HfConfig& c, const JsonFields& f) {
  c.layer_is_sparse.assign(static_cast<size_t>(c.num_hidden_layers), false);
  if (c.model_type == ModelType::qwen3) return;

  c.num_experts = f.required_int(f.spelling("num_experts", "num_local_experts"), {1, kMaxExperts});
  c.num_experts_per_tok = f.required_int("num_experts_per_tok", {1, kMaxExperts});
  if (c.num_experts_per_tok > c.num_experts) {
    f.refuse("num_experts_per_tok", fmt::format("at most num_experts {}", c.num_experts));
  }
  c.moe_intermediate_size = f.required_int("moe_intermediate_size", {1, kMaxFeatures});
  c.router_aux_loss_coef =
      f.optional_real("router_aux_loss_coef", {0, 1e6}, Null::refused).value_or(0.001);
  if (f.optional_int("shared_expert_intermediate_size", {0, kMaxFeatures}, Null::absent)
          .value_or(0) != 0) {
    f.unsupported("shared_expert_intermediate_size", "0 (Qwen3 has no shared expert)");
  }

  // moe_layer_freq and use_moe belong to an educational implementation whose default of
  // norm_topk_prob is true, against false in transformers: there it must be written.
  const bool educational = f.has("moe_layer_freq") || f.has("use_moe");
  const auto normalise = f.optional_bool("norm_topk_prob");
  if (!normalise && educational) {
    f.refuse("norm_topk_prob",
             "true or false (with moe_layer_freq or use_moe its default is not clear)");
  }
  c.norm_topk_prob = normalise.value_or(false);
  const bool use_moe = f.optional_bool("use_moe").value_or(true);
  const std::string_view step_key = f.spelling("decoder_sparse_step", "moe_layer_freq");
  const int64_t step = f.optional_int(step_key, {1, kMaxLayers}, Null::refused).value_or(1);
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    c.layer_is_sparse[static_cast<size_t>(i)] = use_moe && (i + 1) % step == 0;
  }
  for (const int64_t i : f.int_list("mlp_only_layers", {0, c.num_hidden_layers - 1})) {
    c.layer_is_sparse[static_cast<size_t>(i)] = false;
  }
}

// In double, which cannot overflow here.
void check_total(const HfConfig& c, std::string_view where) {
  const auto hidden = static_cast<double>(c.hidden_size);
  const auto heads = static_cast<double>(c.num_attention_heads + c.num_key_value_heads);
  const auto experts =
      static_cast<double>(c.num_experts) * static_cast<double>(c.moe_intermediate_size);
  const double layer = hidden * (2 * heads * static_cast<double>(c.head_dim) +
                                 3 * static_cast<double>(c.intermediate_size) + 3 * experts +
                                 static_cast<double>(c.num_experts));
  const double total = 2 * hidden * static_cast<double>(c.vocab_size) +
                       static_cast<double>(c.num_hidden_layers) * layer;
  QWEN3_CHECK(total <= kMaxParameters,
              ErrorKind::corrupt_file,
              "{}: the sizes (num_hidden_layers, hidden_size, intermediate_size, num_experts …) "
              "amount to {:.3g} parameters; expected at most {:.3g}",
              where,
              total,
              kMaxParameters);
}

HfConfig read_config(const JsonFields& fields) {
  HfConfig config;
  read_identity(config, fields);
  read_sizes(config, fields);
  read_rope(config, fields);
  read_sliding_window(config, fields);
  read_experts(config, fields);
  check_total(config, fields.where());

  const std::string order =
      fields.optional_string("qk_norm_order", Null::absent).value_or("official");
  if (order != "official" && order != "after_rope") {
    fields.unsupported("qk_norm_order", "official, after_rope");
  }
  config.qk_norm_after_rope = order == "after_rope";

  const auto token_id = [&](std::string_view key) -> std::optional<int32_t> {
    const auto id = fields.optional_int(key, kTokenIds, Null::absent);
    return id ? std::optional(static_cast<int32_t>(*id)) : std::nullopt;
  };
  config.bos_token_id = token_id("bos_token_id");
  config.pad_token_id = token_id("pad_token_id");
  config.eos_token_ids = fields.int_or_list("eos_token_id", kTokenIds);
  return config;
}

}  // namespace

HfConfig parse_hf_config(std::string_view json,
                         std::string_view where,
                         std::string_view overrides) {
  Json root = parse_json(json, where);
  if (overrides.empty()) return read_config(JsonFields(root, where));
  Json laid_over = parse_config_overrides(overrides);
  override_config(root, laid_over);
  FieldLog read;
  HfConfig config =
      read_config(JsonFields(root, fmt::format("{} with hf_overrides", where), {}, &read));
  check_overrides_are_read(laid_over, read, where);
  return config;
}

GenerationConfig parse_generation_config(std::string_view json, std::string_view where) {
  const Json root = parse_json(json, where);
  const JsonFields f(root, where);
  GenerationConfig config;
  config.do_sample = f.optional_bool("do_sample", Null::absent);
  config.temperature = f.optional_real("temperature", {0, 1e3}, Null::absent);
  config.top_p = f.optional_real("top_p", {0, 1, kAbove}, Null::absent);
  config.min_p = f.optional_real("min_p", {0, 1}, Null::absent);
  config.repetition_penalty = f.optional_real("repetition_penalty", {0, 1e3, kAbove}, Null::absent);
  config.top_k = f.optional_int("top_k", {-1, kMaxVocab}, Null::absent);
  config.max_new_tokens = f.optional_int("max_new_tokens", {1, kMaxPositions}, Null::absent);
  config.eos_token_ids = f.int_or_list("eos_token_id", kTokenIds);
  return config;
}

}  // namespace qwen3
