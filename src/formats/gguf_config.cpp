#include "formats/gguf_config.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace qwen3 {
namespace {

constexpr size_t kMaxWordBytes = 256;
constexpr size_t kMaxTokensBytes = size_t{128} << 20;
constexpr size_t kMaxLayers = 4096;
constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
constexpr GgufFile::IntRange kSizes = {1, kMaxInt32};
constexpr GgufFile::IntRange kIds = {0, kMaxInt32};
constexpr int64_t kControl = 3;  // of tokenizer.ggml.token_type

// The keys of one architecture: "qwen3.block_count".
class Keys {
 public:
  Keys(const GgufFile& file, std::string architecture)
      : file_(file), architecture_(std::move(architecture)) {}

  std::string operator()(std::string_view name) const {
    return fmt::format("{}.{}", architecture_, name);
  }

  int64_t size(std::string_view name) const {
    const std::string key = (*this)(name);
    const auto value = file_.integer(key, kSizes);
    if (!value) missing(key);
    return *value;
  }

  double number(std::string_view name) const {
    const std::string key = (*this)(name);
    const auto value = file_.real(key);
    if (!value) missing(key);
    return *value;
  }

  // One number for all layers, or a list of equal ones.
  int64_t size_of_layers(std::string_view name, int64_t n_layers) const {
    const std::string key = (*this)(name);
    const auto values = file_.integers(key, kSizes, kMaxLayers);
    if (!values) missing(key);
    const bool equal = std::all_of(
        values->begin(), values->end(), [&](int64_t value) { return value == values->front(); });
    const auto n = static_cast<int64_t>(values->size());
    if (n != 1 && n != n_layers) file_.refuse(key, fmt::format("a number, or {}", n_layers));
    if (!equal) file_.unsupported(key, "the same number for all layers");
    return values->front();
  }

  // Values that the architecture has no other for.
  void require(std::string_view name, int64_t expected) const {
    const std::string key = (*this)(name);
    const auto value = file_.integer(key, {0, kMaxInt32});
    if (value && *value != expected) file_.unsupported(key, fmt::format("{}", expected));
  }
  void require_real(std::string_view name, double expected) const {
    const std::string key = (*this)(name);
    const auto value = file_.real(key);
    if (value && *value != expected) file_.unsupported(key, fmt::format("{}", expected));
  }

 private:
  [[noreturn]] void missing(const std::string& key) const {
    fail(ErrorKind::corrupt_file,
         "{}: {}: expected this key, got none; is the file whole, or made by an old converter?",
         file_.name(),
         key);
  }

