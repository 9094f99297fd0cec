// The mixes against the sizes of files that others made.
#include "quantize/mix.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "formats/gguf_names.h"
#include "formats/official_configs.h"
#include "model/weight_slots.h"

namespace qwen3 {
namespace {

int64_t tensor_bytes(const Mix& mix, std::string_view model) {
  for (const OfficialModel& official : official_models()) {
    if (official.name != model) continue;
    const HfConfig config =
        parse_hf_config(official_config(official, Spelling::transformers_4), "config.json");
    Weights weights;
    int64_t bytes = 0;
    for (const WeightSlot& slot : weight_slots(config, weights)) {
      const bool experts = slot.kind == WeightSlot::Kind::experts;
      const std::string hf = experts ? slot.name + "." + slot.projection + ".weight" : slot.name;
      if (slot.kind == WeightSlot::Kind::vector) {
        bytes += row_bytes(WeightType::f32, slot.shape.numel());
        continue;
      }
      const WeightType type = choose_type(mix,
                                          {.gguf_name = *gguf_tensor_name(hf),
                                           .n_columns = slot.row_numel(),
                                           .n_layers = config.num_hidden_layers,
                                           .tied = config.tie_word_embeddings,
                                           .has_importance = false});
      bytes += row_bytes(type, slot.shape.numel());
    }
    return bytes;
  }
  return -1;
}

// What llama-quantize makes of these models, to the byte; the official GGUF files have the same.
TEST(Mixes, HaveTheSizesOfLlamaQuantize) {
  struct Size {
    const char *model, *mix;
    int64_t bytes;
  };
  for (const Size& size : {Size{"Qwen3-0.6B", "Q4_K_M", 390'753'280},
                           Size{"Qwen3-0.6B", "Q5_K_M", 438'463'488},
                           Size{"Qwen3-0.6B", "Q6_K", 489'155'584},
                           Size{"Qwen3-0.6B", "Q8_0", 633'495'552},
                           Size{"Qwen3-4B", "Q4_K_M", 2'491'323'904},
                           Size{"Qwen3-8B", "Q4_K_M", 5'021'827'072},
                           Size{"Qwen3-8B", "Q5_K_M", 5'845'155'840},
                           Size{"Qwen3-8B", "Q8_0", 8'703'561'728},
                           Size{"Qwen3-32B", "Q4_K_M", 19'756'174'336},
                           Size{"Qwen3-30B-A3B", "Q4_K_M", 18'550'716'416},
                           Size{"Qwen3-30B-A3B", "Q6_K", 25'086'562'304}}) {
    EXPECT_EQ(tensor_bytes(*find_mix(size.mix), size.model), size.bytes)
        << size.model << ' ' << size.mix;
  }
}

TEST(Mixes, RowsThatAreNoWholeBlocksGetOthers) {
  const auto type = [](const char* mix, const char* name, int64_t n_columns) {
    return choose_type(*find_mix(mix),
                       {.gguf_name = name,
                        .n_columns = n_columns,
                        .n_layers = 16,
                        .tied = false,
                        .has_importance = true});
  };
  EXPECT_EQ(type("Q4_K_M", "blk.5.attn_q.weight", 384), WeightType::q5_0);
  EXPECT_EQ(type("Q5_K_M", "blk.5.attn_q.weight", 384), WeightType::q5_1);
  EXPECT_EQ(type("Q6_K", "blk.5.attn_q.weight", 384), WeightType::q8_0);
  EXPECT_EQ(type("Q4_0", "blk.5.attn_q.weight", 40), WeightType::f16);
  EXPECT_EQ(type("Q4_K_M", "blk.5.attn_q.weight", 40), WeightType::f16);
  EXPECT_EQ(type("Q4_0", "blk.1.ffn_down.weight", 512), WeightType::q4_1);
  EXPECT_EQ(type("Q4_0", "blk.2.ffn_down.weight", 512), WeightType::q4_0);
  EXPECT_EQ(type("Q4_0", "blk.2.ffn_gate_inp.weight", 512), WeightType::f32);
  EXPECT_EQ(find_mix("Q2_K"), nullptr);
}

}  // namespace
}  // namespace qwen3
