// inspect and bench: the shape of what they say; speeds are only checked for being there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/input_file.h"
#include "base/json.h"
#include "cli/run_program.h"
#include "support/gguf_model.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;

TEST(Inspect, TextShowsConfigTensorsAndPlan) {
  const ProgramResult result = run_qwen3({"inspect", "-m", golden_model("moe_small"), "--tensors"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  for (const char* text : {"model_type               qwen3_moe",
                           "num_experts ",
                           "lm_head.weight",
                           "memory available",
                           "KV cache",
                           "fits                     yes"}) {
    EXPECT_THAT(result.out, HasSubstr(text));
  }
}

// What loading would say, in its words.
TEST(Inspect, RefusesWhatLoadingRefuses) {
  const std::filesystem::path source = golden_model("dense");
  const std::string config = read_text_file(source / "config.json", 1 << 20);
  Json tied = parse_json(config, "config"), leftover = tied;
  tied["tie_word_embeddings"] = true;  // but the file has a head that differs
  leftover["quantization_config"] = {{"quant_method", "bitsandbytes"}};
  for (const auto& [changed, part] :
       {std::pair{tied, "tensor lm_head.weight: expected the numbers"},
        std::pair{leftover, "remove quantization_config"}}) {
    const TempDir dir;
    dir.write("config.json", dump_json(changed));
    std::filesystem::copy_file(source / "model.safetensors", dir.path() / "model.safetensors");
    const std::string path = dir.path().string();
    const ProgramResult inspected = run_qwen3({"inspect", "-m", path});
    const ProgramResult loaded =
        run_qwen3({"logits", "-m", path, "--ids", "1", "--out", path + "/x.npy"});
    EXPECT_EQ(inspected.exit_code, 1);
    EXPECT_EQ(loaded.exit_code, 1);
    EXPECT_THAT(inspected.err, HasSubstr(part));
    EXPECT_EQ(lines_of(inspected.err).back(), lines_of(loaded.err).back());
  }
}

// Both end with 1 and the same line, which has `part`.
void expect_refused_as_loading(const std::string& path, const char* part) {
  const ProgramResult inspected = run_qwen3({"inspect", "-m", path});
  const ProgramResult loaded = run_qwen3({"generate", "-m", path, "--prompt", "1", "--quiet"});
  EXPECT_EQ(inspected.exit_code, 1) << part;
  EXPECT_EQ(loaded.exit_code, 1) << part;
  EXPECT_THAT(inspected.err, HasSubstr(part));
  EXPECT_EQ(inspected.err, loaded.err);
  EXPECT_EQ(inspected.out, "");
}

TEST(Inspect, RefusesTokenizersAndTemplatesThatLoadingRefuses) {
  const std::filesystem::path nano = QWEN3_SOURCE_DIR "/models/nano";
  constexpr const char* kPointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
  struct Damage {
    const char* file;
    const char* text;
    const char* said;
  };
  for (const auto& [file, text, said] :
       {Damage{"tokenizer.json", "{}", "tokenizer.json"},
        Damage{"tokenizer.json", kPointer, "Git LFS pointer"},
        Damage{"tokenizer_config.json", "[1]", "expected an object"},
        Damage{"chat_template.jinja", "a\n{% if %}", "chat_template.jinja: line 2"}}) {
    const TempDir dir;
    for (const auto& entry : std::filesystem::directory_iterator(nano)) {
      std::filesystem::create_symlink(entry.path(), dir.path() / entry.path().filename());
    }
    std::filesystem::remove(dir.path() / file);
    dir.write(file, text);
    expect_refused_as_loading(dir.path().string(), said);
  }
  const TempDir others;  // the tokenizer of another model
  for (const char* file : {"config.json", "model.safetensors"}) {
    std::filesystem::copy_file(std::filesystem::path(golden_model("dense")) / file,
                               others.path() / file);
  }
  std::filesystem::copy_file(nano / "tokenizer.json", others.path() / "tokenizer.json");
  expect_refused_as_loading(others.path().string(), "is the tokenizer of another model?");
}

TEST(Inspect, RefusesGgufWhoseTextLoadingRefuses) {
  const TempDir dir;
  const std::string whole = gguf_of(QWEN3_SOURCE_DIR "/models/nano").file();
  for (const auto& [was, is, said] :
       {std::array{"{%- if ", "{%- of ", "tokenizer.chat_template"},
        std::array{"tokenizer.ggml.merges", "tokenizer.ggml.nothin", "tokenizer.ggml.merges"}}) {
    std::string damaged = whole;
    const size_t at = damaged.find(was);
    ASSERT_NE(at, damaged.npos) << was;
    damaged.replace(at, std::string_view(was).size(), is);
    expect_refused_as_loading(dir.write("damaged.gguf", damaged).string(), said);
  }
}

TEST(Inspect, SaysWhatTheTokenizerIs) {
  const Json nano = parse_json(run_qwen3({"inspect", "nano", "--json"}).out, "nano");
  EXPECT_EQ(nano.at("tokenizer"),
            Json({{"tokens", 2560}, {"eos_token_id", {2536}}, {"chat_template", true}}));
  const ProgramResult none = run_qwen3({"inspect", golden_model("dense")});
  EXPECT_THAT(none.out, HasSubstr("tokenizer                none here"));
}

TEST(Inspect, SaysWhatIsLaidOverTheConfig) {
  const std::vector<std::string> yarn = {
      "inspect", "nano", "--rope-scaling", "yarn", "--rope-scale", "4", "--yarn-orig-ctx", "1024"};
  const ProgramResult text = run_qwen3(yarn);
  ASSERT_EQ(text.exit_code, 0) << text.err;
  for (const char* part : {"hf_overrides             {\"rope_scaling\":{\"rope_type\":\"yarn\",",
                           "rope_scaling             yarn\n",
                           "rope_factor              4.0\n",
                           "longest context          4096 tokens"}) {
    EXPECT_THAT(text.out, HasSubstr(part));
  }
  constexpr const char* kObject =
      R"({"rope_scaling":{"rope_type":"yarn","factor":2,"original_max_position_embeddings":2048}})";
  const ProgramResult said =
      run_qwen3({"inspect", "nano", "--json", "--hf-overrides", kObject, "--rope-theta", "500"});
  ASSERT_EQ(said.exit_code, 0) << said.err;
  const Json json = parse_json(said.out, "inspect");
  EXPECT_EQ(json.at("config").at("rope_factor"), 2.0);
  EXPECT_EQ(json.at("config").at("rope_theta"), 500.0);
  EXPECT_EQ(json.at("plan").at("longest_context"), 4096);
  EXPECT_EQ(json.at("hf_overrides").at("rope_theta"), 500.0);
  EXPECT_EQ(parse_json(run_qwen3({"inspect", "nano", "--json"}).out, "plain").at("hf_overrides"),
            nullptr);
}

// The same bits as from a checkpoint whose config.json says it.
TEST(Overrides, GiveTheLogitsOfAConfigThatSaysTheSame) {
  const std::filesystem::path source = golden_model("moe_small");
  Json config = parse_json(read_text_file(source / "config.json", 1 << 20), "config");
  const Json yarn = {
      {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 16}};
  config["rope_scaling"] = yarn;
  const TempDir dir;
  dir.write("config.json", dump_json(config));
  std::filesystem::copy_file(source / "model.safetensors", dir.path() / "model.safetensors");
  const auto logits = [&](const std::string& model, std::vector<std::string> more) {
    const std::string out = (dir.path() / "l.npy").string();
    std::vector<std::string> words = {
        "logits", "-m", model, "--ids", "36,55,27,40,3,2,1", "--out", out, "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult result = run_qwen3(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return read_text_file(out, 1 << 20);
  };
  const std::string expected = logits(dir.path().string(), {});
  EXPECT_NE(logits(source.string(), {}), expected);
  EXPECT_EQ(logits(source.string(), {"--hf-overrides", dump_json({{"rope_scaling", yarn}})}),
            expected);
}

TEST(Inspect, RefusesOverridesThatCannotBe) {
  const auto refused = [](const std::vector<std::string>& more, int code, const char* part) {
    std::vector<std::string> words = {"inspect", "nano"};
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult result = run_qwen3(words);
    EXPECT_EQ(result.exit_code, code) << part;
    EXPECT_THAT(result.err, HasSubstr(part));
    EXPECT_EQ(lines_of(result.err).size(), 1u);
  };
  refused({"--hf-overrides", "yarn"}, 2, "--hf-overrides: not valid JSON");
  refused({"--hf-overrides", "[1]"}, 2, "--hf-overrides: expected a JSON object");
  refused({"--hf-overrides", R"({"rope_thetta":1})"}, 1, "did you mean \"rope_theta\"?");
  refused({"--rope-scaling", "ntk"}, 2, "expected none, linear, yarn or a JSON object");
  refused({"--rope-scale", "2"}, 1, "beside a factor");
  refused({"--rope-scaling", "none", "--rope-scale", "2"}, 1, "beside a factor");
  refused({"--rope-scaling", "linear", "--yarn-orig-ctx", "9", "--rope-scale", "2"},
          1,
          "rope_scaling.original_max_position_embeddings");
  refused({"--rope-theta", "0.5"}, 2, "--rope-theta");
}

TEST(Inspect, JsonCountsBytes) {
  const ProgramResult result =
      run_qwen3({"inspect", "-m", golden_model("dense"), "--json", "--context", "100"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  ASSERT_EQ(lines_of(result.out).size(), 1u);
  const Json json = parse_json(result.out, "inspect");
  EXPECT_EQ(json.at("config").at("vocab_size"), 300);
  EXPECT_EQ(json.at("config").at("head_dim"), 12);
  // Embedding, head and norm; per layer two norms, q and o of 6 heads, k and v of 2, q and k norms,
  // and the MLP.
  constexpr int kLayer = 2 * 40 + 2 * 40 * 6 * 12 + 2 * 40 * 2 * 12 + 2 * 12 + 3 * 40 * 56;
  EXPECT_EQ(json.at("n_parameters"), 2 * 300 * 40 + 40 + 2 * kLayer);
  int64_t bytes = 0;
  for (const Json& tensor : json.at("checkpoint").at("tensors"))
    bytes += tensor.at("bytes").get<int64_t>();
  EXPECT_EQ(bytes, 4 * (2 * 300 * 40 + 40 + 2 * kLayer));
  EXPECT_EQ(json.at("checkpoint").at("bytes"), bytes);
  EXPECT_EQ(json.at("plan").at("dtype"), "float32");
  EXPECT_EQ(json.at("plan").at("context"), 100);
  EXPECT_GT(json.at("plan").at("weight_bytes"), 0);
  EXPECT_EQ(json.at("fits"), true);
  EXPECT_EQ(json.at("problem"), nullptr);
}

TEST(Inspect, AContextBeyondTheModelIsRefused) {
  const ProgramResult result =
      run_qwen3({"inspect", "-m", golden_model("dense"), "--context", "129"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("--context: expected at most the model's 128 tokens; got 129"));
}

TEST(Inspect, AContextBeyondMemoryDoesNotFit) {
  // 2^26 tokens of 512 layers with two heads of 12 float32 keys and values: 6.6 TB.
  const TempDir dir;
  std::ifstream in(golden_model("dense") + "/config.json");
  Json config = parse_json(std::string(std::istreambuf_iterator<char>(in), {}), "config");
  config["max_position_embeddings"] = 1 << 26;
  config["num_hidden_layers"] = 512;
  dir.write("config.json", dump_json(config));
  const ProgramResult result =
      run_qwen3({"inspect", "-m", dir.path().string(), "--json", "--context", "67108864"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = parse_json(result.out, "inspect");
  EXPECT_EQ(json.at("fits"), false);
  EXPECT_THAT(json.at("problem").get<std::string>(), HasSubstr("67108864 tokens needs"));
}

TEST(Inspect, AConfigWithoutWeightsHasAPlan) {
  const TempDir dir;
  std::filesystem::copy_file(golden_model("dense") + "/config.json", dir.path() / "config.json");
  const ProgramResult result = run_qwen3({"inspect", "-m", dir.path().string(), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = parse_json(result.out, "inspect");
  EXPECT_EQ(json.at("checkpoint"), nullptr);
  EXPECT_EQ(json.at("fits"), true);
}

TEST(Inspect, BrokenCheckpointsAreNamed) {
  const TempDir dir;
  std::filesystem::copy_file(golden_model("dense") + "/config.json", dir.path() / "config.json");
  dir.write("model.safetensors", "not a safetensors file");
  ProgramResult result = run_qwen3({"inspect", "-m", dir.path().string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(lines_of(result.err).size(), 1u);
  EXPECT_THAT(result.err, HasSubstr("model.safetensors"));
  dir.write("config.json", "{\"model_type\": \"qwen3\"");
  result = run_qwen3({"inspect", "-m", dir.path().string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("config.json"));
}

const std::vector<std::string> kSmallBench = {"bench",
                                              "--prompt-tokens",
                                              "16",
                                              "--decode-tokens",
                                              "8",
                                              "--context",
                                              "0,8",
                                              "--batch",
                                              "1,3",
                                              "--repeat",
                                              "2",
                                              "--threads",
                                              "1"};

ProgramResult bench(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = kSmallBench;
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_qwen3(arguments);
}

TEST(Bench, JsonHasEveryRun) {
  const ProgramResult result = bench({"--model", golden_model("moe_small"), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  const Json json = parse_json(result.out, "bench");
  EXPECT_EQ(json.at("n_threads"), 1);
  EXPECT_GT(json.at("read_bandwidth_bytes_per_second"), 1e8);
  ASSERT_EQ(json.at("prefill").size(), 2u);
  ASSERT_EQ(json.at("decode").size(), 4u);
  for (const Json& run : json.at("prefill")) {
    EXPECT_EQ(run.at("seconds").size(), 2u);
    EXPECT_GT(run.at("tokens_per_second"), 0);
    EXPECT_GT(run.at("flops_per_second"), 0);
  }
  std::vector<std::pair<int, int>> cases;
  for (const Json& run : json.at("decode")) {
    cases.emplace_back(run.at("context").get<int>(), run.at("batch").get<int>());
    EXPECT_EQ(run.at("step_seconds").size(), 2u);
    EXPECT_GT(run.at("ms_per_step"), 0);
    EXPECT_GT(run.at("bytes_per_second"), 0);
    EXPECT_GT(run.at("share_of_read_bandwidth"), 0);
  }
  EXPECT_THAT(
      cases,
      testing::ElementsAre(std::pair(0, 1), std::pair(0, 3), std::pair(8, 1), std::pair(8, 3)));
}

TEST(Bench, RandomWeightsNeedAConfigOnly) {
  const TempDir dir;
  std::filesystem::copy_file(golden_model("dense") + "/config.json", dir.path() / "config.json");
  const ProgramResult result = bench({"--random-weights", dir.path().string()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(lines_of(result.out).size(), 6u) << result.out;
  EXPECT_THAT(result.err, HasSubstr("GB/s of memory (measured)"));
}

TEST(Bench, TimelineHasEveryRequest) {
  const TempDir dir;
  const std::string file = (dir.path() / "timeline.json").string();
  const ProgramResult result =
      bench({"--model", golden_model("moe_small"), "--quiet", "--timeline", file});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = parse_json(read_text_file(file, 16 << 20), "timeline");
  EXPECT_EQ(json["otherData"]["dropped_spans"], 0);
  int64_t n_requests = 0, n_decodes = 0, n_operations = 0;
  for (const Json& event : json["traceEvents"]) {
    if (event["ph"] != "X") continue;
    n_requests += event["name"].get<std::string>().starts_with("request ") ? 1 : 0;
    n_decodes += event["name"] == "decode" ? 1 : 0;
    n_operations += event["pid"] == 1 && event["name"] != "step" ? 1 : 0;
  }
  // Prefill: one for the context of 8, three for each context. Decode, of one and of three
  // sequences for each context: once to fill the cache, twice for 9 tokens.
  EXPECT_EQ(n_requests, 1 + 2 * 3 + 2 * (1 + 3) * 3);
  EXPECT_EQ(n_decodes, 2 * (1 + 3) * 2 * 8);
  EXPECT_GT(n_operations, 1000);
}

TEST(Bench, TablesForReports) {
  const ProgramResult markdown =
      bench({"--model", golden_model("dense"), "--quiet", "--format", "markdown"});
  EXPECT_EQ(markdown.exit_code, 0) << markdown.err;
  const std::vector<std::string> rows = lines_of(markdown.out);
  ASSERT_EQ(rows.size(), 8u) << markdown.out;
  EXPECT_EQ(rows[0], "| test | context | batch | tokens | tokens/s | ms/step | GB/s | GFLOP/s |");
  EXPECT_EQ(rows[1], "| --- | --- | --- | --- | --- | --- | --- | --- |");
  EXPECT_THAT(rows[2], testing::StartsWith("| prefill | 0 | 1 | 16 | "));
  EXPECT_THAT(rows[4], testing::StartsWith("| decode | 0 | 3 | 8 | "));
  const ProgramResult csv = bench({golden_model("dense"), "--quiet", "--format", "csv"});
  ASSERT_EQ(lines_of(csv.out).size(), 7u) << csv.out;
  for (const std::string& row : lines_of(csv.out)) {
    EXPECT_EQ(std::count(row.begin(), row.end(), ','), 7) << row;
  }
}

// Lengths that cannot be are rows that say so.
TEST(Bench, TheOfficialTable) {
  const auto official = [](std::vector<std::string> more) {
    more.insert(more.begin(),
                {"bench",
                 golden_model("dense"),
                 "--preset",
                 "official",
                 "--decode-tokens",
                 "4",
                 "--quiet"});
    return run_qwen3(more);
  };
  const ProgramResult result = official({"--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json rows = parse_json(result.out, "rows").at("official");
  std::vector<int64_t> inputs;
  for (const Json& row : rows) inputs.push_back(row.at("input_tokens").get<int64_t>());
  EXPECT_THAT(inputs, testing::ElementsAre(1, 6144, 14336, 30720, 63488, 129024));
  EXPECT_GT(rows[0].at("peak_memory_bytes"), 1 << 20);
  const double speed = rows[0].at("tokens_per_second");
  EXPECT_NEAR(speed, 5 / rows[0].at("seconds").get<double>(), speed * 1e-6);
  EXPECT_EQ(rows[1].at("note"), "6148 tokens: longer than the model's context of 128");
  EXPECT_FALSE(rows[1].contains("tokens_per_second"));
  const ProgramResult table =
      official({"--format", "markdown", "--context", "1,100,200", "--repeat", "3"});
  ASSERT_EQ(lines_of(table.out).size(), 5u) << table.out;
  EXPECT_THAT(lines_of(table.out)[4], HasSubstr("longer than the model's context of 128 |"));
  EXPECT_EQ(lines_of(official({"--format", "csv", "--context", "8"}).out).size(), 2u);
  EXPECT_EQ(official({"--context", "0"}).exit_code, 2);
}

TEST(Bench, BadListsAreRefused) {
  for (const char* batch : {"0", "1,", "x", "-1", "1025", "1000000000"}) {
    const ProgramResult result =
        run_qwen3({"bench", "-m", golden_model("dense"), "--batch", batch});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr("--batch"));
  }
  const ProgramResult longer =
      run_qwen3({"bench", "-m", golden_model("dense"), "--context", "0,1000000000"});
  EXPECT_EQ(longer.exit_code, 1);
  EXPECT_THAT(longer.err, HasSubstr("the model's 128 tokens; got 1000000514; lower --context"));
  const ProgramResult both = run_qwen3({"bench", "-m", "a", "--random-weights", "b"});
  EXPECT_EQ(both.exit_code, 2);
}

}  // namespace
}  // namespace qwen3::test
