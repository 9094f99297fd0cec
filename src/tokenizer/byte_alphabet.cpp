#include "tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "base/utf8.h"
#include "tokenizer/unicode_classes.h"

namespace qwen3 {
namespace {

constexpr char32_t kAlphabetEnd = 0x144;  // 0x100 + 68 bytes that have no printable character

constexpr bool spells_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// Byte of each character below kAlphabetEnd; -1 for characters outside the alphabet.
constexpr std::array<int16_t, kAlphabetEnd> make_byte_of_character() {
  std::array<int16_t, kAlphabetEnd> table{};
  table.fill(-1);
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    table[spells_itself(byte) ? static_cast<char32_t>(byte) : next++] = static_cast<int16_t>(byte);
  }
  return table;
}

constexpr auto kByteOfCharacter = make_byte_of_character();

}  // namespace

bool append_spelled_bytes(std::string& out, std::string_view spelling) {
  const size_t before = out.size();
  for (size_t pos = 0; pos < spelling.size();) {
    const char32_t c = utf8_decode(spelling, pos);
    if (c >= kAlphabetEnd || kByteOfCharacter[c] < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(kByteOfCharacter[c]));
  }
  return true;
}

}  // namespace qwen3