  const GgufFile& file_;
  std::string architecture_;
};

std::string architecture_of(const GgufFile& file) {
  constexpr std::string_view kType = "general.type", kBlocks = "general.quantization_version";
  if (file.string(kType, kMaxWordBytes).value_or("model") != "model") {
    file.unsupported(kType, "model");
  }
  if (file.integer(kBlocks, {0, kMaxInt32}).value_or(2) != 2) {
    file.unsupported(kBlocks, "2, ggml's blocks as they are today");
  }
  constexpr std::string_view kKey = "general.architecture";
  const auto architecture = file.string(kKey, kMaxWordBytes);
  QWEN3_CHECK(architecture.has_value(),
              ErrorKind::corrupt_file,
              "{}: {}: expected this key, got none; is it a model?",
              file.name(),
              kKey);
  if (*architecture != "qwen3" && *architecture != "qwen3moe") {
    file.unsupported(kKey, "qwen3 or qwen3moe");
  }
  return *architecture;
}

void add_sizes(Json& c, const Keys& keys, const GgufFile& file) {
  const int64_t n_layers = keys.size("block_count");
  c["num_hidden_layers"] = n_layers;
  c["max_position_embeddings"] = keys.size("context_length");
  const int64_t hidden = keys.size("embedding_length");
  c["hidden_size"] = hidden;
  c["intermediate_size"] = keys.size_of_layers("feed_forward_length", n_layers);
  const int64_t n_heads = keys.size_of_layers("attention.head_count", n_layers);
  c["num_attention_heads"] = n_heads;
  c["num_key_value_heads"] = keys.size_of_layers("attention.head_count_kv", n_layers);
  const auto key_length = file.integer(keys("attention.key_length"), kSizes);
  if (!key_length && hidden % n_heads != 0) {
    file.refuse(keys("embedding_length"), "a multiple of attention.head_count");
  }
  const int64_t head_dim = key_length.value_or(hidden / n_heads);
  c["head_dim"] = head_dim;
  keys.require("attention.value_length", head_dim);
  keys.require("rope.dimension_count", head_dim);
  keys.require("attention.sliding_window", 0);
  c["rms_norm_eps"] = keys.number("attention.layer_norm_rms_epsilon");
}

void add_rope(Json& c, const Keys& keys, const GgufFile& file) {
  c["rope_theta"] = file.real(keys("rope.freq_base")).value_or(10000);
  keys.require_real("rope.scale_linear", 1);
  const std::string type_key = keys("rope.scaling.type");
  const std::string type = file.string(type_key, kMaxWordBytes).value_or("none");
  if (type == "none") return;
  if (type != "linear" && type != "yarn") file.unsupported(type_key, "none, linear or yarn");
  Json rope = {{"rope_type", type}};
  const auto copy = [&](std::string_view from, const char* to) {
    if (const auto value = file.real(keys(from))) rope[to] = *value;
  };
  copy("rope.scaling.factor", "factor");
  const auto length = file.integer(keys("rope.scaling.original_context_length"), kSizes);
  if (length && type == "yarn") rope["original_max_position_embeddings"] = *length;
  copy("rope.scaling.yarn_beta_fast", "beta_fast");
  copy("rope.scaling.yarn_beta_slow", "beta_slow");
  // Written from config.json's attention_factor. llama.cpp multiplies by it what YaRN has anyway;
  // transformers takes it instead, and so does this.
  copy("rope.scaling.yarn_attn_factor", "attention_factor");
  keys.require_real("rope.scaling.attn_factor", 1);
  keys.require_real("rope.scaling.yarn_ext_factor", 1);
  c["rope_scaling"] = std::move(rope);
}

void add_experts(Json& c,
                 const Keys& keys,
                 const GgufFile& file,
                 const std::vector<int32_t>& dense_layers) {
  c["num_experts"] = keys.size("expert_count");
  c["num_experts_per_tok"] = keys.size("expert_used_count");
  c["moe_intermediate_size"] = keys.size("expert_feed_forward_length");
  c["norm_topk_prob"] = file.boolean(keys("expert_weights_norm")).value_or(true);
  c["mlp_only_layers"] = Json::array();
  for (const int32_t layer : dense_layers) {
    if (layer < c["num_hidden_layers"]) c["mlp_only_layers"].push_back(layer);
  }
  keys.require("expert_shared_count", 0);
  keys.require("expert_gating_func", 1);  // softmax
  keys.require_real("expert_weights_scale", 1);
}

bool ends_answers(std::string_view text) { return text == "<|im_end|>" || text == "<|endoftext|>"; }

std::optional<int32_t> token_id(const GgufFile& file, std::string_view name, int64_t vocab_size) {
  const auto id =
      file.integer(fmt::format("tokenizer.ggml.{}_token_id", name), {0, vocab_size - 1});
  return id ? std::optional(static_cast<int32_t>(*id)) : std::nullopt;
}

void read_token_ids(HfConfig& c, const GgufFile& file) {
  if (!c.bos_token_id) c.bos_token_id = token_id(file, "bos", c.vocab_size);
  if (!c.pad_token_id) c.pad_token_id = token_id(file, "padding", c.vocab_size);
  const bool overridden = !c.eos_token_ids.empty();
  const auto add = [&](std::optional<int32_t> id) {
    if (id && !overridden && std::ranges::find(c.eos_token_ids, *id) == c.eos_token_ids.end()) {
      c.eos_token_ids.push_back(*id);
    }
  };
  for (const std::string_view name : {"eos", "eot", "eom"}) add(token_id(file, name, c.vocab_size));
  constexpr std::string_view kTokens = "tokenizer.ggml.tokens",
                             kTypes = "tokenizer.ggml.token_type";
  const auto tokens = file.strings(kTokens, kMaxTokensBytes);
  if (!tokens) return;
  const auto n_tokens = static_cast<int64_t>(tokens->size());
  if (n_tokens != c.vocab_size) {
    file.refuse(kTokens, fmt::format("{} strings, one for each row of token_embd", c.vocab_size));
  }
  const auto types = file.integers(kTypes, kIds, tokens->size());
  if (!types) return;
  if (types->size() != tokens->size()) file.refuse(kTypes, fmt::format("{} integers", n_tokens));
  for (size_t i = 0; i < tokens->size(); ++i) {
    if ((*types)[i] == kControl && ends_answers((*tokens)[i])) add(static_cast<int32_t>(i));
  }
}

std::string_view dtype_word(DType type) {
  return type == DType::f32 ? "float32" : type == DType::f16 ? "float16" : "bfloat16";
}

void write_rope(GgufMetadata& m, const std::string& a, const HfConfig& c, std::string_view where) {
  m.f32(a + "rope.freq_base", c.rope_theta);
  const RopeScaling& rope = c.rope_scaling;
  if (rope.type == RopeScaling::Type::none) return;
  const bool yarn = rope.type == RopeScaling::Type::yarn;
  // An explicit attention_factor means one thing to transformers and another to llama.cpp.
  QWEN3_CHECK(!rope.attention_factor && !rope.mscale && !rope.mscale_all_dim && rope.truncate,
              ErrorKind::unsupported,
              "{}: rope_scaling: expected factor, original_max_position_embeddings, beta_fast and "
              "beta_slow at most, since GGUF has no keys for the others; got more",
              where);
  m.string(a + "rope.scaling.type", yarn ? "yarn" : "linear");
  m.f32(a + "rope.scaling.factor", rope.factor);
  if (!yarn) return;
  if (rope.original_max_position_embeddings > 0) {
    m.u32(a + "rope.scaling.original_context_length", rope.original_max_position_embeddings);
  }
  const RopeScaling usual;
  if (rope.beta_fast != usual.beta_fast) m.f32(a + "rope.scaling.yarn_beta_fast", rope.beta_fast);
  if (rope.beta_slow != usual.beta_slow) m.f32(a + "rope.scaling.yarn_beta_slow", rope.beta_slow);
}

// What GGUF cannot say, and its readers take for granted.
void refuse_unwritable(const HfConfig& c, std::string_view where) {
  const bool windows =
      std::ranges::any_of(c.layer_sliding_window, [](int64_t n) { return n != 0; });
  const auto demand = [&](bool met, std::string_view key, std::string_view expected) {
    QWEN3_CHECK(
        met,
        ErrorKind::unsupported,
        "{}: {}: expected {}, got another value; GGUF has no key for it, and llama.cpp would "
        "run the model as if it were {}",
        where,
        key,
        expected,
        expected);
  };
  demand(!windows, "use_sliding_window", "false");
  demand(!c.qk_norm_after_rope, "qk_norm_order", "official");
  demand(!c.moe() || c.norm_topk_prob, "norm_topk_prob", "true");
}

}  // namespace

