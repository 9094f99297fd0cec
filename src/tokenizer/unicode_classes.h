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

// Position of the first byte at or after pos that is not ASCII; text.size() if there is none.
size_t skip_ascii(std::string_view text, size_t pos);

}  // namespace qwen3
