// The comparison of two runs, and the page: complete, self-contained, bounded, whatever models say.
#include "eval/report/report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "eval/score/compare.h"
#include "eval/score/score_text.h"
#include "support/temp_dir.h"

namespace qwen3::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string row(std::string_view task,
                std::string_view prompt,
                std::string_view gen,
                std::string_view id = "") {
  return fmt::format(R"({{"task_id": "{}", "prompt": "{}", "answer": [[1, 2], [3, 4]], )"
                     R"("gen": ["{}"], "qwen3": {{"id": "{}", "sample": 0, "finish_reason": )"
                     R"("stop", "prompt_tokens": 7, "completion_tokens": {}}}}})"
                     "\n",
                     task,
                     prompt,
                     gen,
                     id,
                     gen.size());
}
constexpr std::string_view kRight = "[[1, 2], [3, 4]]", kWrong = "[[1, 2], [3, 5]]";

class EvalReport : public testing::Test {
 protected:
  ScoreResult score(const std::string& name, std::string_view text) {
    ScoreOptions options;
    options.input_file = folder_.write(name, text);
    return score_file(options);
  }
  static Json data_of(const std::string& page) {
    const std::string mark = "<script type=\"application/json\" id=\"data\">";
    const size_t begin = page.find(mark) + mark.size();
    return parse_json(page.substr(begin, page.find("</script>", begin) - begin),
                      "page",
                      {.max_depth = 64, .max_values = 20'000'000});
  }
  test::TempDir folder_;
};

TEST_F(EvalReport, SignTestIsTheBinomialTail) {
  // 2 * sum(math.comb(n, i) for i in range(min(k, n - k) + 1)) / 2**n in Python.
  EXPECT_DOUBLE_EQ(sign_test(0, 0), 1);
  EXPECT_DOUBLE_EQ(sign_test(5, 10), 1);
  EXPECT_NEAR(sign_test(0, 5), 0.0625, 1e-15);
  EXPECT_NEAR(sign_test(5, 5), 0.0625, 1e-15);
  EXPECT_NEAR(sign_test(12, 34), 0.12144948495551944, 1e-12);
  EXPECT_NEAR(sign_test(430, 1000), 1.0709737664959512e-05, 1e-15);
}

TEST_F(EvalReport, ComparesTheSameQuestions) {
  const ScoreResult ours =
      score("ours",
            row("a", "p", kRight) + row("b", "p", kRight) + row("c", "p", kWrong) +
                row("d", "p", kRight) + row("new", "p", kRight));
  const ScoreResult other =
      score("other",
            row("d", "p", kRight) + row("c", "p", kRight) + row("b", "worded otherwise", kWrong) +
                row("a", "p", kWrong) + row("old", "q", kWrong));
  const Comparison c = compare(ours, other, {});
  EXPECT_EQ(c.pairs.size(), 4u);
  for (const SamplePair& pair : c.pairs) {
    EXPECT_EQ(ours.tasks[ours.samples[pair.sample].task].task_id,
              other.tasks[other.samples[pair.other].task].task_id);
  }
  EXPECT_EQ(c.ours_right, 2);
  EXPECT_EQ(c.other_right, 1);
  EXPECT_EQ(c.both_right, 1);
  EXPECT_EQ(c.neither_right, 0);
  EXPECT_EQ(c.n_ours_only, 1);
  EXPECT_EQ(c.n_other_only, 1);
  EXPECT_EQ(c.n_tasks, 4);
  EXPECT_DOUBLE_EQ(c.ours - c.other, .25);
  EXPECT_EQ(c.tasks_better, 2);
  EXPECT_EQ(c.tasks_worse, 1);
  EXPECT_DOUBLE_EQ(c.p_value, 1);
  EXPECT_LE(c.difference.low, .25);
  EXPECT_GE(c.difference.high, .25);
  const std::string text = comparison_summary(c, other, "old.jsonl");
  EXPECT_THAT(text, HasSubstr("against    old.jsonl: Task: arc_agi_1, Accuracy: 0.4\n"));
  EXPECT_THAT(text, HasSubstr("difference +25.00 % over 4 tasks in both"));
  EXPECT_THAT(text, HasSubstr("2 gained, 1 lost, 1 right in both, 0 in neither"));
  EXPECT_THAT(text, HasSubstr("1 sample only here, 1 sample only there"));
  EXPECT_EQ(comparison_json(c)["difference"], .25);
}

