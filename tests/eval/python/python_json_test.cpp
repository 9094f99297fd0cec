// json.loads, ==, bool() and json.dumps as CPython 3.11 does them. The tables below were read off
// the interpreter; tests/eval/tasks/rules_test.cpp compares thousands of texts more.
#include "eval/python/python_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "qwen3/error.h"

namespace qwen3::eval {
namespace {

PyValue loads(std::string_view text) {
  PyJsonProblem problem;
  auto value = py_loads(text, &problem);
  EXPECT_TRUE(value.has_value()) << text << ": " << problem.message();
  return value ? *value : PyValue("refused");
}

std::string round_trip(std::string_view text) { return py_dumps(loads(text)); }

TEST(PythonJson, RefusesWithPythonsWordsAtPythonsPlace) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", "Expecting value: line 1 column 1 (char 0)"},
      {"[", "Expecting value: line 1 column 2 (char 1)"},
      {"{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"},
      {"[1,", "Expecting value: line 1 column 4 (char 3)"},
      {"[1,]", "Expecting value: line 1 column 4 (char 3)"},
      {"{\"a\"", "Expecting ':' delimiter: line 1 column 5 (char 4)"},
      {"{\"a\":", "Expecting value: line 1 column 6 (char 5)"},
      {"{\"a\":1,", "Expecting property name enclosed in double quotes: line 1 column 8 (char 7)"},
      {"{\"a\":1,}", "Expecting property name enclosed in double quotes: line 1 column 8 (char 7)"},
      {"{1:2}", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"},
      {"\"abc", "Unterminated string starting at: line 1 column 1 (char 0)"},
      {"\"a\x01\"", "Invalid control character at: line 1 column 3 (char 2)"},
      {R"("\x")", "Invalid \\escape: line 1 column 2 (char 1)"},
      {R"("\u12")", "Invalid \\uXXXX escape: line 1 column 3 (char 2)"},
      {R"("\u12g4")", "Invalid \\uXXXX escape: line 1 column 3 (char 2)"},
      {R"("\)", "Unterminated string starting at: line 1 column 1 (char 0)"},
      {R"("\u)", "Invalid \\uXXXX escape: line 1 column 3 (char 2)"},
      {R"("\ud800\u12")", "Invalid \\uXXXX escape: line 1 column 9 (char 8)"},
      {R"("\ud800\x")", "Invalid \\escape: line 1 column 8 (char 7)"},
      {R"("\ud83d\ude00)", "Invalid \\uXXXX escape: line 1 column 9 (char 8)"},
      {"-", "Expecting value: line 1 column 1 (char 0)"},
      {"-Inf", "Expecting value: line 1 column 1 (char 0)"},
      {"nul", "Expecting value: line 1 column 1 (char 0)"},
      {"[-]", "Expecting value: line 1 column 2 (char 1)"},
      {"1.", "Extra data: line 1 column 2 (char 1)"},
      {"01", "Extra data: line 1 column 2 (char 1)"},
      {"1E+", "Extra data: line 1 column 2 (char 1)"},
      {"-1.e", "Extra data: line 1 column 3 (char 2)"},
      {"[1 2]", "Expecting ',' delimiter: line 1 column 4 (char 3)"},
      {"\xEF\xBB\xBF"
       "1",
       "Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)"},
      {"\xC3\xA9", "Expecting value: line 1 column 1 (char 0)"},
      {"\"\xC3\xA9\" x", "Extra data: line 1 column 5 (char 4)"},
      {"\n\n x", "Expecting value: line 3 column 2 (char 3)"},
      {"\x0b"
       "1",
       "Expecting value: line 1 column 1 (char 0)"},
  };
  for (const auto& [text, message] : cases) {
    PyJsonProblem problem;
    EXPECT_FALSE(py_loads(text, &problem)) << text;
    EXPECT_EQ(problem.kind, PyJsonProblem::Kind::syntax);
    EXPECT_EQ(problem.message(), message) << text;
    EXPECT_FALSE(py_loads(text)) << text;
  }
}

TEST(PythonJson, WritesWhatPythonWrites) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {" [1 ,2,\r\n[ ] , { }]\t", "[1, 2, [], {}]"},
      {R"({"a":1,"b":2,"a":[3]})", R"({"a": [3], "b": 2})"},
      {"[-0,0,-0.0,1.0,1e5,1E400,-1e400,1e-400]",
       "[0, 0, -0.0, 1.0, 100000.0, Infinity, -Infinity, 0.0]"},
      {"[1e16,1e15,123456789012345678.0,0.0001,0.00001,1.5e-7,5e-324]",
       "[1e+16, 1000000000000000.0, 1.2345678901234568e+17, 0.0001, 1e-05, 1.5e-07, 5e-324]"},
      {"[NaN,Infinity,-Infinity,null,true,false]", "[NaN, Infinity, -Infinity, null, true, false]"},
      {"[9223372036854775807,9223372036854775808,-9223372036854775808,-9223372036854775809]",
       "[9223372036854775807, 9223372036854775808, -9223372036854775808, -9223372036854775809]"},
      {R"("\u0041\u00e9\ud83d\ude00\/\b\f\n\r\t\"\\\u0000\u001f\u007f")",
       "\"A\xC3\xA9\xF0\x9F\x98\x80/\\b\\f\\n\\r\\t\\\"\\\\\\u0000\\u001f\x7f\""},
      {R"(["\ud800","\ude00\ud83d"])", "[\"\xED\xA0\x80\", \"\xED\xB8\x80\xED\xA0\xBD\"]"},
      {R"(["\ud800\ud83d\ude00"])", "[\"\xED\xA0\x80\xF0\x9F\x98\x80\"]"},
  };
  for (const auto& [text, written] : cases) EXPECT_EQ(round_trip(text), written) << text;
}

