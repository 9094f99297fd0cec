#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace qwen3 {
namespace {

// Written from the definition: the shortest form of a scalar value that is no surrogate.
std::string encode(uint32_t c) {
  const auto byte = [](uint32_t b) { return static_cast<char>(b); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0 + c / 64), byte(0x80 + c % 64)};
  if (c < 0x10000) return {byte(0xE0 + c / 4096), byte(0x80 + c / 64 % 64), byte(0x80 + c % 64)};
  return {byte(0xF0 + c / 262144),
          byte(0x80 + c / 4096 % 64),
          byte(0x80 + c / 64 % 64),
          byte(0x80 + c % 64)};
}

TEST(Utf8, EveryScalarValueRoundTrips) {
  for (uint32_t c = 0; c <= 0x10FFFF; ++c) {
    const std::string text = encode(c);
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    ASSERT_EQ(utf8_sequence_length(text, 0), surrogate ? 0 : text.size()) << c;
    if (surrogate) continue;
    size_t pos = 0;
    ASSERT_EQ(utf8_decode(text, pos), c);
    ASSERT_EQ(pos, text.size());
    std::string out;
    utf8_append(out, c);
    ASSERT_EQ(out, text);
  }
}

// Every string of two bytes, and of three after E0..EF or F0..F7 with chosen thirds, against a
// brute-force search for the scalar value it would spell.
TEST(Utf8, AllPairsOfBytes) {
  std::vector<bool> valid(65536, false);
  for (uint32_t c = 0; c < 0x80; ++c) {
    for (uint32_t d = 0; d < 0x80; ++d) valid[c << 8 | d] = true;
  }
  for (uint32_t c = 0x80; c < 0x800; ++c) {
    const std::string text = encode(c);
    valid[static_cast<size_t>(static_cast<unsigned char>(text[0])) << 8 |
          static_cast<unsigned char>(text[1])] = true;
  }
  for (uint32_t pair = 0; pair < 65536; ++pair) {
    const std::string text = {static_cast<char>(pair >> 8), static_cast<char>(pair & 0xFF)};
    ASSERT_EQ(utf8_valid(text), valid[pair]) << std::hex << pair;
  }
}

TEST(Utf8, FirstInvalid) {
  EXPECT_EQ(utf8_first_invalid(""), std::string_view::npos);
  EXPECT_EQ(utf8_first_invalid("héllo"), std::string_view::npos);
  EXPECT_EQ(utf8_first_invalid("ab\x80"), 2u);
  EXPECT_EQ(utf8_first_invalid("é\xE2\x82"), 2u);
  EXPECT_EQ(utf8_first_invalid("\xC0\xAF"), 0u);          // overlong
  EXPECT_EQ(utf8_first_invalid("\xE0\x9F\xBF"), 0u);      // overlong
  EXPECT_EQ(utf8_first_invalid("\xF0\x8F\xBF\xBF"), 0u);  // overlong
  EXPECT_EQ(utf8_first_invalid("\xF4\x90\x80\x80"), 0u);  // beyond U+10FFFF
  EXPECT_EQ(utf8_first_invalid("\xF5\x80\x80\x80"), 0u);
}

// Python: bytes.decode("utf-8", errors="replace").
TEST(Utf8, LossyReplacesMaximalParts) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(utf8_lossy("plain é 😀"), "plain é 😀");
  EXPECT_EQ(utf8_lossy("a\xFFz"), "a" + r + "z");
  EXPECT_EQ(utf8_lossy("\xE2\x82z"), r + "z");  // a truncated sequence is one part
  EXPECT_EQ(utf8_lossy("\xF0\x9F\x98"), r);
  EXPECT_EQ(utf8_lossy("\xED\xA0\x80"), r + r + r);  // a surrogate: no byte fits
  EXPECT_EQ(utf8_lossy("\xC0\xAF"), r + r);
  EXPECT_EQ(utf8_lossy("\xF0\x80\x80\x41"), r + r + r + "A");
  EXPECT_EQ(utf8_lossy("\xE2\xE2\x82\xAC"), r + "€");
}

TEST(Utf8, IncompleteTail) {
  const auto tail = [](std::string_view text) {
    size_t n = 0;
    return utf8_incomplete_tail(text, &n) ? n : 0;
  };
  EXPECT_EQ(tail(""), 0u);
  EXPECT_EQ(tail("a"), 0u);
  EXPECT_EQ(tail("é"), 0u);
  EXPECT_EQ(tail("a\xC3"), 1u);
  EXPECT_EQ(tail("a\xE2"), 1u);
  EXPECT_EQ(tail("a\xE2\x82"), 2u);
  EXPECT_EQ(tail("\xF0\x9F\x98"), 3u);
  EXPECT_EQ(tail("\xF0\x9F\x98\x80"), 0u);
  EXPECT_EQ(tail("\xE0\x80"), 0u);  // can never be completed
  EXPECT_EQ(tail("\xED\xA0"), 0u);
  EXPECT_EQ(tail("\xC0"), 0u);
  EXPECT_EQ(tail("a\x80"), 0u);
  EXPECT_EQ(tail("\x80\x80\x80"), 0u);
  EXPECT_EQ(tail("\xFF"), 0u);
}

}  // namespace
}  // namespace qwen3