// Two prompts of a task stand in any order in the files.
TEST_F(EvalReport, PairsThePromptsOfATask) {
  const ScoreResult ours = score("ours", row("a", "one", kRight) + row("a", "two", kWrong));
  const ScoreResult other = score("other", row("a", "two", kWrong) + row("a", "one", kRight));
  const Comparison c = compare(ours, other, {});
  EXPECT_EQ(c.both_right, 1);
  EXPECT_EQ(c.neither_right, 1);
}

TEST_F(EvalReport, NothingInCommonIsSaid) {
  const ScoreResult ours = score("ours", row("a", "p", kRight)), none = score("none", "");
  const Comparison c = compare(ours, none, {});
  EXPECT_EQ(c.n_tasks, 0);
  EXPECT_EQ(c.n_ours_only, 1);
  EXPECT_THAT(comparison_summary(c, none, "x"), HasSubstr("no task is in both files"));
}

TEST_F(EvalReport, ThePageCarriesTheRun) {
  folder_.write("ours.timings.jsonl",
                R"({"id": "1f", "server": "x", "seconds": 1.5, "attempts": 1})"
                "\nno JSON\n");
  folder_.write("ours.failures.jsonl",
                R"({"id": "2f", "task_id": "b", "sample": 1, "kind": "timeout", "message": "slow"})"
                "\n");
  const ScoreResult ours = score("ours", row("a", "p", kWrong, "1f") + row("b", "p", kRight));
  const Json data = data_of(html_report({.run = {"ours", ours, Json{{"mode", "standard"}}}}));
  const Json& run = data["runs"][0];
  EXPECT_EQ(run["accuracy"], .25);
  EXPECT_EQ(run["manifest"]["mode"], "standard");
  ASSERT_EQ(run["samples"].size(), 3u);
  const Json& first = run["samples"][0];
  EXPECT_EQ(first[3], static_cast<int>(Outcome::wrong));
  EXPECT_EQ(first[9], 1.5);
  EXPECT_EQ(first[10], Json({"12", "35"}));
  EXPECT_EQ(first[11], kWrong);
  EXPECT_EQ(run["prompts"][0][2], "p");
  EXPECT_EQ(run["prompts"][0][3], Json({"12", "34"}));
  EXPECT_EQ(run["times"]["median"], 1.5);
  EXPECT_EQ(run["lengths"]["n"], 2);
  EXPECT_FALSE(data.contains("comparison"));
  bool found = false;
  for (const Json& reason : run["reasons"]) found = found || reason[1] == "timeout";
  EXPECT_TRUE(found);
  const std::string summary = score_summary(ours);
  EXPECT_THAT(summary, HasSubstr("failures   timeout 1\n"));
  EXPECT_THAT(summary, HasSubstr("lengths    completion tokens: median 16"));
  EXPECT_THAT(summary, HasSubstr("times      seconds per request: median 1.5"));
}

TEST_F(EvalReport, ThePageCarriesBothRuns) {
  const ScoreResult ours = score("ours", row("a", "p", kRight) + row("b", "p", kRight));
  const ScoreResult other = score("other", row("b", "p", kRight) + row("a", "p", kWrong));
  const Comparison comparison = compare(ours, other, {});
  ReportInput input{.run = {"ours", ours}};
  input.other.emplace(ReportRun{"other", other});
  input.comparison = &comparison;
  const Json data = data_of(html_report(input));
  ASSERT_EQ(data["runs"].size(), 2u);
  EXPECT_EQ(data["comparison"]["ours_right"], 1);
  EXPECT_EQ(data["pairs"], Json({{0, 1}, {1, 0}}));
  EXPECT_EQ(data["runs"][1]["samples"][1][11], kWrong);
}

