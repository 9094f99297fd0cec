#include "formats/hf_config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "formats/official_configs.h"
#include "support/expect_error.h"

namespace qwen3 {
namespace {

constexpr auto kCorrupt = ErrorKind::corrupt_file;
constexpr auto kUnsupported = ErrorKind::unsupported;

HfConfig parse(const Json& config) { return parse_hf_config(config.dump(), "config.json"); }

Json dense() {
  return Json::parse(
      R"({"model_type":"qwen3","vocab_size":100,"hidden_size":64,"intermediate_size":96,
    "num_hidden_layers":4,"num_attention_heads":8,"num_key_value_heads":2,"head_dim":16,
    "max_position_embeddings":4096,"rms_norm_eps":1e-6,"rope_theta":1000000,"tie_word_embeddings":true,
    "attention_bias":false,"hidden_act":"silu","torch_dtype":"bfloat16","use_sliding_window":false,
    "sliding_window":null,"max_window_layers":4,"rope_scaling":null,"bos_token_id":1,"pad_token_id":null,
    "eos_token_id":2,"architectures":["Qwen3ForCausalLM"]})");
}

Json moe() {
  Json config = dense();
  config["model_type"] = "qwen3_moe";
  config.update(Json::parse(R"({"num_experts":8,"num_experts_per_tok":2,"moe_intermediate_size":32,
    "norm_topk_prob":true,"decoder_sparse_step":1,"mlp_only_layers":[],"router_aux_loss_coef":0.001})"));
  return config;
}

Json with(Json config, std::initializer_list<std::pair<const char*, Json>> changes) {
  for (const auto& [key, value] : changes) config[key] = value;
  return config;
}

Json without(Json config, const char* key) {
  config.erase(key);
  return config;
}

TEST(HfConfig, EveryOfficialModelInBothSpellings) {
  for (const OfficialModel& m : official_models()) {
    for (const Spelling spelling : {Spelling::transformers_4, Spelling::transformers_5}) {
      SCOPED_TRACE(m.name);
      const HfConfig c = parse_hf_config(official_config(m, spelling), m.name);
      EXPECT_EQ(c.model_type, m.moe() ? ModelType::qwen3_moe : ModelType::qwen3);
      EXPECT_EQ(c.vocab_size, m.vocab);
      EXPECT_EQ(c.hidden_size, m.hidden);
      EXPECT_EQ(c.intermediate_size, m.intermediate);
      EXPECT_EQ(c.num_hidden_layers, m.layers);
      EXPECT_EQ(c.num_attention_heads, m.heads);
      EXPECT_EQ(c.num_key_value_heads, m.kv_heads);
      EXPECT_EQ(c.head_dim, 128);
      EXPECT_EQ(c.max_position_embeddings, m.context);
      EXPECT_EQ(c.rms_norm_eps, 1e-6);
      EXPECT_EQ(c.rope_theta, std::stod(m.theta));
      EXPECT_EQ(c.rope_scaling.type, RopeScaling::Type::none);
      EXPECT_EQ(c.tie_word_embeddings, m.tied);
      EXPECT_FALSE(c.attention_bias);
      EXPECT_EQ(c.dtype, DType::bf16);
      EXPECT_EQ(c.layer_sliding_window, std::vector<int64_t>(static_cast<size_t>(m.layers), 0));
      EXPECT_EQ(c.layer_is_sparse, std::vector<bool>(static_cast<size_t>(m.layers), m.moe()));
      EXPECT_FALSE(c.qk_norm_after_rope);
      EXPECT_EQ(c.num_experts, m.experts);
      EXPECT_EQ(c.num_experts_per_tok, m.experts_per_token);
      EXPECT_EQ(c.moe_intermediate_size, m.expert_intermediate);
      EXPECT_EQ(c.norm_topk_prob, m.moe());
      if (m.moe()) {
        EXPECT_EQ(c.router_aux_loss_coef, std::stod(m.aux_coef));
      }
      EXPECT_EQ(c.bos_token_id, 151643);
      EXPECT_EQ(c.pad_token_id, std::nullopt);
      EXPECT_EQ(c.eos_token_ids, std::vector<int32_t>{static_cast<int32_t>(m.eos)});
      EXPECT_EQ(c.architectures.size(), 1u);
    }
  }
}

// The extra keys of the Coder files; bos_token_id is not there.
TEST(HfConfig, CoderExtras) {
  const Json coder = without(
      with(moe(),
           {{"qkv_bias", false}, {"use_qk_norm", true}, {"shared_expert_intermediate_size", 0}}),
      "bos_token_id");
  EXPECT_EQ(parse(coder).bos_token_id, std::nullopt);
  EXPECT_ERROR(parse(with(coder, {{"shared_expert_intermediate_size", 5632}})),
               kUnsupported,
               "shared_expert_intermediate_size",
               "5632");
}

// What may be left out, and what it then is (transformers' class defaults).
TEST(HfConfig, Defaults) {
  const auto config = [](const char* key) { return parse(without(moe(), key)); };
  EXPECT_EQ(parse(without(dense(), "head_dim")).head_dim, 128);
  EXPECT_EQ(config("rms_norm_eps").rms_norm_eps, 1e-6);
  EXPECT_FALSE(config("tie_word_embeddings").tie_word_embeddings);
  EXPECT_FALSE(config("norm_topk_prob").norm_topk_prob);
  EXPECT_EQ(config("router_aux_loss_coef").router_aux_loss_coef, 0.001);
  EXPECT_EQ(config("decoder_sparse_step").layer_is_sparse, std::vector<bool>(4, true));
  EXPECT_EQ(config("torch_dtype").dtype, DType::bf16);
  EXPECT_TRUE(config("eos_token_id").eos_token_ids.empty());
  EXPECT_TRUE(config("architectures").architectures.empty());
}

// T-C1: each key with each absurd value. The listed ones are fine; all others must be refused with
// a message that names the key.
TEST(HfConfig, AbsurdValuesAreRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> values = {{"null", "null"},
                                                                   {"0", "0"},
                                                                   {"-1", "-1"},
                                                                   {"1", "1"},
                                                                   {"2^31", "2147483648"},
                                                                   {"1e308", "1e308"},
                                                                   {"NaN", "NaN"},
                                                                   {"x", "\"x\""},
                                                                   {"[]", "[]"},
                                                                   {"{}", "{}"}};
  const std::map<std::string, std::vector<std::string>> fine = {
      {"model_type", {}},
      {"vocab_size", {"1"}},
      {"hidden_size", {"1"}},
      {"intermediate_size", {"1"}},
      {"num_hidden_layers", {"1"}},
      {"num_attention_heads", {}},  // 1 is no multiple of num_key_value_heads
      {"num_key_value_heads", {"1"}},
      {"head_dim", {}},
      {"max_position_embeddings", {"1"}},
      {"rms_norm_eps", {"absent", "1"}},
      {"rope_theta", {"2^31"}},
      {"tie_word_embeddings", {"absent"}},
      {"attention_bias", {"absent"}},
      {"hidden_act", {"absent"}},
      {"torch_dtype", {"absent", "null"}},
      {"use_sliding_window", {"absent"}},
      {"sliding_window", {"absent", "null", "1"}},
      {"max_window_layers", {"absent", "0", "1"}},
      {"rope_scaling", {"absent", "null", "{}"}},
      {"bos_token_id", {"absent", "null", "0", "1"}},
      {"pad_token_id", {"absent", "null", "0", "1"}},
      {"eos_token_id", {"absent", "null", "0", "1", "[]"}},
      {"architectures", {"absent", "null", "[]"}},
      {"num_experts", {}},  // 1 is below num_experts_per_tok
      {"num_experts_per_tok", {"1"}},
      {"moe_intermediate_size", {"1"}},
      {"norm_topk_prob", {"absent"}},
      {"decoder_sparse_step", {"absent", "1"}},
      {"mlp_only_layers", {"absent", "null", "[]"}},
      {"router_aux_loss_coef", {"absent", "0", "1"}},
      // Not in the base config: absent and null are not tried as changes of meaning.
      {"quantization_config", {"absent", "null"}},
      {"rope_parameters", {"absent", "null", "{}"}},
      {"layer_types", {"absent", "null"}},
      {"use_moe", {"absent"}},
      {"moe_layer_freq", {"absent", "null", "1"}},
      {"num_local_experts", {"absent", "null"}},
      {"dtype", {"absent", "null"}},
      {"qk_norm_order", {"absent", "null"}},
      {"partial_rotary_factor", {"absent", "null", "1"}},
      {"shared_expert_intermediate_size", {"absent", "null", "0"}},
  };
  const Json base = moe();
  for (const auto& [key, value] : base.items())
    EXPECT_TRUE(fine.count(key)) << key << " is not in the table";
  for (const auto& [key, accepted] : fine) {
    std::vector<std::pair<std::string, std::string>> texts = {
        {"absent", without(base, key.c_str()).dump()}};
    for (const auto& [name, value] : values) {
      // By hand, for NaN is not JSON.
      std::string text = without(base, key.c_str()).dump();
      text.insert(text.size() - 1, ",\"" + key + "\":" + value);
      texts.emplace_back(name, text);
    }
    for (const auto& [name, text] : texts) {
      const bool is_fine = std::find(accepted.begin(), accepted.end(), name) != accepted.end();
      try {
        parse_hf_config(text, "config.json");
        EXPECT_TRUE(is_fine) << key << " = " << name << " was accepted";
      } catch (const Error& e) {
        const std::string message = e.what();
        EXPECT_FALSE(is_fine) << message;
        EXPECT_EQ(message.find('\n'), message.npos);
        EXPECT_NE(message.find(name == "NaN" ? "NaN" : key), message.npos)
            << key << " = " << name << ": " << message;
        EXPECT_TRUE(e.kind() == kCorrupt || e.kind() == kUnsupported) << message;
      }
    }
  }
}

TEST(HfConfig, FractionsAreNoWholeNumbers) {
  for (const char* key : {"vocab_size",
                          "hidden_size",
                          "num_hidden_layers",
                          "num_experts",
                          "eos_token_id",
                          "sliding_window"}) {
    EXPECT_ERROR(
        parse(with(moe(), {{key, 8.0}})), kCorrupt, std::string("config.json: ") + key, "got 8.0");
    EXPECT_ERROR(parse(with(moe(), {{key, true}})), kCorrupt, key, "got true");
  }
}

TEST(HfConfig, InconsistentValues) {
  EXPECT_ERROR(parse(with(dense(), {{"num_key_value_heads", 3}})),
               kCorrupt,
               "num_key_value_heads",
               "divisor of num_attention_heads 8",
               "got 3");
  EXPECT_ERROR(
      parse(with(dense(), {{"num_key_value_heads", 16}})), kCorrupt, "num_key_value_heads");
  EXPECT_ERROR(parse(with(dense(), {{"head_dim", 15}})), kCorrupt, "head_dim", "even", "got 15");
  EXPECT_ERROR(parse(with(moe(), {{"num_experts_per_tok", 9}})),
               kCorrupt,
               "num_experts_per_tok",
               "at most num_experts 8",
               "got 9");
  EXPECT_ERROR(
      parse(with(moe(), {{"mlp_only_layers", {4}}})), kCorrupt, "mlp_only_layers", "[0, 3]");
  EXPECT_ERROR(parse(with(moe(), {{"num_local_experts", 9}})),
               kCorrupt,
               "num_experts is 8 but num_local_experts is 9");
  EXPECT_ERROR(parse(with(dense(), {{"dtype", "float32"}})),
               kCorrupt,
               "dtype is \"float32\" but torch_dtype is \"bfloat16\"");
  EXPECT_NO_THROW(parse(with(moe(), {{"num_local_experts", 8}, {"dtype", "bfloat16"}})));
  EXPECT_ERROR(parse_hf_config("[]", "c"), kCorrupt, "c: expected a JSON object");
  EXPECT_ERROR(parse_hf_config(R"({"a":1,"a":2})", "c"), kCorrupt, "c: duplicate key \"a\"");
}

// Each size within its own limit, yet together too much.
TEST(HfConfig, ProductsAreBounded) {
  EXPECT_ERROR(parse(with(dense(), {{"num_attention_heads", 65536}, {"head_dim", 1024}})),
               kCorrupt,
               "num_attention_heads 65536 * head_dim 1024");
  EXPECT_ERROR(
      parse(with(
          moe(),
          {{"num_experts", 65536}, {"hidden_size", 1 << 20}, {"moe_intermediate_size", 1 << 20}})),
      kCorrupt,
      "parameters",
      "num_experts");
  EXPECT_ERROR(
      parse(with(
          dense(),
          {{"num_hidden_layers", 4096}, {"hidden_size", 1 << 20}, {"intermediate_size", 1 << 20}})),
      kCorrupt,
      "parameters");
}

TEST(HfConfig, UnsupportedValuesAreNamed) {
  EXPECT_ERROR(parse(with(dense(), {{"model_type", "qwen2"}})),
               kUnsupported,
               "config.json: model_type: \"qwen2\"",
               "qwen3_moe");
  EXPECT_ERROR(
      parse(with(dense(), {{"hidden_act", "gelu"}})), kUnsupported, "hidden_act: \"gelu\"", "silu");
  EXPECT_ERROR(
      parse(with(dense(), {{"torch_dtype", "float64"}})), kUnsupported, "torch_dtype", "float64");
  EXPECT_ERROR(parse(with(dense(), {{"partial_rotary_factor", 0.5}})),
               kUnsupported,
               "partial_rotary_factor");
}

TEST(HfConfig, DTypes) {
  EXPECT_EQ(parse(with(dense(), {{"torch_dtype", "float16"}})).dtype, DType::f16);
  EXPECT_EQ(parse(with(without(dense(), "torch_dtype"), {{"dtype", "float32"}})).dtype, DType::f32);
}

TEST(HfConfig, SpecialTokenIds) {
  const HfConfig c =
      parse(with(dense(), {{"eos_token_id", {151645, 151643}}, {"pad_token_id", 151643}}));
  EXPECT_EQ(c.eos_token_ids, (std::vector<int32_t>{151645, 151643}));
  EXPECT_EQ(c.pad_token_id, 151643);
  for (const Json& bad : {Json(-1),
                          Json(1.5),
                          Json(int64_t{1} << 53),
                          Json(1e18),
                          Json("7"),
                          Json({1, -1}),
                          Json({1, 2.5})}) {
    EXPECT_ERROR(parse(with(dense(), {{"eos_token_id", bad}})), kCorrupt, "eos_token_id");
  }
}

// ---- RoPE ------------------------------------------------------------------------------------

HfConfig with_rope(Json scaling) {
  return parse(with(dense(), {{"rope_scaling", std::move(scaling)}}));
}

TEST(HfConfig, Yarn) {
  const Json documented = {
      {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32768}};
  for (const char* type_key : {"rope_type", "type"}) {
    Json scaling = documented;
    scaling.erase("rope_type");
    scaling[type_key] = "yarn";
    const RopeScaling s = with_rope(scaling).rope_scaling;
    EXPECT_EQ(s.type, RopeScaling::Type::yarn);
    EXPECT_EQ(s.factor, 4);
    EXPECT_EQ(s.original_max_position_embeddings, 32768);
    EXPECT_EQ(s.beta_fast, 32);
    EXPECT_EQ(s.beta_slow, 1);
    EXPECT_EQ(s.attention_factor, std::nullopt);
    EXPECT_EQ(s.mscale, std::nullopt);
    EXPECT_TRUE(s.truncate);
  }
  const RopeScaling all = with_rope(with(documented,
                                         {{"attention_factor", 1.25},
                                          {"beta_fast", 24},
                                          {"beta_slow", 2},
                                          {"mscale", 0.7},
                                          {"mscale_all_dim", 1},
                                          {"truncate", false}}))
                              .rope_scaling;
  EXPECT_EQ(all.attention_factor, 1.25);
  EXPECT_EQ(all.beta_fast, 24);
  EXPECT_EQ(all.beta_slow, 2);
  EXPECT_EQ(all.mscale, 0.7);
  EXPECT_EQ(all.mscale_all_dim, 1);
  EXPECT_FALSE(all.truncate);
}

// The explicit factor counts; without one, the ratio of the two context lengths (here 4096 / 1024).
TEST(HfConfig, YarnFactor) {
  EXPECT_EQ(with_rope({{"type", "yarn"}, {"factor", 2}, {"original_max_position_embeddings", 1024}})
                .rope_scaling.factor,
            2);
  EXPECT_EQ(
      with_rope({{"type", "yarn"}, {"original_max_position_embeddings", 1024}}).rope_scaling.factor,
      4);
  EXPECT_EQ(
      with_rope({{"type", "yarn"}, {"factor", nullptr}, {"original_max_position_embeddings", 1024}})
          .rope_scaling.factor,
      4);
  EXPECT_EQ(
      with_rope({{"type", "yarn"}, {"factor", 2}}).rope_scaling.original_max_position_embeddings,
      4096);
  EXPECT_ERROR(with_rope({{"type", "yarn"}}), kCorrupt, "rope_scaling.factor", "got nothing");
  EXPECT_ERROR(with_rope({{"type", "yarn"}, {"original_max_position_embeddings", 8192}}),
               kCorrupt,
               "rope_scaling.factor");
}

TEST(HfConfig, RopeParametersOfTransformers5) {
  const Json base = without(without(dense(), "rope_theta"), "rope_scaling");
  const HfConfig c = parse(with(base,
                                {{"rope_parameters",
                                  {{"rope_type", "yarn"},
                                   {"rope_theta", 5000000},
                                   {"factor", 2.0},
                                   {"original_max_position_embeddings", 2048}}}}));
  EXPECT_EQ(c.rope_theta, 5e6);
  EXPECT_EQ(c.rope_scaling.type, RopeScaling::Type::yarn);
  EXPECT_EQ(c.rope_scaling.factor, 2);
  EXPECT_EQ(
      parse(with(base, {{"rope_theta", 1e4}, {"rope_parameters", Json::object()}})).rope_theta,
      1e4);
  EXPECT_ERROR(parse(base), kCorrupt, "rope_theta", "got nothing");
  EXPECT_ERROR(
      parse(with(base, {{"rope_parameters", {{"rope_type", "default"}}}})), kCorrupt, "rope_theta");
  EXPECT_ERROR(parse(with(base, {{"rope_theta", 2e6}, {"rope_parameters", {{"rope_theta", 1e6}}}})),
               kCorrupt,
               "rope_parameters.rope_theta");
  EXPECT_ERROR(parse(with(base,
                          {{"rope_parameters", {{"full_attention", {{"rope_theta", 1e6}}}}},
                           {"rope_theta", 1e6}})),
               kUnsupported,
               "rope_parameters.full_attention");
  EXPECT_ERROR(parse(with(dense(),
                          {{"rope_scaling", {{"type", "linear"}, {"factor", 2}}},
                           {"rope_parameters", {{"rope_theta", 1e6}}}})),
               kCorrupt,
               "rope_scaling");
}

TEST(HfConfig, OtherRopeTypes) {
  const RopeScaling s = with_rope({{"type", "linear"}, {"factor", 2.5}}).rope_scaling;
  EXPECT_EQ(s.type, RopeScaling::Type::linear);
  EXPECT_EQ(s.factor, 2.5);
  EXPECT_EQ(with_rope({{"rope_type", "default"}}).rope_scaling.type, RopeScaling::Type::none);
  EXPECT_ERROR(with_rope({{"type", "linear"}}), kCorrupt, "rope_scaling.factor");
  EXPECT_ERROR(with_rope({{"type", "dynamic"}, {"factor", 2}}),
               kUnsupported,
               "rope_scaling.type",
               "dynamic",
               "yarn");
  EXPECT_ERROR(with_rope({{"rope_type", "llama3"}, {"factor", 2}}),
               kUnsupported,
               "rope_scaling.rope_type",
               "llama3");
  EXPECT_ERROR(with_rope({{"rope_type", "yarn"}, {"type", "linear"}, {"factor", 2}}),
               kCorrupt,
               "rope_scaling.rope_type is \"yarn\" but rope_scaling.type is \"linear\"");
  EXPECT_ERROR(with_rope({{"factor", 4}}), kCorrupt, "rope_scaling.rope_type");
  for (const Json& bad :
       {Json(0), Json(0.5), Json(-1), Json(1e308), Json("x"), Json::array(), Json::object()}) {
    for (const char* key : {"factor",
                            "beta_fast",
                            "beta_slow",
                            "attention_factor",
                            "original_max_position_embeddings"}) {
      if (bad == 0.5 && std::string_view(key) != "factor" &&
          std::string_view(key) != "original_max_position_embeddings")
        continue;
      Json scaling = {{"type", "yarn"}, {"factor", 4}, {"original_max_position_embeddings", 1024}};
      scaling[key] = bad;
      try {
        with_rope(scaling);
        ADD_FAILURE() << key << " = " << bad;
      } catch (const Error& e) {
        EXPECT_NE(std::string(e.what()).find(std::string("rope_scaling.") + key), std::string::npos)
            << e.what();
      }
    }
  }
  EXPECT_ERROR(with_rope({{"type", "yarn"}, {"factor", 4}, {"beta_fast", 1}, {"beta_slow", 2}}),
               kCorrupt,
               "rope_scaling.beta_fast");
}

// ---- sliding window --------------------------------------------------------------------------

using Windows = std::vector<int64_t>;

TEST(HfConfig, SlidingWindowOfTheDenseClass) {
  const Json on = with(
      dense(), {{"use_sliding_window", true}, {"sliding_window", 512}, {"max_window_layers", 1}});
  EXPECT_EQ(parse(on).layer_sliding_window, (Windows{0, 512, 512, 512}));
  EXPECT_EQ(parse(with(on, {{"max_window_layers", 4}})).layer_sliding_window,
            (Windows{0, 0, 0, 0}));
  EXPECT_EQ(parse(with(on, {{"max_window_layers", 0}})).layer_sliding_window,
            (Windows{512, 512, 512, 512}));
  EXPECT_EQ(parse(without(on, "max_window_layers")).layer_sliding_window,
            (Windows{0, 0, 0, 0}));  // 28
  EXPECT_EQ(parse(with(on, {{"use_sliding_window", false}})).layer_sliding_window,
            (Windows{0, 0, 0, 0}));
  EXPECT_EQ(parse(with(on, {{"sliding_window", nullptr}})).layer_sliding_window,
            (Windows{0, 0, 0, 0}));
  EXPECT_ERROR(parse(without(on, "sliding_window")), kCorrupt, "sliding_window", "got nothing");
}

TEST(HfConfig, LayerTypesOverruleMaxWindowLayers) {
  const Json types = {"sliding_attention", "full_attention", "sliding_attention", "full_attention"};
  const Json on = with(dense(),
                       {{"use_sliding_window", true},
                        {"sliding_window", 512},
                        {"max_window_layers", 1},
                        {"layer_types", types}});
  EXPECT_EQ(parse(on).layer_sliding_window, (Windows{512, 0, 512, 0}));
  EXPECT_ERROR(parse(with(on, {{"use_sliding_window", false}})),
               kCorrupt,
               "layer_types",
               "use_sliding_window");
  EXPECT_ERROR(
      parse(with(on, {{"layer_types", {"full_attention"}}})), kCorrupt, "layer_types", "4 entries");
  EXPECT_ERROR(
      parse(with(on,
                 {{"layer_types",
                   {"full_attention", "linear_attention", "full_attention", "full_attention"}}})),
      kUnsupported,
      "layer_types");
  EXPECT_ERROR(parse(with(on, {{"layer_types", {1, 2, 3, 4}}})), kCorrupt, "layer_types");
}

TEST(HfConfig, SlidingWindowOfTheMoeClassIsForAllLayers) {
  const Json on = with(
      moe(), {{"use_sliding_window", true}, {"sliding_window", 512}, {"max_window_layers", 3}});
  EXPECT_EQ(parse(on).layer_sliding_window, (Windows{512, 512, 512, 512}));
  EXPECT_EQ(parse(with(on, {{"use_sliding_window", false}})).layer_sliding_window,
            (Windows{0, 0, 0, 0}));
  const Json mixed = {"sliding_attention", "full_attention", "sliding_attention", "full_attention"};
  EXPECT_ERROR(parse(with(on, {{"layer_types", mixed}})), kCorrupt, "layer_types", "qwen3_moe");
}

// ---- experts ---------------------------------------------------------------------------------

using Sparse = std::vector<bool>;

TEST(HfConfig, WhichLayersAreSparse) {
  EXPECT_EQ(parse(with(moe(), {{"decoder_sparse_step", 2}})).layer_is_sparse,
            (Sparse{false, true, false, true}));
  EXPECT_EQ(parse(with(moe(), {{"decoder_sparse_step", 3}})).layer_is_sparse,
            (Sparse{false, false, true, false}));
  EXPECT_EQ(parse(with(moe(), {{"mlp_only_layers", {0, 3}}})).layer_is_sparse,
            (Sparse{false, true, true, false}));
  EXPECT_EQ(
      parse(with(moe(), {{"decoder_sparse_step", 2}, {"mlp_only_layers", {1}}})).layer_is_sparse,
      (Sparse{false, false, false, true}));
  EXPECT_EQ(parse(dense()).layer_is_sparse, (Sparse{false, false, false, false}));
}

TEST(HfConfig, EducationalKeys) {
  const Json base = without(moe(), "decoder_sparse_step");
  EXPECT_EQ(parse(with(base, {{"moe_layer_freq", 2}, {"use_moe", true}})).layer_is_sparse,
            (Sparse{false, true, false, true}));
  EXPECT_EQ(parse(with(base, {{"use_moe", false}})).layer_is_sparse,
            (Sparse{false, false, false, false}));
  EXPECT_ERROR(parse(with(base, {{"moe_layer_freq", 0}})), kCorrupt, "moe_layer_freq", "got 0");
  EXPECT_ERROR(parse(with(moe(), {{"moe_layer_freq", 2}})),
               kCorrupt,
               "decoder_sparse_step is 1 but moe_layer_freq is 2");
  EXPECT_ERROR(parse(without(with(base, {{"moe_layer_freq", 1}}), "norm_topk_prob")),
               kCorrupt,
               "norm_topk_prob");
  EXPECT_TRUE(parse(with(dense(), {{"qk_norm_order", "after_rope"}})).qk_norm_after_rope);
  EXPECT_FALSE(parse(with(dense(), {{"qk_norm_order", "official"}})).qk_norm_after_rope);
  EXPECT_ERROR(parse(with(dense(), {{"qk_norm_order", "before"}})),
               kUnsupported,
               "qk_norm_order",
               "after_rope");
}

// ---- generation_config.json ------------------------------------------------------------------

TEST(GenerationConfig, Official) {
  const GenerationConfig c = parse_generation_config(
      R"({"bos_token_id":151643,"do_sample":true,"eos_token_id":[151645,151643],"pad_token_id":151643,
          "temperature":0.6,"top_k":20,"top_p":0.95,"transformers_version":"4.51.0"})",
      "g");
  EXPECT_EQ(c.do_sample, true);
  EXPECT_EQ(c.temperature, 0.6);
  EXPECT_EQ(c.top_k, 20);
  EXPECT_EQ(c.top_p, 0.95);
  EXPECT_EQ(c.min_p, std::nullopt);
  EXPECT_EQ(c.repetition_penalty, std::nullopt);
  EXPECT_EQ(c.max_new_tokens, std::nullopt);
  EXPECT_EQ(c.eos_token_ids, (std::vector<int32_t>{151645, 151643}));
  const GenerationConfig base = parse_generation_config(
      R"({"do_sample":false,"max_new_tokens":2048,"eos_token_id":151643})", "g");
  EXPECT_EQ(base.do_sample, false);
  EXPECT_EQ(base.max_new_tokens, 2048);
  EXPECT_EQ(base.eos_token_ids, std::vector<int32_t>{151643});
  EXPECT_EQ(
      parse_generation_config(R"({"repetition_penalty":1.05,"min_p":0})", "g").repetition_penalty,
      1.05);
  EXPECT_EQ(parse_generation_config("{}", "g").do_sample, std::nullopt);
}