void write_gguf_config(GgufMetadata& m, const HfConfig& c, std::string_view where) {
  refuse_unwritable(c, where);
  const std::string architecture = c.moe() ? "qwen3moe" : "qwen3";
  const std::string a = architecture + ".";
  m.string("general.architecture", architecture);
  m.u32(a + "block_count", c.num_hidden_layers);
  m.u32(a + "context_length", c.max_position_embeddings);
  m.u32(a + "embedding_length", c.hidden_size);
  m.u32(a + "feed_forward_length", c.intermediate_size);
  m.u32(a + "attention.head_count", c.num_attention_heads);
  m.u32(a + "attention.head_count_kv", c.num_key_value_heads);
  m.u32(a + "attention.key_length", c.head_dim);
  m.u32(a + "attention.value_length", c.head_dim);
  m.f32(a + "attention.layer_norm_rms_epsilon", c.rms_norm_eps);
  write_rope(m, a, c, where);
  if (!c.moe()) return;
  m.u32(a + "expert_count", c.num_experts);
  m.u32(a + "expert_used_count", c.num_experts_per_tok);
  m.u32(a + "expert_feed_forward_length", c.moe_intermediate_size);
}

void write_gguf_generation_config(GgufMetadata& m, const GenerationConfig& c) {
  const std::string prefix = "general.sampling.";
  const auto put = [&](std::string_view name, const std::optional<double>& value) {
    if (value) m.f32(prefix + std::string(name), *value);
  };
  if (c.do_sample) put("temp", *c.do_sample ? c.temperature.value_or(1) : 0);
  if (c.top_k) m.i32(prefix + "top_k", std::min<int64_t>(*c.top_k, kMaxInt32));
  put("top_p", c.top_p);
  put("min_p", c.min_p);
  put("penalty_repeat", c.repetition_penalty);
}

HfConfig read_gguf_config(const GgufFile& file,
                          const GgufTensorFacts& facts,
                          std::string_view overrides) {
  const std::string architecture = architecture_of(file);
  QWEN3_CHECK(facts.vocab_size > 0,
              ErrorKind::not_found,
              "{}: tensor token_embd.weight: expected one, got none; is it a vocabulary without a "
              "model?",
              file.name());
  const bool moe = architecture == "qwen3moe";
  const Keys keys(file, architecture);
  // By way of config.json, which has the limits and what must fit what.
  Json c = {{"model_type", moe ? "qwen3_moe" : "qwen3"},
            {"vocab_size", facts.vocab_size},
            {"tie_word_embeddings", facts.tie_word_embeddings},
            {"attention_bias", facts.attention_bias},
            {"dtype", dtype_word(facts.dtype)}};
  add_sizes(c, keys, file);
  add_rope(c, keys, file);
  if (moe) add_experts(c, keys, file, facts.dense_layers);
  keys.require("vocab_size", facts.vocab_size);
  HfConfig config = parse_hf_config(dump_json(c), file.name(), overrides);
  read_token_ids(config, file);
  return config;
}

GenerationConfig read_gguf_generation_config(const GgufFile& file) {
  Json g = Json::object();
  const auto copy = [&](std::string_view from, const char* to) {
    const auto value = file.real(fmt::format("general.sampling.{}", from));
    if (value) g[to] = *value;
    return value;
  };
  const auto temperature = copy("temp", "temperature");
  if (temperature) g["do_sample"] = *temperature > 0;
  copy("top_p", "top_p");
  copy("min_p", "min_p");
  copy("penalty_repeat", "repetition_penalty");
  if (const auto top_k = file.integer("general.sampling.top_k", {-1, kMaxInt32})) {
    g["top_k"] = *top_k;
  }
  return parse_generation_config(dump_json(g), file.name());
}

}  // namespace qwen3