TEST(PythonJson, FloatsOutOfRangeAreInfiniteOrZero) {
  const auto number = [](std::string text) { return *loads(text).floating(); };
  const std::string zeros(400, '0');
  EXPECT_EQ(number("1" + zeros + ".0"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(number("-1" + zeros + ".0"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(number("0." + zeros + "1"), 0.0);
  EXPECT_EQ(number("0." + zeros + "1e401"), 1.0);
  EXPECT_EQ(number("1" + zeros + "e-400"), 1.0);
  EXPECT_EQ(number("1e99999999999999999999"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(number("1e-99999999999999999999"), 0.0);
  EXPECT_EQ(number("0e99999999999999999999"), 0.0);
  EXPECT_EQ(number("0.0e400"), 0.0);
  EXPECT_TRUE(std::signbit(number("-1e-400")));
  EXPECT_EQ(number("2.4703282292062327e-324"), 0.0);
  EXPECT_EQ(number("2.4703282292062328e-324"), 5e-324);
}

TEST(PythonJson, EqualAsInPython) {
  const std::pair<std::string_view, std::string_view> equal[] = {
      {"1", "1.0"},
      {"1", "true"},
      {"0.0", "false"},
      {"-0.0", "0"},
      {"[[1, true], [0]]", "[[1.0, 1], [false]]"},
      {"[NaN]", "[NaN]"},
      {R"({"a": NaN})", R"({"a": NaN})"},
      {R"({"a": 1, "b": [2]})", R"({"b": [2.0], "a": true})"},
      {"9007199254740993", "9007199254740993"},
      {"1e23", "99999999999999991611392"},
      {"9223372036854775808", "9223372036854775808.0"},
      {"-9223372036854775808", "-9223372036854775808.0"},
      {"1e400", "Infinity"},
      {R"("\u00e9")", "\"\xC3\xA9\""},
  };
  const std::pair<std::string_view, std::string_view> unequal[] = {
      {"NaN", "NaN"},
      {"1", "\"1\""},
      {"null", "false"},
      {"null", "0"},
      {"[]", "{}"},
      {"[1]", "1"},
      {"[1, 2]", "[1]"},
      {"[1]", "[1, 2]"},
      {"[NaN]", "[1]"},
      {"9007199254740993", "9007199254740992.0"},
      {"1e23", "100000000000000000000000"},
      {"9223372036854775807", "9223372036854775808.0"},
      {"9223372036854775808", "Infinity"},
      {"100000000000000000000", "NaN"},
      {R"({"a": 1})", R"({"b": 1})"},
      {R"({"a": 1})", R"({"a": 1, "b": 2})"},
      {R"({"a": 1})", R"({"a": 2})"},
      {R"("\ud83d")", R"("\ud83d\ude00")"},
  };
  for (const auto& [a, b] : equal) {
    EXPECT_TRUE(py_equal(loads(a), loads(b))) << a << " == " << b;
    EXPECT_TRUE(py_equal(loads(b), loads(a))) << b << " == " << a;
  }
  for (const auto& [a, b] : unequal) {
    EXPECT_FALSE(py_equal(loads(a), loads(b))) << a << " == " << b;
    EXPECT_FALSE(py_equal(loads(b), loads(a))) << b << " == " << a;
  }
}

TEST(PythonJson, TrueAndFalseAsInPython) {
  for (const char* text :
       {"null", "false", "0", "-0", "0.0", "-0.0", "1e-400", "\"\"", "[]", "{}"}) {
    EXPECT_FALSE(py_truthy(loads(text))) << text;
  }
  for (const char* text : {"true",
                           "1",
                           "-1",
                           "0.5",
                           "NaN",
                           "Infinity",
                           "\"0\"",
                           "[0]",
                           "[[]]",
                           "{\"a\":0}",
                           "99999999999999999999"}) {
    EXPECT_TRUE(py_truthy(loads(text))) << text;
  }
}

TEST(PythonJson, AHalfSurrogateInTheTextAndOneInAnEscapeStayApart) {
  const PyValue apart = loads("\"\xED\xA0\xBD\\ude00\"");
  EXPECT_EQ(*apart.string(), "\xED\xA0\xBD\xED\xB8\x80");
  EXPECT_FALSE(py_equal(apart, loads(R"("\ud83d\ude00")")));
}

TEST(PythonJson, DepthIsBounded) {
  const auto nested = [](int depth) {
    return std::string(static_cast<size_t>(depth), '[') +
           std::string(static_cast<size_t>(depth), ']');
  };
  EXPECT_EQ(py_depth(loads(nested(kPyMaxDepth))), kPyMaxDepth);
  PyJsonProblem problem;
  EXPECT_FALSE(py_loads(nested(kPyMaxDepth + 1), &problem));
  EXPECT_EQ(problem.kind, PyJsonProblem::Kind::too_deep);
  EXPECT_TRUE(py_loads(nested(kPyMaxDepth + 1), &problem, kPyMaxDepth + 1));
  EXPECT_FALSE(py_loads(std::string(10'000'000, '['), &problem));
  EXPECT_EQ(problem.kind, PyJsonProblem::Kind::too_deep);
}

TEST(PythonJson, IntegersHaveAtMost4300Digits) {
  PyJsonProblem problem;
  const std::string most(4300, '7');
  EXPECT_EQ(round_trip(most), most);
  EXPECT_EQ(round_trip("-" + most), "-" + most);
  EXPECT_FALSE(py_loads(most + "7", &problem));
  EXPECT_EQ(problem.kind, PyJsonProblem::Kind::too_many_digits);
  EXPECT_TRUE(py_loads(most + "7.0", &problem));  // a float may have any number
}

TEST(PythonJson, ADictKeepsTheFirstPlaceAndTheLastValue) {
  PyDict dict;
  for (int i = 0; i < 100; ++i) dict.set("key " + std::to_string(i), i);
  for (int i = 0; i < 100; i += 2) dict.set("key " + std::to_string(i), -i);
  ASSERT_EQ(dict.size(), 100u);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(dict.members()[static_cast<size_t>(i)].key, "key " + std::to_string(i));
    EXPECT_EQ(*dict.find("key " + std::to_string(i))->integer(), i % 2 == 0 ? -i : i);
  }
  EXPECT_EQ(dict.find("key 100"), nullptr);
  PyDict copy = dict;
  copy.set("key 0", "changed");
  EXPECT_EQ(*dict.find("key 0")->integer(), 0);
}

TEST(PythonJson, ErrorsNameTheirPlace) {
  try {
    py_load("[1", "answers.jsonl:3");
    FAIL() << "expected Error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::corrupt_file);
    EXPECT_THAT(error.what(), testing::StartsWith("answers.jsonl:3: not JSON: Expecting ','"));
  }
}

TEST(PythonJson, FromTheOtherJson) {
  const Json json = parse_json(
      R"({"a": [1, -2, 1.5, true, null, "x"], "b": 18446744073709551615, "c": {}})", "test");
  EXPECT_EQ(py_dumps(py_from_json(json)),
            R"({"a": [1, -2, 1.5, true, null, "x"], "b": 18446744073709551615, "c": {}})");
}

// A hundred times the text must not cost ten thousand times the work. The texts are long enough
// that quadratic time would take minutes.
TEST(PythonJson, TimeGrowsWithTheText) {
  std::string keys = "{";
  for (int i = 0; i < 300'000; ++i) keys += "\"" + std::to_string(i % 200'000) + "\":1,";
  keys.back() = '}';
  EXPECT_EQ(loads(keys).dict()->size(), 200'000u);
  std::string opened;
  for (int i = 0; i < 1'000'000; ++i) opened += "[],";
  EXPECT_FALSE(py_loads("[" + opened));
  EXPECT_FALSE(py_loads("\"" + std::string(10'000'000, 'a')));
  std::string escapes = "\"";
  for (int i = 0; i < 1'000'000; ++i) escapes += "\\ud83d";
  EXPECT_EQ(loads(escapes + "\"").string()->size(), 3'000'000u);
}

}  // namespace
}  // namespace qwen3::eval
