// qwen3 trace, run as a user would run it: taps, dumps, routing, the lens, attention, reports, generation, errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/input_file.h"
#include "base/json.h"
#include "cli/trace/run_trace.h"
#include "formats/npy.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

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

}  // namespace
}  // namespace qwen3::test
