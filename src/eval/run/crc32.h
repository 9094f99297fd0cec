// CRC-32 as zlib, gzip and PNG have it (reflected 0x04C11DB7): to notice a damaged line. Anyone can
// check it with Python's zlib.crc32.
#pragma once

#include <cstdint>
#include <string_view>

namespace qwen3::eval {

// `before` is the CRC of the bytes in front of these.
uint32_t crc32(std::string_view bytes, uint32_t before = 0);

}  // namespace qwen3::eval
