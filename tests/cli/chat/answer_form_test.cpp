// The form of an answer on the command line: what is asked for is what comes, and what cannot be is said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "cli/run_program.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::MatchesRegex;

ProgramResult generate(std::vector<std::string> more) {
  std::vector<std::string> arguments{"generate", "--prompt", "The answer is ", "--quiet"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_qwen3(arguments);
}

TEST(AnswerForm, EveryOptionHoldsTheAnswer) {
  EXPECT_THAT(generate({"--choice", "rain", "--choice", "sun"}).out, AnyOf("rain\n", "sun\n"));
  EXPECT_THAT(generate({"--regex", "[0-9]{3}-[a-c]"}).out, MatchesRegex("[0-9]+-[a-c]\n"));
  const TempDir folder;
  const auto schema = folder.write("s.json", R"({"type": "object", "required": ["n"],
      "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 12}}})");
  const Json answer = parse_json(generate({"--json-schema", schema}).out, "answer");
  EXPECT_GE(answer.at("n").get<int>(), 3);
  EXPECT_LE(answer.at("n").get<int>(), 12);
  const auto grammar = folder.write("g.gbnf", "root ::= \"so \" word\nword ::= (\"a\" | \"b\")\n");
  EXPECT_THAT(generate({"--grammar", grammar}).out, MatchesRegex("so [ab]\n"));
  const ProgramResult chat =
      run_qwen3({"chat", "--quiet", "--hide-thinking", "--choice", "rain", "Which?"});
  EXPECT_EQ(chat.out, "rain\n") << chat.err;
}

TEST(AnswerForm, WhatCannotBeIsSaid) {
  const ProgramResult two = generate({"--choice", "a", "--regex", "b"});
  EXPECT_EQ(two.exit_code, 2);
  const ProgramResult regex = generate({"--regex", "a(?=b)"});
  EXPECT_NE(regex.exit_code, 0);
  EXPECT_THAT(regex.err, HasSubstr("--regex: "));
  const TempDir folder;
  const ProgramResult schema = generate(
      {"--json-schema", folder.write("s.json", R"({"properties": {"a": {"$dynamicRef": "#x"}}})")});
  EXPECT_NE(schema.exit_code, 0);
  EXPECT_THAT(schema.err, HasSubstr("/properties/a"));
  EXPECT_NE(generate({"--grammar", folder.path() / "none"}).exit_code, 0);
}

}  // namespace
}  // namespace qwen3::test
