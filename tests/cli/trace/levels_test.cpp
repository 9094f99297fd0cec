// The lines of qwen3 trace at each level, of --demo and of --moe-block. Those of the levels are written out here in full,
// from the forms of the educational implementation and the shapes of the models; the experts that
// the three tokens go to are transformers' (router_logits, top 3, transformers 5.24).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/input_file.h"
#include "base/json.h"
#include "cli/trace/moe_block.h"
#include "cli/trace/run_trace.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// The golden text without its indentation and "[TRACE] ".
void expect_lines(const ProgramResult& result, std::string_view expected) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  std::string lines;
  for (const std::string& line : lines_of(expected)) {
    if (!line.empty()) lines += "[TRACE] " + line + "\n";
  }
  EXPECT_EQ(result.out, lines);
}

TEST(TraceLevels, InputFlowDense) {
  expect_lines(trace({"--ids", "36,55,27"}), R"(
Trace level=input_flow. 可选: input_flow / compact / verbose
position_ids 未传入，已根据 input_ids 自动生成
model.inputs: input_ids(1, 3) + attention_mask(1, 1, 3, 3) -> position_ids(1, 3)
model.embedding: input_ids -> hidden_states(1, 3, 24)
layer00.attn.flow: in(1, 3, 24) -> out(1, 3, 24)
layer00.mlp.flow: in(1, 3, 24) -> out(1, 3, 24)
layer00.flow: in(1, 3, 24) -> attn(1, 3, 24) -> mlp(1, 3, 24) -> out(1, 3, 24)
layer01.attn.flow: in(1, 3, 24) -> out(1, 3, 24)
layer01.mlp.flow: in(1, 3, 24) -> out(1, 3, 24)
layer01.flow: in(1, 3, 24) -> attn(1, 3, 24) -> mlp(1, 3, 24) -> out(1, 3, 24)
model.final_norm: (1, 3, 24)
lm_head.flow: hidden_states(1, 3, 24) -> logits(1, 3, 70)
)");
}

TEST(TraceLevels, CompactDense) {
  expect_lines(trace({"--ids", "36,55,27", "--level", "compact", "--lang", "en"}), R"(
Trace level=compact. Available: input_flow / compact / verbose
position_ids was not provided, generated from input_ids
model.inputs: input_ids(1, 3) position_ids(1, 3) attention_mask(1, 1, 3, 3)
model.embedding: (1, 3, 24)
===== Decoder Layer 00 =====
layer00.attn.qkv_proj: q(1, 3, 64) k(1, 3, 32) v(1, 3, 32)
layer00.attn.qkv_head: q(1, 4, 3, 16) k(1, 2, 3, 16) v(1, 2, 3, 16)
layer00.attn.after_qknorm_rope_gqa: q(1, 4, 3, 16) k(1, 4, 3, 16) v(1, 4, 3, 16)
layer00.attn.score_to_context: scores(1, 4, 3, 3) -> context(1, 4, 3, 16)
layer00.attn.flow: in(1, 3, 24) -> out(1, 3, 24)
layer00.mlp.flow: in(1, 3, 24) -> gate/up(1, 3, 28) -> swiglu(1, 3, 28) -> out(1, 3, 24)
layer00.flow: in(1, 3, 24) -> attn(1, 3, 24) -> res1(1, 3, 24) -> mlp(1, 3, 24) -> out(1, 3, 24)
===== Decoder Layer 01 =====
layer01.attn.qkv_proj: q(1, 3, 64) k(1, 3, 32) v(1, 3, 32)
layer01.attn.qkv_head: q(1, 4, 3, 16) k(1, 2, 3, 16) v(1, 2, 3, 16)
layer01.attn.after_qknorm_rope_gqa: q(1, 4, 3, 16) k(1, 4, 3, 16) v(1, 4, 3, 16)
layer01.attn.score_to_context: scores(1, 4, 3, 3) -> context(1, 4, 3, 16)
layer01.attn.flow: in(1, 3, 24) -> out(1, 3, 24)
layer01.mlp.flow: in(1, 3, 24) -> gate/up(1, 3, 28) -> swiglu(1, 3, 28) -> out(1, 3, 24)
layer01.flow: in(1, 3, 24) -> attn(1, 3, 24) -> res1(1, 3, 24) -> mlp(1, 3, 24) -> out(1, 3, 24)
model.final_norm: (1, 3, 24)
lm_head.flow: hidden(1, 3, 24) -> logits(1, 3, 70)
)");
}

