#include <gmock/gmock.h>

#include "grammar/limits.h"
#include "grammar/support.h"

namespace qwen3 {
namespace {

GrammarPtr gbnf(std::string_view text) { return compile_gbnf(text, *nano_trie()); }

void expect_texts(std::string_view source,
                  const std::vector<std::string>& yes,
                  const std::vector<std::string>& no) {
  const auto grammar = gbnf(source);
  for (const auto& text : yes) EXPECT_TRUE(matches(grammar, text)) << source << "\n: " << text;
  for (const auto& text : no) EXPECT_FALSE(matches(grammar, text)) << source << "\n: " << text;
}

TEST(Gbnf, NotationByExamples) {
  expect_texts("root ::= \"yes\" | \"no\"\n", {"yes", "no"}, {"", "ye", "yesno", "maybe"});
  expect_texts("# first\nroot ::= [a-c]+ ( \",\" [^a-c\\n] )* end?\nend ::= \"\\x21\" # last",
               {"ab", "a,x,y!", "c!"},
               {"", "a,b", "a,\n", "!"});
  expect_texts("root ::= x{2} y{1,2} z{0,1} \"w\"{2,}\nx ::= \"x\"\ny::=\"y\"\nz ::= \"z\"",
               {"xxyww", "xxyyzwww"},
               {"xyww", "xxyyyww", "xxyw", "xxyzzww"});
  expect_texts("root ::= . . [\\]\\-\\\\]", {"é\n]", "ab-", "ab\\"}, {"ab", "abc", "a]"});
  expect_texts("root ::= \"\\\"\\t\\u00e9\\U0001F642\\\\\"", {"\"\té🙂\\"}, {"\"\té\\"});
  expect_texts("root ::= \"\" | (\"a\" | (\"b\" \"c\")) root", {"", "abca", "bcbc"}, {"b", "c"});
  expect_texts(
      "root ::= a\n  | b\n\na ::= \"a\"\nb ::=\n  \"b\"\n  \"c\"", {"a", "bc"}, {"b", "abc"});
  expect_texts("root ::= (\"a\"? \"b\"?)* \"c\"", {"c", "aabbc", "bac"}, {"", "d"});
  expect_texts("root ::= \"a\"*?+", {"", "aaa"}, {"b"});
}

constexpr std::string_view kJson = R"(
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::=
  "[" ws ( value ("," ws value)* )? "]" ws
string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4})
  )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
)";

TEST(Gbnf, Json) {
  expect_texts(kJson,
               {"{}", "{\"a\":[1, -2.5e3,{\"b\\u00e9\": \"\\n\"}],\n\t\"c\":null} "},
               {"[]", "{\"a\"}", "{\"a\":01}", "{,}", "{\"a\":\"\n\"}"});
}

TEST(Gbnf, RulesThatBeginWithThemselvesAreRewritten) {
  expect_texts(
      "root ::= sum\nsum ::= sum [+-] product | product\nproduct ::= product [*/] atom | atom\n"
      "atom ::= [0-9]+ | \"(\" sum \")\"",
      {"1", "1+2*3-4", "(1+2)*(3)", "((7))"},
      {"", "+1", "1+", "(1", "1**2"});
  expect_texts(
      "root ::= root | \"x\" | (root \"y\" | \"z\")", {"x", "z", "xyyy", "zy"}, {"", "y", "xz"});
  // What it begins with may be nothing, so that the recursion is the whole answer.
  expect_texts("root ::= root \"a\" | \"\"", {"", "aaa"}, {"b"});
}

TEST(Gbnf, OtherLeftRecursionIsRefusedWithItsCycle) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"root ::= a\na ::= b \"x\" | \"y\"\nb ::= c\nc ::= a \"z\"", "a → b → c → a"},
      {"root ::= ws root \"x\" | \"y\"\nws ::= \" \"*", "root → root"},
      {"root ::= (root \"x\")? \"y\"", "root → root"},
      {"root ::= a* \"y\"\na ::= root", "root → a → root"}};
  for (const auto& [source, cycle] : cases) {
    try {
      gbnf(source);
      ADD_FAILURE() << source;
    } catch (const GrammarError& e) {
      EXPECT_EQ(e.fault(), GrammarFault::invalid_grammar);
      EXPECT_NE(std::string_view(e.what()).find(cycle), std::string_view::npos) << e.what();
    }
  }
}

