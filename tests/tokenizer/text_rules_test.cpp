// The steps before BPE, each alone: pieces, NFC, added tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/unicode_classes.h"

namespace qwen3::test {
namespace {

using testing::ElementsAre;

std::vector<std::string> pieces(std::string_view text, SplitPattern pattern = SplitPattern::qwen2) {
  std::vector<std::string> out;
  for (size_t pos = 0; pos < text.size();) {
    const size_t end = piece_end(pattern, text, pos);
    EXPECT_GT(end, pos);
    out.emplace_back(text.substr(pos, end - pos));
    pos = end;
  }
  return out;
}

TEST(Pretokenizer, WordsTakeOneLeadingCharacter) {
  EXPECT_THAT(pieces("Hello world"), ElementsAre("Hello", " world"));
  EXPECT_THAT(pieces("\tif(x)"), ElementsAre("\tif", "(x", ")"));
  EXPECT_THAT(pieces("  a"), ElementsAre(" ", " a"));
  EXPECT_THAT(pieces("a\nb"), ElementsAre("a", "\n", "b"));
}

TEST(Pretokenizer, DigitsStandAlone) {
  EXPECT_THAT(pieces("12 ٣x"), ElementsAre("1", "2", " ", "٣", "x"));
}

TEST(Pretokenizer, ContractionsFoldCase) {
  EXPECT_THAT(pieces("I'LL we'Re"), ElementsAre("I", "'LL", " we", "'Re"));
  EXPECT_THAT(pieces("a'ſb"), ElementsAre("a", "'ſ", "b"));
  EXPECT_THAT(pieces("x'lx'rs"), ElementsAre("x", "'lx", "'rs"));
}

TEST(Pretokenizer, WhiteSpace) {
  EXPECT_THAT(pieces(" \n \n  x"), ElementsAre(" \n \n", " ", " x"));
  EXPECT_THAT(pieces("a   "), ElementsAre("a", "   "));
  EXPECT_THAT(pieces("a\u00a0b"), ElementsAre("a", "\u00a0b"));
  EXPECT_THAT(pieces("!!\r\n\nx"), ElementsAre("!!\r\n\n", "x"));
  EXPECT_THAT(pieces(" !"), ElementsAre(" !"));
  EXPECT_THAT(pieces("\u3000\u30001"), ElementsAre("\u3000", "\u3000", "1"));
}

TEST(Pretokenizer, CombiningMarksSplitWords) {
  EXPECT_THAT(pieces("n\u0303a"), ElementsAre("n", "\u0303a"));
}

TEST(Pretokenizer, Gpt2KeepsNumbersTogether) {
  EXPECT_THAT(pieces("ab 123 'S's  x", SplitPattern::gpt2),
              ElementsAre("ab", " 123", " '", "S", "'s", " ", " x"));
}

TEST(Pretokenizer, KnowsExpressionsByExactTextOnly) {
  EXPECT_EQ(find_split_pattern(
                R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"),
            SplitPattern::gpt2);
  EXPECT_EQ(find_split_pattern(R"(\s+)"), std::nullopt);
  EXPECT_EQ(find_split_pattern(""), std::nullopt);
}

TEST(UnicodeClasses, Samples) {
  const auto& classes = unicode_classes();
  EXPECT_EQ(classes[U'a'], kLetter | kWord);
  EXPECT_EQ(classes[U'7'], kNumber | kWord);
  EXPECT_EQ(classes[U'_'], kWord);
  EXPECT_EQ(classes[0x85], kSpace);
  EXPECT_EQ(classes[0x1C], 0);
  EXPECT_EQ(classes[0x200B], 0);
  EXPECT_EQ(classes[0x301], kWord | kNfcActive);
  EXPECT_EQ(classes[0x4E00], kLetter | kWord);
  EXPECT_EQ(classes[0x105C0], kLetter | kWord) << "a letter since Unicode 16";
}

std::string nfc(std::string_view text) {
  std::string storage;
  return std::string(to_nfc(text, storage));
}

TEST(Normalizer, Composes) {
  EXPECT_EQ(nfc("e\u0301"), "\u00e9");
  EXPECT_EQ(nfc("\u212b"), "\u00c5");
  EXPECT_EQ(nfc("\u1100\u1161\u11a8"), "\uac01");
  EXPECT_EQ(nfc("a\u0301\u0316b\u0316\u0301"), "\u00e1\u0316b\u0316\u0301");
  EXPECT_EQ(nfc("\u0301"), "\u0301");
  EXPECT_EQ(nfc("x \u0344y"), "x \u0308\u0301y");
  EXPECT_EQ(nfc("\u0958"), "\u0915\u093c");
}

TEST(Normalizer, ReturnsTheTextItselfWhenNothingChanges) {
  std::string storage;
  const std::string_view text = "plain ASCII, Äpfel, 中文, 한국어, русский";
  EXPECT_EQ(to_nfc(text, storage).data(), text.data());
}

// Marks newer than the Unicode version of Hugging Face's NFC keep their place.
TEST(Normalizer, LeavesNewMarksAlone) {
  const std::string text = "x\u1acb\u0316y\u1dfa\u0301\u0316";
  EXPECT_EQ(nfc(text), "x\u1acb\u0316y\u1dfa\u0316\u0301");
}

TEST(ByteAlphabet, SpellsBytes) {
  std::string bytes = "<";
  EXPECT_TRUE(append_spelled_bytes(bytes, "ĠaĊ"));
  EXPECT_EQ(bytes, "< a\n");
  EXPECT_FALSE(append_spelled_bytes(bytes, "a中"));
  EXPECT_FALSE(append_spelled_bytes(bytes, "a b")) << "a space is spelled Ġ";
  EXPECT_EQ(bytes, "< a\n");
}

std::vector<std::string> parts(const AddedTokenMatcher& matcher, std::string_view text) {
  std::vector<TextPart> split;
  matcher.split(text, split);
  std::vector<std::string> out;
  for (const TextPart& part : split) {
    out.push_back((part.id < 0 ? "text:" : std::to_string(part.id) + ":") + std::string(part.text));
  }
  return out;
}

TEST(AddedTokens, LeftmostThenLongest) {
  const AddedTokenMatcher matcher(
      {{1, "ab"}, {2, "abcd"}, {3, "bcde"}, {4, "d"}, {5, "cd"}, {6, "aaa"}});
  EXPECT_THAT(parts(matcher, "abcde"), ElementsAre("2:abcd", "text:e"));
  EXPECT_THAT(parts(matcher, "abce"), ElementsAre("1:ab", "text:ce"));
  EXPECT_THAT(parts(matcher, "xbcdecd"), ElementsAre("text:x", "3:bcde", "5:cd"));
  EXPECT_THAT(parts(matcher, "aaaaa"), ElementsAre("6:aaa", "text:aa"));
  EXPECT_TRUE(parts(matcher, "").empty());
}

TEST(AddedTokens, NoTokensMeansOneText) {
  EXPECT_THAT(parts(AddedTokenMatcher({}), "abc"), ElementsAre("text:abc"));
}

}  // namespace
}  // namespace qwen3::test
