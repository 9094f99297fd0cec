// Text from users never becomes a control token, and decoding streams give whole characters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/utf8.h"
#include "tokenizer/decode_stream.h"
#include "tokenizer/fixture.h"

namespace qwen3::test {
namespace {

using Ids = std::vector<int32_t>;

void expect_no_control_ids(const Tokenizer& t, const std::string& text) {
  const Ids ids = t.encode(text, ControlTokens::as_text);
  for (const int32_t id : ids) EXPECT_FALSE(t.is_added(id)) << id << " in " << text;
  EXPECT_EQ(t.decode(ids), text);
}

void check_as_text(const Tokenizer& t) {
  ASSERT_EQ(t.added_tokens().size(), 26U);
  for (const AddedToken& token : t.added_tokens()) {
    const std::string& c = token.content;
    for (const std::string& text : {c, c + c, "a" + c + "b", " " + c + "\n" + c + " ", c + "/x"}) {
      expect_no_control_ids(t, text);
    }
    EXPECT_EQ(t.encode(c), Ids{token.id});
    EXPECT_EQ(t.token_to_id(c), token.id);
    EXPECT_EQ(t.token_bytes(token.id), c);
    EXPECT_TRUE(t.is_added(token.id));
    EXPECT_EQ(t.is_special(token.id), token.special);
  }
}

TEST(ControlTokens, AsTextForEveryAddedToken) { check_as_text(tiny()); }

TEST(ControlTokens, AsTextForEveryAddedTokenOfQwen3) {
  QWEN3_SKIP_WITHOUT_OFFICIAL_TOKENIZER();
  check_as_text(official());
}

// An added token that merging, or a whole-word look-up, would also give.
TEST(ControlTokens, AsTextBreaksAddedTokensOfTheVocabulary) {
  const Json base = parse_json(tiny_json(), "tiny");
  Json added = base["added_tokens"];
  const int32_t id = *tiny().token_to_id(" the");
  added.push_back({{"id", id}, {"content", "Ġthe"}, {"special", true}});
  for (const bool ignore_merges : {false, true}) {
    const Tokenizer t = Tokenizer::from_json(
        patched_tiny({{"added_tokens", added}, {"model", {{"ignore_merges", ignore_merges}}}}),
        "t");
    ASSERT_EQ(t.encode("in the"), (Ids{*t.token_to_id("in"), id}));
    const Ids ids = t.encode("in the", ControlTokens::as_text);
    EXPECT_EQ(t.decode(ids), "in the");
    for (const int32_t i : ids) EXPECT_NE(i, id);
  }
}

TEST(ControlTokens, SkipDropsSpecialOnesOnly) {
  const Tokenizer& t = tiny();
  const Ids ids = t.encode("<|im_start|>a<think>b</think><|im_end|>");
  EXPECT_EQ(t.decode(ids, SpecialTokens::skip), "a<think>b</think>");
  EXPECT_EQ(t.decode(ids), "<|im_start|>a<think>b</think><|im_end|>");
}

TEST(Decode, UnknownIdsAreSkipped) {
  const Tokenizer& t = tiny();
  const int32_t a = *t.token_to_id("a");
  EXPECT_EQ(t.decode(Ids{-1, a, t.size(), INT32_MAX, INT32_MIN, a}), "aa");
  EXPECT_EQ(t.token_bytes(-1), "");
  EXPECT_EQ(t.token_bytes(t.size()), "");
  EXPECT_FALSE(t.is_added(t.size()));
  EXPECT_EQ(t.token_to_id("no such token"), std::nullopt);
}

TEST(Encode, IllFormedUtf8IsRefusedWithItsOffset) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"abc\xFF", "byte 3"},
      {"\xC3", "byte 0"},
      {"aaaaaaaaaa\xED\xA0\x80", "byte 10"},
      {"\xC0\x80", "byte 0"},
      {"é\xE2\x82", "byte 2"},
      {"\xF4\x90\x80\x80", "byte 0"},
      {"<|im_end|>\x80", "byte 10"}};
  for (const auto& [text, offset] : cases) {
    const Thrown thrown = thrown_by([&, &text = text] { tiny().encode(text); });
    EXPECT_EQ(thrown.kind, ErrorKind::invalid_argument);
    EXPECT_THAT(thrown.message, testing::HasSubstr(offset));
  }
}

// The bytes of a text as single-byte tokens, so that tokens end inside characters everywhere.
Ids byte_ids(const Tokenizer& t, std::string_view text) {
  Ids ids;
  for (const char c : text) ids.push_back(*t.token_to_id({&c, 1}));
  return ids;
}

TEST(DecodeStream, NeverSplitsACharacter) {
  const Tokenizer& t = tiny();
  const std::string text = "aé中🚀e\u0301 \uFFFD<|im_end|>👩‍👧";
  DecodeStream stream(t);
  std::string all;
  for (const int32_t id : byte_ids(t, text)) {
    const std::string part = stream.push(id);
    EXPECT_TRUE(utf8_valid(part));
    all += part;
    EXPECT_EQ(text.substr(0, all.size()), all) << "text is final once given";
  }
  EXPECT_EQ(all, text) << "nothing waits after a complete character";
  EXPECT_EQ(stream.finish(), "");
}

TEST(DecodeStream, EqualsDecodeWhereverTheTextIsCut) {
  const Tokenizer& t = tiny();
  const std::string bytes =
      "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x9A\x80\xFF\xC3(\xE4\xB8\xF0\x9F\x9A\xED\xA0z\xF4\x90";
  const Ids ids = byte_ids(t, bytes);
  for (size_t begin = 0; begin <= ids.size(); ++begin) {
    for (size_t end = begin; end <= ids.size(); ++end) {
      const Ids part(ids.begin() + static_cast<ptrdiff_t>(begin),
                     ids.begin() + static_cast<ptrdiff_t>(end));
      DecodeStream stream(t);
      std::string text;
      for (const int32_t id : part) {
        text += stream.push(id);
        ASSERT_TRUE(utf8_valid(text));
      }
      text += stream.finish();
      EXPECT_EQ(text, t.decode(part)) << begin << ".." << end;
    }
  }
}

TEST(DecodeStream, FinishGivesWhatCannotBecomeWholeAndStartsAnew) {
  const Tokenizer& t = tiny();
  DecodeStream stream(t);
  for (const int32_t id : byte_ids(t, "\xF0\x9F\x9A")) EXPECT_EQ(stream.push(id), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
  EXPECT_EQ(stream.push(*t.token_to_id("a")), "a");
}

TEST(DecodeStream, SkipsSpecialTokensAndUnknownIds) {
  const Tokenizer& t = tiny();
  DecodeStream stream(t, SpecialTokens::skip);
  EXPECT_EQ(stream.push(*t.token_to_id("<|im_end|>")), "");
  EXPECT_EQ(stream.push(*t.token_to_id("<think>")), "<think>");
  EXPECT_EQ(stream.push(t.size() + 5), "");
}

}  // namespace
}  // namespace qwen3::test
