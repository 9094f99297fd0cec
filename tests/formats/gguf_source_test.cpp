// Models in GGUF: names, shapes, config and values as Hugging Face's files have them; split files;
// what a path means.
#include "formats/gguf_source.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/input_file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "formats/gguf_path.h"
#include "formats/open_source.h"
#include "formats/safetensors.h"
#include "support/expect_error.h"
#include "support/gguf_model.h"
#include "support/gguf_writer.h"
#include "support/temp_dir.h"
#include "tensor/blocks.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;
using test::GgufValue;
using test::GgufWriter;
constexpr auto kCorrupt = ErrorKind::corrupt_file;
constexpr auto kUnsupported = ErrorKind::unsupported;
constexpr auto kNotFound = ErrorKind::not_found;

fs::path data(const char* name) { return fs::path(QWEN3_SOURCE_DIR) / "tests/data/gguf" / name; }

Json golden() { return parse_json(read_text_file(data("golden.json"), 1 << 20), "golden.json"); }

std::string sha256_of_values(const SourceTensor& tensor) {
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.n_bytes));
  tensor.file->read(tensor.begin, bytes);
  int64_t numel = 1;
  for (const int64_t dim : tensor.shape) numel *= dim;
  std::vector<float> values(static_cast<size_t>(numel));
  widen(values.data(), tensor.type, bytes.data(), numel);
  return sha256_hex(std::as_bytes(std::span(values)));
}

// Files that gguf-py wrote: every tensor is there, and its values are gguf-py's bit for bit.
void expect_golden(const fs::path& path, const Json& tensors) {
  const auto source = open_source(path);
  EXPECT_EQ(source->n_tensors(), tensors.size());
  for (const auto& [name, expected] : tensors.items()) {
    const SourceTensor* tensor = source->find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(tensor->file_dtype, expected["type"].get<std::string>()) << name;
    EXPECT_EQ(tensor->shape, expected["shape"].get<std::vector<int64_t>>()) << name;
    EXPECT_EQ(sha256_of_values(*tensor), expected["sha256"].get<std::string>()) << name;
  }
}

TEST(GgufGolden, Dense) { expect_golden(data("dense.gguf"), golden()["dense"]); }
TEST(GgufGolden, MoeInThreeParts) {
  expect_golden(data("moe-00001-of-00003.gguf"), golden()["moe"]);
}

TEST(GgufGolden, Config) {
  const auto source = open_source(data("moe-00001-of-00003.gguf"));
  const HfConfig& c = source->config();
  EXPECT_TRUE(c.moe());
  EXPECT_EQ(c.num_hidden_layers, 2);
  EXPECT_EQ(c.max_position_embeddings, 128);
  EXPECT_EQ(c.hidden_size, 64);
  EXPECT_EQ(c.intermediate_size, 96);
  EXPECT_EQ(c.num_attention_heads, 4);
  EXPECT_EQ(c.num_key_value_heads, 2);
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.rms_norm_eps, 1e-6);
  EXPECT_EQ(c.rope_theta, 1e6);
  EXPECT_EQ(c.vocab_size, 270);
  EXPECT_FALSE(c.tie_word_embeddings);
  EXPECT_FALSE(c.attention_bias);
  EXPECT_EQ(c.num_experts, 4);
  EXPECT_EQ(c.num_experts_per_tok, 2);
  EXPECT_EQ(c.moe_intermediate_size, 32);
  EXPECT_TRUE(c.norm_topk_prob);
  EXPECT_TRUE(c.is_sparse(0) && c.is_sparse(1));
  EXPECT_EQ(c.eos_token_ids, (std::vector<int32_t>{262, 260})) << "<|im_end|>, <|endoftext|>";
  EXPECT_EQ(c.bos_token_id, 260);
  EXPECT_EQ(source->n_files(), 3U);
  const GenerationConfig& g = source->generation_config();
  EXPECT_EQ(g.temperature, 0.6);
  EXPECT_EQ(g.top_k, 20);
  EXPECT_EQ(g.top_p, 0.95);
  EXPECT_EQ(g.do_sample, true);
  EXPECT_TRUE(open_source(data("dense.gguf"))->config().tie_word_embeddings);
}

