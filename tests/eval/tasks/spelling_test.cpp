// Answers in the many spellings of one meaning, and beside each what is different.
#include <gtest/gtest.h>

#include "eval/python/python_json.h"
#include "eval/tasks/latex_spelling.h"
#include "eval/tasks/multiple_choice.h"
#include "eval/tasks/plain_characters.h"
#include "eval/tasks/quantity.h"
#include "eval/tasks/task.h"

namespace qwen3::eval {
namespace {

bool judged_right(const char* task, PyValue truth, const std::string& text) {
  PyDict row;
  row.set("answer", std::move(truth));
  return make_task(task)->score(row, text).acc == 1;
}

struct Spelled {
  const char* truth;
  std::vector<const char*> same;
  std::vector<const char*> different;
};

void check_boxed(const std::vector<Spelled>& cases) {
  for (const Spelled& c : cases) {
    for (const char* text : c.same) {
      EXPECT_TRUE(judged_right("math_answer", c.truth, std::string("So \\boxed{") + text + "}."))
          << c.truth << " = " << text << "   " << plain_latex(plain_characters(c.truth)) << " | "
          << plain_latex(plain_characters(text));
      EXPECT_TRUE(judged_right("math_answer", text, std::string("So \\boxed{") + c.truth + "}."))
          << text << " = " << c.truth;
    }
    for (const char* text : c.different) {
      EXPECT_FALSE(judged_right("math_answer", c.truth, std::string("So \\boxed{") + text + "}."))
          << c.truth << " != " << text;
    }
  }
}

TEST(Spelling, Characters) {
  EXPECT_EQ(plain_characters("（Ａ）５．５％，　１"), "(A)5.5%, 1");
  EXPECT_EQ(plain_characters("x²³y₁₂½"), "x^{23}y_{12}\\frac{1}{2}");
  EXPECT_EQ(plain_characters("10⁻³。"), "10^{-3}.");
  EXPECT_EQ(plain_characters("𝟏𝟐Ⓑ"), "12B");
  EXPECT_EQ(plain_characters("\xFF\xC3"), "\xFF\xC3");
  EXPECT_EQ(plain_characters("中文、“é”"), "中文、“é”");
}

TEST(Spelling, Formulas) {
  check_boxed({
      {"\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}",
       {"\\begin{pmatrix}1\\\\2\\end{pmatrix}",
        "\\begin{bmatrix} 1 \\\\ 2 \\\\ \\end{bmatrix}",
        "\\left(\\begin{array}{c}1\\\\2\\end{array}\\right)",
        "\\begin{pmatrix}1\\\\ 2\\end{pmatrix}"},
       {"\\begin{pmatrix}1&2\\end{pmatrix}",
        "\\begin{pmatrix}2\\\\1\\end{pmatrix}",
        "\\begin{vmatrix}1\\\\2\\end{vmatrix}",
        "(1,2)"}},
      {"\\begin{pmatrix}0.5&-\\frac34\\\\\\sqrt2&10\\end{pmatrix}",
       {"\\begin{bmatrix}\\frac12 & -0.75 \\\\ \\sqrt{2} & 10.0\\end{bmatrix}",
        "A=\\left[\\begin{array}{cc}1/2&-3/4\\\\√2&10\\end{array}\\right]"},
       {"\\begin{pmatrix}0.5&\\frac34\\\\\\sqrt2&10\\end{pmatrix}",
        "\\begin{pmatrix}0.5&-\\frac34&\\sqrt2&10\\end{pmatrix}",
        "\\begin{pmatrix}0.5&-\\frac34\\\\\\sqrt2&10\\end{pmatrix}^2",
        "\\begin{vmatrix}\\frac12 & -0.75 \\\\ \\sqrt{2} & 10.0\\end{vmatrix}"}},
      {"\\sqrt2",
       {"\\sqrt{2}", "√2", "\\sqrt[2]{2}", "sqrt(2)", "√(2)", "$\\sqrt 2$"},
       {"\\sqrt{3}", "2", "\\sqrt[3]{2}"}},
      {"\\sqrt{23}", {"√23", "\\sqrt {23}"}, {"\\sqrt23", "\\sqrt2 3"}},
      {"2\\sqrt3",
       {"2\\sqrt{3}", "2 \\cdot \\sqrt{3}", "2\\times\\sqrt3", "2*sqrt(3)", "2√3"},
       {"\\sqrt{23}", "3\\sqrt2", "2+\\sqrt3"}},
      {"x^2", {"x^{2}", "x²", "x^{ 2 }", "x**2"}, {"x^3", "x_2", "2x", "X^2"}},
      {"x^{10}", {"x^10"}, {"x^{1}", "10x"}},
      {"\\frac{11}{2}", {"5 1/2", "11/2", "5\\ 1/2"}, {"1 1/2", "1\\ 1/2"}},
      {"\\frac{3}{2}", {"1 1/2", "1\\frac12"}, {"11/2"}},
      {"34", {"34.0"}, {"3 4", "3\\ 4"}},
      {"1234567", {"1 234 567", "1\\,234\\,567"}, {"1 234 56"}},
      {"\\log_{2}3", {"\\log_2 3", "\\log_{2} 3", "\\log_2{3}"}, {"\\log_{23}", "\\log_3 2"}},
      {"2^{35}", {"2^{ 35 }"}, {"2^3 5"}},
      {"x_1^2", {"x^2_1", "x_{1}^{2}"}, {"x_2^1"}},
      {"\\frac{\\sqrt{3}}{2}",
       {"\\dfrac{\\sqrt3}2", "\\sqrt{3}/2", "√3/2", "(\\sqrt3)/2", "\\tfrac{\\sqrt{3}}{2}"},
       {"\\frac{2}{\\sqrt3}", "\\sqrt{\\frac32}"}},
      {"-\\frac{\\sqrt{3}}{2}",
       {"\\frac{-\\sqrt{3}}{2}", "-\\sqrt3/2"},
       {"\\frac{\\sqrt3}{2}", "\\frac{-\\sqrt3+1}{2}"}},
      {"\\frac{a+b}{2}", {"(a+b)/2"}, {"a+b/2", "a+\\frac{b}{2}"}},
      {"\\frac{1}{2x}", {"1/(2x)"}, {"1/2x", "\\frac12x"}},
      {"\\frac{\\pi}{6}", {"\\pi/6", "π/6", "pi/6", "\\frac\\pi6"}, {"6\\pi", "\\frac{6}{\\pi}"}},
      {"2\\pi r", {"2πr", "2 \\pi r", "2\\cdot\\pi r"}, {"2\\pi", "\\pi r^2"}},
      {"\\{1,2\\}\\times\\{3\\}", {"\\{1, 2\\} × \\{3\\}"}, {"\\{1,2\\}\\{3\\}"}},
      {"\\vec{a}\\times\\vec{b}", {"\\vec a \\times \\vec b"}, {"\\vec a\\cdot\\vec b"}},
      {"C",
       {"\\text{(C)}", "(C)", "\\textbf{C}", "\\mathbf{C}", "C.", "Ｃ", "（Ｃ）", "\\boxed{C}"},
       {"B", "c", "\\text{(B)}", "C'"}},
      {"\\text{even}", {"even", "\\mathrm{even}", "\\textbf{even}"}, {"odd"}},
      {"f'(x)", {"f^\\prime(x)", "f^{\\prime}(x)", "f′(x)"}, {"f(x)"}},
      {"|x|", {"\\lvert x\\rvert", "\\left|x\\right|", "\\vert x \\vert"}, {"x"}},
      {"x\\le 3", {"x\\leq 3", "x ≤ 3", "x<=3", "x \\leqslant 3"}, {"x<3", "x\\ge3", "3", "x=3"}},
      {"x\\ne 3", {"x\\neq3", "x≠3", "x != 3"}, {"x=3", "3"}},
      {"\\emptyset", {"\\varnothing", "∅"}, {"0"}},
      {"\\mathbb{R}", {"\\mathbb R", "ℝ"}, {"\\mathbb{Q}", "R"}},
      {"x^2+y^2=4", {"x^{2} + y^{2} = 4", "x²+y²=4"}, {"4", "x^2+y^2=2"}},
      {"y=2x+1", {"2x+1", "y = 2x + 1"}, {"x = 2x+1", "2x-1"}},
  });
  EXPECT_EQ(plain_latex(std::string(3000, '{')).size(), 3000u);
  EXPECT_EQ(plain_latex("\\frac"), "\\frac{}{}");
  EXPECT_EQ(plain_latex("}){^_\\sqrt[/"), plain_latex("}){^_\\sqrt[/"));
}

TEST(Spelling, Numbers) {
  check_boxed({
      {"5",
       {"５",
        "5.0",
        "5.",
        "(5)",
        "{5}",
        "\\boxed{5}",
        "\\mathbf{5}",
        "$5$",
        "+5",
        "x=5",
        "x = ５",
        "10/2",
        "2+3=5",
        "**5**"},
       {"-5", "５０", "[5]", "\\{5\\}", "x"}},
      {"x=5", {"5", "x = 5"}, {"y=5", "x=6"}},
      {"0.5",
       {"\\frac12", "1/2", "\\dfrac{1}{2}", "½", "50\\%", "５０％", ".5", "０．５"},
       {"0.49", "2", "5\\%"}},
      {"1234",
       {"1,234", "1{,}234", "1\\,234", "1 234", "１，２３４"},
       {"1.234", "(1,234)", "1,2,3,4", "1,23,4"}},
      {"2\\frac12",
       {"2.5",
        "5/2",
        "2 1/2",
        "2½",
        "2\\tfrac{1}{2}",
        "2又1/2",
        "2又\\frac{1}{2}",
        "250%",
        "百分之250"},
       {"1", "2\\cdot\\frac13", "\\frac{2}{12}"}},
      {"-3", {"−3", "－３", "–3"}, {"3"}},
      {"\\frac13", {"三分之一", "3分之1", "1/3"}, {"三分之二", "一分之三", "0.333"}},
      {"\\frac43", {"一又三分之一", "1又3分之1", "1\\frac13"}, {"三分之一"}},
      {"50\\%", {"百分之五十", "百分之50", "0.5"}, {"百分之五"}},
      {"18", {"十八", "一十八"}, {"十九", "八十", "一八十"}},
      {"100205", {"十万零二百零五", "100,205"}, {"十万零五百"}},
      {"250", {"二百五", "二百五十"}, {"二百零五"}},
      {"35000", {"三万五", "三万五千"}, {"三万零五"}},
      {"2024", {"二〇二四", "二零二四", "两千零二十四"}, {"二四"}},
      {"三角形", {"三角形"}, {"3角形", "3"}},
      {"6.02\\times10^{23}",
       {"6.02×10²³", "6.02e23", "6.02 \\cdot 10^{23}"},
       {"6.02×10²²", "6.02"}},
  });
}

TEST(Spelling, Units) {
  check_boxed({
      {"12",
       {"12 \\text{ cm}^2",
        "12\\,\\mathrm{cm}",
        "12 cm",
        "12cm",
        "12厘米",
        "12 平方厘米",
        "12个",
        "12 \\text{ apples}",
        "12°",
        "12^\\circ",
        "12^{\\circ}\\text{C}",
        "12 square meters",
        "\\$12",
        "€12",
        "12元",
        "12 km/h"},
       {"12x",
        "12 \\text{ or } 13",
        "12m",
        "12万",
        "12 million",
        "12 \\text{ dozen}",
        "12个半",
        "12_8",
        "12 以上",
        "12\\text{ base }8"}},
      {"12 cm",
       {"12\\text{ centimeters}", "12厘米", "12", "12 \\text{cm}"},
       {"12 m", "12\\text{ cm}^2", "12 mm", "13 cm"}},
      {"5 \\text{ m/s}",
       {"5 m/s", "5 米/秒", "5 \\text{ meters per second}"},
       {"5 km/h", "5 \\text{ m}"}},
      {"30^\\circ", {"30°", "30 degrees", "30度", "30"}, {"30\\text{ rad}", "60°"}},
      {"30°C", {"30 °C", "30^\\circ C", "30"}, {"30°F"}},
      {"5000000", {"5 million", "5\\text{ million}", "500万", "\\$5 million"}, {"5", "5 thousand"}},
      {"\\$5", {"5 dollars", "5", "5 美元"}, {"€5", "5 元"}},
      {"2\\sqrt{3}",
       {"2\\sqrt3\\text{ cm}", "2√3 厘米"},
       {"3\\sqrt2\\text{ cm}", "2\\sqrt3\\text{ is odd}"}},
  });
}

TEST(Spelling, ListsSetsAndIntervals) {
  check_boxed({
      {"\\{1, 2\\}",
       {"\\{2,1\\}",
        "\\left\\{ 1 , 2 \\right\\}",
        "{1, 2}",
        "\\lbrace 1,2\\rbrace",
        "｛１，２｝",
        "\\{1,1,2\\}",
        "\\{1、2\\}"},
       {"(1,2)", "[1,2]", "\\{1,3\\}", "\\{1\\}", "\\{1,2,3\\}"}},
      {"(1, 2)",
       {"\\left(1,2\\right)", "（1，2）", "(1.0, 4/2)", "(x,y)=(1,2)"},
       {"(2,1)", "[1,2]", "(1,2]", "\\{1,2\\}", "1,2"}},
      {"[0, 1)",
       {"[0,1)", "\\left[0, 1\\right)", "x \\in [0, 1)", "[0，1）"},
       {"[0,1]", "(0,1)", "(0,1]"}},
      {"(-\\infty, 2]",
       {"(-∞, 2]", "(−∞，2]", "x\\in(-\\infty,2]"},
       {"(-\\infty,2)", "(\\infty,2]"}},
      {"(2, \\infty)", {"(2,+\\infty)", "(2, ∞)", "(2,+∞)"}, {"(2,-\\infty)"}},
      {"(-\\infty,0)\\cup(1,\\infty)",
       {"(-∞,0)∪(1,+∞)"},
       {"(-\\infty,0)\\cap(1,\\infty)", "(-\\infty,0]\\cup(1,\\infty)"}},
      {"1, 2",
       {"1,2", "1，2", "1、2", "x=1, x=2", "1 \\text{ or } 2", "x=1 或 x=2", "1和2"},
       {"2, 1", "1, 3", "12", "1", "1,2,3"}},
      {"\\pm 2",
       {"±2", "2, -2", "-2,2", "x = \\pm 2", "2 \\text{ or } -2", "2 或 -2", "\\{-2, 2\\}"},
       {"2", "-2", "\\pm 3", "(2,-2)"}},
      {"1\\pm\\sqrt2", {"1 ± √2", "1+\\sqrt{2}, 1-\\sqrt{2}"}, {"1+\\sqrt2"}},
      {"\\{x \\mid x > 1\\}",
       {"\\{x | x>1\\}", "\\left\\{x\\,\\middle|\\,x>1\\right\\}"},
       {"\\{x|x\\ge1\\}", "\\{x, x>1\\}"}},
  });
}

TEST(Spelling, ReasonsBehindAnAnswerAreNone) {
  for (const char* text : {"The answer is 18 because 9+7=16.",
                           "The answer is 18. This is because 9+7=16.",
                           "The answer is 18, since 9+7=16",
                           "The answer is $18$ because $9+7=16$.",
                           "The answer is \\(18\\). Then 16 is left.",
                           "The answer is 18 (because 9+7=16)",
                           "The answer is 2 * 9 = 18."}) {
    EXPECT_TRUE(judged_right("math_answer", "18", text)) << text;
    EXPECT_FALSE(judged_right("math_answer", "16", text)) << text;
  }
  EXPECT_TRUE(judged_right("math_answer", "5", "The answer is approx. 5"));
  EXPECT_TRUE(judged_right("math_answer", "1.5", "The answer is 1.5."));
  EXPECT_TRUE(judged_right("math_answer", "[0, 1)", "The answer is $[0, 1)$. It has 1 gap."));
}

TEST(Spelling, WhereChineseAnswersStand) {
  EXPECT_TRUE(judged_right("math_answer", "5", "首先 3+2。\n答案是5。"));
  EXPECT_TRUE(judged_right("math_answer", "5", "答案：５个，不是 7"));
  EXPECT_TRUE(judged_right("math_answer", "5", "【答案】5\n【解析】由 7 可得"));
  EXPECT_TRUE(judged_right("math_answer", "5", "因此答案为 $x=5$。"));
  EXPECT_FALSE(judged_right("math_answer", "7", "答案是5。\n由 7 可得"));
  EXPECT_TRUE(judged_right("math_answer", "1/3", "答案是三分之一。"));
  EXPECT_TRUE(judged_right("math_answer", "18", "答案是18。因为 9+7=16。"));
  EXPECT_TRUE(judged_right("exact_match", "巴黎", "我想，答案：巴黎"));
  EXPECT_FALSE(judged_right("exact_match", "巴黎", "答案不是巴黎"));
}

TEST(Spelling, Choices) {
  const auto named = [](const char* text) {
    std::string letters;
    const Choices choices = choices_in_text(plain_characters(text), 4);
    for (int i = 0; i < 26; ++i) {
      if ((choices >> i & 1) != 0) letters += static_cast<char>('A' + i);
    }
    return letters;
  };
  const std::pair<const char*, const char*> cases[] = {
      {"答案是(B)", "B"},
      {"答案是（Ｂ）。", "B"},
      {"选B", "B"},
      {"【答案】B", "B"},
      {"【答案】：Ｂ", "B"},
      {"B。", "B"},
      {"Ｂ", "B"},
      {"ｂ", "B"},
      {"b", "B"},
      {"(b)", "B"},
      {"\\boxed{b}", "B"},
      {"\\boxed{\\text{B}}", "B"},
      {"A不对，C也错，故选：D。", "D"},
      {"正确答案为C选项", "C"},
      {"正确选项是C", "C"},
      {"The correct option is (b).", "B"},
      {"My choice is: D", "D"},
      {"故答案为：B．", "B"},
      {"正确答案：ＢＤ", "BD"},
      {"【B】", "B"},
      {"B和D", "BD"},
      {"我选Ⓑ", "B"},
      {"Option A is wrong", ""},
      {"答案选 C", "C"},
      {"B、香蕉", "B"},
      {"B：香蕉", "B"},
      {"我认为B正确", "B"},
      {"因此，应该选择B，因为A不对。", "B"},
      {"不能选A", ""},
      {"不选A，选C", "C"},
      {"A错", ""},
      {"B不正确", ""},
      {"选择题很难", ""},
      {"答案不是B", ""},
      {"选项B是错的", ""},
      {"The answer is not B", ""},
      {"(A) is right. (B) is wrong", "A"},
      {"The answer is a dog", ""},
      {"the answer is b", "B"},
      {"The answer is A because", "A"},
      {"AC", "AC"},
      {"A、C", "AC"},
      {"A,C", "AC"},
      {"A，C", "AC"},
      {"A, C and D", "ACD"},
      {"The answer is A; C and D are wrong.", "A"},
      {"The answer is A, C; B is wrong.", "AC"},
      {"答案是A，C错误", "A"},
      {"答案是A，B、C、D均错误", "A"},
      {"选A，C错", "A"},
      {"答案是A、C", "AC"},
      {"答案是AC", "AC"},
      {"故选ABD。", "ABD"},
      {"\\boxed{A, C}", "AC"},
      {"\\boxed{\\text{AC}}", "AC"},
      {"(A)(C)", "AC"},
      {"(A), (C)", "AC"},
      {"答案：A、C", "AC"},
      {"CAB", ""},
      {"AAB", ""},
      {"BAD", ""},
      {"E", ""},
      {"答案是E", ""},
      {"答案是ABE", ""},
      {"A and C are correct.", "AC"},
      {"Both B and D are correct", "BD"},
      {"So only (B) is correct, as (A) says.", "B"},
      {"A is correct? No. (C) is.", "C"},
      {"A and C are not correct", ""},
      {"It is not true that A is correct", ""},
      {"A is right, but B is the answer", "B"},
      {"A、C正确", "AC"},
      {"A和C都是正确的", "AC"},
      {"A、C选项正确，B错", "AC"},
      {"A、C均不正确", ""},
      {"B正确吗？", "B"},
      {"甲", ""}};
  for (const auto& [text, letters] : cases) EXPECT_EQ(named(text), letters) << text;

  // The form that Qwen's cards ask for.
  EXPECT_EQ(named("A and B are worse.\n```json\n{\"answer\": \"C\"}\n```"), "C");
  EXPECT_EQ(named("The answer is A. No:\n\"answer\" : \"B\""), "B");
  EXPECT_EQ(named("\"answers\": \"A\". The answer is B"), "B");

  EXPECT_TRUE(judged_right("multiple_choice", "AC", "A、C"));
  EXPECT_TRUE(judged_right("multiple_choice", "A、C", "答案是(A)(C)"));
  EXPECT_TRUE(judged_right("multiple_choice", PyList{"A", "C"}, "AC"));
  EXPECT_TRUE(judged_right("multiple_choice", "Ｂ", "选B"));
  EXPECT_FALSE(judged_right("multiple_choice", "A", "AC"));
  EXPECT_FALSE(judged_right("multiple_choice", "AC", "A"));
  EXPECT_FALSE(judged_right("multiple_choice", "AC", "AB"));
  EXPECT_FALSE(judged_right("multiple_choice", PyList{"A", "E"}, "A"));
}

}  // namespace
}  // namespace qwen3::eval
