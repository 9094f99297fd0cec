// generate and logits against what transformers computes for the tiny checkpoints, and generate on
// a model whose text is known.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/input_file.h"
#include "base/json.h"
#include "cli/run_program.h"
#include "cli/scripted_model.h"
#include "formats/npy.h"
#include "support/tensors.h"

namespace qwen3::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Json golden(const std::string& model) {
  return parse_json(read_text_file(golden_model(model) + "/golden.json", 1 << 20), model);
}

std::string join(const Json& ids) {
  return fmt::format("{}", fmt::join(ids.get<std::vector<int32_t>>(), ","));
}

class GenerateOnBackend : public testing::TestWithParam<const char*> {};

TEST_P(GenerateOnBackend, GreedyIdsAreThoseOfTransformers) {
  for (const char* model : {"dense", "moe_small"}) {
    const Json expected = golden(model);
    for (const Json& run : expected.at("greedy")) {
      SCOPED_TRACE(fmt::format("{} {}", model, join(run.at("prompt"))));
      const ProgramResult result = run_qwen3({"generate",
                                              "--model",
                                              golden_model(model),
                                              "--backend",
                                              GetParam(),
                                              "--dtype",
                                              "float32",
                                              "--ids",
                                              join(run.at("prompt")),
                                              "--max-tokens",
                                              fmt::format("{}", run.at("ids").size()),
                                              "--temperature",
                                              "0",
                                              "--ignore-eos",
                                              "--json"});
      ASSERT_EQ(result.exit_code, 0) << result.err;
      EXPECT_EQ(result.err, "");
      const Json answer = parse_json(result.out, "answer");
      EXPECT_EQ(answer.at("ids"), run.at("ids"));
      EXPECT_EQ(answer.at("text"), nullptr);
      EXPECT_EQ(answer.at("finish_reason"), "length");
      EXPECT_EQ(answer.at("timing").at("prompt_tokens"), run.at("prompt").size());
      EXPECT_EQ(answer.at("timing").at("completion_tokens"), run.at("ids").size());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, GenerateOnBackend, testing::Values("reference", "cpu"));

TEST(Generate, PlainIdsOnStdoutLinesOnStderr) {
  const std::vector<std::string> arguments = {"generate",
                                              "-m",
                                              golden_model("dense"),
                                              "--ids",
                                              "15",
                                              "--max-tokens",
                                              "3",
                                              "--temperature",
                                              "0",
                                              "--ignore-eos"};
  const ProgramResult result = run_qwen3(arguments);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "298,3,298\n");
  const std::vector<std::string> lines = lines_of(result.err);
  ASSERT_EQ(lines.size(), 2u) << result.err;
  EXPECT_THAT(lines[0], HasSubstr("dense: qwen3, "));
  EXPECT_THAT(lines[0], HasSubstr("float32"));
  EXPECT_THAT(lines[0], HasSubstr("thread"));
  EXPECT_THAT(lines[1], HasSubstr("prompt 1 tokens"));
  EXPECT_THAT(lines[1], HasSubstr("ms/token"));
  EXPECT_THAT(lines[1], HasSubstr("GB/s"));
  EXPECT_THAT(lines[1], HasSubstr("finish: length"));

  std::vector<std::string> quiet = arguments;
  quiet.push_back("--quiet");
  const ProgramResult silent = run_qwen3(quiet);
  EXPECT_EQ(silent.out, "298,3,298\n");
  EXPECT_EQ(silent.err, "");
}

TEST(Generate, IdsFromAFile) {
  const TempDir dir;
  const std::string list = "@" + dir.write("ids.txt", "15\n").string();
  const ProgramResult result = run_qwen3({"generate",
                                          "-m",
                                          golden_model("dense"),
                                          "--ids",
                                          list,
                                          "--max-tokens",
                                          "2",
                                          "--temperature",
                                          "0",
                                          "--ignore-eos",
                                          "--quiet"});
  EXPECT_EQ(result.out, "298,3\n") << result.err;
}

TEST(Generate, TheSameSeedDrawsTheSameTokens) {
  const auto draw = [](const char* seed) {
    return run_qwen3({"generate",
                      "-m",
                      golden_model("dense"),
                      "--ids",
                      "1,2,3",
                      "--max-tokens",
                      "20",
                      "--temperature",
                      "1.5",
                      "--top-k",
                      "0",
                      "--top-p",
                      "1",
                      "--seed",
                      seed,
                      "--ignore-eos",
                      "--quiet"})
        .out;
  };
  EXPECT_EQ(draw("7"), draw("7"));
  EXPECT_NE(draw("7"), draw("8"));
}

TEST(Generate, IdsOutOfTheVocabularyAreRefused) {
  const ProgramResult result =
      run_qwen3({"generate", "-m", golden_model("dense"), "--ids", "1,300", "--quiet"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(lines_of(result.err).size(), 1u) << result.err;
  EXPECT_THAT(result.err,
              HasSubstr("--ids: expected token ids from 0 to 299; got 300 as number 2"));
}

TEST(Generate, APromptBeyondTheContextIsRefusedWithNumbers) {
  std::string ids = "1";
  for (int i = 0; i < 40; ++i) ids += ",1";
  const ProgramResult result = run_qwen3(
      {"generate", "-m", golden_model("dense"), "--ids", ids, "--context", "32", "--quiet"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("--ids: 41 tokens; the context holds 32"));
}

TEST(Generate, StopWithoutATokenizerIsWrongUsage) {
  const ProgramResult result =
      run_qwen3({"generate", "-m", golden_model("dense"), "--ids", "1", "--stop", "x"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("--stop needs a tokenizer"));
}

TEST(Generate, APromptWithoutATokenizerFails) {
  const ProgramResult result =
      run_qwen3({"generate", "-m", golden_model("dense"), "--prompt", "x", "--quiet"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("tokenizer.json"));
}

// The scripted model continues "h" with "ey é" and then ends.
class GenerateText : public testing::Test {
 protected:
  ProgramResult generate(std::vector<std::string> arguments, std::string_view input = {}) {
    arguments.insert(arguments.begin(), {"generate", "-m", model_.path(), "--quiet"});
    return run_qwen3(arguments, input);
  }
  ScriptedModel model_;
};

TEST_F(GenerateText, ContinuesAPrompt) {
  const ProgramResult result = generate({"--prompt", "oh"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "ey é\n");
}

TEST_F(GenerateText, ReadsThePromptFromStandardInput) {
  EXPECT_EQ(generate({}, "oh").out, "ey é\n");
}

TEST_F(GenerateText, RawCompletionShowsTagsAsTheyAre) {
  EXPECT_EQ(generate({"--prompt", "\n"}).out, "<think>AB</think>hey é\n");
}

TEST_F(GenerateText, JsonHasNewIdsAndText) {
  const ProgramResult result = generate({"--prompt", "oh", "--json"});
  const Json answer = parse_json(result.out, "answer");
  EXPECT_EQ(answer.at("ids"), Json({'e', 'y', ' ', 0xC3, 0xA9, ScriptedModel::kImEnd}));
  EXPECT_EQ(answer.at("text"), "ey é");
  EXPECT_EQ(answer.at("finish_reason"), "stop");
  EXPECT_EQ(lines_of(result.out).size(), 1u);
}

TEST_F(GenerateText, StopStringsEndTheTextBeforeThem) {
  const Json answer = parse_json(
      generate({"--prompt", "oh", "--stop", "nothing", "--stop", " é", "--json"}).out, "answer");
  EXPECT_EQ(answer.at("text"), "ey");
  EXPECT_EQ(answer.at("finish_reason"), "stop");
}

TEST_F(GenerateText, ACharacterCutInTheMiddleIsReplaced) {
  const Json answer =
      parse_json(generate({"--prompt", "oh", "--max-tokens", "4", "--json"}).out, "answer");
  EXPECT_EQ(answer.at("text"), "ey \uFFFD");
  EXPECT_EQ(answer.at("finish_reason"), "length");
}

TEST_F(GenerateText, ReadsThePromptFromAFile) {
  const std::string expected =
      run_qwen3({"generate", "-m", model_.path(), "-p", "a\n", "--json"}).out;
  const auto ids = [](const std::string& out) { return parse_json(out, "answer").at("ids"); };
  const std::string path =
      model_.dir().write("prompt.txt", "a\n\n").string();  // the last is the editor's
  const ProgramResult result = run_qwen3({"generate", "-m", model_.path(), "-f", path, "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(ids(result.out), ids(expected));
  EXPECT_EQ(run_qwen3({"generate", "-m", model_.path(), "-f", path, "-p", "x"}).exit_code, 2);
  EXPECT_EQ(run_qwen3({"generate", "-m", model_.path(), "-f", "/no/such"}).exit_code, 1);
}

class GenerateBatch : public GenerateText {
 protected:
  ProgramResult batch(const std::string& file, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"generate", "-m", model_.path(), "--prompts", file, "--quiet"});
    return run_qwen3(more);
  }
  std::string prompts(const char* name, std::string_view text) {
    return model_.dir().write(name, text).string();
  }
};

TEST_F(GenerateBatch, AnswersEachLineInOrder) {
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += "line " + std::string(static_cast<size_t>(i % 7), 'x') + "\n";
  const ProgramResult result = batch(prompts("p.txt", text + "\n"), {"--batch", "3", "-n", "4"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<std::string> lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 40u);
  for (size_t i = 0; i < lines.size(); ++i) {
    const Json line = parse_json(lines[i], "line");
    EXPECT_EQ(line.at("index"), i);
    EXPECT_EQ(line.at("prompt_tokens"), 5 + i % 7);
    const bool whole = line.at("finish_reason") == "stop";  // which the end token, too, is
    EXPECT_LE(line.at("completion_tokens"), 4);
    EXPECT_EQ(line.at("finish_reason"), whole ? "stop" : "length");
    EXPECT_TRUE(whole || line.at("completion_tokens") == 4);
  }
  // The same as one at a time.
  const ProgramResult one =
      run_qwen3({"generate", "-m", model_.path(), "-p", "line xx", "-n", "4", "--json"});
  EXPECT_EQ(parse_json(lines[2], "line").at("text"), parse_json(one.out, "one").at("text"));
}

TEST_F(GenerateBatch, LinesThatAreNoPromptsAreNamedAndTheOthersAnswered) {
  const std::string path =
      prompts("p.jsonl",
              "\"a\\n\"\n{\"prompt\":\"b\",\"id\":7}\n\n{\"text\":\"c\"}\n7\nnot json\n\"\"\n\"" +
                  std::string(400, 'x') + "\"\n");
  const ProgramResult result = batch(path, {"-n", "2"});
  EXPECT_EQ(result.exit_code, 1);
  const std::vector<std::string> lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 7u) << result.out;
  EXPECT_EQ(parse_json(lines[0], "line").at("completion_tokens"), 2);
  EXPECT_EQ(parse_json(lines[1], "line").at("completion_tokens"), 2);
  const auto why = [&](size_t i) {
    return parse_json(lines[i], "line").at("error").get<std::string>();
  };
  EXPECT_THAT(why(2), HasSubstr("p.jsonl: line 4: \"prompt\": missing"));
  EXPECT_THAT(why(3), HasSubstr("p.jsonl: line 5: expected a text; got number"));
  EXPECT_THAT(why(4), HasSubstr("p.jsonl: line 6: not valid JSON"));
  EXPECT_THAT(why(5), HasSubstr("line 7: expected a text; got \"\""));
  EXPECT_THAT(why(6), HasSubstr("prompt 6: 400 tokens; the context holds 256"));
  EXPECT_THAT(result.err, HasSubstr("5 of 7 prompts have no answer"));
  EXPECT_EQ(batch(prompts("empty.txt", "\n \n")).exit_code, 1);
  EXPECT_THAT(batch(prompts("bad.txt", "\xff\n")).out,
              HasSubstr("bad.txt: line 1: not valid UTF-8"));
}

TEST_F(GenerateBatch, AFileIsWrittenWholeOrNotAtAll) {
  const std::string path = prompts("p.txt", "a\nb\n");
  const std::string out = (model_.dir().path() / "out.jsonl").string();
  EXPECT_EQ(batch(path, {"--out", out, "-n", "1"}).out, "");
  EXPECT_EQ(lines_of(read_text_file(out, 1 << 20)).size(), 2u);
  EXPECT_EQ(batch(path, {"--out", path}).exit_code, 2);
  EXPECT_EQ(batch(path, {"--out", "/no/such/folder/x"}).exit_code, 1);
  EXPECT_EQ(batch(path, {"-p", "x"}).exit_code, 2);
  EXPECT_EQ(run_qwen3({"generate", "-m", model_.path(), "-p", "x", "--out", out}).exit_code, 2);
}

// A file of many prompts, whose answers are known from a run that nothing broke.
TEST_F(GenerateBatch, AKilledRunGoesOn) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += fmt::format("line {}\n", i);
  const std::string path = prompts("p.txt", text);
  const std::string whole = (model_.dir().path() / "whole.jsonl").string();
  const std::string out = (model_.dir().path() / "out.jsonl").string();
  ASSERT_EQ(batch(path, {"--out", whole}).exit_code, 0);
  const std::string command =
      fmt::format("$QWEN3 generate -m {} --prompts {} --out {}", model_.path(), path, out);
  int n_killed = 0, n_resumed = 0, code = 0;
  for (int run = 1; run < 200; ++run) {
    const ProgramResult result =
        run_shell(fmt::format("timeout -s KILL {:.2f} {}", 0.02 * run, command));
    if (result.err.find("goes on with") != std::string::npos) ++n_resumed;
    code = result.exit_code;
    if (code == 0) break;
    ++n_killed;
    // It may be killed when all is written and before it has ended.
    if (!std::filesystem::exists(out)) continue;
    EXPECT_EQ(read_text_file(out, 1 << 24), read_text_file(whole, 1 << 24)) << "whole or not there";
  }
  ASSERT_EQ(code, 0);
  EXPECT_GT(n_killed, 0);
  EXPECT_GT(n_resumed, 0);
  EXPECT_EQ(read_text_file(out, 1 << 24), read_text_file(whole, 1 << 24));
  EXPECT_FALSE(std::filesystem::exists(out + ".partial"));
}

TEST_F(GenerateBatch, AnswersThatAreThereAreTakenAndOthersMade) {
  const std::string out = (model_.dir().path() / "out.jsonl").string();
  const std::string bad = prompts("p.jsonl", "\"a\"\n{}\n");
  EXPECT_EQ(batch(bad, {"--out", out, "-n", "2"}).exit_code, 1);
  const std::string book = out + ".partial";
  ASSERT_TRUE(std::filesystem::exists(book)) << "one has no answer yet";
  // The answer of the first is changed, to be known again; the last line is torn.
  std::string text = read_text_file(book, 1 << 20);
  const size_t at = text.rfind("\"text\":\"") + 8;
  ASSERT_GT(at, 100u);
  text.insert(at, "KEPT");
  std::ofstream(book) << text << "{\"prompt\":\"torn";
  const std::string mended = prompts("p.jsonl", "\"a\"\n\"b\"\n\"c\"\n");
  const ProgramResult other = batch(mended, {"--out", out, "-n", "3"});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.err, HasSubstr("was begun with max_tokens 2.0; expected the same, got 3.0"));
  EXPECT_EQ(batch(mended, {"--out", out, "-n", "2"}).exit_code, 0);
  const std::vector<std::string> lines = lines_of(read_text_file(out, 1 << 20));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], HasSubstr("KEPT"));
  EXPECT_EQ(parse_json(lines[2], "line").at("index"), 2);
  EXPECT_FALSE(std::filesystem::exists(book));
  // A prompt that is another one is answered anew, and a file of somebody else is left alone.
  std::ofstream(book) << text;
  EXPECT_EQ(batch(prompts("p.jsonl", "\"b\"\n"), {"--out", out, "-n", "2"}).exit_code, 0);
  EXPECT_THAT(read_text_file(out, 1 << 20), testing::Not(HasSubstr("KEPT")));
  std::ofstream(book) << "{\"mine\":1}\n";
  const ProgramResult foreign = batch(mended, {"--out", out, "-n", "2"});
  EXPECT_EQ(foreign.exit_code, 1);
  EXPECT_THAT(foreign.err, HasSubstr("expected the unfinished answers of qwen3 generate"));
  EXPECT_EQ(read_text_file(book, 1 << 20), "{\"mine\":1}\n");
  EXPECT_EQ(batch(mended, {"--out", "/dev/null", "-n", "2"}).exit_code, 0);
  EXPECT_EQ(batch(book, {"--out", out}).exit_code, 2) << "the book would replace the prompts";
}

TEST_F(GenerateBatch, StopStringsEndEachAnswer) {
  const ProgramResult result = batch(prompts("p.jsonl", "\"\\n\"\n\"\\n\"\n"), {"--stop", "y"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const std::string& line : lines_of(result.out)) {
    EXPECT_THAT(parse_json(line, "line").at("text").get<std::string>(), testing::EndsWith("he"));
    EXPECT_EQ(parse_json(line, "line").at("finish_reason"), "stop");
  }
}

TEST_F(GenerateText, AnEmptyPromptIsRefused) {
  const ProgramResult result = generate({});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("standard input: expected a text to continue; got none"));
}

TEST_F(GenerateText, APromptThatIsNotUtf8IsRefused) {
  const ProgramResult result = generate({}, "ab\xff");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("not valid UTF-8 at byte 2"));
}

class Logits : public testing::Test {
 protected:
  ProgramResult logits(const std::string& model, std::vector<std::string> arguments) {
    const std::string ids = join(golden(model).at("prompt"));
    arguments.insert(arguments.begin(),
                     {"logits",
                      "-m",
                      golden_model(model),
                      "--backend",
                      "reference",
                      "--dtype",
                      "float32",
                      "--quiet",
                      "--ids",
                      ids});
    return run_qwen3(arguments);
  }
  TempDir dir_;
};

TEST_F(Logits, AreThoseOfTransformers) {
  for (const char* model : {"dense", "moe_small"}) {
    SCOPED_TRACE(model);
    const std::string out = (dir_.path() / "logits.npy").string();
    const ProgramResult result = logits(model, {"--out", out});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "");
    const NpyArray got = read_npy(out);
    const auto arrays = read_arrays(golden_model(model) + "/golden.safetensors");
    const Array& want = arrays.at("logits");
    EXPECT_EQ(got.shape, want.shape);
    EXPECT_LE(relative_error(got.values, want.values), 1e-5);
  }
}

TEST_F(Logits, TapsAreFilesNamedAfterThem) {
  const std::string taps = (dir_.path() / "taps").string();
  const ProgramResult result = logits("moe_small", {"--taps", taps});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto arrays = read_arrays(golden_model("moe_small") + "/golden.safetensors");
  const NpyArray got = read_npy(taps + "/logits.npy");
  EXPECT_LE(relative_error(got.values, arrays.at("logits").values), 1e-5);
  for (const char* name :
       {"embed_tokens", "layers.0.self_attn.q_rope", "layers.0.output", "norm"}) {
    EXPECT_TRUE(std::filesystem::exists(taps + "/" + name + ".npy")) << name;
  }
}

TEST_F(Logits, LossesAreThoseOfTransformers) {
  const Json dense = golden("dense");
  const Json moe = golden("moe_small");
  const auto run = [&](const char* model, const Json& expected, const char* aux) {
    const ProgramResult result =
        logits(model, {"--labels", join(expected.at("labels")), "--aux", aux});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(lines_of(result.out).size(), 1u);
    return parse_json(result.out, "losses");
  };
  Json got = run("dense", dense, "transformers");
  EXPECT_NEAR(got.at("ce_loss").get<double>(), dense.at("ce_loss").get<double>(), 1e-4);
  EXPECT_EQ(got.at("aux_loss"), nullptr);
  EXPECT_EQ(got.at("loss"), got.at("ce_loss"));

  got = run("moe_small", moe, "transformers");
  EXPECT_NEAR(got.at("ce_loss").get<double>(), moe.at("ce_loss").get<double>(), 1e-4);
  EXPECT_NEAR(got.at("aux_loss").get<double>(), moe.at("aux_loss").get<double>(), 1e-4);
  EXPECT_NEAR(got.at("loss").get<double>(), moe.at("loss").get<double>(), 1e-4);

  got = run("moe_small", moe, "educational");
  EXPECT_NEAR(got.at("aux_loss").get<double>(), moe.at("aux_loss_educational").get<double>(), 1e-4);
}

TEST_F(Logits, BadLabelsAreRefused) {
  ProgramResult result = logits("dense", {"--labels", "1,2"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("expected 17 labels"));
  EXPECT_EQ(result.out, "");
  std::string labels = "300";
  for (int i = 0; i < 16; ++i) labels += ",-100";
  result = logits("dense", {"--labels", labels});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err,
              HasSubstr("--labels: expected -100 or ids from 0 to 299; got 300 as number 1"));
  EXPECT_EQ(result.out, "");
}

TEST_F(Logits, NothingToDoIsWrongUsage) {
  const ProgramResult result = logits("dense", {});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--out FILE"));
}

TEST_F(Logits, AFileThatCannotBeWrittenFails) {
  const ProgramResult result = logits("dense", {"--out", "/no/such/directory/x.npy"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("/no/such/directory/x.npy"));
}

}  // namespace
}  // namespace qwen3::test
