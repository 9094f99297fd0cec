// SHA-256 (FIPS 180-4): to notice that bytes are not the ones they should be.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace qwen3 {

// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::span<const std::byte> bytes);

}  // namespace qwen3
