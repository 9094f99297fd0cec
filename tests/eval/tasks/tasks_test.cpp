// The tasks one by one: a text and a truth in, a verdict out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval/tasks/answer_text.h"
#include "eval/tasks/exact_number.h"
#include "eval/tasks/multiple_choice.h"
#include "eval/tasks/task.h"
#include "qwen3/error.h"

namespace qwen3::eval {
namespace {

Verdict judge(std::string_view task,
              std::string_view answer_json,
              std::string_view text,
              const TaskOptions& options = {}) {
  PyDict row;
  row.set("answer", py_load(answer_json, "answer"));
  return make_task(task, options)->score(row, text);
}
bool right(std::string_view task,
           std::string_view answer_json,
           std::string_view text,
           const TaskOptions& options = {}) {
  const Verdict verdict = judge(task, answer_json, text, options);
  EXPECT_EQ(verdict.acc == 1, verdict.outcome == Outcome::correct);
  EXPECT_FALSE(verdict.reason.empty());
  return verdict.acc == 1;
}

TEST(Tasks, AreFoundByName) {
  for (const TaskInfo& task : all_tasks()) EXPECT_NE(make_task(task.name), nullptr);
  try {
    make_task("arc");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("arc_agi_1, arc_agi_2, nano_arc"));
  }
}

TEST(Tasks, EveryTaskTakesAnyTextAndAnyTruth) {
  for (const TaskInfo& info : all_tasks()) {
    const auto task = make_task(info.name);
    for (const char* truth : {"null", "1", "\"B\"", "[[1]]", "{}", "[]", "NaN", "true", "\"\""}) {
      for (const char* text : {"",
                               " ",
                               "x",
                               "[[1]]",
                               "\\boxed{",
                               "}{",
                               "####",
                               "answer is",
                               "NaN",
                               "{\"attempt_1\": 3}",
                               "\xED\xA0\x80",
                               "1/0",
                               "\\frac{1}{0}",
                               "-",
                               "."}) {
        PyDict row;
        row.set("answer", py_load(truth, "truth"));
        const Verdict verdict = task->score(row, text);
        EXPECT_EQ(verdict.acc == 1, verdict.outcome == Outcome::correct) << info.name << text;
      }
      EXPECT_EQ(task->score(PyDict(), "x").acc, 0);
    }
  }
}

TEST(ArcAgi1, SaysWhatIsWrong) {
  EXPECT_EQ(judge("arc_agi_1", "[[1]]", "[[1]]").outcome, Outcome::correct);
  EXPECT_EQ(judge("arc_agi_1", "[[1]]", "so: [[1.0]]").outcome, Outcome::no_answer);
  EXPECT_EQ(judge("arc_agi_1", "[[1]]", "[[2]]").outcome, Outcome::wrong);
  EXPECT_EQ(judge("arc_agi_1", "[[1]]", "[]").outcome, Outcome::empty);
  EXPECT_EQ(judge("arc_agi_1", "[[1]]", "null").outcome, Outcome::empty);
  EXPECT_EQ(judge("arc_agi_1", "[[1]]", "nothing").outcome, Outcome::no_answer);
  EXPECT_EQ(judge("arc_agi_1", "[[1]]", "```json\n[[1]\n```").outcome, Outcome::unreadable);
  EXPECT_EQ(judge("arc_agi_1", "[[1]]", std::string(2000, '[')).outcome, Outcome::unreadable);
  EXPECT_EQ(judge("arc_agi_1", "[]", "[[1]]").outcome, Outcome::wrong);
  EXPECT_EQ(py_dumps(*judge("arc_agi_1", "[[1]]", "[[2]]").prediction), "[[2]]");
  EXPECT_THAT(judge("arc_agi_1", "[[1]]", "7").reason, testing::HasSubstr("int"));
}

TEST(ArcAgi1, LenientLooksFurther) {
  const TaskOptions lenient{.lenient = true};
  const std::string_view bad_fence = "[[1]] and ```json\n[[2]]\n``` then ```json\n[[1]\n```";
  EXPECT_FALSE(right("arc_agi_1", "[[2]]", bad_fence));
  EXPECT_TRUE(right("arc_agi_1", "[[2]]", bad_fence, lenient));
  EXPECT_TRUE(right("arc_agi_1", "[[1]]", "[[1]] and ```json\noops\n```", lenient));
  EXPECT_TRUE(right("arc_agi_1", "[[1]]", "[[1]] x [[1 2]]", lenient));
  EXPECT_FALSE(right("arc_agi_1", "[[1]]", "```json\noops\n```", lenient));
  EXPECT_TRUE(right("arc_agi_1", "[[1]]", "[[1]]", lenient));
}

TEST(ArcAgi2, EitherAttemptCounts) {
  EXPECT_EQ(make_task("arc_agi_2")->attempts(), 2);
  EXPECT_EQ(make_task("arc_agi_1")->attempts(), 1);
  EXPECT_TRUE(right("arc_agi_2", "[[1]]", "[[1]]"));
  EXPECT_TRUE(right("arc_agi_2", "[[1]]", R"({"attempt_1": [[1]], "attempt_2": [[2]]})"));
  EXPECT_TRUE(right("arc_agi_2", "[[1]]", R"({"attempt_1": [[2]], "attempt_2": [[1]]})"));
  EXPECT_TRUE(right("arc_agi_2", "[[1]]", "```json\n[{\"attempt_2\": [[1]]}]\n```"));
  EXPECT_FALSE(right("arc_agi_2", "[[1]]", R"({"attempt_1": [[2]], "attempt_2": [[3]]})"));
  EXPECT_FALSE(right("arc_agi_2", "[[1]]", R"({"attempt_3": [[1]]})"));
  EXPECT_FALSE(right("arc_agi_2", "[[1]]", R"({"attempt_1": null})"));
  EXPECT_FALSE(right("arc_agi_2", "null", R"({"attempt_1": [[1]]})"));
}

TEST(AnswerText, FindsTheMarks) {
  EXPECT_EQ(last_boxed("a \\boxed{1} b \\boxed{\\frac{1}{2}} c"), "\\frac{1}{2}");
  EXPECT_EQ(last_boxed("\\boxed{x \\boxed{y}}"), "x \\boxed{y}");
  EXPECT_EQ(last_boxed("\\boxed{1} \\boxed{2"), "1");
  EXPECT_EQ(last_boxed("\\boxed{\\{1\\}}"), "\\{1\\}");
  EXPECT_EQ(last_boxed("{}} boxed{1}"), std::nullopt);
  EXPECT_EQ(last_stated_answer("The answer is 5.\nThe final answer is: 7"), "7");
  EXPECT_EQ(last_stated_answer("**Answer:** B\nbye"), "B");
  EXPECT_EQ(last_stated_answer("ANSWER = x"), "x");
  EXPECT_EQ(last_stated_answer("the answer:\n"), std::nullopt);
  EXPECT_EQ(last_stated_answer("answers vary"), std::nullopt);
  EXPECT_EQ(last_marked_answer("so\n#### 42\n"), "42");
  EXPECT_EQ(last_line("a\n b \n\n"), "b");
  std::string many;
  for (int i = 0; i < 300'000; ++i) many += "answer: \\boxed{";
  EXPECT_TRUE(last_stated_answer(many));
  EXPECT_FALSE(last_boxed(many));
}

TEST(ExactMatch, NormalisesAsAsked) {
  EXPECT_TRUE(right("exact_match", "\"Paris\"", "  Paris\n"));
  EXPECT_TRUE(right("exact_match", "\"New York\"", "New\n York"));
  EXPECT_TRUE(right("exact_match", "[\"NYC\", \"New York\"]", "NYC"));
  EXPECT_TRUE(right("exact_match", "42", "42"));
  EXPECT_TRUE(right("exact_match", "\"Paris\"", "I think so. The answer is Paris"));
  EXPECT_TRUE(right("exact_match", "\"Paris\"", "It is \\boxed{Paris}."));
  EXPECT_FALSE(right("exact_match", "\"Paris\"", "paris"));
  EXPECT_FALSE(right("exact_match", "\"Paris\"", "Paris."));
  EXPECT_FALSE(right("exact_match", "\"Paris\"", "The Paris"));
  EXPECT_FALSE(right("exact_match", "\"NewYork\"", "New York"));
  EXPECT_TRUE(right("exact_match", "\"Paris\"", "paris", {.ignore_case = true}));
  EXPECT_TRUE(right("exact_match", "\"Paris\"", "Paris.", {.ignore_punctuation = true}));
  EXPECT_TRUE(right("exact_match", "\"Paris\"", "The Paris", {.ignore_articles = true}));
  EXPECT_EQ(judge("exact_match", "\"x\"", " \n").outcome, Outcome::no_answer);
  EXPECT_EQ(*judge("exact_match", "\"x\"", "a  b").prediction->string(), "a b");
}

TEST(MultipleChoice, RulesInTheirOrder) {
  const auto choice = [](std::string_view text) {
    const auto letter = choice_in_text(text, 4);
    return letter ? static_cast<char>('A' + *letter) : '-';
  };
  EXPECT_EQ(choice("\\boxed{B} (C)"), 'B');
  EXPECT_EQ(choice("\\boxed{\\text{(B)}}"), 'B');
  EXPECT_EQ(choice("Perhaps (C). The answer is B."), 'B');
  EXPECT_EQ(choice("The correct answer is **(d)**"), 'D');
  EXPECT_EQ(choice("Answer: A\nAnswer: B"), 'B');
  EXPECT_EQ(choice("B"), 'B');
  EXPECT_EQ(choice(" **C**. "), 'C');
  EXPECT_EQ(choice("b"), 'B');
  EXPECT_EQ(choice("C) because (A) is wrong"), 'C');
  EXPECT_EQ(choice("(B): since"), 'B');
  EXPECT_EQ(choice("Not (A), so (D) it is"), 'D');
  EXPECT_EQ(choice("I would choose B here"), 'B');
  EXPECT_EQ(choice("A man chose C"), 'C');
  EXPECT_EQ(choice("B or C"), '-');
  EXPECT_EQ(choice("A dog"), '-');
  EXPECT_EQ(choice("E"), '-');
  EXPECT_EQ(choice("The answer is Boston"), '-');
  EXPECT_EQ(choice(""), '-');
  EXPECT_EQ(choice("the answer is unclear; B'"), '-');
}

TEST(MultipleChoice, TruthInItsForms) {
  EXPECT_TRUE(right("multiple_choice", "\"B\"", "B"));
  EXPECT_TRUE(right("multiple_choice", "\"(b)\"", "B"));
  EXPECT_TRUE(right("multiple_choice", "1", "B"));
  EXPECT_FALSE(right("multiple_choice", "0", "B"));
  EXPECT_FALSE(right("multiple_choice", "4", "B"));
  EXPECT_FALSE(right("multiple_choice", "\"E\"", "E"));
  EXPECT_TRUE(right("multiple_choice", "\"E\"", "E", {.choices = 5}));
  PyDict row;
  row.set("choices", PyList{"red", "green", "blue"});
  row.set("answer", "blue");
  const auto task = make_task("multiple_choice");
  EXPECT_EQ(task->score(row, "(C)").acc, 1);
  EXPECT_EQ(task->score(row, "(D)").outcome, Outcome::no_answer);
  row.set("choices", PyList{});
  EXPECT_EQ(task->score(row, "A").acc, 0);
}

TEST(MultipleChoice, ByLoglikelihood) {
  const double inf = std::numeric_limits<double>::infinity();
  const auto choose = [](std::vector<double> scores, std::vector<double> lengths = {}) {
    return choose_by_loglikelihood(scores, lengths);
  };
  EXPECT_EQ(choose({-3, -1, -2}), 1u);
  EXPECT_EQ(choose({-1, -1}), 0u);
  EXPECT_EQ(choose({-6, -4}, {3, 1}), 0u);
  EXPECT_EQ(choose({std::nan(""), -inf, -9}), 2u);
  EXPECT_EQ(choose({-inf}), std::nullopt);
  EXPECT_EQ(choose({}), std::nullopt);
}

std::string number(std::string_view text) {
  const auto value = parse_exact_number(text);
  return value ? show(*value) : "none";
}

TEST(ExactNumber, ReadsTheForms) {
  const std::pair<std::string_view, std::string_view> cases[] = {{"12", "12"},
                                                                 {"-3.50", "-7/2"},
                                                                 {"+7", "7"},
                                                                 {".5", "1/2"},
                                                                 {"5.", "5"},
                                                                 {"007", "7"},
                                                                 {"0.10", "1/10"},
                                                                 {"010.5", "21/2"},
                                                                 {"1,234,567", "1234567"},
                                                                 {"1 234 567", "1234567"},
                                                                 {"1{,}000", "1000"},
                                                                 {"6.02e3", "6020"},
                                                                 {"1E-2", "1/100"},
                                                                 {"1.5\\times 10^{-3}", "3/2000"},
                                                                 {"2 \\cdot 10^6", "2000000"},
                                                                 {"10^{3}", "1000"},
                                                                 {"3/4", "3/4"},
                                                                 {"6/8", "3/4"},
                                                                 {"-\\frac{3}{4}", "-3/4"},
                                                                 {"\\dfrac34", "3/4"},
                                                                 {"\\frac{-3}{4}", "-3/4"},
                                                                 {"2\\frac{1}{2}", "5/2"},
                                                                 {"2 1/2", "5/2"},
                                                                 {"50%", "50%"},
                                                                 {"50\\%", "50%"},
                                                                 {"$5", "5"},
                                                                 {"\\$1,000.50", "2001/2"},
                                                                 {"$\\frac{1}{3}$", "1/3"},
                                                                 {"\xE2\x88\x92"
                                                                  "4",
                                                                  "-4"},
                                                                 {"\\left( 5 \\right)", "none"},
                                                                 {"1,23", "none"},
                                                                 {"1/0", "none"},
                                                                 {"\\frac{1}{0}", "none"},
                                                                 {"x", "none"},
                                                                 {"", "none"},
                                                                 {"-", "none"},
                                                                 {"1e9999", "none"},
                                                                 {"1 2", "none"},
                                                                 {"\\sqrt{2}", "none"},
                                                                 {"1/2/3", "none"},
                                                                 {"5 apples", "none"},
                                                                 {"--5", "none"},
                                                                 {"1e", "none"},
                                                                 {"10^", "none"},
                                                                 {"\\frac", "none"},
                                                                 {"\\frac{1}", "none"}};
  for (const auto& [text, shown] : cases) EXPECT_EQ(number(text), shown) << text;
  EXPECT_EQ(number(std::string(1000, '9')), std::string(1000, '9'));
  EXPECT_EQ(number(std::string(1001, '9')), "none");
}

TEST(ExactNumber, LastInAText) {
  EXPECT_EQ(last_number_in("from 3 to 1,234.5 apples"), "1,234.5");
  EXPECT_EQ(last_number_in("it is -5."), "-5");
  EXPECT_EQ(last_number_in("7-3"), "3");
  EXPECT_EQ(last_number_in("covid-19"), "19");
  EXPECT_EQ(last_number_in("a 50% b"), "50%");
  EXPECT_EQ(last_number_in("half is 1/2!"), "1/2");
  EXPECT_EQ(last_number_in("= .5"), ".5");
  EXPECT_EQ(last_number_in("none"), "");
}

TEST(MathAnswer, ComparesExactly) {
  EXPECT_TRUE(right("math_answer", "\"0.5\"", "\\boxed{\\frac{1}{2}}"));
  EXPECT_TRUE(right("math_answer", "\"1/3\"", "\\boxed{\\dfrac13}"));
  EXPECT_FALSE(right("math_answer", "\"1/3\"", "\\boxed{0.333}"));
  EXPECT_TRUE(right("math_answer", "42", "so the answer is 42."));
  EXPECT_TRUE(right("math_answer", "42", "The answer is 42 apples."));
  EXPECT_TRUE(right("math_answer", "\"Janet ... #### 18\"", "She makes $18 every day.\n#### 18"));
  EXPECT_TRUE(right("math_answer", "\"solution \\\\boxed{7}\"", "We get 7"));
  EXPECT_TRUE(right("math_answer", "1234", "That makes 1,234"));
  EXPECT_TRUE(right("math_answer", "\"50\"", "\\boxed{50\\%}"));
  EXPECT_TRUE(right("math_answer", "\"0.5\"", "\\boxed{50\\%}"));
  EXPECT_FALSE(right("math_answer", "\"5\"", "\\boxed{50\\%}"));
  EXPECT_TRUE(right("math_answer", "\"5\"", "\\boxed{x = 5}"));
  EXPECT_TRUE(right("math_answer", "\"5\"", "\\boxed{5\\text{ cm}}"));
  EXPECT_TRUE(right("math_answer", "\"5\"", "\\boxed{5 \\mathrm{cm}}"));
  EXPECT_TRUE(right("math_answer", "\"(1, 2)\"", "\\boxed{\\left(1,2.0\\right)}"));
  EXPECT_FALSE(right("math_answer", "\"(1, 2)\"", "\\boxed{(2, 1)}"));
  EXPECT_FALSE(right("math_answer", "\"(1, 2)\"", "\\boxed{[1, 2)}"));
  EXPECT_TRUE(right("math_answer", "\"\\\\{1, 2\\\\}\"", "\\boxed{\\{2,1\\}}"));
  EXPECT_TRUE(right("math_answer", "\"\\\\frac{x}{2}\"", "\\boxed{\\dfrac{x}{2}}"));
  EXPECT_TRUE(right("math_answer", "\"2\\\\sqrt{3}\"", "\\boxed{2 \\sqrt{3}}"));
  EXPECT_FALSE(right("math_answer", "\"2\\\\sqrt{3}\"", "\\boxed{3\\sqrt{2}}"));
  EXPECT_TRUE(right("math_answer", "\"\\\\text{even}\"", "\\boxed{even}"));
  EXPECT_TRUE(right("math_answer", "[\"1\", \"2\"]", "\\boxed{2}"));
  EXPECT_EQ(judge("math_answer", "1", "no\nnumber").outcome, Outcome::no_answer);
  EXPECT_EQ(*judge("math_answer", "1", "\\boxed{2/4}").prediction->string(), "1/2");
}

TEST(JsonMatch, ComparesStructures) {
  EXPECT_TRUE(right("json_match", R"({"a": 1, "b": [2]})", R"({"b": [2.0], "a": 1})"));
  EXPECT_TRUE(right("json_match", R"({"a": 1})", "Here:\n```json\n{\"a\": 1}\n```"));
  EXPECT_TRUE(right("json_match", R"("{\"a\": 1}")", R"({"a": 1})"));
  EXPECT_FALSE(right("json_match", R"({"a": 1})", R"({"a": true})"));
  EXPECT_FALSE(right("json_match", R"({"a": 1})", R"({"a": "1"})"));
  EXPECT_EQ(judge("json_match", R"({"a": {"b/c": 1}})", R"({"a": {"b/c": 2}})").reason,
            "/a/b~1c: expected 1; got 2");
  EXPECT_EQ(judge("json_match", "[1, 2]", "[1]").reason, "/: expected 2 elements; got 1");
  EXPECT_EQ(judge("json_match", R"([{"a": 1}])", "[{}]").reason, "/0/a: missing");
  EXPECT_EQ(judge("json_match", "{}", R"({"z": 1})").reason, "/z: not expected");
  EXPECT_EQ(judge("json_match", "{}", "no JSON").outcome, Outcome::no_answer);
  EXPECT_TRUE(right("json_match", "[]", "[]"));
}

TEST(JsonMatch, PathsAndTolerance) {
  const TaskOptions paths{.paths = {"/items/1/name", "/n~1m"}};
  EXPECT_TRUE(right("json_match",
                    R"({"items": [0, {"name": "x"}], "n/m": 1, "z": 3})",
                    R"({"items": [9, {"name": "x", "q": 2}], "n/m": 1})",
                    paths));
  EXPECT_FALSE(right("json_match",
                     R"({"items": [0, {"name": "x"}], "n/m": 1})",
                     R"({"items": [0, {"name": "y"}], "n/m": 1})",
                     paths));
  EXPECT_FALSE(right("json_match", R"({"items": [0, {"name": "x"}], "n/m": 1})", "{}", paths));
  EXPECT_THROW(make_task("json_match", {.paths = {"items"}}), Error);
  EXPECT_TRUE(right("json_match", "[1000, 0.1]", "[1000.5, 0.1005]", {.tolerance = 0.001}));
  EXPECT_FALSE(right("json_match", "[1000]", "[1002]", {.tolerance = 0.001}));
  EXPECT_FALSE(right("json_match", "[1]", "[1.0001]"));
  EXPECT_FALSE(right("json_match", "[true]", "[1]", {.tolerance = 0.1}));
  EXPECT_FALSE(right("json_match", "[1e300]", "[Infinity]", {.tolerance = 0.1}));
  EXPECT_THROW(make_task("json_match", {.tolerance = -1}), Error);
}

}  // namespace
}  // namespace qwen3::eval
