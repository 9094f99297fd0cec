// What the tokenizer must know about a code point: letter, number, white space, word character, and
// whether NFC may touch it.
//
// The table is made from Hugging Face `tokenizers` itself
// (tests/goldens/make_tokenizer_unicode.py), not from a Unicode library of this machine: its regex
// engine follows Unicode 16 and its NFC an older version, and equal ids need equal tables.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace qwen3 {

enum UnicodeClass : uint8_t {
  kLetter = 1,      // \p{L}
  kNumber = 2,      // \p{N}
  kSpace = 4,       // \s: the White_Space property
  kWord = 8,        // \w, as the single_word rule of added tokens uses it
  kNfcActive = 16,  // NFC may reorder it, change it, or compose it with what stands before it
};

inline constexpr char32_t kCodePoints = 0x110000;
using UnicodeClassTable = std::array<uint8_t, kCodePoints>;

// One byte of UnicodeClass bits per code point. Thread-safe; made at the first call.
const UnicodeClassTable& unicode_classes();

// Decodes the code point at text[pos] and advances pos; no checks.
// REQUIRES: text is well-formed UTF-8 and pos is at the start of a sequence.
inline char32_t next_code_point(std::string_view text, size_t& pos) {
  const auto byte = [&](size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[pos + i]));
  };
  const char32_t b0 = byte(0);
  char32_t c = b0;
  size_t length = 1;
  if (b0 >= 0xF0) {
    c = (b0 & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    length = 4;
  } else if (b0 >= 0xE0) {
    c = (b0 & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    length = 3;
  } else if (b0 >= 0x80) {
    c = (b0 & 0x1F) << 6 | (byte(1) & 0x3F);
    length = 2;
  }
  pos += length;
  return c;
}

// Position of the first byte at or after pos that is not ASCII; text.size() if there is none.
size_t skip_ascii(std::string_view text, size_t pos);

}  // namespace qwen3