// A model of one layer, of which each test changes what it is about.
GgufWriter tiny(bool moe = false) {
  HfConfig c;
  c.model_type = moe ? ModelType::qwen3_moe : ModelType::qwen3;
  c.num_hidden_layers = 1;
  c.max_position_embeddings = 64;
  c.hidden_size = 8;
  c.intermediate_size = 12;
  c.num_attention_heads = 2;
  c.num_key_value_heads = 1;
  c.head_dim = 4;
  c.rope_theta = 10000;
  c.num_experts = 3;
  c.num_experts_per_tok = 2;
  c.moe_intermediate_size = 5;
  GgufWriter gguf;
  test::write_gguf_config(gguf, c);
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    size_t bytes = 4;
    for (const int64_t dim : shape) bytes *= static_cast<size_t>(dim);
    gguf.tensor(name, std::move(shape), test::kF32, std::string(bytes, '\0'));
  };
  add("token_embd.weight", {10, 8});
  add("output_norm.weight", {8});
  add("blk.0.attn_norm.weight", {8});
  add("blk.0.ffn_norm.weight", {8});
  add("blk.0.attn_q.weight", {8, 8});
  add("blk.0.attn_k.weight", {4, 8});
  add("blk.0.attn_v.weight", {4, 8});
  add("blk.0.attn_output.weight", {8, 8});
  add("blk.0.attn_q_norm.weight", {4});
  add("blk.0.attn_k_norm.weight", {4});
  if (!moe) {
    add("blk.0.ffn_gate.weight", {12, 8});
    add("blk.0.ffn_up.weight", {12, 8});
    add("blk.0.ffn_down.weight", {8, 12});
  }
  return gguf;
}

class GgufSourceTest : public testing::Test {
 protected:
  GgufSource open(GgufWriter gguf) const {
    return GgufSource::open(dir_.write("m.gguf", gguf.file()));
  }
  HfConfig config(GgufWriter gguf) const { return open(std::move(gguf)).config(); }
  test::TempDir dir_;
};

TEST_F(GgufSourceTest, NamesAndTies) {
  const GgufSource source = open(tiny());
  EXPECT_EQ(source.n_tensors(), 13U);
  EXPECT_TRUE(source.config().tie_word_embeddings);
  EXPECT_NE(source.find("model.layers.0.mlp.down_proj.weight"), nullptr);
  EXPECT_NE(source.find("layers.0.self_attn.q_norm.weight"), nullptr);
  EXPECT_EQ(source.find("lm_head.weight"), nullptr);
  const std::string head(320, '\0');
  EXPECT_FALSE(
      config(tiny().tensor("output.weight", {10, 8}, test::kF32, head)).tie_word_embeddings);
  const std::string bias(32, '\0');
  EXPECT_TRUE(config(tiny().tensor("blk.0.attn_q.bias", {8}, test::kF32, bias)).attention_bias);
}

TEST_F(GgufSourceTest, FusedQkvIsThreeTensors) {
  GgufWriter gguf = tiny();
  for (const char* name : {"blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"}) {
    gguf.without_tensor(name);
  }
  const auto fused = [&](int64_t rows) {
    GgufWriter with = gguf;
    std::string bytes(static_cast<size_t>(rows * 32), '\0');
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i / 32);
    return with.tensor("blk.0.attn_qkv.weight", {rows, 8}, test::kF32, bytes);
  };
  const GgufSource source = open(fused(16));
  const auto row = [&](const char* name, size_t i) {
    const SourceTensor& tensor = *source.find(name);
    return test::bytes_of(tensor)[32 * i];
  };
  EXPECT_EQ(row("model.layers.0.self_attn.q_proj.weight", 7), 7);
  EXPECT_EQ(row("model.layers.0.self_attn.k_proj.weight", 0), 8);
  EXPECT_EQ(row("model.layers.0.self_attn.v_proj.weight", 3), 15);
  EXPECT_EQ(source.find("model.layers.0.self_attn.v_proj.weight")->shape,
            (std::vector<int64_t>{4, 8}));
  EXPECT_ERROR(open(fused(15)), kCorrupt, "blk.0.attn_qkv.weight: expected 16 rows", "got 15");
  EXPECT_ERROR(open(fused(16).tensor("blk.0.attn_q.weight", {8, 8}, 0, std::string(256, '\0'))),
               kCorrupt,
               "blk.0.attn_q.weight: expected every tensor once");
}