std::string verbose_attention(const std::string& layer, bool rope_first) {
  const std::string q = ": shape=(1, 6, 3, 12)", k = ": shape=(1, 2, 3, 12)";
  const std::string tail = ", dtype=torch.float32, device=cpu\n";
  const std::string attn = layer + ".attn.";
  std::string text = attn + "input_hidden_states: shape=(1, 3, 40)" + tail;
  text += attn + "q_proj: shape=(1, 3, 72)" + tail + attn + "k_proj: shape=(1, 3, 24)" + tail +
          attn + "v_proj: shape=(1, 3, 24)" + tail;
  for (const char* name : {"q_reshape", "k_reshape", "v_reshape"}) {
    text += attn + name + (name[0] == 'q' ? q : k) + tail;
  }
  const std::string rope = attn + "q_after_rope" + q + tail + attn + "k_after_rope" + k + tail;
  const std::string norm = attn + "q_after_qknorm" + q + tail + attn + "k_after_qknorm" + k + tail;
  text += rope_first ? rope + norm : norm + rope;
  for (const char* name : {"k_after_gqa", "v_after_gqa"}) text += attn + name + q + tail;
  for (const char* name : {"attn_scores", "attn_scores_masked", "attn_probs"}) {
    text += attn + name + ": shape=(1, 6, 3, 3)" + tail;
  }
  return text + attn + "attn_context" + q + tail + attn + "output: shape=(1, 3, 40)" + tail;
}

// The educational dense model turns first and norms afterwards; the lines follow what is computed.
TEST(TraceLevels, VerboseDenseAfterRope) {
  const std::string tail = ", dtype=torch.float32, device=cpu\n",
                    hidden = ": shape=(1, 3, 40)" + tail;
  std::string expected =
      "Trace level=verbose. 可选: input_flow / compact / verbose\n"
      "model.input_ids: shape=(1, 3), dtype=torch.int64, device=cpu\n"
      "position_ids 未传入，已根据 input_ids 自动生成\n"
      "model.position_ids: shape=(1, 3), dtype=torch.int64, device=cpu\n"
      "model.attention_mask: shape=(1, 1, 3, 3)" +
      tail + "model.embedding_output" + hidden;
  for (const std::string layer : {"layer00", "layer01"}) {
    const std::string index = layer.substr(6);
    expected += "进入 Decoder Layer " + index + "\n" + layer + ".input" + hidden + layer +
                ".after_input_layernorm" + hidden + verbose_attention(layer, true) + layer +
                ".after_attn_residual" + hidden + layer + ".after_post_attn_layernorm" + hidden +
                layer + ".mlp.input" + hidden;
    for (const char* name : {"gate_proj", "up_proj", "swiglu_hidden"}) {
      expected += layer + ".mlp." + name + ": shape=(1, 3, 56)" + tail;
    }
    expected += layer + ".mlp.output" + hidden + layer + ".output" + hidden +
                "离开 Decoder Layer " + index + "\n";
  }
  expected += "model.final_norm_output" + hidden + "lm_head.logits: shape=(1, 3, 300)" + tail;
  expect_lines(trace({"--ids", "36,55,27", "--level", "VERBOSE"}, "dense_after_rope"), expected);
}

TEST(TraceLevels, InputFlowMoe) {
  std::string expert_lines;
  for (const int n : {1, 1, 1, 1, 1, 2, 2}) {  // experts 1 2 3 5 7 8 10
    expert_lines +=
        "mlp.flow: in(" + std::to_string(n) + ", 24) -> out(" + std::to_string(n) + ", 24)\n";
  }
  const auto layer = [](const std::string& name, const std::string& block) {
    return name + ".attn.flow: in(1, 3, 24) -> out(1, 3, 24)\n" + block + name +
           ".flow: in(1, 3, 24) -> attn(1, 3, 24) -> mlp(1, 3, 24) -> out(1, 3, 24)\n";
  };
  expect_lines(
      trace({"--ids", "36,55,27"}, "moe_sparse_step"),
      "Trace level=input_flow. Available: input_flow / compact / verbose\n"
      "position_ids was not provided, generated from input_ids\n"
      "model.embedding: input_ids -> hidden_states(1, 3, 24)\n"
      "model.rotary_emb: position_ids(1, 3) -> cos/sin(1, 3, 16)\n" +
          layer("layer00", "layer00.mlp.flow: in(1, 3, 24) -> out(1, 3, 24)\n") +
          layer("layer01", expert_lines + "layer01.moe.flow: in(1, 3, 24) -> out(1, 3, 24)\n") +
          layer("layer02", "layer02.mlp.flow: in(1, 3, 24) -> out(1, 3, 24)\n") +
          "model.final_norm: (1, 3, 24)\n"
          "lm_head.flow: hidden_states(1, 3, 24) -> logits(1, 3, 70)\n");
}

