// Sets of texts: algebra, lengths, and regular expressions against a matcher that tries every way.
#include "grammar/text_dfa.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "base/utf8.h"
#include "grammar/regex_tree.h"

namespace qwen3 {
namespace {

// The ends of the matches of `node` that begin at `pos`; by definition, without automata.
using Ends = std::vector<size_t>;
Ends ends(const RegexTree& tree, int32_t id, const std::u32string& text, size_t pos) {
  const RegexNode& node = tree.nodes[static_cast<size_t>(id)];
  const auto unique = [](Ends found) {
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
  };
  const auto then = [&](const Ends& from, int32_t part) {
    Ends found;
    for (const size_t begin : from) {
      const Ends more = ends(tree, part, text, begin);
      found.insert(found.end(), more.begin(), more.end());
    }
    return unique(found);
  };
  Ends found;
  switch (node.kind) {
    case RegexNode::Kind::empty:
      return {pos};
    case RegexNode::Kind::at_begin:
      return pos == 0 ? Ends{pos} : Ends{};
    case RegexNode::Kind::at_end:
      return pos == text.size() ? Ends{pos} : Ends{};
    case RegexNode::Kind::set:
      for (const auto& range : node.set.ranges()) {
        if (pos < text.size() && range.first <= text[pos] && text[pos] <= range.last)
          return {pos + 1};
      }
      return {};
    case RegexNode::Kind::sequence:
      found = {pos};
      for (const int32_t part : node.parts) found = then(found, part);
      return found;
    case RegexNode::Kind::choice:
      for (const int32_t part : node.parts) {
        const Ends more = ends(tree, part, text, pos);
        found.insert(found.end(), more.begin(), more.end());
      }
      return unique(found);
    case RegexNode::Kind::repeat: {
      Ends now{pos};
      const int64_t last = node.max < 0 ? node.min + std::ssize(text) + 1 : node.max;
      for (int64_t i = 0; i <= last && !now.empty(); ++i) {
        if (i >= node.min) found.insert(found.end(), now.begin(), now.end());
        now = then(now, node.parts[0]);
      }
      return unique(found);
    }
  }
  return {};
}

bool full_match(const RegexTree& tree, const std::u32string& text) {
  const Ends found = ends(tree, tree.root, text, 0);
  return !found.empty() && found.back() == text.size();
}

bool search(const RegexTree& tree, const std::u32string& text) {
  for (size_t pos = 0; pos <= text.size(); ++pos) {
    if (!ends(tree, tree.root, text, pos).empty()) return true;
  }
  return false;
}

std::string utf8(const std::u32string& text) {
  std::string result;
  for (const char32_t c : text) utf8_append(result, c);
  return result;
}

std::string random_regex(std::mt19937_64& random, int depth) {
  static const std::vector<std::string> atoms{
      "a", "b", "c", "é", "[ab]", "[^a]", ".", "\\d", "1", "^", "$", "\\w", "[b-é]"};
  static const std::vector<std::string> quantifiers{
      "*", "+", "?", "{2}", "{1,2}", "{0,1}", "{2,}", "*?", "{0}"};
  switch (depth <= 0 ? 0 : random() % 6) {
    case 1:
      return random_regex(random, depth - 1) + "|" + random_regex(random, depth - 1);
    case 2:
      return "(" + random_regex(random, depth - 1) + ")" +
             quantifiers[random() % quantifiers.size()];
    case 3:
      return "(?:" + random_regex(random, depth - 1) + ")";
    case 4:
    case 5:
      return random_regex(random, depth - 1) + random_regex(random, depth - 1);
    default:
      return atoms[random() % atoms.size()];
  }
}

std::u32string random_text(std::mt19937_64& random) {
  static const std::u32string alphabet = U"aabbc1é\n🙂";
  std::u32string text;
  for (size_t i = random() % 6; i > 0; --i) text.push_back(alphabet[random() % alphabet.size()]);
  return text;
}

TEST(TextDfa, RegularExpressionsMatchAsTheirDefinitionSays) {
  std::mt19937_64 random(11);
  int n_matched = 0;
  for (int i = 0; i < 1500; ++i) {
    const std::string regex = random_regex(random, 5);
    const RegexTree tree = parse_regex(regex, "");
    const TextDfa whole = TextDfa::full_match(regex), found = TextDfa::search(regex);
    for (int j = 0; j < 25; ++j) {
      const std::u32string text = random_text(random);
      const bool expected = full_match(tree, text);
      n_matched += expected ? 1 : 0;
      ASSERT_EQ(whole.contains(utf8(text)), expected) << regex << " on " << utf8(text);
      ASSERT_EQ(found.contains(utf8(text)), search(tree, text)) << regex << " in " << utf8(text);
    }
  }
  EXPECT_GT(n_matched, 1000);
}

// What is written here is what Python's re and JavaScript's RegExp say.
TEST(TextDfa, SyntaxOfRegularExpressions) {
  struct Case {
    std::string_view regex, text;
    bool whole, found;
  };
  const std::vector<Case> cases{
      {R"(\u0041\x42\u{43})", "ABC", true, true},
      {R"([\u00e0-\u00ff]+)", "éè", true, true},
      {R"(\ud83d\ude42)", "🙂", true, true},
      {R"([\ud83d\ude00-\ud83d\ude4f])", "🙂", true, true},
      {R"(a{2,3})", "aaaa", false, true},
      {R"(^a|b$)", "xb", false, true},
      {R"(^(a|b)$)", "ab", false, false},
      {R"(a^b)", "ab", false, false},
      {R"(\s)", "\xEF\xBB\xBF", true, true},
      {R"(\s)", "\xE2\x80\xA8", true, true},
      {R"(.)", "\n", false, false},
      {R"(\w)", "é", false, false},
      {R"(\p{L}\p{Lu}\P{N}\p{Letter}\p{gc=Nd})", "éÉ-x5", true, true},
      {R"([\p{L}\d_-]+)", "é5_-", true, true},
      {R"([^\d\s]+)", "ab", true, true},
      {R"([]])", "]", false, false},
      {R"([^])", "\n", true, true},
      {R"([a-])", "-", true, true},
      {R"([\w-.])", "-", true, true},
      {R"([\b])", "\b", true, true},
      {R"(\/\-\.\$)", "/-.$", true, true},
      {R"(\cA\0\t)", std::string_view("\x01\0\t", 3), true, true},
      {R"({a})", "{a}", true, true},
      {R"(a}])", "a}]", true, true},
      {R"((?<year>\d{4})-(?:0[1-9]|1[0-2]))", "2026-11", true, true},
      {R"()", "", true, true},
      {R"(|a)", "a", true, true},
      {R"((a*)*b)", "aaab", true, true},
      {R"((){1000}a)", "a", true, true},
      {R"(a+?b??)", "aa", true, true},
      {R"([\ud800-\udfff])", "a", false, false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(TextDfa::full_match(c.regex).contains(c.text), c.whole) << c.regex;
    EXPECT_EQ(TextDfa::search(c.regex).contains(c.text), c.found) << c.regex;
  }
}

TEST(TextDfa, WhatIsNoRegularExpressionIsRefusedWithItsPlace) {
  struct Case {
    std::string_view regex, message;
  };
  const std::vector<Case> cases{
      {"a(b", "byte 1: ( without )"},
      {"a)b", "byte 1: ) without ("},
      {"[a", "byte 0: [ without ]"},
      {"*a", "byte 0: nothing to repeat"},
      {"a**", "byte 2: nothing to repeat"},
      {"^*", "byte 1: nothing to repeat"},
      {"a{3,2}", "out of order"},
      {"a{,2}", "without its lower bound"},
      {"(?=a)", "look-ahead"},
      {"(?<!a)b", "look-behind"},
      {"(?i)a", "flags"},
      {"(a)\\1", "byte 3: back-references"},
      {"\\k<a>", "back-references"},
      {"\\bword", "word boundaries"},
      {"\\A", "not an escape"},
      {"\\p{Script=Greek}", "not known here"},
      {"\\p{Greek", "not known here"},
      {"\\x4", "two hexadecimal digits"},
      {"\\u{110000}", "code point"},
      {"\\", "nothing behind it"},
      {"[z-a]", "ends before it begins"},
      {"\xff", "not UTF-8"},
      {"\\01", "octal"},
  };
  for (const Case& c : cases) {
    try {
      TextDfa::full_match(c.regex, "/pattern");
      ADD_FAILURE() << c.regex;
    } catch (const GrammarError& e) {
      EXPECT_EQ(e.fault(), GrammarFault::invalid_regex) << c.regex;
      EXPECT_TRUE(std::string_view(e.what()).starts_with("/pattern: regular expression, byte "))
          << e.what();
      EXPECT_NE(std::string_view(e.what()).find(c.message), std::string_view::npos) << e.what();
    }
  }
}

TEST(TextDfa, TooMuchIsRefused) {
  const std::vector<std::string> regexes{"(a{1000}){1000}",
                                         "[ab]*a[ab]{20}",
                                         "a{1048577}",
                                         std::string(20'000, 'a'),
                                         "(a{0,3000}b{0,3000}){3}"};
  for (const std::string& regex : regexes) {
    try {
      TextDfa::full_match(regex);
      ADD_FAILURE() << regex.substr(0, 40);
    } catch (const GrammarError& e) {
      EXPECT_EQ(e.fault(), GrammarFault::too_complex) << e.what();
    }
  }
  EXPECT_THROW(TextDfa::full_match(std::string(5000, '(')), GrammarError);
  EXPECT_THROW(TextDfa::length(0, 1 << 20), GrammarError);
}

TEST(TextDfa, AlgebraIsThatOfSets) {
  std::mt19937_64 random(12);
  for (int i = 0; i < 300; ++i) {
    const TextDfa a = TextDfa::full_match(random_regex(random, 4)),
                  b = TextDfa::search(random_regex(random, 4));
    const TextDfa both = a & b, either = a | b, other = a.complement(), behind = a.then(b);
    for (int j = 0; j < 20; ++j) {
      const std::u32string text = random_text(random);
      const std::string t = utf8(text);
      ASSERT_EQ(both.contains(t), a.contains(t) && b.contains(t));
      ASSERT_EQ(either.contains(t), a.contains(t) || b.contains(t));
      ASSERT_EQ(other.contains(t), !a.contains(t));
      bool split = false;
      for (size_t k = 0; k <= text.size(); ++k) {
        split = split || (a.contains(utf8(text.substr(0, k))) && b.contains(utf8(text.substr(k))));
      }
      ASSERT_EQ(behind.contains(t), split);
    }
    ASSERT_TRUE((a & other).empty());
    ASSERT_TRUE((a | other).universal());
  }
}

TEST(TextDfa, ListsAndLengths) {
  const TextDfa list = TextDfa::of({"", "ab", "abc", "xbc", "é", "ab"});
  for (const char* text : {"", "ab", "abc", "xbc", "é"}) EXPECT_TRUE(list.contains(text));
  for (const char* text : {"a", "b", "abcd", "xb", "\xC3", "e"}) EXPECT_FALSE(list.contains(text));
  EXPECT_TRUE(list.finite());
  EXPECT_FALSE(TextDfa::of({"a"}).empty());
  EXPECT_TRUE(TextDfa::of({}).empty());
  EXPECT_FALSE(TextDfa::full_match("a*").finite());
  EXPECT_TRUE(TextDfa::full_match("a{0,5}").finite());
  EXPECT_TRUE(TextDfa::all().universal());
  EXPECT_TRUE(TextDfa::none().empty());
  EXPECT_TRUE(TextDfa::search("").universal());
  EXPECT_TRUE(TextDfa::full_match("[^a]*|.*a.*|[\\s\\S]*").universal());
  const TextDfa length = TextDfa::length(2, 3);
  for (const char* text : {"éé", "abc"}) EXPECT_TRUE(length.contains(text));
  for (const char* text : {"", "é", "abcd"}) EXPECT_FALSE(length.contains(text));
  EXPECT_TRUE(TextDfa::length(2, -1).contains("abcdef"));
  EXPECT_TRUE(TextDfa::length(0, -1).universal());
  EXPECT_TRUE(TextDfa::length(3, 2).empty());
}

}  // namespace
}  // namespace qwen3
