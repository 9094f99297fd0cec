// Whole files: what gguf-py reads in them, what they are made from, and what is refused.
#include "quantize/quantize_model.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/input_file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "chat/chat_config.h"
#include "formats/gguf_source.h"
#include "formats/open_source.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "tensor/blocks.h"
#include "tokenizer/tokenizer.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;

const fs::path kNano = QWEN3_SOURCE_DIR "/models/nano";
const fs::path kData = QWEN3_SOURCE_DIR "/tests/data/quantize";

QuantizedModel quantize(const fs::path& model,
                        const fs::path& out,
                        const char* mix,
                        const Importance* importance = nullptr,
                        int n_threads = 2) {
  return quantize_model(
      model,
      out,
      {.mix = find_mix(mix), .name = "nano", .importance = importance, .n_threads = n_threads});
}

std::vector<float> values_of(const GgufFile& file, const GgufTensor& tensor) {
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.n_bytes));
  file.file().read(tensor.begin, bytes);
  int64_t numel = 1;
  for (const int64_t dim : tensor.shape) numel *= dim;
  std::vector<float> values(static_cast<size_t>(numel));
  widen(values.data(), *tensor.type->weight_type, bytes.data(), numel);
  return values;
}

std::string sha256_of(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text))); }

void expect_value(const GgufFile& file, const std::string& key, const Json& expected) {
  if (expected.is_object() && expected.contains("count")) {
    std::string joined;
    const auto add = [&](std::string_view text) {
      if (!joined.empty()) joined += '\n';
      joined += text;
    };
    if (key == "tokenizer.ggml.token_type") {
      const std::vector<int64_t> numbers = *file.integers(key, {0, 9}, 1 << 20);
      for (const int64_t n : numbers) add(std::to_string(n));
    } else {
      const GgufStrings strings = *file.strings(key, 1 << 24);
      for (size_t i = 0; i < strings.size(); ++i) add(strings[i]);
    }
    EXPECT_EQ(sha256_of(joined), expected["sha256"].get<std::string>()) << key;
  } else if (expected.is_object()) {
    EXPECT_EQ(sha256_of(*file.string(key, 1 << 24)), expected["sha256"].get<std::string>()) << key;
  } else if (expected.is_string()) {
    EXPECT_EQ(*file.string(key, 1 << 16), expected.get<std::string>()) << key;
  } else if (expected.is_boolean()) {
    EXPECT_EQ(*file.boolean(key), expected.get<bool>()) << key;
  } else if (expected.is_number_integer()) {
    EXPECT_EQ(*file.integer(key, {0, 1 << 30}), expected.get<int64_t>()) << key;
  } else {
    EXPECT_FLOAT_EQ(static_cast<float>(*file.real(key)), expected.get<float>()) << key;
  }
}

// The file is the one that gguf-py read when the goldens were made; so what it found in it holds.
TEST(QuantizeModel, GgufPyReadsWhatWeRead) {
  const Json golden =
      parse_json(read_text_file(kData / "golden.json", 1 << 20), "golden.json")["files"];
  const Importance importance = Importance::load(kData / "importance.gguf");
  const test::TempDir dir;
  std::map<std::string, int> types;
  for (const auto& [mix, expected] : golden.items()) {
    const fs::path path = dir.path() / "a.gguf";
    quantize(kNano, path, mix.c_str(), mix == "Q4_0" ? &importance : nullptr);
    const std::string whole = read_text_file(path, 1 << 26);
    EXPECT_EQ(sha256_of(whole), expected["sha256"].get<std::string>()) << mix;
    const GgufFile file(path);
    EXPECT_EQ(file.tensors().size(), expected["tensors"].get<size_t>());
    for (const auto& [key, value] : expected["metadata"].items()) expect_value(file, key, value);
    std::map<std::string, std::string> values;
    for (const GgufTensor& tensor : file.tensors()) {
      const std::vector<float> numbers = values_of(file, tensor);
      values[std::string(tensor.type->name)].append(reinterpret_cast<const char*>(numbers.data()),
                                                    numbers.size() * sizeof(float));
    }
    EXPECT_EQ(values.size(), expected["values"].size()) << mix;
    for (const auto& [type, bytes] : values) {
      ++types[type];
      EXPECT_EQ(sha256_of(bytes), expected["values"][type].get<std::string>())
          << mix << ' ' << type;
    }
  }
  for (const char* type : {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "F32"}) {
    EXPECT_GT(types[type], 0) << type;
  }
}

