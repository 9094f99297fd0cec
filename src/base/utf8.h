// UTF-8: validation, decoding, encoding, and lossy repair (Unicode 15, table 3-7).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace qwen3 {

// Length in bytes of the well-formed sequence at text[pos]; 0 if the bytes there are ill-formed or
// the text ends inside a sequence. REQUIRES: pos < text.size().
size_t utf8_sequence_length(std::string_view text, size_t pos);

// True when the bytes at the end of `text` are the beginning of a sequence that more bytes could
// complete; the number of those bytes (1 to 3) is stored in *tail_bytes.
bool utf8_incomplete_tail(std::string_view text, size_t* tail_bytes);

bool utf8_valid(std::string_view text);

// Offset of the first ill-formed byte, or npos.
size_t utf8_first_invalid(std::string_view text);

// Decodes the sequence at text[pos] and advances pos; no checks. REQUIRES:
// utf8_sequence_length(text, pos) > 0.
inline char32_t utf8_decode(std::string_view text, size_t& pos) {
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

void utf8_append(std::string& out, char32_t code_point);

// Each maximal ill-formed part becomes one U+FFFD, as Rust's String::from_utf8_lossy does.
std::string utf8_lossy(std::string_view text);

}  // namespace qwen3
