// Ids and texts equal to Hugging Face `tokenizers`, line by line of the golden files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tokenizer/decode_stream.h"
#include "tokenizer/fixture.h"

namespace qwen3::test {
namespace {

using Ids = std::vector<int32_t>;

std::string repeat(const std::string& unit, int64_t times) {
  std::string text;
  for (int64_t i = 0; i < times; ++i) text += unit;
  return text;
}

std::string stream_all(const Tokenizer& tokenizer, const Ids& ids, SpecialTokens special) {
  DecodeStream stream(tokenizer, special);
  std::string text;
  for (const int32_t id : ids) text += stream.push(id);
  return text + stream.finish();
}

void check_line(const Tokenizer& tokenizer, const Json& line) {
  if (line.contains("t")) {
    const auto text = line["t"].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text), line["i"].get<Ids>()) << "text: " << line["t"].dump();
  } else if (line.contains("u")) {
    const auto unit = line["u"].get<std::string>();
    Ids expected;
    for (const Json& run : line["r"]) {
      expected.insert(expected.end(), run[1].get<size_t>(), run[0].get<int32_t>());
    }
    // Not EXPECT_EQ: a failure must not print 65,536 ids.
    EXPECT_TRUE(tokenizer.encode(repeat(unit, line["n"].get<int64_t>())) == expected)
        << line["n"] << " times " << line["u"].dump();
  } else {
    const auto ids = line["d"].get<Ids>();
    EXPECT_EQ(tokenizer.decode(ids, SpecialTokens::keep), line["k"].get<std::string>());
    EXPECT_EQ(tokenizer.decode(ids, SpecialTokens::skip), line["s"].get<std::string>());
    EXPECT_EQ(stream_all(tokenizer, ids, SpecialTokens::keep), line["k"].get<std::string>());
    EXPECT_EQ(stream_all(tokenizer, ids, SpecialTokens::skip), line["s"].get<std::string>());
  }
}

TEST(TokenizerGolden, Tiny) {
  int n = 0;
  for_each_golden("tokenizer_tiny.jsonl", [&](const Json& line) {
    check_line(tiny(), line);
    ++n;
  });
  EXPECT_GE(n, 700);
}

TEST(TokenizerGolden, VariantsOfTheTinyFile) {
  std::optional<Tokenizer> variant;
  int n_variants = 0;
  for_each_golden("tokenizer_variants.jsonl", [&](const Json& line) {
    if (line.contains("variant")) {
      const auto name = line["variant"].get<std::string>();
      variant = Tokenizer::from_json(patched_tiny(line["patch"]), name);
      ++n_variants;
      return;
    }
    ASSERT_TRUE(variant.has_value());
    check_line(*variant, line);
  });
  EXPECT_EQ(n_variants, 10);
}

TEST(TokenizerGolden, OfficialQwen3) {
  QWEN3_SKIP_WITHOUT_OFFICIAL_TOKENIZER();
  int n = 0;
  for_each_golden("tokenizer_qwen3.jsonl", [&](const Json& line) {
    check_line(official(), line);
    ++n;
  });
  EXPECT_GE(n, 2000);
}

// The published check strings of llama.cpp's qwen2 vocabulary, and edge cases of Qwen3.
TEST(TokenizerGolden, PublishedVectors) {
  QWEN3_SKIP_WITHOUT_OFFICIAL_TOKENIZER();
  int n = 0;
  for_each_golden("tokenizer_vectors.jsonl", [&](const Json& line) {
    check_line(official(), line);
    ++n;
  });
  EXPECT_GE(n, 90);
}

TEST(TokenizerGolden, OfficialFacts) {
  QWEN3_SKIP_WITHOUT_OFFICIAL_TOKENIZER();
  const Tokenizer& t = official();
  EXPECT_EQ(t.size(), 151669);
  EXPECT_EQ(t.added_tokens().size(), 26U);
  EXPECT_EQ(t.token_to_id("<|im_end|>"), 151645);
  EXPECT_EQ(t.token_to_id(" the"), 279);
  EXPECT_EQ(t.token_bytes(151668), "</think>");
  EXPECT_TRUE(t.is_special(151645));
  EXPECT_FALSE(t.is_special(151668));
  EXPECT_TRUE(t.is_added(151668));
  EXPECT_FALSE(t.is_added(151642));
  EXPECT_EQ(t.token_bytes(151669), "");
  EXPECT_EQ(t.encode_with_post_processor("Hello"), Ids{9707});
}

// A round trip over the whole vocabulary.
TEST(TokenizerGolden, EveryTokenReproducesItself) {
  QWEN3_SKIP_WITHOUT_OFFICIAL_TOKENIZER();
  const Tokenizer& t = official();
  int n_whole = 0;
  for (int32_t id = 0; id < t.size(); ++id) {
    const Ids one{id};
    const std::string text = t.decode(one);
    if (text == t.token_bytes(id) && t.encode(text) == one) ++n_whole;
    ASSERT_FALSE(t.token_bytes(id).empty()) << id;
  }
  EXPECT_EQ(n_whole, 148312)
      << "as with Hugging Face; the rest are parts of characters, or not NFC";
}

}  // namespace
}  // namespace qwen3::test
