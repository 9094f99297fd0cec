#include "formats/quantization_config.h"

#include <gtest/gtest.h>

#include <string>

#include "support/expect_error.h"

namespace qwen3 {
namespace {

constexpr auto kCorrupt = ErrorKind::corrupt_file;
using Format = QuantizationConfig::Format;

QuantizationConfig parse(const Json& entry, const char* key = "quantization_config") {
  const Json config = {{key, entry}};
  return parse_quantization(JsonFields(config, "config.json"));
}

Json with(Json base, const std::string& path, const Json& value) {
  base[Json::json_pointer(path)] = value;
  return base;
}

Json without(Json base, const std::string& key) {
  base.erase(key);
  return base;
}

const Json kFp8 = {{"quant_method", "fp8"},
                   {"activation_scheme", "dynamic"},
                   {"fmt", "e4m3"},
                   {"weight_block_size", {128, 128}},
                   {"modules_to_not_convert", {"lm_head"}}};
const Json kAwq = {{"quant_method", "awq"},
                   {"bits", 4},
                   {"group_size", 128},
                   {"zero_point", true},
                   {"version", "gemm"}};
const Json kGptq = {
    {"quant_method", "gptq"}, {"bits", 8}, {"group_size", 128}, {"desc_act", false}, {"sym", true}};
const Json kMlx = {{"group_size", 64}, {"bits", 4}, {"mode", "affine"}};
const Json kCompressed = {
    {"quant_method", "compressed-tensors"},
    {"format", "pack-quantized"},
    {"config_groups",
     {{"group_0",
       {{"targets", {"Linear"}},
        {"weights",
         {{"num_bits", 4}, {"type", "int"}, {"strategy", "group"}, {"group_size", 128}}}}}}}};
const std::string kWeights = "/config_groups/group_0/weights";

TEST(QuantizationConfig, NoneIsNone) {
  const Json config = {{"quantization_config", nullptr}, {"quantization", nullptr}};
  const QuantizationConfig q = parse_quantization(JsonFields(config, "config.json"));
  EXPECT_EQ(q.method, QuantMethod::none);
  EXPECT_FALSE(q.present());
}

TEST(QuantizationConfig, Fp8) {
  const QuantizationConfig q = parse(kFp8);
  EXPECT_EQ(q.method, QuantMethod::fp8);
  EXPECT_EQ(q.block_rows, 128);
  EXPECT_EQ(q.block_columns, 128);
  EXPECT_FALSE(q.scale_per_tensor);
  EXPECT_TRUE(parse(with(kFp8, "/weight_block_size", nullptr)).scale_per_tensor);
  EXPECT_TRUE(parse(without(kFp8, "weight_block_size")).scale_per_tensor);
  EXPECT_TRUE(parse(with(kFp8, "/scale_fmt", "ue8m0")).scales_ue8m0);
}

TEST(QuantizationConfig, AwqInBothSpellings) {
  EXPECT_EQ(parse(kAwq).method, QuantMethod::awq);
  const QuantizationConfig old =
      parse({{"quant_method", "awq"}, {"w_bit", 4}, {"q_group_size", 32}, {"version", "GEMM"}});
  EXPECT_EQ(old.bits, 4);
  EXPECT_EQ(old.group_size, 32);
  EXPECT_TRUE(old.refusal.empty());
}

TEST(QuantizationConfig, GptqZeros) {
  EXPECT_TRUE(parse(kGptq).zeros_minus_one);
  EXPECT_TRUE(parse(with(kGptq, "/checkpoint_format", "gptq")).zeros_minus_one);
  EXPECT_FALSE(parse(with(kGptq, "/checkpoint_format", "gptq_v2")).zeros_minus_one);
  EXPECT_EQ(parse(with(kGptq, "/group_size", -1)).group_size, kWholeRow);
}

TEST(QuantizationConfig, CompressedTensors) {
  const QuantizationConfig group = parse(kCompressed);
  EXPECT_EQ(group.method, QuantMethod::compressed_tensors);
  EXPECT_EQ(group.format, Format::pack);
  EXPECT_EQ(group.bits, 4);
  EXPECT_EQ(group.group_size, 128);
  EXPECT_TRUE(group.symmetric);
  const Json block = {
      {"num_bits", 8}, {"type", "float"}, {"strategy", "block"}, {"block_structure", {128, 64}}};
  const QuantizationConfig fp8 =
      parse(with(with(kCompressed, kWeights, block), "/format", "float-quantized"));
  EXPECT_EQ(fp8.format, Format::float8);
  EXPECT_EQ(fp8.block_rows, 128);
  EXPECT_EQ(fp8.block_columns, 64);
}

TEST(QuantizationConfig, Mlx) {
  const Json entry =
      with(with(with(kMlx, "/a", {{"group_size", 32}, {"bits", 8}}), "/b", false), "/c", true);
  for (const char* key : {"quantization", "quantization_config"}) {
    const QuantizationConfig q = parse(entry, key);
    EXPECT_EQ(q.method, QuantMethod::mlx);
    EXPECT_EQ(q.key, key);
    EXPECT_EQ(q.mlx.bits, 4);
    EXPECT_EQ(q.mlx.group_size, 64);
    ASSERT_EQ(q.mlx_modules.size(), 3u);
    EXPECT_EQ(q.mlx_modules.at("a")->bits, 8);
    EXPECT_EQ(q.mlx_modules.at("b"), std::nullopt);
    EXPECT_EQ(q.mlx_modules.at("c")->group_size, 64);
  }
  const Json twice = {{"quantization", kMlx}, {"quantization_config", kMlx}};
  EXPECT_EQ(parse_quantization(JsonFields(twice, "c")).method, QuantMethod::mlx);
  const Json differ = {{"quantization", kMlx}, {"quantization_config", kAwq}};
  EXPECT_ERROR(parse_quantization(JsonFields(differ, "config.json")),
               kCorrupt,
               "config.json: quantization: expected the same object as quantization_config");
}

// Kept for when there are weights to load.
TEST(QuantizationConfig, WhatIsNotSupportedIsKeptAsARefusal) {
  const auto refused = [](const Json& entry, const std::string& key, const std::string& value) {
    const QuantizationConfig q = parse(entry);
    EXPECT_EQ(q.method, QuantMethod::none);
    EXPECT_TRUE(q.present());
    EXPECT_NE(q.refusal.find("config.json: quantization_config." + key + ": " + value +
                             " is not supported; supported: "),
              q.refusal.npos)
        << q.refusal;
    EXPECT_NE(q.refusal.find("or use the bfloat16 checkpoint"), q.refusal.npos) << q.refusal;
    EXPECT_EQ(q.refusal.find('\n'), q.refusal.npos);
  };
  for (const char* method :
       {"bitsandbytes", "auto-round", "hqq", "torchao", "quanto", "exl2", "exl3"}) {
    refused({{"quant_method", method}}, "quant_method", '"' + std::string(method) + '"');
  }
  refused(with(kFp8, "/fmt", "e5m2"), "fmt", "\"e5m2\"");
  refused(with(kFp8, "/scale_fmt", "x"), "scale_fmt", "\"x\"");
  for (const int bits : {2, 3, 5, 8}) {
    refused(with(kAwq, "/bits", bits), "bits", std::to_string(bits));
  }
  for (const char* version : {"gemv", "gemv_fast", "marlin", "exllama"}) {
    refused(with(kAwq, "/version", version), "version", '"' + std::string(version) + '"');
  }
  for (const int bits : {2, 3, 5, 6, 7}) {
    refused(with(kGptq, "/bits", bits), "bits", std::to_string(bits));
  }
  for (const char* format : {"marlin", "bitblas", "gptq_p"}) {
    refused(with(kGptq, "/checkpoint_format", format),
            "checkpoint_format",
            '"' + std::string(format) + '"');
  }
  refused(with(kGptq, "/pack_dtype", "int16"), "pack_dtype", "\"int16\"");
  for (const char* format :
       {"nvfp4-pack-quantized", "mxfp4-pack-quantized", "marlin-24", "dense"}) {
    refused(with(kCompressed, "/format", format), "format", '"' + std::string(format) + '"');
  }
  refused(with(kCompressed, "/sparsity_config", {{"format", "sparse-24-bitmask"}}),
          "sparsity_config.format",
          "\"sparse-24-bitmask\"");
  refused(with(kCompressed, "/transform_config", {{"x", 1}}), "transform_config", "an object of 1");
  refused(with(kCompressed, "/config_groups/group_1", {{"weights", {}}}),
          "config_groups",
          "an object of 2");
  refused(with(kCompressed, "/config_groups/group_0/format", "int-quantized"),
          "config_groups.group_0.format",
          "\"int-quantized\"");
  const std::string weights = "config_groups.group_0.weights.";
  refused(with(kCompressed, kWeights + "/num_bits", 3), weights + "num_bits", "3");
  refused(with(kCompressed, kWeights + "/strategy", "tensor_group"),
          weights + "strategy",
          "\"tensor_group\"");
  refused(with(kCompressed, kWeights + "/strategy", "block"), weights + "strategy", "\"block\"");
  refused(with(kCompressed, kWeights + "/dynamic", true), weights + "dynamic", "true");
  for (const char* mode : {"mxfp4", "nvfp4", "mxfp8"}) {
    refused(with(kMlx, "/mode", mode), "mode", '"' + std::string(mode) + '"');
  }
  refused(with(kMlx, "/bits", 7), "bits", "7");
  refused(with(kMlx, "/a", {{"group_size", 32}, {"bits", 1}}), "a.bits", "1");
}

TEST(QuantizationConfig, WhatIsIllFormedIsCorrupt) {
  const auto corrupt = [](const Json& entry, const std::string& key) {
    EXPECT_ERROR(parse(entry), kCorrupt, "config.json: quantization_config" + key + ": expected ");
  };
  corrupt(Json::array(), "");
  corrupt("awq", "");
  corrupt(Json::object(), ".quant_method");
  corrupt({{"quant_method", 3}}, ".quant_method");
  corrupt(with(kFp8, "/weight_block_size", {128}), ".weight_block_size");
  corrupt(with(kFp8, "/weight_block_size", {128, 0}), ".weight_block_size");
  corrupt(with(kFp8, "/weight_block_size", {128, 1e9}), ".weight_block_size");
  corrupt(with(kFp8, "/weight_block_size", 128), ".weight_block_size");
  corrupt(with(kAwq, "/group_size", 0), ".group_size");
  corrupt(with(kAwq, "/group_size", -2), ".group_size");
  corrupt(with(kAwq, "/group_size", 1 << 21), ".group_size");
  corrupt(without(kAwq, "group_size"), ".group_size");
  corrupt(without(kGptq, "bits"), ".bits");
  corrupt(with(kGptq, "/bits", 4.5), ".bits");
  corrupt(with(kGptq, "/bits", "4"), ".bits");
  corrupt(without(kCompressed, "format"), ".format");
  corrupt(without(kCompressed, "config_groups"), ".config_groups");
  corrupt(with(kCompressed, "/config_groups", Json::object()), ".config_groups");
  corrupt(with(kCompressed, "/sparsity_config", 3), ".sparsity_config");
  corrupt(with(kCompressed, "/config_groups/group_0/weights", nullptr),
          ".config_groups.group_0.weights");
  corrupt(with(kCompressed, kWeights + "/type", "float"), ".config_groups.group_0.weights.type");
  corrupt(with(with(kCompressed, "/format", "float-quantized"),
               kWeights,
               {{"num_bits", 8}, {"type", "float"}, {"strategy", "block"}}),
          ".config_groups.group_0.weights.block_structure");
  corrupt(with(with(kCompressed, "/format", "float-quantized"),
               kWeights,
               {{"num_bits", 8}, {"type", "float"}, {"strategy", "channel"}, {"symmetric", false}}),
          ".config_groups.group_0.weights.symmetric");
  corrupt(without(kMlx, "group_size"), ".group_size");
  corrupt(with(kMlx, "/group_size", 0), ".group_size");
  corrupt(with(kMlx, "/a", {{"bits", 4}}), ".a.group_size");
  const Json both = {{"quant_method", "awq"}, {"bits", 4}, {"w_bit", 8}, {"group_size", 64}};
  EXPECT_ERROR(
      parse(both), kCorrupt, "quantization_config.bits is 4 but quantization_config.w_bit");
}

}  // namespace
}  // namespace qwen3