TEST_F(GgufSourceTest, WhatTheConfigMaySay) {
  GgufWriter gguf = tiny();
  gguf.without("qwen3.attention.head_count").without("qwen3.attention.key_length");
  gguf.without("qwen3.attention.value_length").without("qwen3.rope.freq_base");
  gguf.without("qwen3.feed_forward_length");
  gguf.array("qwen3.attention.head_count", GgufValue::u32, std::vector<uint32_t>{2});
  gguf.number("qwen3.feed_forward_length", GgufValue::i64, int64_t{12});
  const HfConfig c = config(gguf);
  EXPECT_EQ(c.num_attention_heads, 2);
  EXPECT_EQ(c.head_dim, 4) << "embedding_length / head_count";
  EXPECT_EQ(c.rope_theta, 10000);
  EXPECT_EQ(c.intermediate_size, 12);
}

TEST_F(GgufSourceTest, Yarn) {
  GgufWriter gguf = tiny();
  gguf.string("qwen3.rope.scaling.type", "yarn").f32("qwen3.rope.scaling.factor", 4);
  gguf.u32("qwen3.rope.scaling.original_context_length", 64);
  const HfConfig c = config(gguf);
  EXPECT_EQ(c.rope_scaling.type, RopeScaling::Type::yarn);
  EXPECT_EQ(c.rope_scaling.factor, 4);
  EXPECT_EQ(c.rope_scaling.original_max_position_embeddings, 64);
  EXPECT_EQ(c.context_length(), 256);
  GgufWriter linear = tiny();
  linear.string("qwen3.rope.scaling.type", "linear").f32("qwen3.rope.scaling.factor", 2);
  EXPECT_EQ(config(linear).rope_scaling.type, RopeScaling::Type::linear);
  EXPECT_EQ(config(GgufWriter(gguf).f32("qwen3.rope.scaling.yarn_attn_factor", 1.5F))
                .rope_scaling.attention_factor,
            1.5);
  EXPECT_ERROR(config(GgufWriter(gguf).f32("qwen3.rope.scaling.attn_factor", 2)),
               kUnsupported,
               "qwen3.rope.scaling.attn_factor: expected 1, got 2");
  EXPECT_ERROR(config(tiny().string("qwen3.rope.scaling.type", "longrope")),
               kUnsupported,
               "expected none, linear or yarn, got \"longrope\"");
}