TEST(TraceLevels, MoeRoutingAndExperts) {
  const ProgramResult compact =
      trace({"--ids", "36,55,27", "--level", "compact"}, "moe_sparse_step");
  EXPECT_THAT(
      compact.out,
      HasSubstr("[TRACE] mlp.flow: in(2, 24) -> gate/up(2, 8) -> swiglu(2, 8) -> out(2, 24)\n"
                "[TRACE] layer01.moe.routing: top_k=3 "
                "expert_hist=[0, 1, 1, 1, 0, 1, 0, 1, 2, 0, 2]\n"
                "[TRACE] layer01.flow: "));
  EXPECT_THAT(compact.out, Not(HasSubstr("moe.flow")));
  const ProgramResult verbose =
      trace({"--ids", "36,55,27", "--level", "verbose", "--lang", "zh"}, "moe_sparse_step");
  const std::string tail = ", dtype=torch.float32, device=cpu\n";
  EXPECT_THAT(
      verbose.out,
      HasSubstr("[TRACE] layer01.moe.input: shape=(1, 3, 24)" + tail +
                "[TRACE] layer01.moe.router_logits: shape=(3, 11)" + tail +
                "[TRACE] mlp.input: shape=(1, 24)" + tail + "[TRACE] mlp.gate_proj: shape=(1, 8)" +
                tail + "[TRACE] mlp.up_proj: shape=(1, 8)" + tail +
                "[TRACE] mlp.swiglu_hidden: shape=(1, 8)" + tail +
                "[TRACE] mlp.output: shape=(1, 24)" + tail));
  EXPECT_THAT(verbose.out,
              HasSubstr("[TRACE] layer01.moe.output: shape=(1, 3, 24)" + tail +
                        "[TRACE] layer01.output: shape=(1, 3, 24)" + tail +
                        "[TRACE] 离开 Decoder Layer 1\n"));
}

// The labels and losses are transformers' (golden.json).
TEST(TraceLevels, Losses) {
  const Json golden = parse_json(
      read_text_file(golden_model("moe_sliding") + "/golden.json", 1 << 20), "golden.json");
  const auto list = [&](const char* key) {
    std::string text = dump_json(golden[key]);
    return text.substr(1, text.size() - 2);
  };
  const ProgramResult result =
      trace({"--ids", list("prompt"), "--labels", list("labels")}, "moe_sliding");
  EXPECT_THAT(result.out, HasSubstr("[TRACE] lm_head.ce_loss=5.4146"));
  EXPECT_THAT(result.out, HasSubstr("[TRACE] lm_head.router_aux_loss=1.2998"));
}