TEST_F(EvalReport, TextStaysDataAndNothingIsAskedFor) {
  const ScoreResult ours = score(
      "ours", row("</script><script>alert(1)", "<!-- /*SCRIPT*/", "<img src=x onerror=alert(2)>"));
  const std::string page = html_report({.run = {"<b>&", ours}});
  EXPECT_THAT(page, Not(HasSubstr("alert(1)</script>")));
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  for (const char* word : {"http:", "https:", "src=\"", "@import", "url(", "fetch(", "innerHTML"}) {
    EXPECT_THAT(page, Not(HasSubstr(word)));
  }
  const Json data = data_of(page);
  EXPECT_EQ(data["runs"][0]["tasks"][0][0], "</script><script>alert(1)");
  EXPECT_EQ(data["runs"][0]["prompts"][0][2], "<!-- /*SCRIPT*/");
}

// Values that are no small grid of digits are shown as text.
// What kept the page from ending at its last card, and from shrinking the numbers of its charts.
TEST_F(EvalReport, ThePageEndsWhereItsContentDoes) {
  const std::string page =
      html_report({.run = {"run.jsonl", score("a.jsonl", row("t", "1", kRight)), std::nullopt}});
  EXPECT_THAT(page, HasSubstr(".list { position: relative;"));
  EXPECT_THAT(page, HasSubstr(".bars svg { min-width: 30rem; }"));
}

TEST_F(EvalReport, OnlyGridsAreGrids) {
  const std::string wide = "[[" + std::string(200, '1') + "]]";
  const ScoreResult ours =
      score("ours",
            row("a", "p", "[[1, 10]]") + row("b", "p", "[[1], []]") + row("c", "p", "[[-1]]") +
                row("d", "p", "[[true]]") + row("e", "p", "{}") + row("f", "p", wide));
  const Json data = data_of(html_report({.run = {"x", ours}}));
  ASSERT_EQ(data["runs"][0]["samples"].size(), 6u);
  for (const Json& sample : data["runs"][0]["samples"]) {
    EXPECT_FALSE(sample[10].is_array()) << sample.dump();
  }
}

TEST_F(EvalReport, APageHasBounds) {
  const std::string megabyte = std::string(1'000'000, 'x') + "\xe4\xb8\xad";
  std::string text;
  for (int i = 0; i < 3; ++i) text += row(fmt::format("t{}", i), "p", megabyte);
  const ScoreResult ours = score("ours", text);
  const std::string page = html_report({.run = {"x", ours}});
  EXPECT_LT(page.size(), 300'000u);
  const std::string shown = data_of(page)["runs"][0]["samples"][0][11];
  EXPECT_THAT(shown, HasSubstr(" bytes …]"));
  EXPECT_THAT(shown, testing::EndsWith("x\xe4\xb8\xad"));
}

TEST_F(EvalReport, WhatWasNotRightGoesFirstWhenThePageIsFull) {
  ScoreResult result;
  result.tasks.push_back({.task_id = "t"});
  SampleScore right;
  right.verdict.acc = 1;
  right.verdict.outcome = Outcome::correct;
  result.samples.assign(kMaxReportSamples, right);
  SampleScore wrong;
  wrong.verdict.outcome = Outcome::wrong;
  result.samples.push_back(wrong);
  const Json data = data_of(html_report({.run = {"x", result}}));
  EXPECT_EQ(data["runs"][0]["samples"].size(), kMaxReportSamples);
  EXPECT_EQ(data["runs"][0]["left_out"], 1);
  EXPECT_EQ(data["runs"][0]["samples"].back()[3], static_cast<int>(Outcome::wrong));
}

}  // namespace
}  // namespace qwen3::eval
