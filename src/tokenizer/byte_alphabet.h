// The spelling of bytes in byte-level BPE files: each byte is one printable character.
//
//   byte 0x21..0x7E, 0xA1..0xAC, 0xAE..0xFF   the character U+00xx itself
//   the other 68 bytes, in order              U+0100, U+0101, ...  (space 0x20 is U+0120 "Ġ")
#pragma once

#include <string>
#include <string_view>

namespace qwen3 {

// Appends the bytes that `spelling` stands for. When a character is outside the alphabet, nothing
// is appended and the result is false. REQUIRES: well-formed UTF-8.
bool append_spelled_bytes(std::string& out, std::string_view spelling);

}  // namespace qwen3
