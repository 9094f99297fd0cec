// SHA-256 (FIPS 180-4): to notice that bytes are not the ones they should be.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace qwen3 {

// Of bytes that come in pieces.
class Sha256 {
 public:
  void add(std::span<const std::byte> bytes);
  std::string hex() const;  // of all so far: 64 lower-case hexadecimal digits

 private:
  static constexpr size_t kBlock = 64;

  std::array<uint32_t, 8> state_ = {0x6a09e667,
                                    0xbb67ae85,
                                    0x3c6ef372,
                                    0xa54ff53a,
                                    0x510e527f,
                                    0x9b05688c,
                                    0x1f83d9ab,
                                    0x5be0cd19};
  std::array<std::byte, kBlock> rest_{};  // the begun block
  size_t n_rest_ = 0;
  uint64_t n_bytes_ = 0;
};

std::string sha256_hex(std::span<const std::byte> bytes);
inline std::string sha256_hex(std::string_view text) {
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace qwen3
