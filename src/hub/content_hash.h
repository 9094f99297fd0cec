// The hash by which a hub names the content of a file: SHA-256 for large files (LFS), the SHA-1 of a git blob
// for small ones. With the processor's instructions for it, for files of many gigabytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace qwen3::hub {

enum class HashKind { sha256, git_blob };

class ContentHash {
 public:
  // `size`: of the whole content, which a git blob's hash begins with.
  ContentHash(HashKind kind, int64_t size);
  ~ContentHash();
  ContentHash(const ContentHash&) = delete;
  ContentHash& operator=(const ContentHash&) = delete;

  void add(std::span<const std::byte> bytes);
  std::string take();  // lower-case hexadecimal digits; call once, last
  void restart();      // as new

 private:
  struct State;
  std::unique_ptr<State> state_;
  const HashKind kind_;
  const int64_t size_;
};

// How many digits a hash of that kind has.
constexpr size_t hash_digits(HashKind kind) { return kind == HashKind::sha256 ? 64 : 40; }

}  // namespace qwen3::hub