TEST(GenerationConfig, AbsurdValuesAreRefusedByName) {
  const std::vector<std::string> values = {
      "0", "-1", "1", "2147483648", "1e308", "\"x\"", "[]", "{}"};
  const std::map<std::string, std::vector<std::string>> fine = {
      {"do_sample", {}},
      {"temperature", {"0", "1"}},
      {"top_p", {"1"}},
      {"min_p", {"0", "1"}},
      {"repetition_penalty", {"1"}},
      {"top_k", {"0", "-1", "1"}},
      {"max_new_tokens", {"1"}},
      {"eos_token_id", {"0", "1", "[]"}},
  };
  for (const auto& [key, accepted] : fine) {
    EXPECT_NO_THROW(parse_generation_config("{\"" + key + "\":null}", "g"));
    for (const std::string& value : values) {
      const bool is_fine = std::find(accepted.begin(), accepted.end(), value) != accepted.end();
      try {
        parse_generation_config("{\"" + key + "\":" + value + "}", "g");
        EXPECT_TRUE(is_fine) << key << " = " << value;
      } catch (const Error& e) {
        EXPECT_FALSE(is_fine) << e.what();
        EXPECT_NE(std::string(e.what()).find("g: " + key + ": expected"), std::string::npos)
            << e.what();
      }
    }
  }
}

}  // namespace
}  // namespace qwen3
