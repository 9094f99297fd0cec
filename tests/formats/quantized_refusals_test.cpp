// Quantised checkpoints of which something is missing, damaged or contradicts the rest: refused when
// they are opened, in words that name the tensor; what is only seen in the data, when it is read.
#include <gtest/gtest.h>

#include <cstring>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "formats/quantized_fixture.h"
#include "support/expect_error.h"

namespace qwen3::test {
namespace {

constexpr auto kCorrupt = ErrorKind::corrupt_file;
constexpr auto kUnsupported = ErrorKind::unsupported;

std::string part_of(const std::string& name) { return name.substr(name.rfind('.') + 1); }
bool may_be_absent(const std::string& name) {
  return part_of(name) == "g_idx" || part_of(name) == "input_scale";
}

// Another dtype of the same size that holds no such numbers.
std::string other_dtype(const std::string& dtype) {
  if (dtype == "I32") return "F32";
  if (dtype == "F32" || dtype == "U32") return "I32";
  if (dtype == "F16" || dtype == "BF16") return "I16";
  return dtype == "I64" ? "F64" : "U8";
}

TEST(QuantizedRefusals, EveryMissingTensorIsNamed) {
  for (const QuantizedGolden& golden : quantized_goldens()) {
    for (const auto& [name, tensor] : golden.tensors) {
      QuantizedGolden rest = golden;
      rest.tensors.erase(name);
      if (may_be_absent(name)) {
        EXPECT_NO_THROW(QuantizedDir().open(rest)) << golden.name << " " << name;
        continue;
      }
      EXPECT_ERROR(
          QuantizedDir().open(rest), kCorrupt, "tensor " + name + ": expected", "got none");
    }
  }
}

TEST(QuantizedRefusals, EveryWrongShapeAndDtypeIsNamed) {
  for (const QuantizedGolden& golden : quantized_goldens()) {
    for (const auto& [name, tensor] : golden.tensors) {
      if (part_of(name) == "input_scale") continue;
      QuantizedGolden shape = golden;
      shape.tensors[name].shape.insert(shape.tensors[name].shape.begin(), {1, 1});
      EXPECT_ERROR(QuantizedDir().open(shape),
                   kCorrupt,
                   "model.safetensors: tensor " + name + ": expected",
                   "got [1, 1, ");
      QuantizedGolden dtype = golden;
      dtype.tensors[name].dtype = other_dtype(tensor.dtype);
      EXPECT_ERROR(QuantizedDir().open(dtype),
                   kCorrupt,
                   "model.safetensors: tensor " + name + ": expected dtype ",
                   "got " + other_dtype(tensor.dtype));
    }
  }
}

// The config of one scheme beside the tensors of every other.
TEST(QuantizedRefusals, ConfigAndTensorsOfDifferentSchemes) {
  for (const QuantizedGolden& config : quantized_goldens()) {
    for (const QuantizedGolden& tensors : quantized_goldens()) {
      if (config.method() == tensors.method()) continue;
      EXPECT_ERROR(
          QuantizedDir().open(config.config, tensors.tensors), kCorrupt, ": tensor ", "expected");
    }
  }
}

TEST(QuantizedRefusals, QuantisedTensorsWithoutAConfig) {
  for (const QuantizedGolden& golden : quantized_goldens()) {
    EXPECT_ERROR(QuantizedDir().open(Json::object(), golden.tensors),
                 kUnsupported,
                 "model.safetensors: tensor ",
                 "config.json has no quantization_config",
                 "bfloat16 checkpoint");
  }
}

// What finetuning tools leave behind.
TEST(QuantizedRefusals, AConfigBesidePlainWeightsIsToBeRemoved) {
  const RawTensors plain = {{"a.weight", {"BF16", {1, 2}, std::string(4, '\0')}}};
  for (const QuantizedGolden& golden : quantized_goldens()) {
    EXPECT_ERROR(QuantizedDir().open(golden.config, plain),
                 kCorrupt,
                 "config.json: quantization",
                 "got plain ones",
                 "remove quantization");
  }
  const Json leftover = {{"quantization_config", {{"quant_method", "bitsandbytes"}}}};
  EXPECT_ERROR(QuantizedDir().open(leftover, plain), kCorrupt, "remove quantization_config");
  // The same method with weights that it made.
  const RawTensors nf4 = {{"a.weight", {"U8", {2, 1}, "ab"}}};
  EXPECT_ERROR(QuantizedDir().open(leftover, nf4),
               kUnsupported,
               "quantization_config.quant_method: \"bitsandbytes\" is not supported",
               "supported: fp8",
               "bfloat16 checkpoint");
  const RawTensors hqq = {{"a.W_q", {"U8", {2, 1}, "ab"}}};
  EXPECT_ERROR(QuantizedDir().open(leftover, hqq), kUnsupported, "quant_method");
}

// Scales, and the offsets of MLX, that are no numbers.
TEST(QuantizedRefusals, ScalesThatAreNaNOrInfiniteAreNamed) {
  int n = 0;
  for (const QuantizedGolden& golden : quantized_goldens()) {
    for (const auto& [name, tensor] : golden.tensors) {
      const std::string part = part_of(name);
      const bool scale = part == "scales" || part == "biases" || part.starts_with("weight_scale");
      if (!scale) continue;
      for (const char* bits : {"\xFF\xFF\xFF\xFF", "\x00\x00\x80\x7F"}) {
        QuantizedGolden damaged = golden;
        const size_t size = tensor.dtype == "F32" ? 4 : 2;
        std::string& bytes = damaged.tensors[name].bytes;
        std::string value(bits + 4 - size, size);
        if (tensor.dtype == "F16" && value[1] == '\x7F') value = std::string("\x00\x7C", 2);
        bytes.replace(bytes.size() - size, size, value);
        const QuantizedDir dir;
        const Checkpoint checkpoint = dir.open(damaged);
        const SourceTensor* weight = checkpoint.find(name.substr(0, name.rfind('.')) + ".weight");
        EXPECT_ERROR(numbers_of(*weight),
                     kCorrupt,
                     "model.safetensors: tensor " + name + ": element ",
                     "expected a finite number");
        ++n;
      }
    }
  }
  EXPECT_GT(n, 100);
}

void put_i32(std::string& bytes, size_t index, int32_t value) {
  std::memcpy(bytes.data() + index * sizeof value, &value, sizeof value);
}

TEST(QuantizedRefusals, GroupsThatAreNotThere) {
  for (const char* name : {"gptq4", "gptq4_desc_act"}) {
    for (const int32_t group : {-1, 4, 1 << 30}) {
      QuantizedGolden golden = quantized_golden(name);
      put_i32(golden.tensors["a.g_idx"].bytes, 127, group);
      EXPECT_ERROR(
          QuantizedDir().open(golden),
          kCorrupt,
          "tensor a.g_idx: element 127: expected a group below 4, got " + std::to_string(group));
    }
  }
}

TEST(QuantizedRefusals, GroupsThatDoNotDivideARow) {
  const auto refused = [](const char* name, const char* path, const char* part) {
    QuantizedGolden golden = quantized_golden(name);
    golden.config[Json::json_pointer(path)] = 48;
    EXPECT_ERROR(QuantizedDir().open(golden),
                 kCorrupt,
                 std::string("tensor a.") + part + ": expected rows that are a multiple of",
                 "group_size 48, got 128 columns");
  };
  refused("awq", "/quantization_config/group_size", "qweight");
  refused("gptq4", "/quantization_config/group_size", "qweight");
  refused("ct_w4a16_group",
          "/quantization_config/config_groups/group_0/weights/group_size",
          "weight_packed");
  refused("mlx4", "/quantization/group_size", "weight");
}

// Sizes that do not fit those in the tensors.
TEST(QuantizedRefusals, BitsAndGroupsOfAnotherModel) {
  const auto refused = [](const char* name, const char* path, const Json& value) {
    QuantizedGolden golden = quantized_golden(name);
    if (golden.method() == "mlx") golden.config.erase("quantization_config");
    golden.config[Json::json_pointer(path)] = value;
    EXPECT_ERROR(QuantizedDir().open(golden), kCorrupt, "tensor a.", "belong to this config.json?");
  };
  refused("awq", "/quantization_config/group_size", 64);
  refused("awq", "/quantization_config/group_size", -1);
  refused("gptq4", "/quantization_config/group_size", 64);
  refused("gptq4", "/quantization_config/bits", 8);
  refused("gptq8", "/quantization_config/bits", 4);
  refused("fp8_bf16", "/quantization_config/weight_block_size", {64, 64});
  refused("fp8_bf16", "/quantization_config/weight_block_size", nullptr);
  refused("mlx2", "/quantization/bits", 4);
  refused("mlx3", "/quantization/bits", 6);
  const std::string weights = "/quantization_config/config_groups/group_0/weights/";
  refused("ct_w4a16_group", (weights + "group_size").c_str(), 64);
  refused("ct_w4a16_group", (weights + "num_bits").c_str(), 8);
  refused("ct_w4a16_group", (weights + "strategy").c_str(), "channel");
  refused("ct_w4a16_asym", (weights + "symmetric").c_str(), true);
  refused("ct_w8a8_asym", (weights + "symmetric").c_str(), true);
  refused("ct_w8a8", (weights + "strategy").c_str(), "tensor");
  refused("ct_fp8_channel", (weights + "strategy").c_str(), "tensor");
  refused("ct_fp8_tensor", (weights + "strategy").c_str(), "channel");
  refused("ct_fp8_block", (weights + "block_structure").c_str(), {128, 128});
}

TEST(QuantizedRefusals, ThePackedShapeIsHeldAgainstTheWords) {
  for (const auto& shape : std::vector<std::vector<int64_t>>{
           {48, 120}, {48, 129}, {47, 128}, {48, 0}, {-48, -128}, {48, int64_t{1} << 62}}) {
    QuantizedGolden golden = quantized_golden("ct_w4a16_group");
    golden.tensors["a.weight_shape"].bytes = raw_bytes(shape);
    EXPECT_ERROR(
        QuantizedDir().open(golden), kCorrupt, "tensor a.weight_shape: expected", "48, 16");
  }
}

TEST(QuantizedRefusals, PlainAndQuantisedAtOnce) {
  for (const char* name : {"awq", "gptq4", "ct_w4a16_group"}) {
    QuantizedGolden golden = quantized_golden(name);
    golden.tensors["a.weight"] = {"BF16", {1, 2}, std::string(4, '\0')};
    EXPECT_ERROR(QuantizedDir().open(golden), kCorrupt, "tensor a.weight: expected none beside");
  }
  QuantizedGolden golden = quantized_golden("fp8_bf16");
  golden.tensors["a.weight"] = {"BF16", {1, 2}, std::string(4, '\0')};
  EXPECT_ERROR(
      QuantizedDir().open(golden), kCorrupt, "tensor a.weight: expected dtype F8_E4M3, got BF16");
}

TEST(QuantizedRefusals, EmptyMatrices) {
  QuantizedGolden golden = quantized_golden("awq");
  golden.tensors["a.qweight"] = {"I32", {128, 0}, ""};
  EXPECT_ERROR(QuantizedDir().open(golden), kCorrupt, "tensor a.qweight: expected 2 dimensions");
  golden.tensors["a.qweight"] = {"I32", {0, int64_t{1} << 50}, ""};
  EXPECT_ERROR(QuantizedDir().open(golden), kCorrupt, "tensor a.qweight: expected 2 dimensions");
}

// Before anything of that size is read or allocated.
TEST(QuantizedRefusals, SizesBeyondAnyModel) {
  constexpr int64_t kMany = (int64_t{1} << 20) + 32;
  QuantizedGolden golden = quantized_golden("fp8_bf16");
  golden.tensors["a.weight"] = {"F8_E4M3", {1, kMany}, std::string(kMany, '\0')};
  EXPECT_ERROR(
      QuantizedDir().open(golden), kCorrupt, "tensor a.weight: expected at most 1048576 columns");
  golden.tensors["a.weight"] = {
      "F8_E4M3", {(1 << 24) + 1, 1}, std::string((size_t{1} << 24) + 1, '\0')};
  EXPECT_ERROR(QuantizedDir().open(golden), kCorrupt, "each in [1, 16777216]");
  golden = quantized_golden("gptq4");
  golden.tensors["a.qweight"] = {"I32", {kMany / 8, 1}, std::string(kMany / 2, '\0')};
  golden.tensors["a.g_idx"] = {"I32", {kMany}, std::string(kMany * 4, '\0')};
  EXPECT_ERROR(QuantizedDir().open(golden), kCorrupt, "tensor a.qweight: expected");
}

TEST(QuantizedRefusals, ModulesOfMlxThatContradictTheirEntry) {
  QuantizedGolden golden = quantized_golden("mlx4");
  golden.config["quantization"]["a"] = false;
  EXPECT_ERROR(QuantizedDir().open(golden),
               kCorrupt,
               "tensor a.scales: expected none, as quantization says false");
  golden.config["quantization"]["a"] = true;
  EXPECT_NO_THROW(QuantizedDir().open(golden));
  golden.config["quantization"]["plain"] = {{"bits", 4}, {"group_size", 64}};
  EXPECT_NO_THROW(QuantizedDir().open(golden));  // a module that is not there
  golden.tensors["plain.weight"] = {"BF16", {1, 2}, std::string(4, '\0')};
  EXPECT_ERROR(QuantizedDir().open(golden),
               kCorrupt,
               "tensor plain.weight: expected quantised numbers, as",
               "got BF16");
}

// Files changed at random: refused, or read to the end; never anything else.
TEST(QuantizedRefusals, DamagedFilesAreRefusedOrRead) {
  uint64_t state = 1;
  const auto below = [&](size_t n) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<size_t>(state >> 33) % n;
  };
  constexpr const char* kDtypes[] = {
      "I8", "U8", "F8_E4M3", "F8_E8M0", "BF16", "F16", "I32", "F32", "I64"};
  constexpr int64_t kBytes[] = {1, 1, 1, 1, 2, 2, 4, 4, 8};
  int n_refused = 0, n_read = 0;
  const QuantizedDir dir;
  for (int round = 0; round < 3000; ++round) {
    QuantizedGolden golden = quantized_goldens()[below(quantized_goldens().size())];
    auto it = golden.tensors.begin();
    std::advance(it, below(golden.tensors.size()));
    RawTensor& tensor = it->second;
    const size_t dtype = below(std::size(kDtypes));
    switch (below(4)) {
      case 0:  // other numbers
        for (int i = 0; i < 8; ++i)
          tensor.bytes[below(tensor.bytes.size())] = static_cast<char>(below(256));
        break;
      case 1:  // another dtype and, for it, another shape
        tensor.dtype = kDtypes[dtype];
        tensor.bytes.resize(tensor.bytes.size() / 8 * 8);
        tensor.shape = {static_cast<int64_t>(tensor.bytes.size()) / kBytes[dtype]};
        if (below(2) == 0) tensor.shape.insert(tensor.shape.begin(), 1);
        break;
      case 2:  // a row fewer
        if (tensor.shape.empty() || tensor.shape[0] < 2) continue;
        tensor.bytes.resize(tensor.bytes.size() / static_cast<size_t>(tensor.shape[0]) *
                            static_cast<size_t>(tensor.shape[0] - 1));
        --tensor.shape[0];
        break;
      default:  // dimensions changed about
        if (tensor.shape.size() < 2) continue;
        std::swap(tensor.shape[0], tensor.shape[1]);
    }
    try {
      const Checkpoint checkpoint = dir.open(golden);
      for (const auto& [name, found] : checkpoint.tensors()) {
        if (found.rows != nullptr) numbers_of(found);
      }
      ++n_read;
    } catch (const Error& e) {
      EXPECT_EQ(static_cast<int>(e.kind()), static_cast<int>(kCorrupt)) << e.what();
      ++n_refused;
    }
  }
  EXPECT_GT(n_refused, 1000);
  EXPECT_GT(n_read, 300);
}

}  // namespace
}  // namespace qwen3::test