TEST(TraceLevels, FromTheConfig) {
  const TempDir directory;
  std::filesystem::copy(
      golden_model("dense_tied"), directory.path(), std::filesystem::copy_options::recursive);
  Json config =
      parse_json(read_text_file(directory.path() / "config.json", 1 << 20), "config.json");
  config["enable_trace"] = true;
  config["trace_level"] = "compact";
  directory.write("config.json", dump_json(config));
  const std::string model = directory.path().string();
  // A config that traces prints its lines beside whatever else was asked for; --level wins.
  EXPECT_THAT(run_qwen3({"trace", "-m", model, "--ids", "1,2", "--watch", "--quiet"}).out,
              StartsWith("[TRACE] Trace level=compact."));
  EXPECT_THAT(run_qwen3({"trace", "-m", model, "--ids", "1,2", "--level", "flow", "--quiet"}).out,
              StartsWith("[TRACE] Trace level=input_flow."));
  config["trace_level"] = "loud";
  directory.write("config.json", dump_json(config));
  const ProgramResult bad = run_qwen3({"trace", "-m", model, "--ids", "1,2"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.err,
              HasSubstr("trace_level: unknown trace level; expected input_flow, compact or "
                        "verbose; got \"loud\""));
}

TEST(TraceDemo, WalksTwelveModules) {
  const ProgramResult zh = run_qwen3({"trace", "--demo", "--lang", "zh"});
  ASSERT_EQ(zh.exit_code, 0) << zh.err;
  const std::vector<std::string> lines = lines_of(zh.out);
  EXPECT_EQ(lines[0], "使用设备: cpu");
  EXPECT_EQ(lines[2], "===== 维度流动演示（中文详细版）=====");
  for (const char* part :
       {"[输入] input_ids 形状：(1, 6)，数值：[[1, 7, 3, 9, 5, 11]]\n[输入] attention_mask "
        "形状：(1, 1, 6, 6)\n",
        "[流程 01] 模块：model.embed_tokens\n  作用：词嵌入：把 token id 映射为向量表示\n  "
        "输入形状：(1, 6)\n"
        "  输入统计：mean=6.0000, std=3.4157, min=1.0000, max=11.0000\n  输出形状：(1, 6, 16)\n",
        "[流程 02] 模块：model.rotary_emb\n",
        "  输出样本（第0个样本/第0个token前4维）：[1.0000, 1.0000, 1.0000, 1.0000]\n"
        "  细节：参数: head_dim=4, max_position_embeddings=32768, rope_theta=1000000.0\n"
        "  细节：输出: cos(1, 6, 4), sin(1, 6, 4)\n",
        "[流程 03] 模块：model.layers.0.input_layernorm\n",
        "  细节：参数: eps=1e-06\n",
        "  细节：内部维度: Q=(1,6,4,4), K/V=(1,6,2,4), AttnScore=(1,4,6,6)\n",
        "[流程 10] 模块：model.layers.1.mlp\n",
        "  细节：参数: num_experts=4, top_k=2, norm_topk_prob=True\n",
        "  附加输出 router_logits 形状：(1, 6, 4)\n",
        "[流程 12] 模块：lm_head\n",
        "  细节：参数: hidden_size=16, vocab_size=128\n",
        "[输出] 最终 logits 形状：(1, 6, 128)\n",
        "[输出] 捕获到的 router 层数：2\n  - 第 0 层 router_logits 形状：(1, 6, 4)\n"}) {
    EXPECT_THAT(zh.out, HasSubstr(part));
  }
  EXPECT_THAT(zh.out, Not(HasSubstr("[流程 13]")));
  const ProgramResult en = run_qwen3({"trace", "--demo", "--lang", "en"});
  EXPECT_THAT(en.out, HasSubstr("[step 12] module: lm_head\n"));
  EXPECT_EQ(lines_of(en.out).size(), lines.size());
  EXPECT_EQ(run_qwen3({"trace", "--demo", "--lang", "original"}).out, zh.out);  // seeded
}

// The reader's language: by the environment, English when it says nothing of Chinese.
TEST(TraceLevels, SpeakTheLanguageOfTheEnvironment) {
  const auto demo = [](const std::string& environment) {
    return run_shell("env -u LC_ALL -u LC_MESSAGES " + environment +
                     " " QWEN3_BINARY " trace --demo")
        .out;
  };
  EXPECT_THAT(demo("LANG=de_DE.UTF-8"), HasSubstr("[step 12] module: lm_head"));
  EXPECT_THAT(demo("LANG=zh_CN.UTF-8"), HasSubstr("[流程 12]"));
  EXPECT_THAT(demo("LANG=zh_CN.UTF-8 LC_ALL=C"), HasSubstr("[step 12] module: lm_head"));
  const std::string level = run_shell("LC_ALL=C " QWEN3_BINARY " trace --quiet --ids 1").out;
  EXPECT_THAT(level, HasSubstr("Available: input_flow"));
}

TEST(TraceMoeBlock, ExactValues) {
  const std::vector<cli::MoeBlockCase> cases = cli::moe_block_cases();
  const std::vector<std::vector<double>> first_weights = {
      {.65557, .78368, .87334},
      {.641289, .866249, .959122, .988372, .996763, .999104, .999753, .999932},
      {.562502, .623081, .680043}};
  const std::vector<std::vector<float>> outputs = {
      {2, 4, 6}, {3, 7, 11, 15, 19, 23, 27, 31}, {0, 0, 0}};
  ASSERT_EQ(cases.size(), 3u);
  for (size_t c = 0; c < cases.size(); ++c) {
    const cli::MoeBlockResult result = cli::run_moe_block(cases[c]);
    ASSERT_EQ(result.experts.size(), 2 * outputs[c].size());
    for (size_t t = 0; t < outputs[c].size(); ++t) {
      EXPECT_EQ(result.experts[2 * t], 0);
      EXPECT_EQ(result.experts[2 * t + 1], c == 2 ? 2 : 1);
      EXPECT_NEAR(result.weights[2 * t], first_weights[c][t], c == 0 ? 5e-6 : 5e-7);
      EXPECT_NEAR(result.output[2 * t], outputs[c][t], 1e-5);
      EXPECT_EQ(result.output[2 * t], result.output[2 * t + 1]);
    }
    EXPECT_EQ(result.visits.size(), 2u);
  }
  const ProgramResult printed = run_qwen3({"trace", "--moe-block", "--lang", "zh"});
  EXPECT_THAT(printed.out, HasSubstr("Case: B=2, S=4, H=2\n输入 x 形状: (2, 4, 2)\n"));
  EXPECT_THAT(
      printed.out,
      HasSubstr(
          "专家 E2 被唤醒，处理 Token=[0, 1, 2] | current_state=(3, 2) -> expert_out=(3, 2)\n"));
}

}  // namespace
}  // namespace qwen3::test
