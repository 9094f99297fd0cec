// Expressions one by one, by the texts that belong to them.
#include <gmock/gmock.h>

#include <algorithm>

#include "base/error.h"
#include "grammar/limits.h"
#include "grammar/network.h"
#include "grammar/support.h"

namespace qwen3 {
namespace {

using Builder = GrammarBuilder;
using Expr = GrammarBuilder::Expr;
constexpr auto kRaw = Builder::TextForm::raw;
constexpr auto kJson = Builder::TextForm::json;

GrammarPtr text(const TextDfa& set, Builder::TextForm form, int64_t min = 0, int64_t max = -1) {
  Builder b;
  return b.build(b.text(set, form, min, max));
}

TEST(Builder, JsonTextOfAUniversalSet) {
  const auto any = text(TextDfa::all(), kJson);
  for (const char* yes : {"",
                          "aé🙂",
                          "\\n\\t\\\"\\\\\\b\\f\\r",
                          "\\/",
                          "\\u0041",
                          "\\u00E9",
                          "\\ud83d\\ude42",
                          "\\u0000",
                          "\\u001f",
                          "\\u0022",
                          "\\uffff",
                          "\\uD7FF",
                          "\\ue000",
                          "\x7F"}) {
    EXPECT_TRUE(matches(any, yes)) << yes;
  }
  for (const char* no : {"\"",
                         "\\",
                         "\n",
                         "\\u000a",
                         "\\u0008",
                         "\\ud83d",
                         "\\ud83dx",
                         "\\ude42",
                         "\\ud83d\\u0041",
                         "\\x41",
                         "\\u12",
                         "\\'",
                         "\xC3",
                         "\xED\xA0\x80",
                         "\xC0\x80",
                         "\xF4\x90\x80\x80"}) {
    EXPECT_FALSE(matches(any, no)) << no;
  }
}

TEST(Builder, JsonTextOfAnotherSetHasOneSpelling) {
  const auto set = text(TextDfa::full_match("[\\s\\S]{0,3}"), kJson);
  for (const char* yes : {"", "\\n\\n\\n", "🙂é\\\"", "\\u001F\\u001f\\u0000", "\\u000b\\u000B"})
    EXPECT_TRUE(matches(set, yes)) << yes;
  for (const char* no : {"\\u0041", "\\/", "\\u000A", "\\ud83d\\ude42", "abcd", "\\u0009"})
    EXPECT_FALSE(matches(set, no)) << no;
  const auto some = text(TextDfa::of({"\x01", "a\nb"}), kJson);
  EXPECT_TRUE(matches(some, "\\u0001"));
  EXPECT_TRUE(matches(some, "a\\nb"));
  EXPECT_FALSE(matches(some, "\\u0011"));
  EXPECT_FALSE(matches(some, "a\\tb"));
}

TEST(Builder, LengthsAreCodePoints) {
  const auto any = text(TextDfa::all(), kJson, 2, 3);
  for (const char* yes : {"é🙂", "\\n\\n\\n", "\\ud83d\\ude42a"})
    EXPECT_TRUE(matches(any, yes)) << yes;
  for (const char* no : {"", "🙂", "\\ud83d\\ude42", "abcd"})
    EXPECT_FALSE(matches(any, no)) << no;
  EXPECT_EQ(match_bytes(*any, "abc\\"), Membership::no);
  EXPECT_EQ(match_bytes(*any, "abc\xC3"), Membership::no);
  EXPECT_EQ(match_bytes(*any, "ab\xC3"), Membership::beginning);
}

// A set whose texts have certain lengths only: what can no longer reach one is dead at once.
TEST(Builder, LengthsAndSetsMeetExactly) {
  struct Case {
    std::string regex, unit;
    int64_t min, max;
  };
  for (const Case& c : {Case{"(ab)*", "ab", 3, 9},
                        Case{"(ab)*", "ab", 100, -1},
                        Case{"(abc)+x?", "abc", 4, 4},
                        Case{"a*|(ab){7}", "a", 5, 14}}) {
    const TextDfa set = TextDfa::full_match(c.regex);
    const auto grammar = text(set, kRaw, c.min, c.max);
    std::vector<std::string> alive{""};
    for (size_t length = 0; length < 12 && !alive.empty(); ++length) {
      std::vector<std::string> longer;
      for (const std::string& prefix : alive) {
        const bool in = set.contains(prefix) && std::ssize(prefix) >= c.min &&
                        (c.max < 0 || std::ssize(prefix) <= c.max);
        EXPECT_EQ(match_bytes(*grammar, prefix) == Membership::whole, in)
            << c.regex << ": " << prefix;
        for (const char byte : std::string("abcx")) {
          if (match_bytes(*grammar, prefix + byte) != Membership::no)
            longer.push_back(prefix + byte);
        }
        // Live: it ends here, or goes on.
        const bool goes_on = !longer.empty() && longer.back().starts_with(prefix);
        EXPECT_TRUE(in || goes_on) << c.regex << ": " << prefix;
      }
      alive = std::move(longer);
    }
  }
  EXPECT_THROW(text(TextDfa::full_match("(ab)*"), kRaw, 3, 3), GrammarError);
  EXPECT_THROW(text(TextDfa::of({"abc"}), kRaw, 4), GrammarError);
}

TEST(Builder, CountsAreNotWrittenOut) {
  Builder b;
  const auto grammar = b.build(b.sequence(
      {b.repeat(b.choice({b.bytes("ab"), b.bytes("c")}), 1000, 1'000'000), b.bytes("!")}));
  EXPECT_LT(grammar->bytes(), 10'000);
  std::string text;
  for (int i = 0; i < 999; ++i) text += i % 2 == 0 ? "ab" : "c";
  EXPECT_FALSE(matches(grammar, text + "!"));
  EXPECT_TRUE(matches(grammar, text + "c!"));
  EXPECT_EQ(match_bytes(*grammar, text + "cc"), Membership::beginning);
  Builder tight;
  const auto exact = tight.build(tight.repeat(tight.optional(tight.bytes("a")), 3, 5));
  for (int n = 0; n < 8; ++n)
    EXPECT_EQ(matches(exact, std::string(static_cast<size_t>(n), 'a')), n <= 5) << n;
}

TEST(Builder, NoKeyComesTwice) {
  Builder b;
  const Expr one = b.bytes("1");
  const auto grammar =
      b.build(b.sequence({b.bytes("{"),
                          b.members({{TextDfa::all(), one}}, b.bytes(":"), b.bytes(","), 0, 3),
                          b.bytes("}")}));
  for (const char* yes : {"{}",
                          "{\"a\":1}",
                          "{\"\":1,\"a\":1,\"aa\":1}",
                          "{\"a\\n\":1,\"a\\\\n\":1}",
                          "{\"é\":1,\"e\":1}"}) {
    EXPECT_TRUE(matches(grammar, yes)) << yes;
  }
  for (const char* no : {"{\"a\":1,\"a\":1}",
                         "{\"a\":1,\"b\":1,\"a\":1}",
                         "{\"\":1,\"\":1}",
                         "{\"a\":1,\"b\":1,\"c\":1,\"d\":1}",
                         "{\"a\":1,}",
                         "{\"\\u0061\":1}",
                         "{\"\\\"\":1,\"\\\"\":1}"}) {
    EXPECT_FALSE(matches(grammar, no)) << no;
  }
  EXPECT_EQ(match_bytes(*grammar, "{\"a\":1,\"a"), Membership::beginning);
  EXPECT_EQ(match_bytes(*grammar, "{\"a\":1,\"a\""), Membership::no);
}

TEST(Builder, KeysThatRunOutAreDeadAtOnce) {
  Builder b;
  const auto grammar = b.build(
      b.members({{TextDfa::of({"a", "ab", "c"}), b.bytes("1")}, {TextDfa::of({"x"}), b.nothing()}},
                b.bytes(":"),
                b.bytes(","),
                2,
                -1));
  EXPECT_TRUE(matches(grammar, "\"ab\":1,\"a\":1"));
  EXPECT_TRUE(matches(grammar, "\"c\":1,\"ab\":1,\"a\":1"));
  EXPECT_EQ(match_bytes(*grammar, "\"c\":1,\"ab\":1,\"a\":1,"),
            Membership::no);  // there is no fourth
  EXPECT_EQ(match_bytes(*grammar, "\"c\":1,\"c"), Membership::no);
  EXPECT_EQ(match_bytes(*grammar, "\"ab\":1,\"ab"), Membership::no);
  EXPECT_EQ(match_bytes(*grammar, "\"ab\":1,\"a\":1,\"a"), Membership::no);
  EXPECT_EQ(match_bytes(*grammar, "\"x"), Membership::no);
  EXPECT_FALSE(matches(grammar, "\"c\":1"));
  Builder few;
  EXPECT_THROW(
      few.build(few.members(
          {{TextDfa::of({"a", "b"}), few.bytes("1")}}, few.bytes(":"), few.bytes(","), 3, -1)),
      GrammarError);
}

// Tokens that close one key, give its value and begin or close another: exact, though configurations do not hold keys.
TEST(Builder, KeysInsideOneTokenAreKnown) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(std::string(1, static_cast<char>(byte)));
  for (const char* more : {"\":1,\"",
                           "\":1,\"a\":1",
                           "a\":1,\"a\":1",
                           "b\":1,\"a\":1",
                           "\":1,\"ka",
                           "\":1,\"kb\"",
                           "\":1,\"ka\":1,\"kb\":1"})
    tokens.push_back(more);
  const auto trie = std::static_pointer_cast<const TokenTrieNodes>(TokenTrie::make(tokens, {}));
  Builder b;
  const auto grammar =
      b.build(b.members({{TextDfa::all(), b.bytes("1")}}, b.bytes(":"), b.bytes(","), 0, -1));
  for (const char* begin :
       {"\"k", "\"ka", "\"kb", "\"a", "\"\":1,\"k", "\"ka\":1,\"k", "\"a\":1,\"b"}) {
    Matcher matcher(grammar, trie);
    for (const char c : std::string(begin)) matcher.accept(static_cast<uint8_t>(c));
    std::vector<int32_t> expected;
    for (int32_t id = 0; id < trie->n_tokens(); ++id) {
      if (match_bytes(*grammar, begin + tokens[static_cast<size_t>(id)]) != Membership::no)
        expected.push_back(id);
    }
    EXPECT_EQ(tokens_of(matcher, *trie), expected) << begin;
    EXPECT_EQ(tokens_of(matcher, *trie), expected) << begin;
  }
}

// What is taken back is no part of a key, and a mask that depended on a key is not given for another.
TEST(Builder, KeysAreThoseOfTheAnswerAfterARollback) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(std::string(1, static_cast<char>(byte)));
  for (char a = 'a'; a <= 'z'; ++a) {
    for (char b = 'a'; b <= 'z'; ++b) tokens.push_back({a, b});
  }
  tokens.push_back("\":1,\"ka\"");
  const auto trie = std::static_pointer_cast<const TokenTrieNodes>(TokenTrie::make(tokens, {}));
  Builder b;
  const auto grammar = b.build(b.members(
      {{TextDfa::full_match("[a-z]*"), b.bytes("1")}}, b.bytes(":"), b.bytes(","), 0, -1));
  Matcher matcher(grammar, trie);
  const auto spell = [&](std::string_view text) {
    for (const char c : text) matcher.accept(static_cast<uint8_t>(c));
  };
  const auto last = static_cast<int32_t>(tokens.size()) - 1;
  for (int round = 0; round < 2; ++round) {
    spell("\"ka");
    EXPECT_EQ(std::ranges::count(tokens_of(matcher, *trie), last), 0);
    EXPECT_GT(matcher.last_edges(), 512);  // a mask that would be kept
    matcher.rollback(1);
    spell("b");
    EXPECT_EQ(std::ranges::count(tokens_of(matcher, *trie), last), 1);
    matcher.rollback(3);
  }
  spell("\"ab");
  matcher.rollback(1);
  spell("c\":1,\"a");
  EXPECT_TRUE(matcher.allows('b'));
  spell("c");
  EXPECT_FALSE(matcher.allows('"'));
}

TEST(Builder, FreeTextEndsWithTheFirstTrigger) {
  Builder b;
  const std::vector<std::string> triggers{"<tool>", "<t", "oo"};
  const auto ways = b.free_text_until(triggers);
  const auto grammar = b.build(b.choice({b.sequence({ways[0], b.bytes("0")}),
                                         b.sequence({ways[1], b.bytes("1")}),
                                         b.sequence({ways[2], b.bytes("2")}),
                                         b.free_text_without(triggers)}));
  for (const char* yes : {"", "a<", "<<t1", "foo2", "é<t1", "x"})
    EXPECT_TRUE(matches(grammar, yes)) << yes;
  for (const char* no : {"<tool>0", "<t0", "foo", "<t", "foo1", "ooo2"})
    EXPECT_FALSE(matches(grammar, no)) << no;
  Builder one;
  const auto tool = one.build(one.sequence({one.free_text_until("<tool_call>"), one.bytes("{}")}));
  EXPECT_TRUE(matches(tool, "<tool_<tool_call<<tool_call>{}"));
  EXPECT_EQ(match_bytes(*tool, "<tool_call>x"), Membership::no);
}

TEST(Builder, AmbiguityAndRecursionStayFlat) {
  Builder b;
  const auto s = b.declare();
  b.define(s,
           b.choice({b.bytes("a"),
                     b.sequence({b.bytes("a"), b.call(s)}),
                     b.sequence({b.bytes("a"), b.call(s), b.call(s)})}));
  const auto grammar = b.build(b.call(s));
  Matcher matcher(grammar, nano_trie());
  const int32_t a = nano_tokenizer().token_to_id("a").value();
  for (int i = 0; i < 300; ++i) matcher.accept(a);
  EXPECT_TRUE(matcher.may_end());
  Builder right;
  const auto r = right.declare();
  right.define(r, right.choice({right.empty(), right.sequence({right.bytes("a"), right.call(r)})}));
  const auto flat = right.build(right.call(r));
  Matcher long_walk(flat, nano_trie());
  for (int i = 0; i < 5000; ++i) long_walk.accept(a);
  EXPECT_LT(long_walk.memory(), 100'000);
}

TEST(Builder, WhatCannotBeIsRefused) {
  {
    Builder b;
    const auto r = b.declare();
    b.define(r, b.sequence({b.call(r), b.bytes("a")}));
    EXPECT_THROW(b.build(b.call(r)), GrammarError);  // never ends
  }
  {
    Builder b;
    const auto r = b.declare();
    b.define(r, b.choice({b.sequence({b.call(r), b.bytes("a")}), b.bytes("b")}));
    EXPECT_THROW(b.build(b.call(r)), GrammarError);  // left recursion
  }
  {
    Builder b;
    EXPECT_THROW(b.build(b.sequence({b.bytes("a"), b.nothing()})), GrammarError);
    b.declare();
    EXPECT_THROW(b.build(b.empty()), Error);  // not defined
  }
  {
    Builder b({.time = std::chrono::milliseconds(10'000), .bytes = 100'000});
    EXPECT_THROW(for (int i = 0; i < 100'000; ++i) b.bytes("abc"), GrammarError);
  }
  {
    Builder b;
    Expr e = b.bytes("a");
    EXPECT_THROW(for (int i = 0; i < 2000; ++i) e = b.optional(b.sequence({e, b.bytes("b")})),
                 GrammarError);
  }
}

// Counters that part ways: the answer ends with a named error and does not take the machine along.
TEST(Builder, AnAnswerBeyondTheLimitsEndsByName) {
  Builder b;
  const Expr a = b.bytes("a");
  const Expr inner = b.repeat(b.choice({a, b.bytes("aa")}), 0, 1 << 20);
  const auto grammar = b.build(b.repeat(b.sequence({inner, b.optional(b.bytes("b"))}), 0, 1 << 20));
  Matcher matcher(grammar, nano_trie());
  const int32_t token = nano_tokenizer().token_to_id("a").value();
  try {
    for (int i = 0; i < 20'000; ++i) matcher.accept(token);
    ADD_FAILURE() << "no limit was met";
  } catch (const Error& e) {
    EXPECT_TRUE(std::string_view(e.what()).starts_with(kTooComplex)) << e.what();
  }
}

TEST(Builder, MemoryRestartsAndNothingIsLost) {
  Builder b;
  const Expr digits = b.text(TextDfa::all(), kRaw, 0, 100'003);
  const auto grammar = b.build(b.sequence({b.bytes("<"), digits, b.bytes(">")}));
  Matcher matcher(grammar, nano_trie());
  const int32_t a = nano_tokenizer().token_to_id("a").value();
  matcher.accept(nano_tokenizer().token_to_id("<").value());
  int64_t most = 0, restarts = 0;
  for (int i = 0; i < 100'000; ++i) {
    matcher.accept(a);
    restarts += matcher.memory() < most / 2 ? 1 : 0;
    most = std::max(most, matcher.memory());
    if (i % 20'000 == 0) tokens_of(matcher, *nano_trie());
  }
  EXPECT_LE(most, kMaxMatcherBytes + 100'000);
  EXPECT_GT(restarts, 0);
  const auto before = tokens_of(matcher, *nano_trie());
  matcher.rollback(95'000);
  for (int i = 0; i < 95'000; ++i) matcher.accept(a);
  EXPECT_EQ(tokens_of(matcher, *nano_trie()), before);
  matcher.accept(nano_tokenizer().token_to_id(">").value());
  EXPECT_TRUE(matcher.may_end());
}

TEST(Choice, TextsAndLimits) {
  std::vector<std::string> choices;
  for (int i = 0; i < 4096; ++i) choices.push_back("choice " + std::to_string(i * 7919 % 100'000));
  const auto grammar = compile_choice(choices);
  for (const auto& choice : choices) ASSERT_TRUE(matches(grammar, choice));
  EXPECT_FALSE(matches(grammar, "choice "));
  EXPECT_FALSE(matches(grammar, "choice 1"));
  EXPECT_THROW(compile_choice({}), GrammarError);
  EXPECT_THROW(compile_choice({"\xff"}), GrammarError);
  choices.push_back("one more");
  EXPECT_THROW(compile_choice(choices), GrammarError);
}

TEST(FaultNames, AreWhatClientsSee) {
  EXPECT_EQ(fault_name(GrammarFault::too_complex), "grammar_too_complex");
  EXPECT_EQ(fault_name(GrammarFault::invalid_schema), "invalid_schema");
}

}  // namespace
}  // namespace qwen3