TEST(QuantizeModel, ConfigTokenizerAndTemplateAreTheSource) {
  const test::TempDir dir;
  const fs::path path = dir.path() / "a.gguf";
  quantize(kNano, path, "Q8_0");
  const auto from = open_source(kNano), to = open_source(path);
  EXPECT_EQ(to->config().rope_theta, from->config().rope_theta);
  EXPECT_EQ(to->config().rms_norm_eps, from->config().rms_norm_eps);
  EXPECT_EQ(to->config().tie_word_embeddings, from->config().tie_word_embeddings);
  EXPECT_EQ(to->config().max_position_embeddings, from->config().max_position_embeddings);
  EXPECT_EQ(to->generation_config().do_sample, from->generation_config().do_sample);
  EXPECT_EQ(to->generation_config().temperature, from->generation_config().temperature);
  EXPECT_EQ(to->generation_config().top_k, from->generation_config().top_k);
  const Tokenizer a = Tokenizer::load(kNano), b = Tokenizer::load(path);
  const std::string text = "Grüße <|im_start|>user\n 12 e\xCC\x81 <think>x</think><|im_end|>";
  EXPECT_EQ(a.encode(text), b.encode(text));
  for (int32_t id = 0; id < a.size(); ++id) {
    ASSERT_EQ(a.token_bytes(id), b.token_bytes(id)) << id;
    ASSERT_EQ(a.is_special(id), b.is_special(id)) << id;
  }
  EXPECT_EQ(load_chat_config(kNano).chat->source(), load_chat_config(path).chat->source());
}

TEST(QuantizeModel, SaysItsErrorsAndIsTheSameOnAnyNumberOfThreads) {
  const test::TempDir dir;
  const fs::path one = dir.path() / "1.gguf", three = dir.path() / "3.gguf";
  const QuantizedModel result = quantize(kNano, one, "Q4_K_M", nullptr, 1);
  quantize(kNano, three, "Q4_K_M", nullptr, 3);
  EXPECT_EQ(read_text_file(one, 1 << 26), read_text_file(three, 1 << 26));
  EXPECT_EQ(result.file_bytes, static_cast<int64_t>(fs::file_size(one)));
  // Weights that are about normal: a uniform error within steps of a thirtieth of six deviations.
  for (const QuantizedTensor& tensor : result.tensors) {
    const double most = tensor.type == WeightType::f32    ? 0
                        : tensor.type == WeightType::q4_k ? 0.09
                        : tensor.type == WeightType::q5_0 ? 0.06
                                                          : 0.03;
    EXPECT_LE(tensor.relative_rms, most) << tensor.name;
    EXPECT_EQ(tensor.relative_rms > 0, tensor.type != WeightType::f32) << tensor.name;
  }
}

TEST(QuantizeModel, ExpertsBecomeStacksWithAnImportanceEach) {
  const fs::path moe = QWEN3_SOURCE_DIR "/models/nano-moe";
  const test::TempDir dir;
  const fs::path plain = dir.path() / "plain.gguf", calibrated = dir.path() / "calibrated.gguf";
  quantize(moe, plain, "Q4_0");
  Importance importance;
  Importance::Entry entry{.n_columns = 256, .sums = std::vector<float>(8 * 256, 3), .counts = {}};
  entry.counts.assign(8, 3);
  entry.counts[5] = 0;  // never used: as if there were none
  for (int i = 0; i < 128; ++i) entry.sums[256 * 2 + 2 * i] = 3000;  // expert 2 alone
  importance.put("blk.3.ffn_up_exps.weight", entry);
  quantize(moe, calibrated, "Q4_0", &importance);
  const GgufFile a(plain), b(calibrated);
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (size_t i = 0; i < a.tensors().size(); ++i) {
    const GgufTensor& tensor = a.tensors()[i];
    if (tensor.name.find("ffn_down") != tensor.name.npos) continue;  // Q4_1 in the first eighth
    const std::vector<float> x = values_of(a, tensor), y = values_of(b, b.tensors()[i]);
    if (tensor.name != "blk.3.ffn_up_exps.weight") {
      EXPECT_EQ(x, y) << tensor.name;
      continue;
    }
    EXPECT_EQ(tensor.shape, (std::vector<int64_t>{8, 96, 256}));
    for (size_t e = 0; e < 8; ++e) {
      const bool same = std::equal(x.begin() + static_cast<int64_t>(e * 96 * 256),
                                   x.begin() + static_cast<int64_t>((e + 1) * 96 * 256),
                                   y.begin() + static_cast<int64_t>(e * 96 * 256));
      EXPECT_EQ(same, e != 2) << e;
    }
  }
}

