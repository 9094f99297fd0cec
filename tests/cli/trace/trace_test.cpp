// qwen3 trace, run as a user would run it. The lines of the levels are written out here in full,
// from the forms of the educational implementation and the shapes of the models; the experts that
// the three tokens go to are transformers' (router_logits, top 3, transformers 5.24).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/input_file.h"
#include "base/json.h"
#include "cli/run_program.h"
#include "cli/trace/moe_block.h"
#include "formats/npy.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// In the languages of the original, unless another one is asked for.
ProgramResult trace(std::vector<std::string> arguments, const std::string& model = "dense_tied") {
  std::vector<std::string> all{
      "trace", "-m", golden_model(model), "--backend", "reference", "--quiet"};
  if (std::ranges::find(arguments, "--lang") == arguments.end()) {
    all.insert(all.end(), {"--lang", "original"});
  }
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_qwen3(all);
}

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

TEST(Trace, Taps) {
  const ProgramResult result = trace({"--ids", "36,55,27", "--taps", "layers.*.output", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::vector<std::string> lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 2u);
  const Json tap = parse_json(lines[1], "line");
  EXPECT_EQ(tap["name"], "layers.1.output");
  EXPECT_EQ(tap["shape"], Json({3, 24}));
  EXPECT_EQ(tap["nan"], 0);
  const ProgramResult text = trace({"--ids", "36", "--taps", "norm", "--taps", "logits"});
  EXPECT_THAT(text.out, StartsWith("norm "));
  EXPECT_EQ(lines_of(text.out).size(), 2u);
}

TEST(Trace, RefusesUnknownTaps) {
  const ProgramResult result = trace({"--ids", "36", "--taps", "layers.*.q_porj"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("matches no tap of this model; the nearest names are q_proj"));
  EXPECT_EQ(result.out, "");
}

// Two different parts of characters do not look the same.
TEST(Trace, ShowsTheBytesOfPartsOfCharacters) {
  const ProgramResult result =
      run_qwen3({"trace", "-m", "nano", "--prompt", "\U0001F999", "--lens", "9", "--quiet"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("\\xf0"));
  EXPECT_THAT(result.out, HasSubstr("\\x99"));
  EXPECT_THAT(result.out, testing::Not(HasSubstr("\uFFFD")));
}

// What this program dumps agrees with itself; a changed number is found where it first appears.
TEST(Trace, DumpsAndCompares) {
  const TempDir directory;
  const std::string dumps = (directory.path() / "dumps").string();
  ASSERT_EQ(trace({"--ids", "36,55,27", "--out", dumps}, "moe_small").exit_code, 0);
  const std::string file = dumps + "/layers.1.mlp.act.npy";
  NpyArray act = read_npy(file);
  EXPECT_EQ(act.shape, (std::vector<int64_t>{3, 28}));
  EXPECT_TRUE(std::filesystem::exists(dumps + "/layers.0.mlp.selected_experts.npy"));
  const ProgramResult same = trace({"--ids", "36,55,27", "--compare", dumps}, "moe_small");
  EXPECT_EQ(same.exit_code, 0) << same.err;
  EXPECT_THAT(same.out, HasSubstr("agree to 1e-05"));
  EXPECT_THAT(same.out, Not(HasSubstr("without a tensor")));
  std::filesystem::copy_file(file, dumps + "/model.layers.1.mlp.act_fn.npy");
  EXPECT_THAT(trace({"--ids", "36,55,27", "--compare", dumps}, "moe_small").out,
              HasSubstr("files there without a tensor of their name: 1\n"));
  act.values[30] += 1;
  write_npy(file, Tensor::view(act.values, {3, 28}));
  const ProgramResult changed = trace({"--ids", "36,55,27", "--compare", dumps}, "moe_small");
  EXPECT_EQ(changed.exit_code, 1);
  EXPECT_THAT(changed.err, HasSubstr("layers.1.mlp.act: the first tensor that diverges"));
  EXPECT_THAT(changed.err, HasSubstr("at 30; 1 of"));
  const ProgramResult lines =
      trace({"--ids", "36,55,27", "--compare", dumps, "--json", "--taps", "norm"}, "moe_small");
  const Json verdict = parse_json(lines_of(lines.out).back(), "verdict")["compare"];
  EXPECT_EQ(verdict["diverging"], 1);
  EXPECT_EQ(verdict["files_without_tensor"], 1);
  EXPECT_EQ(verdict["first"]["name"], "layers.1.mlp.act");
  EXPECT_EQ(verdict["first"]["at"], 30);
  const ProgramResult shape = trace({"--ids", "36,55", "--compare", dumps}, "moe_small");
  EXPECT_THAT(shape.err, HasSubstr("rotary_cos: the first tensor that diverges"));
  EXPECT_THAT(shape.err, HasSubstr("expected [3, 8], got [2, 8]"));
}

TEST(Trace, Routing) {
  const TempDir directory;
  const std::string folder = (directory.path() / "routing").string();
  const ProgramResult result =
      trace({"--ids", "36,55,27", "--routing", "--routing-out", folder}, "moe_sparse_step");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("layer  1: load [0, 1, 1, 1, 0, 1, 0, 1, 2, 0, 2] idle 4"));
  const NpyArray experts = read_npy(folder + "/experts.npy");
  EXPECT_EQ(experts.shape, (std::vector<int64_t>{3, 1, 3}));
  EXPECT_EQ(experts.values, (std::vector<float>{10, 2, 7, 10, 8, 5, 8, 1, 3}));
  const NpyArray weights = read_npy(folder + "/weights.npy");
  EXPECT_NEAR(weights.values[0] + weights.values[1] + weights.values[2], 1, 1e-6);
  const Json json = parse_json(read_text_file(folder + "/routing.json", 1 << 20), "routing.json");
  EXPECT_EQ(json["layers"][0]["tokens"][2]["experts"], Json({8, 1, 3}));
  const ProgramResult dense = trace({"--ids", "36", "--routing-out", folder});
  EXPECT_EQ(dense.exit_code, 1);
  EXPECT_THAT(dense.err, HasSubstr("expected a model with experts"));
}

// The last layer of the lens is the model's own prediction.
TEST(Trace, LensEndsInTheAnswer) {
  const std::string prompt = "36,55,27,40,23,7";
  const ProgramResult result =
      trace({"--ids", prompt, "--lens", "1", "--json", "--taps", "norm"}, "dense");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<std::string> lines = lines_of(result.out);
  const Json last = parse_json(lines.back(), "line");
  const TempDir directory;
  const std::string file = (directory.path() / "logits.npy").string();
  ASSERT_EQ(run_qwen3({"logits",
                       "-m",
                       golden_model("dense"),
                       "--backend",
                       "reference",
                       "--ids",
                       prompt,
                       "--out",
                       file,
                       "--quiet"})
                .exit_code,
            0);
  const NpyArray logits = read_npy(file);
  const auto begin = logits.values.end() - logits.shape[1];
  EXPECT_EQ(last["lens"]["top"][0][0].get<int64_t>(),
            std::max_element(begin, logits.values.end()) - begin);
}

// The probabilities that the reference backend shows, and those computed from queries and keys.
TEST(Trace, AttentionIsTheSameOnBothBackends) {
  const TempDir directory;
  for (const char* backend : {"reference", "cpu"}) {
    const ProgramResult result = run_qwen3({"trace",
                                            "-m",
                                            golden_model("moe_sliding"),
                                            "--backend",
                                            backend,
                                            "--dtype",
                                            "float32",
                                            "--ids",
                                            "36,55,27,40,23,7,41",
                                            "--quiet",
                                            "--attention-out",
                                            (directory.path() / backend).string()});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  const std::string name = "layers.2.self_attn.probs.npy";
  const NpyArray shown = read_npy(directory.path() / "reference" / name);
  const NpyArray computed = read_npy(directory.path() / "cpu" / name);
  ASSERT_EQ(shown.shape, (std::vector<int64_t>{4, 7, 7}));
  ASSERT_EQ(computed.shape, shown.shape);
  for (size_t i = 0; i < shown.values.size(); ++i) {
    EXPECT_NEAR(shown.values[i], computed.values[i], 1e-5) << i;
  }
  std::string ids = "1";
  for (int i = 0; i < 100; ++i) ids += ",1";
  const ProgramResult fits = trace({"--ids", ids, "--attention"});
  EXPECT_EQ(fits.exit_code, 0) << fits.err;
}

TEST(Trace, ReportAndTimeline) {
  const TempDir directory;
  const std::string html = (directory.path() / "trace.html").string();
  const std::string timeline = (directory.path() / "timeline.json").string();
  const ProgramResult result =
      trace({"--ids", "36,55,27", "--html", html, "--timeline", timeline}, "moe_small");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(read_text_file(html, 4 << 20), HasSubstr("</html>"));
  const Json events = parse_json(read_text_file(timeline, 4 << 20), "timeline");
  EXPECT_GT(events["traceEvents"].size(), 20u);
  const ProgramResult full = trace({"--ids", "36", "--html", "/dev/full/trace.html"});
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_EQ(lines_of(full.err).size(), 1u);
}

// The times are those of one pass without taps: the passes around it, which warm up and which are
// traced, are not among its operations.
TEST(Trace, OperationsAreThoseOfTheTimedPass) {
  const TempDir directory;
  const std::string html = (directory.path() / "trace.html").string();
  const std::string timeline = (directory.path() / "timeline.json").string();
  const auto check = [&](const std::vector<std::string>& more, int64_t n_passes) {
    std::vector<std::string> arguments{
        "--ids", "36,55,27,1,9", "--html", html, "--timeline", timeline};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = trace(arguments, "moe_small");
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const Json events = parse_json(read_text_file(timeline, 4 << 20), "timeline");
    int64_t n_embeds = 0;
    for (const Json& event : events["traceEvents"]) n_embeds += event["name"] == "embed" ? 1 : 0;
    EXPECT_EQ(n_embeds, n_passes);
    const std::string page = read_text_file(html, 4 << 20);
    const std::string mark = R"(id="data">)";
    const size_t begin = page.find(mark) + mark.size();
    const Json time =
        parse_json(page.substr(begin, page.find("</script>", begin) - begin), "report")["time"];
    double sum = 0;
    for (const Json& operation : time["ops"]) sum += operation["seconds"].get<double>();
    EXPECT_GT(sum, 0);
    EXPECT_LE(sum, time["seconds"].get<double>() * (1 + 1e-9));
  };
  check({}, 1);
  check({"--generate", "4"}, 5);  // the prompt, and each generated token
}

// Prompt and generated tokens through an engine are what one pass over all of them shows.
TEST(Trace, GeneratedTokensToo) {
  const TempDir directory;
  const std::string served = (directory.path() / "served").string();
  const std::string whole = (directory.path() / "whole").string();
  // float32: with 16-bit weights the engine keeps its keys in 16 bits too, a single pass does not.
  const std::vector<std::string> see{
      "--dtype", "float32", "--json", "--lens", "4", "--routing", "--attention"};
  std::vector<std::string> arguments{
      "--ids", "36,55,27", "--generate", "4", "--routing-out", served};
  arguments.insert(arguments.end(), see.begin(), see.end());
  const ProgramResult a = trace(arguments, "moe_small");
  ASSERT_EQ(a.exit_code, 0) << a.err;
  std::vector<std::string> lines = lines_of(a.out);
  const Json generated = parse_json(lines.at(0), "line")["generated"];
  EXPECT_EQ(generated["first_token"], 3);
  ASSERT_EQ(generated["ids"].size(), 4u);
  std::string ids = "36,55,27";
  for (const Json& id : generated["ids"]) ids += "," + dump_json(id);
  arguments = {"--ids", ids, "--routing-out", whole};
  arguments.insert(arguments.end(), see.begin(), see.end());
  const ProgramResult b = trace(arguments, "moe_small");
  ASSERT_EQ(b.exit_code, 0) << b.err;
  std::vector<std::string> expected = lines_of(b.out);
  lines.erase(lines.begin());
  // Statistics, by name: which expert comes first depends on the passes.
  const auto take_taps = [](std::vector<std::string>& from) {
    std::map<std::string, Json> taps;
    std::vector<std::string> others;
    for (const std::string& line : from) {
      const Json json = parse_json(line, "line");
      if (json.contains("name")) {
        taps[json["name"].get<std::string>()] = json;
      } else {
        others.push_back(line);
      }
    }
    from = others;
    return taps;
  };
  const std::map<std::string, Json> served_taps = take_taps(lines), taps = take_taps(expected);
  ASSERT_EQ(served_taps.size(), taps.size());
  for (const auto& [name, tap] : taps) {
    // As many rows as logits were wanted; as wide as there were keys.
    if (name == "norm" || name == "logits" || name.ends_with(".probs")) continue;
    const Json& other = served_taps.at(name);
    EXPECT_EQ(other["shape"], tap["shape"]) << name;
    EXPECT_EQ(other["max"], tap["max"]) << name;
    EXPECT_NEAR(other["rms"].get<double>(), tap["rms"].get<double>(), 1e-9) << name;
  }
  EXPECT_EQ(served_taps.at("logits")["shape"], Json({5, 70}));
  ASSERT_EQ(lines.size(), expected.size());
  int64_t n_generated_rows = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    const Json one = parse_json(lines[i], "line");
    Json other = parse_json(expected[i], "line");
    if (one.contains("lens")) {
      n_generated_rows += one["lens"]["generated"] == true ? 1 : 0;
      EXPECT_EQ(other["lens"]["generated"], false);
      other["lens"]["generated"] = one["lens"]["generated"];
    }
    EXPECT_EQ(one, other);
  }
  EXPECT_EQ(n_generated_rows, 3 * 4);  // layers, and the last four tokens
  EXPECT_EQ(read_npy(served + "/experts.npy").values, read_npy(whole + "/experts.npy").values);
  EXPECT_EQ(read_npy(served + "/weights.npy").values, read_npy(whole + "/weights.npy").values);
  const ProgramResult text =
      trace({"--ids", "36,55,27", "--generate", "2", "--routing", "--lens", "1"}, "moe_small");
  EXPECT_THAT(text.out, HasSubstr("\ntoken       2 "));
  EXPECT_THAT(text.out, HasSubstr("\ngenerated   3 "));
  EXPECT_THAT(text.out, HasSubstr("after generated token 4 "));
}

// The walk of docs/tracing.md: the sum is the last layers' doing, and its token is the template's.
TEST(Trace, AMessageThroughTheChatTemplate) {
  const ProgramResult result = run_qwen3({"trace",
                                          "-m",
                                          "nano-moe",
                                          "--backend",
                                          "reference",
                                          "--json",
                                          "--chat",
                                          "What is 3 + 4?",
                                          "--thinking",
                                          "off",
                                          "--generate",
                                          "8",
                                          "--lens",
                                          "2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::map<int64_t, int32_t> best;  // by layer, after the space before the answer
  for (const std::string& line : lines_of(result.out)) {
    const Json json = parse_json(line, "line");
    if (json.contains("generated")) {
      EXPECT_EQ(json["generated"]["text"], "3 + 4 = 7");
      EXPECT_EQ(json["generated"]["first_token"], 20);
    }
    if (!json.contains("lens") || json["lens"]["position"] != 25) continue;
    best[json["lens"]["layer"].get<int64_t>()] = json["lens"]["top"][0][0].get<int32_t>();
  }
  ASSERT_EQ(best.size(), 8u);
  const int32_t seven = best[7];
  EXPECT_EQ(best[6], seven);
  for (int64_t layer = 0; layer < 5; ++layer) EXPECT_NE(best[layer], seven) << layer;
}

TEST(Trace, TheTimelineOfAGenerationShowsItsRequest) {
  const TempDir directory;
  const std::string html = (directory.path() / "trace.html").string();
  const std::string timeline = (directory.path() / "timeline.json").string();
  const ProgramResult result =
      trace({"--ids", "36,55,27", "--generate", "3", "--html", html, "--timeline", timeline},
            "moe_small");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(read_text_file(html, 4 << 20), HasSubstr("\"n_prompt\":3"));
  const Json json = parse_json(read_text_file(timeline, 4 << 20), "timeline");
  std::vector<std::string> spans;
  int64_t n_steps = 0, n_operations = 0;
  for (const Json& event : json["traceEvents"]) {
    if (event["ph"] != "X") continue;
    if (event["pid"] == 2) spans.push_back(event["name"].get<std::string>());
    if (event["pid"] == 1) ++(event["name"] == "step" ? n_steps : n_operations);
  }
  EXPECT_THAT(spans,
              testing::ElementsAre("queue", "prefill", "decode", "decode", "decode", "request 2"));
  EXPECT_EQ(n_steps, 4);
  EXPECT_GT(n_operations, 4 * 10);
}

TEST(Trace, SaysWhatIsWrongInOneLine) {
  for (const auto& [arguments, exit_code, part] :
       std::vector<std::tuple<std::vector<std::string>, int, std::string>>{
           {{}, 2, "expected one of --prompt, --chat and --ids; got none"},
           {{"--ids", "1", "--prompt", "x"}, 2, "got several"},
           {{"--ids", "1", "--chat", "x"}, 2, "got several"},
           {{"--ids", "1", "--thinking", "on"}, 2, "expected it with --chat"},
           {{"--chat", ""}, 2, "--chat"},
           {{"--chat", "x"}, 1, "give --ids instead"},
           {{"--ids", "1", "--level", "loud"}, 2, "unknown trace level"},
           {{"--ids", "1", "--generate", "2", "--out", "x"}, 2, "--out: expected it without"},
           {{"--ids", "1", "--generate", "2", "--labels", "1"}, 2, "--labels: expected it without"},
           {{"--ids", "1", "--generate", "-1"}, 2, "--generate"},
           {{"--ids", "1", "--generate", "127"}, 1, "--generate: expected at most 126 tokens"},
           {{"--prompt", "x"}, 1, "give --ids instead"},
           {{"--ids", "70"}, 1, "70"},
           {{"--ids", "1", "--compare", "/nowhere"}, 1, "no such directory"},
           {{"--ids", "1", "--out", "/proc/none"}, 1, "/proc/none"},
           {{"--ids", "1", "--demo", "--moe-block"}, 2, "--moe-block"}}) {
    const ProgramResult result = trace(arguments);
    EXPECT_EQ(result.exit_code, exit_code) << part << ": " << result.err;
    EXPECT_THAT(result.err, HasSubstr(part));
    EXPECT_EQ(lines_of(result.err).size(), 1u) << result.err;
  }
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

TEST(TraceTaps, ThatNeverFireAreAnError) {
  const std::string probs = "layers.*.self_attn.probs";
  const ProgramResult silent = run_qwen3({"trace", "--ids", "1,2", "--taps", probs, "--quiet"});
  EXPECT_EQ(silent.exit_code, 1);
  EXPECT_EQ(silent.out, "");
  EXPECT_THAT(silent.err, HasSubstr("--backend reference makes all of them"));
  EXPECT_EQ(trace({"--ids", "1,2", "--taps", probs}).exit_code, 0);
  const ProgramResult one = run_qwen3({"trace",
                                       "--ids",
                                       "1,2",
                                       "--taps",
                                       "norm",
                                       "--taps",
                                       probs,
                                       "--html",
                                       "/dev/null",
                                       "--quiet"});
  EXPECT_EQ(one.exit_code, 1);
  EXPECT_THAT(one.out, StartsWith("norm "));
  EXPECT_THAT(run_qwen3({"trace", "--ids", "1", "--taps", "layer.0.*"}).err,
              HasSubstr("the nearest names are layers.0.*"));
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