TEST(Gbnf, FaultsAreNamedWithLineAndColumn) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"root ::= \"a", "1:10: "},
      {"root ::= a", "1:10: the rule a is not defined"},
      {"a ::= \"a\"", "1:1: expected a rule named root"},
      {"root ::= \"a\"\nroot ::= \"b\"", "2:1: the rule root is defined twice"},
      {"root ::= (\"a\"\nb ::= \"c\"", "1:10: ( without )"},
      {"root ::= \"a\")", "1:13: ) without ("},
      {"root ::= [a", "1:10: "},
      {"root ::= []", "1:10: no character"},
      {"root ::= [z-a]", "1:11: a range"},
      {"root ::= *", "1:10: nothing to repeat"},
      {"root ::= \"a\"{3,2}", "1:13: a repetition"},
      {"root ::= \"a\"{x}", "1:14: expected a number"},
      {"root ::= \"\\q\"", "1:11: an escape"},
      {"root ::= \"\\u12\"", "1:11: expected 4"},
      {"root ::= <nobody>", "1:10: <nobody> is no added token"},
      {"root ::= <[65]>", "1:10: <[65]> is no added token"},
      {"root ::= <|im_end|>", "1:10: <|im_end|> ends the answer"},
      {"root ::= <a", "1:10: < without >"},
      {"root ::= !", "1:10: expected "},
      {"\xff", "1:1: not UTF-8"},
      {"root ::= \"a\" root", "no text matches"}};
  for (const auto& [source, message] : cases) {
    try {
      gbnf(source);
      ADD_FAILURE() << source;
    } catch (const GrammarError& e) {
      EXPECT_EQ(e.fault(), GrammarFault::invalid_grammar) << source;
      EXPECT_TRUE(std::string_view(e.what()).starts_with(message)) << source << "\n" << e.what();
    }
  }
}

TEST(Gbnf, LarkIsRefusedAsAnotherNotation) {
  for (const char* source : {"start: \"a\" | b\nb: \"c\"",
                             "?start: x",
                             "// c\nstart: x",
                             "%import common.WS\nstart: WS"}) {
    try {
      gbnf(source);
      ADD_FAILURE() << source;
    } catch (const GrammarError& e) {
      EXPECT_EQ(
          e.fault(),
          source[0] == '/' ? GrammarFault::invalid_grammar : GrammarFault::unsupported_grammar)
          << source;
    }
  }
}

TEST(Gbnf, TooMuchIsRefused) {
  const std::string deep = "root ::= " + std::string(200, '(') + "\"a\"" + std::string(200, ')');
  const std::string repeats = "root ::= \"a\"" + std::string(500, '*');
  for (const std::string& source : {deep,
                                    repeats,
                                    std::string("root ::= \"a\"{2000000}"),
                                    "root ::= \"" + std::string(kMaxGbnfBytes, 'a') + "\""}) {
    try {
      gbnf(source);
      ADD_FAILURE() << source.substr(0, 40);
    } catch (const GrammarError& e) {
      EXPECT_EQ(e.fault(), GrammarFault::too_complex) << e.what();
    }
  }
}

TEST(Gbnf, TokensStandForThemselvesOnly) {
  const int32_t start = nano_tokenizer().token_to_id("<|im_start|>").value();
  for (const std::string& name :
       {std::string("<|im_start|>"), "<[" + std::to_string(start) + "]>"}) {
    const auto grammar = gbnf("root ::= [^<]* " + name + " \"x\"");
    Matcher matcher(grammar, nano_trie());
    for (const int32_t id : nano_tokenizer().encode("abc")) matcher.accept(id);
    EXPECT_TRUE(matcher.allows(start));
    matcher.accept(start);
    EXPECT_EQ(tokens_of(matcher, *nano_trie()),
              std::vector<int32_t>{nano_tokenizer().token_to_id("x").value()});
  }
}

}  // namespace
}  // namespace qwen3
