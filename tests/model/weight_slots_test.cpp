// How each weight would be split, and where the leaves of sums lie.
#include "model/weight_slots.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "formats/hf_config.h"

namespace qwen3::test {
namespace {

using Split = WeightSlot::Split;

struct Slots {
  Weights weights;
  std::vector<WeightSlot> all;
  std::map<std::string, WeightSlot> by_name;

  // The second layer is sparse.
  explicit Slots(WeightType stored, int64_t intermediate = 17408) {
    const HfConfig config = parse_hf_config(
        R"({"model_type":"qwen3_moe","vocab_size":151936,"hidden_size":5120,"intermediate_size":)" +
            std::to_string(intermediate) +
            R"(,"num_hidden_layers":2,"num_attention_heads":40,"num_key_value_heads":8,"head_dim":128,
            "max_position_embeddings":64,"rope_theta":10000,"attention_bias":true,"num_experts":11,
            "num_experts_per_tok":2,"moe_intermediate_size":768,"mlp_only_layers":[0],
            "norm_topk_prob":true,"decoder_sparse_step":1,"tie_word_embeddings":false})",
        "config");
    all = weight_slots(config, weights);
    find_leaves(all, std::vector<WeightType>(all.size(), stored));
    for (const WeightSlot& slot : all) by_name.emplace(slot.name + slot.projection, slot);
  }
  const WeightSlot& layer(const std::string& name) { return by_name.at("model.layers.0." + name); }
};

void expect_leaves(const Leaves& leaves, int64_t size, int64_t unit) {
  EXPECT_EQ(leaves.size, size);
  EXPECT_EQ(leaves.unit, unit);
  EXPECT_EQ(leaves.begin, 0);
  EXPECT_EQ(leaves.end, kLeaves);
}

TEST(WeightSlots, SayWhatIsSplitAndSumsHaveTheirLeaves) {
  Slots slots(WeightType::bf16);
  const LayerWeights& first = slots.weights.layers[0];
  expect_leaves(first.self_attn.o_proj.leaves, 5120, 128);
  expect_leaves(std::get<MlpWeights>(first.mlp).down_proj.leaves, 17408, 16);
  expect_leaves(std::get<MoeWeights>(slots.weights.layers[1].mlp).experts.leaves, 11, 1);
  EXPECT_FALSE(first.self_attn.q_proj.leaves);  // no sum is shared there
  EXPECT_FALSE(std::get<MlpWeights>(first.mlp).up_proj.leaves);
  EXPECT_FALSE(slots.weights.lm_head.leaves);

  EXPECT_EQ(slots.layer("self_attn.o_proj.weight").split, Split::columns);
  EXPECT_EQ(slots.layer("mlp.down_proj.weight").split, Split::columns);
  for (const char* name : {"q_proj.weight", "k_proj.weight", "v_proj.weight", "q_proj.bias"}) {
    const WeightSlot& slot = slots.layer(std::string("self_attn.") + name);
    EXPECT_EQ(slot.split, Split::rows);
    expect_leaves(slot.leaves, 5120, 128);
  }
  for (const char* name : {"gate_proj.weight", "up_proj.weight"}) {
    const WeightSlot& slot = slots.layer(std::string("mlp.") + name);
    EXPECT_EQ(slot.split, Split::rows);
    expect_leaves(slot.leaves, 17408, 16);
  }
  for (const char* name : {"gate_proj", "up_proj", "down_proj"}) {
    const WeightSlot& slot = slots.by_name.at(std::string("model.layers.1.mlp.experts") + name);
    EXPECT_EQ(slot.split, Split::experts);
    expect_leaves(slot.leaves, 11, 1);
  }
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    EXPECT_EQ(slots.by_name.at(name).split, Split::rows);
    expect_leaves(slots.by_name.at(name).leaves, 151936, 1024);
  }
  for (const char* name : {"model.norm.weight",
                           "model.layers.0.self_attn.o_proj.bias",
                           "model.layers.0.self_attn.q_norm.weight",
                           "model.layers.1.mlp.gate.weight"}) {
    EXPECT_EQ(slots.by_name.at(name).split, Split::none) << name;
    EXPECT_FALSE(slots.by_name.at(name).leaves) << name;
  }
}

TEST(WeightSlots, UnitsHoldWholeBlocksOfWhatIsStored) {
  const auto units = [](WeightType stored, int64_t intermediate) {
    Slots slots(stored, intermediate);
    return std::pair(slots.layer("self_attn.o_proj.weight").leaves.unit,
                     slots.layer("mlp.down_proj.weight").leaves.unit);
  };
  EXPECT_EQ(units(WeightType::q4_k, 17408), std::pair(int64_t{256}, int64_t{256}));
  EXPECT_EQ(units(WeightType::q8_0, 17408), std::pair(int64_t{128}, int64_t{32}));
  EXPECT_EQ(units(WeightType::fp8, 17408), std::pair(int64_t{128}, int64_t{128}));
  EXPECT_EQ(units(WeightType::affine4, 96), std::pair(int64_t{128}, int64_t{32}));
  EXPECT_EQ(units(WeightType::f32, 30), std::pair(int64_t{128}, int64_t{2}));
  EXPECT_EQ(units(WeightType::f32, 33), std::pair(int64_t{128}, int64_t{33}));
}

}  // namespace
}  // namespace qwen3::test