TEST(QuantizeModel, OfAGgufFile) {
  const test::TempDir dir;
  const fs::path eight = dir.path() / "8.gguf", four = dir.path() / "4.gguf";
  quantize(kNano, eight, "Q8_0");
  quantize(eight, four, "Q4_K_M");
  EXPECT_EQ(open_source(four)->n_tensors(), open_source(eight)->n_tensors());
  const std::string before = read_text_file(eight, 1 << 26);
  EXPECT_ERROR(quantize(eight, eight, "Q4_0"),
               ErrorKind::invalid_argument,
               eight.string(),
               "a file of the model itself");
  EXPECT_EQ(read_text_file(eight, 1 << 26), before);
}

TEST(QuantizeModel, AnExistingFileStaysUntilTheNewOneIsWhole) {
  const test::TempDir dir;
  const fs::path path = dir.write("a.gguf", "before");
  const QuantizeOptions stopped = {.mix = find_mix("Q4_0"),
                                   .name = "nano",
                                   .progress = [](std::string_view, int64_t done, int64_t total) {
                                     if (2 * done > total) fail(ErrorKind::io, "stopped");
                                   }};
  EXPECT_ERROR(quantize_model(kNano, path, stopped), ErrorKind::io, "stopped");
  EXPECT_EQ(read_text_file(path, 100), "before");
  quantize(kNano, path, "Q4_0");
  EXPECT_GT(fs::file_size(path), 4'000'000U);
}

TEST(QuantizeModel, WhatCannotBeReadOrWrittenIsSaid) {
  const test::TempDir dir;
  const fs::path out = dir.path() / "a.gguf";
  EXPECT_ERROR(quantize(dir.path() / "none", out, "Q4_0"), ErrorKind::not_found, "none");
  EXPECT_ERROR(quantize(kNano, "/dev/full", "Q4_0"), ErrorKind::io, "No space left on device");
  EXPECT_ERROR(quantize(QWEN3_SOURCE_DIR "/tests/data/models/dense", out, "Q4_0"),
               ErrorKind::not_found,
               "tokenizer.json");
  EXPECT_ERROR(quantize(QWEN3_SOURCE_DIR "/tests/data/models/dense_sliding", out, "Q4_0"),
               ErrorKind::unsupported,
               "use_sliding_window");
  EXPECT_ERROR(quantize(QWEN3_SOURCE_DIR "/tests/data/models/moe_norm_topk_false", out, "Q4_0"),
               ErrorKind::unsupported,
               "norm_topk_prob");
  Importance other;
  other.put("blk.0.attn_q.weight", {.n_columns = 3, .sums = {1, 2, 3}, .counts = {1}});
  EXPECT_ERROR(quantize(kNano, out, "Q4_0", &other),
               ErrorKind::invalid_argument,
               "blk.0.attn_q.weight",
               "another model's");
  Importance unknown;
  unknown.put("nothing", {.n_columns = 3, .sums = {1, 2, 3}, .counts = {1}});
  EXPECT_ERROR(
      quantize(kNano, out, "Q4_0", &unknown), ErrorKind::invalid_argument, "another model's");
  // A file that is damaged in its middle.
  const fs::path broken = dir.path() / "broken";
  fs::copy(kNano, broken, fs::copy_options::recursive);
  {
    std::FILE* file = std::fopen((broken / "model.safetensors").c_str(), "r+");
    ASSERT_NE(file, nullptr);
    std::fseek(file, 4'000'000, SEEK_SET);
    const uint16_t nan[2] = {0x7FC0, 0x7FC0};
    std::fwrite(nan, sizeof nan, 1, file);
    std::fclose(file);
  }
  EXPECT_ERROR(quantize(broken, out, "Q4_0"), ErrorKind::corrupt_file, "finite numbers", "damaged");
  fs::resize_file(broken / "model.safetensors", 1'000'000);
  EXPECT_ERROR(quantize(broken, out, "Q4_0"), ErrorKind::corrupt_file, "model.safetensors");
  EXPECT_FALSE(fs::exists(out));
}

}  // namespace
}  // namespace qwen3
