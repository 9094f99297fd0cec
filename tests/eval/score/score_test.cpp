// The standard mode: files that no official scorer would take, and the numbers made of them.
#include "eval/score/score.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "eval/score/arc_prompts.h"
#include "eval/score/score_config.h"
#include "eval/score/score_rows.h"
#include "eval/score/score_text.h"
#include "qwen3/error.h"
#include "support/temp_dir.h"

namespace qwen3::eval {
namespace {

std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string row(std::string_view task,
                std::string_view prompt,
                std::string_view gen,
                std::string_view more = "") {
  return fmt::format(R"({{"task_id": "{}", "prompt": "{}", "answer": [[1]], "gen": {}{}}})"
                     "\n",
                     task,
                     prompt,
                     gen,
                     more);
}

class Scoring : public testing::Test {
 protected:
  ScoreResult score(std::string_view text) {
    options.input_file = folder.write("in.jsonl", text);
    return score_file(options);
  }
  test::TempDir folder;
  ScoreOptions options;
};

TEST_F(Scoring, RecordsWhatWouldEndTheOfficialScorer) {
  const ScoreResult result = score(
      row("a", "a", R"(["[[1]]"])") + row("b", "b", "[null]") + row("c", "c", "null") +
      row("d", "d", R"([{"gen": "", "end_reason": "max length exceeded"}])") + row("e", "e", "[]") +
      row("f", "f", R"([""])") + row("g", "g", R"(["<think>\nhm"])") + row("h", "h", "[7]") +
      R"({"task_id": "i", "prompt": "i", "answer": [[1]]})"
      "\n" +
      row("j", "j", "\"[[1]]\""));
  ASSERT_EQ(result.samples.size(), 10u);
  std::vector<std::string> reasons;
  for (const SampleScore& sample : result.samples) reasons.push_back(sample.verdict.reason);
  EXPECT_THAT(reasons,
              testing::ElementsAre("the whole text is the answer",
                                   "the content is null",
                                   "the content is null",
                                   "no content: \"max length exceeded\"",
                                   "the row has nothing in \"gen\"",
                                   "the text is empty",
                                   "the thinking never ends",
                                   "expected a text in \"gen\"; got int",
                                   "the row has nothing in \"gen\"",
                                   "the whole text is the answer"));
  EXPECT_EQ(result.count(Outcome::no_text), 8);
  EXPECT_DOUBLE_EQ(result.accuracy, 0.2);
  EXPECT_FALSE(result.complete()) << "a row has nothing in \"gen\"";
  EXPECT_EQ(result.lines_without_gen.size(), 1u);
}

TEST_F(Scoring, MeanOfTheTasksMeans) {
  const ScoreResult result = score(row("a", "1", R"(["[[1]]"])") + row("a", "2", R"(["[[2]]"])") +
                                   row("b", "1", R"(["[[1]]"])"));
  EXPECT_EQ(result.accuracy, 0.75);
  ASSERT_EQ(result.tasks.size(), 2u);
  EXPECT_EQ(result.tasks[0].score, 0.5);
  EXPECT_EQ(result.tasks[0].n_prompts, 2);
  EXPECT_EQ(result.tasks[1].task_id, "b");
  EXPECT_FALSE(result.agreement);
  ASSERT_EQ(result.pass_at.size(), 1u);
  EXPECT_EQ(result.pass_at[0].value, 0.75);
}

TEST_F(Scoring, ManySamples) {
  const std::string right = R"(["[[1]]"])", wrong = R"(["[[2]]"])", other = R"(["[[3]]"])";
  options.pass_at = {1, 2, 4, 8};
  const ScoreResult result =
      score(row("a", "1", right) + row("a", "1", wrong) + row("a", "1", wrong) +
            row("a", "1", other) + row("b", "1", R"(["[[1]]", "[[1.0]]", "[[true]]", "no"])"));
  EXPECT_DOUBLE_EQ(result.accuracy, (0.25 + 0.75) / 2);
  ASSERT_EQ(result.pass_at.size(), 3u);
  EXPECT_DOUBLE_EQ(result.pass_at[0].value, 0.5);
  EXPECT_DOUBLE_EQ(result.pass_at[1].value, (0.5 + 1) / 2);
  EXPECT_DOUBLE_EQ(result.pass_at[2].value, 1);
  EXPECT_THAT(result.notes, testing::ElementsAre(testing::HasSubstr("pass@8")));
  EXPECT_DOUBLE_EQ(*result.agreement, (0.5 + 0.75) / 2);
  EXPECT_DOUBLE_EQ(*result.majority_accuracy, 0.5);
  EXPECT_EQ(result.samples[3].sample, 3);
  EXPECT_EQ(result.samples[7].sample, 3);
}

TEST_F(Scoring, TheBetterOfTwoAttempts) {
  options.task = "arc_agi_2";
  const std::string right = R"(["[[1]]"])", wrong = R"(["[[2]]"])";
  const auto sample = [](int n) { return fmt::format(R"(, "qwen3": {{"sample": {}}})", n); };
  const ScoreResult result =
      score(row("a", "1", right, sample(1)) + row("a", "1", wrong, sample(0)) +
            row("a", "2", wrong) + row("b", "1", right, sample(2)) +
            row("b", "1", wrong, sample(0)) + row("b", "1", wrong, sample(1)));
  EXPECT_DOUBLE_EQ(result.tasks[0].score, 0.5);
  EXPECT_DOUBLE_EQ(result.tasks[1].score, 0);  // the third attempt does not count
}

std::string failure(std::string_view id, std::string_view task, int sample) {
  return fmt::format(
      R"({{"id": "{}", "task_id": "{}", "sample": {}, "kind": "timeout", "status": 0, "message": "slow"}})"
      "\n",
      id,
      task,
      sample);
}
std::string ours(std::string_view id, int sample) {
  return fmt::format(R"(, "qwen3": {{"id": "{}", "sample": {}}})", id, sample);
}

TEST_F(Scoring, FailedSamplesCountAsWrongUntilTheyAreAnswered) {
  folder.write("in.jsonl.failures.jsonl",
               failure("a0", "a", 0) + failure("a1", "a", 1) + failure("b0", "b", 0) +
                   failure("b0", "b", 0) + failure("b1", "b", 1) + failure("c", "b", 1) + "{torn");
  const ScoreResult result = score(row("a", "1", R"(["[[1]]"])", ours("a0", 0)));
  EXPECT_EQ(result.n_samples, 5);
  EXPECT_EQ(result.count(Outcome::failed), 4);
  EXPECT_EQ(result.accuracy, 0.25);
  EXPECT_EQ(result.tasks[0].n_prompts, 1);
  EXPECT_EQ(result.tasks[1].n_prompts, 2);  // sample 1 twice: two prompts
  EXPECT_EQ(result.samples.back().verdict.reason, "timeout: slow");
  EXPECT_FALSE(result.complete());
  EXPECT_THAT(score_summary(result), testing::HasSubstr("4 of them failed and count as wrong"));
  options.failures_file = folder.path() / "missing";
  EXPECT_THROW(score_file(options), Error);
}

TEST_F(Scoring, FailuresThatTellTheirPrompt) {
  options.failures_file =
      folder.write("failed.jsonl",
                   row("a", "1", "[]", R"(, "sample": 0)") +
                       row("a", "2", "[]", R"(, "error": "x")") + row("a", "2", "[]"));
  const ScoreResult result = score(row("a", "1", R"(["[[1]]"])"));
  EXPECT_EQ(result.n_samples, 2);
  EXPECT_EQ(result.accuracy, 0.5);
  EXPECT_EQ(result.samples.back().verdict.reason, "x");
}

// However often a run was interrupted and in whatever order its lines came, the score is the same.
TEST_F(Scoring, TheOrderOfLinesDoesNotMatter) {
  std::vector<std::string> lines;
  for (int task = 0; task < 12; ++task) {
    for (int sample = 0; sample < 3; ++sample) {
      const std::string name = std::to_string(task);
      lines.push_back(row(name,
                          name,
                          (task * sample) % 3 == 1 ? R"(["[[1]]"])" : R"(["[[2]]"])",
                          ours(name + "." + std::to_string(sample), sample)));
    }
  }
  const auto whole = [&] {
    std::string text;
    for (const std::string& line : lines) text += line;
    return text;
  };
  options.resamples = 50;
  folder.write("in.jsonl.failures.jsonl", failure("late", "3", 3) + failure("5.1", "5", 1));
  const ScoreResult first = score(whole());
  uint32_t state = 1;
  for (int round = 0; round < 100; ++round) {
    for (size_t i = lines.size() - 1; i > 0; --i) {
      state = state * 1664525 + 1013904223;
      std::swap(lines[i], lines[(state >> 8) % (i + 1)]);
    }
    const ScoreResult again = score(whole());
    EXPECT_EQ(dump_json(score_json(again)), dump_json(score_json(first)));
  }
}

TEST_F(Scoring, ARunThatStillGoesOn) {
  options.dataset_file = folder.write("data.jsonl", "{}\n{}\n{}\n");
  options.n_samples = 2;
  const std::string whole = row("a", "1", R"(["[[1]]"])") + row("b", "1", R"(["[[2]]"])");
  for (size_t cut = 1; cut < whole.size(); ++cut) {
    const ScoreResult result = score(whole.substr(0, cut));
    const auto lines = std::count(whole.begin(), whole.begin() + static_cast<long>(cut), '\n');
    // The last line may lack its end and nothing else.
    const bool all_but_end = whole[cut] == '\n';
    EXPECT_EQ(result.n_samples, lines + all_but_end) << cut;
    EXPECT_EQ(result.torn_line, !all_but_end && whole[cut - 1] != '\n') << cut;
    EXPECT_EQ(result.n_expected, 6);
    EXPECT_FALSE(result.complete());
  }
  const std::string summary = score_summary(score(whole));
  EXPECT_THAT(summary, testing::HasSubstr("samples    2 of 6 scored"));
  EXPECT_THAT(summary, testing::HasSubstr("4 samples still to come"));
}

TEST_F(Scoring, BrokenLinesAreSaid) {
  const ScoreResult result = score("{\"a\": \n[1]\n\n\xFF\n" + row("a", "1", R"(["[[1]]"])"));
  EXPECT_THAT(result.unreadable_lines, testing::ElementsAre(1, 2, 4));
  EXPECT_FALSE(result.torn_line);
  EXPECT_EQ(result.accuracy, 1);
  EXPECT_FALSE(result.complete());
  EXPECT_THAT(score_summary(result), testing::HasSubstr("3 lines are not rows"));
}

TEST_F(Scoring, RowsThatLackAKeyAreNamed) {
  const ScoreResult result = score(row("a", "1", R"(["[[1]]"])") + "{\"answer\": [[1]]}\n" +
                                   "{\"gen\": [\"[[1]]\"]}\n{\"gen\": [\"[[2]]\"]}\n");
  EXPECT_THAT(result.lines_without_gen, testing::ElementsAre(2));
  EXPECT_THAT(result.lines_without_answer, testing::ElementsAre(3, 4));
  EXPECT_FALSE(result.complete());
  const std::string summary = score_summary(result);
  EXPECT_THAT(summary, testing::HasSubstr("1 line lacks the key \"gen\"; the first is line 2"));
  EXPECT_THAT(summary, testing::HasSubstr("2 lines lack the key \"answer\"; the first is line 3"));
}

TEST_F(Scoring, NothingToScore) {
  const ScoreResult result = score("");
  EXPECT_EQ(result.accuracy, 0);
  EXPECT_EQ(result.n_samples, 0);
  EXPECT_THAT(score_summary(result), testing::HasSubstr("none"));
  EXPECT_EQ(score_json(result)["n_samples"], 0);
  options.input_file = folder.path() / "missing";
  EXPECT_THROW(score_file(options), Error);
}

TEST_F(Scoring, RowsWithoutTaskIdAreTasksOfTheirOwn) {
  const ScoreResult result = score(
      "{\"prompt\": \"p\", \"answer\": [[1]], \"gen\": [\"[[1]]\"]}\n"
      "{\"prompt\": \"q\", \"answer\": [[1]], \"gen\": [\"x\"]}\n"
      "{\"prompt\": \"p\", \"answer\": [[1]], \"gen\": [\"x\"]}\n");
  ASSERT_EQ(result.tasks.size(), 2u);
  EXPECT_EQ(result.tasks[0].task_id, "row 1");
  EXPECT_DOUBLE_EQ(result.accuracy, 0.25);
}

TEST_F(Scoring, SamplesTellWhatTheRowTells) {
  const ScoreResult result = score(row(
      "a",
      "question",
      R"(["<think>\nhm\n</think>\n\n[[2]]"])",
      R"(, "qwen3": {"sample": 4, "finish_reason": "length", "prompt_tokens": 5, "completion_tokens": null})"));
  const SampleScore& sample = result.samples.at(0);
  EXPECT_EQ(sample.sample, 4);
  EXPECT_EQ(sample.prompt_text, "question");
  EXPECT_EQ(sample.reasoning, "hm");
  EXPECT_EQ(sample.text, "[[2]]");
  EXPECT_EQ(sample.finish_reason, "length");
  EXPECT_EQ(sample.prompt_tokens, 5);
  EXPECT_EQ(sample.completion_tokens, std::nullopt);
  EXPECT_EQ(py_dumps(sample.truth), "[[1]]");
  EXPECT_EQ(py_dumps(*sample.verdict.prediction), "[[2]]");
  EXPECT_THAT(sample.verdict.reason, testing::HasSubstr("cut off"));
}

TEST_F(Scoring, DetailsKeepTheRow) {
  options.details_file = folder.path() / "deep/er/details.jsonl";
  score(row("a", "1", R"(["x \ud800", "[[1]]"])", R"(, "more": {"kept": 1.0})"));
  const PyValue detail = py_load(read_bytes(options.details_file), "details");
  EXPECT_EQ(*detail.find("acc")->floating(), 0.5);
  EXPECT_EQ(py_dumps(*detail.find("more")), "{\"kept\": 1.0}");
  EXPECT_EQ(detail.find("gen")->list()->front().string()->substr(2), "\xED\xA0\x80");
  const PyList& verdicts = *detail.find("verdicts")->list();
  EXPECT_EQ(*verdicts[0].find("outcome")->string(), "no_answer");
  EXPECT_EQ(py_dumps(*verdicts[1].find("prediction")), "[[1]]");
  EXPECT_THAT(read_bytes(options.details_file), testing::HasSubstr("\\ud800"));
}

TEST_F(Scoring, AFewRightAnswersAreNoCertainty) {
  std::string right;
  for (const char* task : {"a", "b", "c", "d"}) right += row(task, "1", R"(["[[1]]"])");
  const ScoreResult all = score(right);
  EXPECT_NEAR(all.interval.low, 0.5101, 1e-4);
  EXPECT_EQ(all.interval.high, 1);
  EXPECT_THAT(score_summary(all), testing::HasSubstr("Wilson over 4 tasks, all alike"));
  EXPECT_EQ(score_json(all)["interval_by"], "wilson");
  const ScoreResult some = score(right + row("e", "1", R"(["x"])"));
  EXPECT_THAT(score_summary(some), testing::HasSubstr("bootstrap over tasks"));
  EXPECT_EQ(score_json(some)["interval_by"], "bootstrap");
}

TEST_F(Scoring, NumbersForMachines) {
  options.seed = 3;
  const Json json = score_json(score(row("a", "1", R"(["[[1]]"])") + row("b", "1", R"(["x"])")));
  EXPECT_EQ(json["accuracy"], 0.5);
  EXPECT_EQ(json["interval"], Json({0.0, 1.0}));
  EXPECT_EQ(json["outcomes"]["no_answer"], 1);
  EXPECT_EQ(json["tasks"][1]["task_id"], "b");
  EXPECT_EQ(json["pass_at"]["1"], 0.5);
  EXPECT_EQ(json["complete"], true);
}

TEST_F(Scoring, OptionsOutOfRangeAreRefused) {
  const std::string text = row("a", "1", R"(["[[1]]"])");
  const ScoreOptions good = options;
  for (const auto& spoil : std::vector<std::function<void(ScoreOptions&)>>{
           [](ScoreOptions& o) { o.confidence = 1; },
           [](ScoreOptions& o) { o.confidence = 0; },
           [](ScoreOptions& o) { o.resamples = 0; },
           [](ScoreOptions& o) { o.n_samples = 0; },
           [](ScoreOptions& o) { o.pass_at = {0}; },
           [](ScoreOptions& o) { o.task = "nothing"; }}) {
    options = good;
    spoil(options);
    EXPECT_THROW(score(text), Error);
  }
}

TEST(SplitThinking, InAllItsForms) {
  const auto split = [](std::string_view text) {
    const ThoughtAndText parts = split_thinking(text);
    return fmt::format("{}|{}|{}", parts.reasoning, parts.text, parts.unfinished);
  };
  EXPECT_EQ(split("<think>\na\n</think>\n\nb"), "a|b|false");
  EXPECT_EQ(split("a\n</think>\n\nb\n</think>\n\nc"), "a|b\n</think>\n\nc|false");
  EXPECT_EQ(split("a</think>b"), "a|b|false");
  EXPECT_EQ(split("<think>a</think> b </think>c"), "a</think> b|c|false");
  EXPECT_EQ(split(" <think>a"), "a||true");
  EXPECT_EQ(split("a"), "|a|false");
  EXPECT_EQ(split(""), "||false");
  EXPECT_EQ(split("\n</think>\n\n"), "||false");
}

TEST(ScoreConfig, OfficialKeys) {
  const test::TempDir folder;
  ScoreOptions options;
  read_score_config(folder.write("c.yaml",
                                 "eval_input_path: ./a.jsonl\ndetails_path: \"b\"\n"
                                 "task_name: nano_arc # here\nother: [1]\n"),
                    options);
  EXPECT_EQ(options.input_file, "./a.jsonl");
  EXPECT_EQ(options.details_file, "b");
  EXPECT_EQ(options.task, "nano_arc");
  for (const char* text : {"eval_input_path: a\ndetails_path: b\n",
                           "[1]",
                           "a: [",
                           "",
                           "x",
                           "eval_input_path: [a]\ndetails_path: b\ntask_name: c\n",
                           "eval_input_path: ~\ndetails_path: b\ntask_name: c\n"}) {
    EXPECT_THROW(read_score_config(folder.write("bad.yaml", text), options), Error) << text;
  }
}

std::string arc_data(const std::string& name) {
  return std::string(QWEN3_SOURCE_DIR) + "/tests/data/eval_golden/arc/" + name;
}

TEST(ArcPrompts, AreTheOfficialOnesToTheByte) {
  const test::TempDir folder;
  const ArcCounts counts = write_arc_prompts(arc_data("tasks"), folder.path() / "out.jsonl");
  EXPECT_EQ(counts.tasks, 4);
  EXPECT_EQ(counts.rows, 5);
  EXPECT_EQ(read_bytes(folder.path() / "out.jsonl"), read_bytes(arc_data("prompts.jsonl")));
}

TEST(ArcPrompts, RefuseWhatIsNoTask) {
  const test::TempDir folder;
  const std::string grid = "[[1]]";
  const std::string pair = R"({"input": [[1]], "output": [[2]]})";
  const auto refused = [&](std::string_view text, std::string_view message) {
    folder.write("task.json", text);
    try {
      write_arc_prompts(folder.path(), folder.path() / "out.jsonl");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(std::string(message)));
    }
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "out.jsonl"));
  };
  EXPECT_THROW(write_arc_prompts(folder.path() / "missing", folder.path() / "out.jsonl"), Error);
  EXPECT_THROW(write_arc_prompts(folder.path(), folder.path() / "out.jsonl"), Error);
  refused("[", "task.json");
  refused("[]", "\"train\"");
  refused(R"({"train": [], "test": []})", "list of pairs");
  refused(R"({"train": [)" + pair + R"(], "test": [{"output": [[1]]}]})", "test[0]");
  refused(R"({"train": [{"input": [[1]], "output": []}], "test": []})", "train[0].output");
  refused(R"({"train": [{"input": [[1, 2], [3]], "output": [[1]]}], "test": []})", "input[1]");
  refused(R"({"train": [{"input": [[1, 10]], "output": [[1]]}], "test": []})", "input[0][1]");
  refused(R"({"train": [{"input": [[1, 1.0]], "output": [[1]]}], "test": []})", "got 1.0");
  folder.write("task.json", R"({"train": [)" + pair + R"(], "test": [{"input": [[3]]}]})");
  EXPECT_EQ(write_arc_prompts(folder.path(), folder.path() / "out.jsonl").rows, 1);
  EXPECT_THAT(read_bytes(folder.path() / "out.jsonl"), testing::HasSubstr("\"answer\": null"));
}

}  // namespace
}  // namespace qwen3::eval
