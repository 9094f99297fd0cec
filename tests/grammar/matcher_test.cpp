// Masks, against every token stepped byte by byte.
#include <gmock/gmock.h>

#include "base/error.h"
#include "grammar/limits.h"
#include "grammar/support.h"

namespace qwen3 {
namespace {

using Builder = GrammarBuilder;
using Expr = GrammarBuilder::Expr;

// Any JSON value: recursion, strings with escapes, numbers, objects without repeated keys.
GrammarPtr json_grammar() {
  Builder b;
  const auto value = b.declare();
  const Expr blank = b.choice({b.empty(), b.bytes(" "), b.bytes("\n")});
  const Expr any_text = b.text(TextDfa::all(), Builder::TextForm::json);
  const Expr string = b.sequence({b.bytes("\""), any_text, b.bytes("\"")});
  const Expr number =
      b.text(TextDfa::full_match("-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?"),
             Builder::TextForm::raw);
  const Expr comma = b.sequence({b.bytes(","), blank});
  const Expr colon = b.sequence({b.bytes(":"), blank});
  const Expr members = b.members({{TextDfa::all(), b.call(value)}}, colon, comma, 0, -1);
  const Expr object = b.sequence({b.bytes("{"), blank, members, blank, b.bytes("}")});
  const Expr items =
      b.optional(b.sequence({b.call(value), b.repeat(b.sequence({comma, b.call(value)}), 0, -1)}));
  const Expr array = b.sequence({b.bytes("["), blank, items, blank, b.bytes("]")});
  b.define(
      value,
      b.choice(
          {string, number, object, array, b.bytes("true"), b.bytes("false"), b.bytes("null")}));
  return b.build(b.call(value));
}

GrammarPtr lengths_grammar() {
  Builder b;
  const auto json = Builder::TextForm::json;
  return b.build(b.sequence({b.bytes("[\""),
                             b.text(TextDfa::all(), json, 2, 9),
                             b.bytes("\",\""),
                             b.text(TextDfa::search("a.*b"), json, 3, 20),
                             b.bytes("\",\""),
                             b.text(TextDfa::full_match("(xy)+"), json, 5, 8),
                             b.bytes("\"]")}));
}

GrammarPtr counted_grammar() {
  Builder b;
  const Expr word = b.text(TextDfa::full_match("[a-z]{1,6}"), Builder::TextForm::raw);
  return b.build(b.sequence({b.repeat(b.sequence({word, b.bytes(",")}), 3, 300), b.bytes("end")}));
}

GrammarPtr object_grammar() {
  Builder b;
  const Expr number = b.text(TextDfa::full_match("[0-9]{1,3}"), Builder::TextForm::raw);
  const Expr flag = b.choice({b.bytes("true"), b.bytes("false")});
  const Expr members = b.members({{TextDfa::of({"a", "ab", "b", "c\"d", "\n"}), number},
                                  {TextDfa::full_match("x[0-9a-z]*"), flag}},
                                 b.bytes(":"),
                                 b.bytes(","),
                                 2,
                                 6);
  return b.build(b.sequence({b.bytes("{"), members, b.bytes("}")}));
}

GrammarPtr tools_grammar() {
  Builder b;
  const Expr call = b.sequence({b.free_text_until("<call>"),
                                json_grammar() ? b.bytes("{\"n\":") : b.empty(),
                                b.text(TextDfa::full_match("-?[0-9]{1,4}"), Builder::TextForm::raw),
                                b.bytes("}</call>")});
  return b.build(b.sequence({b.repeat(call, 0, -1), b.free_text_without({"<call>"})}));
}

GrammarPtr ambiguous_grammar() {
  Builder b;
  const auto s = b.declare();
  b.define(s,
           b.choice({b.bytes("a"),
                     b.sequence({b.bytes("a"), b.call(s)}),
                     b.sequence({b.bytes("("), b.call(s), b.bytes(")"), b.optional(b.call(s))})}));
  return b.build(b.sequence({b.call(s), b.bytes(".")}));
}

std::vector<std::pair<std::string, GrammarPtr>> grammars() {
  return {{"json", json_grammar()},
          {"lengths", lengths_grammar()},
          {"counted", counted_grammar()},
          {"object", object_grammar()},
          {"tools", tools_grammar()},
          {"ambiguous", ambiguous_grammar()},
          {"regex", compile_regex("([\\p{L} ]+|[^\"<]{0,7}é)*\\d{2,}")},
          {"choice", compile_choice({"", "yes", "yesterday", "no", "nein", "はい", "いいえ"})}};
}

// Takes a random walk of at most n tokens; `visit` sees the tokens that are allowed at every place.
template <typename Visit>
std::string random_walk(Matcher& matcher, std::mt19937_64& random, int n, Visit visit) {
  std::string text;
  for (int i = 0; i < n && !matcher.exhausted(); ++i) {
    const auto tokens = tokens_of(matcher, *nano_trie());
    visit(tokens);
    EXPECT_TRUE(!tokens.empty() || matcher.may_end()) << text;
    if (tokens.empty()) break;
    const int32_t token = tokens[random() % tokens.size()];
    matcher.accept(token);
    text += nano_trie()->bytes(token);
  }
  return text;
}

TEST(Matcher, MasksAreWhatEveryTokenSaysByItself) {
  std::mt19937_64 random(1);
  for (const auto& [name, grammar] : grammars()) {
    for (int walk = 0; walk < 8; ++walk) {
      Matcher matcher(grammar, nano_trie());
      random_walk(matcher, random, 25, [&, &name = name](const std::vector<int32_t>& allowed) {
        std::vector<int32_t> expected;
        for (int32_t id = 0; id < nano_trie()->n_tokens(); ++id) {
          if (matcher.allows(id)) expected.push_back(id);
        }
        ASSERT_EQ(allowed, expected) << name;
      });
    }
  }
}

TEST(Matcher, MasksAreTheSameWithoutSlicesAndCache) {
  std::mt19937_64 random(2);
  for (const auto& [name, grammar] : grammars()) {
    for (int walk = 0; walk < 10; ++walk) {
      Matcher matcher(grammar, nano_trie());
      Matcher plain(grammar, nano_trie(), {.slices = false, .cache = false});
      for (int i = 0; i < 40 && !matcher.exhausted(); ++i) {
        const auto tokens = tokens_of(matcher, *nano_trie());
        ASSERT_EQ(tokens, tokens_of(plain, *nano_trie())) << name;
        if (tokens.empty()) break;
        const int32_t token = tokens[random() % tokens.size()];
        matcher.accept(token);
        plain.accept(token);
        ASSERT_EQ(matcher.may_end(), plain.may_end());
      }
    }
  }
}

TEST(Matcher, RollingBackIsNotHavingAccepted) {
  std::mt19937_64 random(3);
  for (const auto& [name, grammar] : grammars()) {
    Matcher matcher(grammar, nano_trie());
    std::vector<int32_t> accepted;
    for (int i = 0; i < 120; ++i) {
      const auto tokens = tokens_of(matcher, *nano_trie());
      if (!accepted.empty() && (random() % 4 == 0 || tokens.empty())) {
        const size_t n = 1 + random() % accepted.size();
        matcher.rollback(static_cast<int64_t>(n));
        accepted.resize(accepted.size() - n);
        Matcher fresh(grammar, nano_trie());
        for (const int32_t token : accepted) fresh.accept(token);
        ASSERT_EQ(tokens_of(matcher, *nano_trie()), tokens_of(fresh, *nano_trie())) << name;
        ASSERT_EQ(matcher.may_end(), fresh.may_end());
        ASSERT_EQ(matcher.exhausted(), fresh.exhausted());
      } else if (!tokens.empty()) {
        accepted.push_back(tokens[random() % tokens.size()]);
        matcher.accept(accepted.back());
      }
    }
  }
}

// Tries to end the answer with the bytes of `ending`; what does not is taken back.
bool ends_with(Matcher& matcher, std::string_view ending, std::string& text) {
  int64_t n = 0;
  for (const char c : ending) {
    const int32_t token = nano_tokenizer().token_to_id(std::string(1, c)).value();
    if (!matcher.allows(token)) break;
    matcher.accept(token);
    ++n;
  }
  if (n == std::ssize(ending) && matcher.may_end()) {
    text += ending;
    return true;
  }
  matcher.rollback(n);
  return false;
}

TEST(Matcher, WalksEndInTheLanguage) {
  std::mt19937_64 random(4);
  const std::vector<std::string> endings{
      "\"", "}", "]", ".", "00", "end", ",end", "0}", "\"}", ":0}", "\":0}"};
  for (const auto& [name, grammar] : grammars()) {
    int n_ended = 0;
    for (int walk = 0; walk < 30; ++walk) {
      Matcher matcher(grammar, nano_trie());
      std::string text;
      bool ended = false;
      for (int i = 0; i < 200 && !ended; ++i) {
        const auto tokens = tokens_of(matcher, *nano_trie());
        ASSERT_FALSE(tokens.empty()) << name << ": " << text;
        const int32_t token = tokens[random() % tokens.size()];
        matcher.accept(token);
        text += nano_trie()->bytes(token);
        ASSERT_NE(match_bytes(*grammar, text), Membership::no) << name << ": " << text;
        ended = (matcher.may_end() && random() % 3 == 0) || matcher.exhausted();
        if (!ended && random() % 3 == 0)
          ended = ends_with(matcher, endings[random() % endings.size()], text);
      }
      if (!ended) continue;
      ++n_ended;
      EXPECT_EQ(match_bytes(*grammar, text), Membership::whole) << name << ": " << text;
      if (name == "json") {
        EXPECT_NO_THROW(parse_json(text, "walk")) << text;
      }
    }
    EXPECT_GE(n_ended, 10) << name;
  }
}

TEST(Matcher, AnEndTokenEndsTheAnswerWhereItMay) {
  const auto grammar = compile_choice({"yes", "yesterday"});
  const int32_t end = nano_tokenizer().token_to_id("<|im_end|>").value();
  Matcher matcher(grammar, nano_trie());
  EXPECT_THROW(matcher.accept(end), Error);
  for (const int32_t id : nano_tokenizer().encode("yes")) matcher.accept(id);
  EXPECT_TRUE(matcher.may_end());
  EXPECT_FALSE(matcher.exhausted());
  matcher.accept(end);
  EXPECT_TRUE(matcher.exhausted());
  EXPECT_TRUE(tokens_of(matcher, *nano_trie()).empty());
  matcher.rollback(1);
  EXPECT_FALSE(matcher.exhausted());
  for (const int32_t id : nano_tokenizer().encode("terday")) matcher.accept(id);
  EXPECT_TRUE(matcher.exhausted());
}

TEST(Matcher, OnlyAGrammarThatNamesAnAddedTokenAllowsIt) {
  const int32_t start = nano_tokenizer().token_to_id("<|im_start|>").value();
  Builder b;
  const auto grammar = b.build(
      b.sequence({b.text(TextDfa::all(), Builder::TextForm::raw), b.token(start), b.bytes("x")}));
  Matcher matcher(grammar, nano_trie());
  auto tokens = tokens_of(matcher, *nano_trie());
  for (const auto& added : nano_tokenizer().added_tokens()) {
    EXPECT_EQ(std::count(tokens.begin(), tokens.end(), added.id), added.id == start ? 1 : 0);
  }
  // The same characters are text.
  for (const char c : std::string("<|im_start|>"))
    matcher.accept(nano_tokenizer().token_to_id(std::string(1, c)).value());
  EXPECT_GT(tokens_of(matcher, *nano_trie()).size(), 100u);
  matcher.accept(start);
  EXPECT_EQ(tokens_of(matcher, *nano_trie()),
            std::vector<int32_t>{nano_tokenizer().token_to_id("x").value()});
}

// Few bytes of a grammar that may be read in very many ways: each mask is within the limits of memory, and takes
// some hundred times what others take.
std::string many_ways(int n_parts) {
  std::string grammar = "root ::= x{900}\nx ::= ";
  for (int i = 0; i < n_parts; ++i) {
    grammar += "[" + std::string(1, static_cast<char>('A' + i % 26)) + "a-m]? ";
  }
  return grammar;
}

TEST(Matcher, WhatAnAnswerMayCostIsBounded) {
  Matcher matcher(compile_gbnf(many_ways(60), *nano_trie()), nano_trie());
  const int32_t token = nano_tokenizer().token_to_id("a").value();
  try {
    for (int i = 0; i < 500; ++i) {
      tokens_of(matcher, *nano_trie());
      matcher.accept(token);
    }
    FAIL() << "every token was worked out";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_TRUE(std::string_view(error.what()).starts_with("grammar_too_complex"));
  }
  // A control: what can be read in few ways goes on for as long as it likes.
  Matcher plain(compile_gbnf(many_ways(2), *nano_trie()), nano_trie());
  for (int i = 0; i < 500; ++i) {
    tokens_of(plain, *nano_trie());
    plain.accept(token);
  }
}

TEST(Matcher, WhatCannotBeginIsFoundOutBeforeAnAnswerBegins) {
  std::string grammar = "root ::= (r0";
  for (int i = 1; i < 400; ++i) grammar += " | r" + std::to_string(i);
  grammar += ")+\n";
  for (int i = 0; i < 400; ++i) {
    const std::string n = std::to_string(i);
    grammar += "r" + n + " ::= [" + std::string(1, static_cast<char>('A' + i % 26)) + "a-z]{1," +
               std::to_string(i % 40 + 2) + "} [^" +
               std::string(1, static_cast<char>('a' + i % 26)) + "]{0,3} \"q\"?\n";
  }
  const GrammarPtr compiled = compile_gbnf(grammar, *nano_trie());
  try {
    check_start(compiled, nano_trie());
    FAIL() << "it began";
  } catch (const GrammarError& error) {
    EXPECT_EQ(error.fault(), GrammarFault::too_complex);
  }
  // And all others that are held to it know.
  Matcher matcher(compiled, nano_trie());
  EXPECT_THROW(tokens_of(matcher, *nano_trie()), Error);
  EXPECT_EQ(matcher.last_edges(), 0);
  check_start(json_grammar(), nano_trie());
}

// Answers of one grammar have the masks of each other, as long as one of them lives; each pays for them as if alone.
TEST(Matcher, AnswersOfAGrammarShareMasks) {
  const GrammarPtr grammar = compile_regex("[a-z0-9-]{1,40}!");
  const auto allowed = [](Matcher& matcher) { return tokens_of(matcher, *nano_trie()); };
  std::vector<int32_t> tokens;
  {
    Matcher first(grammar, nano_trie());
    tokens = allowed(first);
    EXPECT_GT(first.last_edges(), 512);
    Matcher second(grammar, nano_trie());
    EXPECT_EQ(allowed(second), tokens);
    EXPECT_EQ(second.last_edges(), 0);
    // Elsewhere they differ.
    const int32_t a = nano_tokenizer().encode("a", ControlTokens::as_text).front();
    second.accept(a);
    EXPECT_NE(allowed(second), tokens);
    EXPECT_GT(second.last_edges(), 0);
    first.accept(a);
    EXPECT_EQ(allowed(first), allowed(second));
    EXPECT_EQ(first.last_edges(), 0);
    MatcherOptions alone;
    alone.cache = false;
    Matcher other(grammar, nano_trie(), alone);
    EXPECT_EQ(allowed(other), tokens);
    EXPECT_GT(other.last_edges(), 512);
  }
  Matcher later(grammar, nano_trie());
  EXPECT_EQ(allowed(later), tokens);
  EXPECT_GT(later.last_edges(), 512);
}

// All answers together stay within their memory, however many there are, and give what one alone does.
TEST(Matcher, AnswersShareTheirMemory) {
  const GrammarPtr grammar = json_grammar();
  const std::string text =
      R"({"a": [1, {"bc": "d e f"}, [[[]]], "g", 0.25], "h": {"i": {"j": null}}})";
  const std::vector<int32_t> ids = nano_tokenizer().encode(text, ControlTokens::as_text);
  Matcher alone(grammar, nano_trie());
  std::vector<std::unique_ptr<Matcher>> matchers;
  for (int i = 0; i < 200; ++i) matchers.push_back(std::make_unique<Matcher>(grammar, nano_trie()));
  for (const int32_t id : ids) {
    const std::vector<int32_t> tokens = tokens_of(alone, *nano_trie());
    alone.accept(id);
    for (const auto& matcher : matchers) {
      ASSERT_EQ(tokens_of(*matcher, *nano_trie()), tokens);
      matcher->accept(id);
    }
  }
  int64_t bytes = 0;
  for (const auto& matcher : matchers) bytes += matcher->memory();
  EXPECT_LE(bytes, kMaxMatchersBytes + kMaxMatcherBytes);
}

}  // namespace
}  // namespace qwen3
