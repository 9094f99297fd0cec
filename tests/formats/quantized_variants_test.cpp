// What else is met in quantised checkpoints: tensors that may be there or not, other spellings.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "formats/quantized_fixture.h"
#include "support/expect_error.h"

namespace qwen3::test {
namespace {

constexpr auto kCorrupt = ErrorKind::corrupt_file;

// A checkpoint whose group index is in order is the same with and without it.
TEST(QuantizedVariants, WithoutAGroupIndexGroupsFollowEachOther) {
  QuantizedGolden golden = quantized_golden("gptq4");
  const QuantizedDir with, without;
  const Checkpoint first = with.open(golden);
  golden.tensors.erase("a.g_idx");
  const Checkpoint second = without.open(golden);
  EXPECT_EQ(numbers_of(*first.find("a.weight")), numbers_of(*second.find("a.weight")));
}

// compressed-tensors' older "weight_g_idx": groups in another order are rows of float32.
TEST(QuantizedVariants, GroupIndexOfCompressedTensors) {
  QuantizedGolden golden = quantized_golden("ct_w4a16_group");
  std::vector<int32_t> order(128);
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i / 32);
  golden.tensors["a.weight_g_idx"] = {"I32", {128}, raw_bytes(order)};
  const QuantizedDir dir;
  const Checkpoint sorted = dir.open(golden);
  EXPECT_EQ(sorted.find("a.weight")->type, WeightType::affine4);
  const std::vector<float> numbers = numbers_of(*sorted.find("a.weight"));
  std::swap(order[0], order[127]);
  golden.tensors["a.weight_g_idx"].bytes = raw_bytes(order);
  const QuantizedDir other;
  const Checkpoint mixed = other.open(golden);
  ASSERT_EQ(mixed.find("a.weight")->type, WeightType::f32);
  const std::vector<float> changed = numbers_of(*mixed.find("a.weight"));
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (i % 128 != 0 && i % 128 != 127) {
      ASSERT_EQ(numbers[i], changed[i]) << i;
    }
  }
  EXPECT_NE(numbers, changed);
}

// GPTQ v1 stores zeros minus one: 15 means 16, and not 0.
TEST(QuantizedVariants, AStoredZeroOfFifteenIsSixteen) {
  const RawTensors tensors = {
      {"a.qweight", {"I32", {4, 8}, std::string(128, '\x21')}},
      {"a.qzeros", {"I32", {1, 1}, std::string(4, '\xFF')}},
      {"a.scales", {"F32", {1, 8}, raw_bytes(std::vector<float>(8, 0.5f))}}};
  Json config = {
      {"quantization_config", {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", -1}}}};
  const QuantizedDir v1, v2;
  const Checkpoint first = v1.open(config, tensors);
  EXPECT_EQ(numbers_of(*first.find("a.weight"))[0], -7.5f);
  EXPECT_EQ(numbers_of(*first.find("a.weight"))[1], -7.0f);
  config["quantization_config"]["checkpoint_format"] = "gptq_v2";
  const Checkpoint second = v2.open(config, tensors);
  EXPECT_EQ(numbers_of(*second.find("a.weight"))[0], -7.0f);
}

// Zero biases are what GPTQ's tools write where there is none; others are somebody's.
TEST(QuantizedVariants, BiasesOfNothingButZerosAreDropped) {
  QuantizedGolden golden = quantized_golden("gptq4");
  golden.tensors["a.bias"] = {"F16", {48}, std::string(96, '\0')};
  golden.tensors["b.bias"] = {"F16", {32}, std::string(63, '\0') + '\1'};
  const QuantizedDir dir;
  const Checkpoint checkpoint = dir.open(golden);
  EXPECT_EQ(checkpoint.find("a.bias"), nullptr);
  EXPECT_NE(checkpoint.find("b.bias"), nullptr);
  golden.tensors["model.layers.0.self_attn.q_proj.bias"] = golden.tensors["a.bias"];
  for (const char* part : {"qweight", "qzeros", "scales", "g_idx"}) {
    golden.tensors[std::string("model.layers.0.self_attn.q_proj.") + part] =
        golden.tensors[std::string("a.") + part];
  }
  golden.config["attention_bias"] = true;
  const QuantizedDir biased;
  EXPECT_NE(biased.open(golden).find("model.layers.0.self_attn.q_proj.bias"), nullptr);
}

TEST(QuantizedVariants, ScalesOfActivationsAndOfTheCacheAreNotNeeded) {
  QuantizedGolden golden = quantized_golden("ct_fp8_channel");
  const RawTensor scale = {"BF16", {1}, std::string(2, '\x3F')};
  for (const char* name : {"a.input_scale", "self_attn.k_scale", "self_attn.v_scale"}) {
    golden.tensors[name] = scale;
  }
  const QuantizedDir dir;
  EXPECT_EQ(dir.open(golden).names(), (std::vector<std::string>{"a.weight", "odd.weight"}));
}

// Exponents in place of scales (e8m0): 2^(x - 127), 255 is NaN.
TEST(QuantizedVariants, ScalesThatAreExponents) {
  QuantizedGolden golden = quantized_golden("fp8_bf16");
  golden.tensors = {{"a.weight", {"F8_E4M3", {1, 32}, std::string(32, '\x38')}},
                    {"a.weight_scale_inv", {"F8_E8M0", {1, 1}, "\x82"}}};
  const QuantizedDir dir;
  EXPECT_EQ(numbers_of(*dir.open(golden).find("a.weight"))[0], 8.0f);
  golden.tensors["a.weight_scale_inv"].dtype = "U8";
  EXPECT_ERROR(QuantizedDir().open(golden), kCorrupt, "weight_scale_inv: expected dtype", "got U8");
  golden.config["quantization_config"]["scale_fmt"] = "ue8m0";
  const QuantizedDir other;
  EXPECT_EQ(numbers_of(*other.open(golden).find("a.weight"))[0], 8.0f);
  golden.tensors["a.weight_scale_inv"].bytes = "\xFF";
  const QuantizedDir damaged;
  const Checkpoint checkpoint = damaged.open(golden);
  EXPECT_ERROR(numbers_of(*checkpoint.find("a.weight")), kCorrupt, "a.weight_scale_inv: element 0");
}

// vLLM's spelling of one scale for a tensor.
TEST(QuantizedVariants, Fp8WithOneScale) {
  const RawTensors tensors = {{"a.weight", {"F8_E4M3", {2, 32}, std::string(64, '\x38')}},
                              {"a.weight_scale", {"F32", {}, raw_bytes(std::vector<float>{3})}},
                              {"a.input_scale", {"F32", {}, raw_bytes(std::vector<float>{1})}}};
  const Json config = {
      {"quantization_config", {{"quant_method", "fp8"}, {"activation_scheme", "static"}}}};
  const QuantizedDir dir;
  const Checkpoint checkpoint = dir.open(config, tensors);
  EXPECT_EQ(numbers_of(*checkpoint.find("a.weight")), std::vector<float>(64, 3.0f));
  EXPECT_EQ(checkpoint.find("a.weight")->file_dtype, "F8_E4M3");
}

}  // namespace
}  // namespace qwen3::test