TEST_F(GgufSourceTest, ConfigsThatAreRefused) {
  const auto architecture = [](std::string_view name) {
    return tiny().without("general.architecture").string("general.architecture", name);
  };
  EXPECT_ERROR(open(architecture("llama")),
               kUnsupported,
               "m.gguf: general.architecture: expected qwen3 or qwen3moe, got \"llama\"");
  EXPECT_ERROR(open(tiny().without("general.architecture")),
               kCorrupt,
               "general.architecture: expected this key");
  for (const char* key : {"block_count",
                          "context_length",
                          "embedding_length",
                          "feed_forward_length",
                          "attention.head_count",
                          "attention.head_count_kv",
                          "attention.layer_norm_rms_epsilon"}) {
    const std::string full = std::string("qwen3.") + key;
    EXPECT_ERROR(open(tiny().without(full)), kCorrupt, full + ": expected this key, got none");
    EXPECT_ERROR(open(tiny().without(full).string(full, "8")), kCorrupt, full + ": expected");
    if (full.ends_with("epsilon")) continue;
    EXPECT_ERROR(open(tiny().without(full).u32(full, 0)), kCorrupt, full + ": expected", "got 0");
    // What is too large for any model is refused in config.json's words.
    EXPECT_ERROR(
        open(tiny().without(full).u32(full, 0x7FFFFFFF)), kCorrupt, "expected", "2147483647");
  }
  EXPECT_ERROR(open(tiny().string("general.type", "adapter")),
               kUnsupported,
               "general.type: expected model, got \"adapter\"");
  EXPECT_EQ(config(tiny().string("general.type", "model")).hidden_size, 8);
  EXPECT_ERROR(open(tiny().u32("general.quantization_version", 1)),
               kUnsupported,
               "general.quantization_version: expected 2",
               "got 1");
  const auto changed = [](const char* key, uint32_t value) {
    return tiny().without(key).u32(key, value);
  };
  EXPECT_ERROR(open(changed("qwen3.attention.value_length", 8)),
               kUnsupported,
               "value_length: expected 4, got 8");
  EXPECT_ERROR(open(changed("qwen3.rope.dimension_count", 2)),
               kUnsupported,
               "dimension_count: expected 4, got 2");
  EXPECT_ERROR(open(changed("qwen3.attention.sliding_window", 9)),
               kUnsupported,
               "sliding_window: expected 0, got 9");
  EXPECT_ERROR(
      open(changed("qwen3.vocab_size", 11)), kUnsupported, "vocab_size: expected 10, got 11");
  EXPECT_ERROR(open(changed("qwen3.attention.head_count_kv", 3)),
               kCorrupt,
               "num_key_value_heads: expected a divisor of num_attention_heads 2, got 3");
  GgufWriter mixed = tiny().without("qwen3.block_count").u32("qwen3.block_count", 2);
  mixed.without("qwen3.attention.head_count_kv");
  mixed.array("qwen3.attention.head_count_kv", GgufValue::u32, std::vector<uint32_t>{1, 2});
  EXPECT_ERROR(open(mixed), kUnsupported, "head_count_kv: expected the same number for all layers");
  for (const char* key : {"expert_count", "expert_used_count", "expert_feed_forward_length"}) {
    const std::string full = std::string("qwen3moe.") + key;
    EXPECT_ERROR(open(tiny(true).without(full)), kCorrupt, full + ": expected this key, got none");
  }
  EXPECT_TRUE(config(tiny(true)).norm_topk_prob);
  EXPECT_FALSE(config(tiny(true).boolean("qwen3moe.expert_weights_norm", false)).norm_topk_prob);
  EXPECT_ERROR(open(tiny(true).u32("qwen3moe.expert_gating_func", 2)),
               kUnsupported,
               "expert_gating_func: expected 1, got 2");
}

TEST_F(GgufSourceTest, TokensMustFitTheRows) {
  const std::vector<std::string> ten(10, "x");
  GgufWriter gguf = tiny().strings("tokenizer.ggml.tokens", ten);
  gguf.array("tokenizer.ggml.token_type", GgufValue::i32, std::vector<int32_t>(10, 1));
  EXPECT_TRUE(config(gguf).eos_token_ids.empty());
  EXPECT_ERROR(open(GgufWriter(gguf).u32("tokenizer.ggml.eos_token_id", 10)),
               kCorrupt,
               "eos_token_id: expected an integer from 0 to 9, got 10");
  for (const size_t n : {size_t{0}, size_t{9}, size_t{11}}) {
    const std::vector<std::string> tokens(n, "x");
    EXPECT_ERROR(open(GgufWriter(gguf)
                          .without("tokenizer.ggml.tokens")
                          .strings("tokenizer.ggml.tokens", tokens)),
                 kCorrupt,
                 "tokenizer.ggml.tokens: expected 10 strings");
    GgufWriter types = GgufWriter(gguf).without("tokenizer.ggml.token_type");
    types.array("tokenizer.ggml.token_type", GgufValue::i32, std::vector<int32_t>(n, 1));
    EXPECT_ERROR(open(types), kCorrupt, "tokenizer.ggml.token_type: expected");
  }
  GgufWriter two = tiny();
  std::vector<std::string> texts = ten;
  texts[3] = "<|im_end|>";
  texts[4] = "<|endoftext|>";
  texts[5] = "<|fim_pad|>";
  texts[9] = "<|im_end|>";  // an ordinary token
  two.strings("tokenizer.ggml.tokens", texts);
  two.array("tokenizer.ggml.token_type",
            GgufValue::i32,
            std::vector<int32_t>{1, 1, 1, 3, 3, 3, 1, 1, 1, 1});
  two.u32("tokenizer.ggml.eos_token_id", 4)
      .number("tokenizer.ggml.eot_token_id", GgufValue::i32, int32_t{7});
  EXPECT_EQ(config(two).eos_token_ids, (std::vector<int32_t>{4, 7, 3}));
}

TEST_F(GgufSourceTest, TensorsThatAreRefused) {
  EXPECT_ERROR(open(tiny().without_tensor("token_embd.weight")),
               kNotFound,
               "tensor token_embd.weight: expected one");
  for (const char* name : {"rope_freqs.weight",
                           "blk.0.ffn_gate_shexp.weight",
                           "blk.00.attn_k.weight",
                           "blk.-1.attn_q.weight",
                           "blk.0.attn_q.scale",
                           "blk.0",
                           "blk.",
                           "blk.0.",
                           "model.norm.weight"}) {
    EXPECT_ERROR(open(tiny().tensor(name, {8}, test::kF32, std::string(32, '\0'))),
                 kUnsupported,
                 std::string("tensor ") + name + ": expected the tensors of a Qwen3 model only");
  }
  GgufWriter iq = tiny().without_tensor("blk.0.attn_k.weight");
  iq.tensor("blk.0.attn_k.weight", {4, 256}, test::kIQ2_XXS, std::string(264, '\0'));
  EXPECT_ERROR(open(iq).find("model.layers.0.self_attn.k_proj.weight"),
               kUnsupported,
               "tensor model.layers.0.self_attn.k_proj.weight: numbers of type IQ2_XXS are not "
               "supported; use");
}

// --- split files --------------------------------------------------------------------------------

class GgufSplitTest : public testing::Test {
 protected:
  GgufSplitTest() {
    for (const char* name :
         {"moe-00001-of-00003.gguf", "moe-00002-of-00003.gguf", "moe-00003-of-00003.gguf"}) {
      fs::copy_file(data(name), dir_.path() / name);
    }
  }
  fs::path first() const { return dir_.path() / "moe-00001-of-00003.gguf"; }
  test::TempDir dir_;
};

TEST_F(GgufSplitTest, OpensByItsFirstFileOrItsDirectory) {
  EXPECT_EQ(open_source(first())->n_tensors(), 27U);
  EXPECT_EQ(open_source(dir_.path())->n_tensors(), 27U);
  EXPECT_EQ(model_name(first()), "moe");
}

TEST_F(GgufSplitTest, WhatIsMissingOrMixedUpIsNamed) {
  EXPECT_ERROR(open_source(dir_.path() / "moe-00002-of-00003.gguf"),
               kNotFound,
               "expected the first file of its set, got number 2; give moe-00001-of-00003.gguf");
  fs::rename(dir_.path() / "moe-00003-of-00003.gguf", dir_.path() / "third");
  EXPECT_ERROR(open_source(first()), kNotFound, "moe-00003-of-00003.gguf: cannot open");
  fs::copy_file(dir_.path() / "moe-00002-of-00003.gguf", dir_.path() / "moe-00003-of-00003.gguf");
  EXPECT_ERROR(open_source(first()),
               kCorrupt,
               "moe-00003-of-00003.gguf: expected part 3 of 3, got part 2 of 3");
  fs::rename(first(), dir_.path() / "renamed.gguf");
  EXPECT_ERROR(open_source(dir_.path() / "renamed.gguf"),
               kCorrupt,
               "renamed.gguf: expected part 1 of 1, got part 1 of 3");
  fs::copy_file(data("dense.gguf"), first());
  EXPECT_ERROR(open_source(first()), kCorrupt, "expected part 1 of 3, got part 1 of 1");
}

TEST_F(GgufSplitTest, TheSumOfTensors) {
  GgufWriter gguf = tiny();
  gguf.number("split.no", GgufValue::u16, uint16_t{0})
      .number("split.count", GgufValue::u16, uint16_t{1});
  gguf.number("split.tensors.count", GgufValue::i32, int32_t{14});
  EXPECT_ERROR(open_source(dir_.write("x.gguf", gguf.file())),
               kCorrupt,
               "split.tensors.count: expected the 13 tensors that the files have, got 14");
}

TEST(GgufPath, Parts) {
  const auto part = parse_gguf_part("a-b-00002-of-00010.gguf");
  ASSERT_TRUE(part.has_value());
  EXPECT_EQ(part->name, "a-b");
  EXPECT_EQ(part->number, 2);
  EXPECT_EQ(part->count, 10);
  for (const char* other : {"a.gguf",
                            "-00001-of-00002.gguf",
                            "a-00000-of-00002.gguf",
                            "a-00003-of-00002.gguf",
                            "a-0001-of-00002.gguf",
                            "a-00001-of-00002.bin",
                            "a-0000x-of-00002.gguf",
                            "a--0001-of-00002.gguf",
                            "a-00001-of-99999.gguf",
                            ".gguf",
                            ""}) {
    EXPECT_FALSE(parse_gguf_part(other).has_value()) << other;
  }
  EXPECT_EQ(gguf_files("/x/a-00001-of-00002.gguf"),
            (std::vector<fs::path>{"/x/a-00001-of-00002.gguf", "/x/a-00002-of-00002.gguf"}));
  EXPECT_EQ(gguf_files("/x/a.gguf"), std::vector<fs::path>{"/x/a.gguf"});
  EXPECT_EQ(model_name("/x/Qwen3-8B-Q4_K_M.gguf"), "Qwen3-8B-Q4_K_M");
  EXPECT_EQ(model_name("/x/Qwen3-0.6B/"), "Qwen3-0.6B");
  EXPECT_EQ(model_name("embedded:nano"), "embedded:nano");
  EXPECT_EQ(model_name("/x/models--Qwen--Qwen3-0.6B/snapshots/0123"), "Qwen3-0.6B");
  EXPECT_EQ(model_name("/x/models--Qwen--Qwen3-0.6B/snapshots/0123/"), "Qwen3-0.6B");
  EXPECT_EQ(model_name("/x/models--Qwen--Q-GGUF/snapshots/0123/Q-Q8_0.gguf"), "Q-Q8_0");
  EXPECT_EQ(model_name("/x/models/snapshots/0123"), "0123");
}

// --- what a path means --------------------------------------------------------------------------

TEST(GgufPath, Directories) {
  const test::TempDir dir;
  EXPECT_EQ(find_gguf(dir.path()), std::nullopt);
  EXPECT_EQ(find_gguf(dir.path() / "none"), std::nullopt);
  EXPECT_EQ(find_gguf("embedded:nano"), std::nullopt);
  const fs::path one = dir.write("one.gguf", tiny().file());
  EXPECT_EQ(find_gguf(dir.path()), one);
  EXPECT_EQ(open_source(dir.path())->n_tensors(), 13U);
  dir.write("two.gguf", "x");
  EXPECT_ERROR(find_gguf(dir.path()),
               kNotFound,
               "expected config.json or one GGUF model, got 2 of them: one.gguf, two.gguf; give");
  EXPECT_EQ(find_gguf(one), one);
  dir.write("config.json", "{}");
  EXPECT_EQ(find_gguf(dir.path()), std::nullopt) << "a Hugging Face directory";
}

TEST(GgufPath, FilesThatAreSomethingElse) {
  const test::TempDir dir;
  const auto expect = [&](std::string_view text, ErrorKind kind, const char* part) {
    EXPECT_ERROR(
        find_gguf(dir.write("m.gguf", text)), kind, "m.gguf: expected a GGUF file, got", part);
  };
  expect("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n",
         kCorrupt,
         "a Git LFS pointer");
  expect("<!DOCTYPE html><html>", kCorrupt, "a web page; download the file itself");
  expect("\n <html lang=en>", kCorrupt, "a web page");
  expect("", kCorrupt, "an empty file");
  expect("tjgg\1", kUnsupported, "a GGML file from before GGUF");
  expect("PK\3\4", kCorrupt, "one that begins with \"PK");
  const std::vector<float> values = {1};
  const std::vector<SafetensorsTensor> tensors = {
      {"a", DType::f32, {1}, std::as_bytes(std::span(values))}};
  write_safetensors((dir.path() / "model.safetensors").string(), tensors);
  EXPECT_ERROR(open_source(dir.path() / "model.safetensors"),
               kUnsupported,
               "what looks like safetensors; give the directory");
  ASSERT_EQ(::mkfifo((dir.path() / "fifo.gguf").c_str(), 0600), 0);
  EXPECT_ERROR(find_gguf(dir.path() / "fifo.gguf"), kNotFound, "expected a regular file");
  EXPECT_ERROR(open_source(dir.path() / "none.gguf"),
               kNotFound,
               "none.gguf: no such model; expected a Hugging Face model directory or a GGUF file");
}

}  // namespace
}  // namespace qwen3
