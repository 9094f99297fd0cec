#include "tokenizer/vocabulary.h"

#include <bit>
#include <cstring>

#include "base/error.h"

namespace qwen3 {
namespace {

constexpr uint32_t kMaxTokenBytes = (1U << 30) - 1;

uint64_t load(const char* p, size_t n_bytes) {
  uint64_t value = 0;
  std::memcpy(&value, p, n_bytes);
  return value;
}

// Multiply, then fold the 128-bit product: every input bit reaches every output bit.
uint64_t mix(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Few branches for the pieces of up to 16 bytes that most look-ups ask for.
uint64_t hash_bytes(std::string_view s, TokenKind kind) {
  constexpr uint64_t kA = 0x9E3779B97F4A7C15, kB = 0xD1B54A32D192ED03, kC = 0x8CB92BA72F3D8DD7;
  const char* p = s.data();
  size_t n = s.size();
  uint64_t h = kC ^ (n << 8 | static_cast<uint64_t>(kind));
  for (; n > 16; n -= 16, p += 16) h = mix(load(p, 8) ^ kA, load(p + 8, 8) ^ h);
  uint64_t low = 0, high = 0;
  if (n >= 8) {
    low = load(p, 8);
    high = load(p + n - 8, 8);
  } else if (n >= 4) {
    low = load(p, 4);
    high = load(p + n - 4, 4);
  } else if (n > 0) {
    low = load(p, 1) | load(p + n / 2, 1) << 8 | load(p + n - 1, 1) << 16;
  }
  return mix(mix(low ^ kA, high ^ h), kB);
}

}  // namespace

Vocabulary::Vocabulary(int64_t n_ids, size_t n_bytes)
    : tokens_(static_cast<size_t>(n_ids)),
      slots_(std::bit_ceil(2 * static_cast<size_t>(n_ids) + 2)) {
  bytes_.reserve(n_bytes);
}

bool Vocabulary::equals(int32_t id, std::string_view content, TokenKind kind) const {
  const Token& token = tokens_[static_cast<size_t>(id)];
  return token.kind == kind && token.length == content.size() &&
         std::memcmp(bytes_.data() + token.offset, content.data(), content.size()) == 0;
}

Vocabulary::Added Vocabulary::add(int32_t id, std::string_view content, TokenKind kind) {
  QWEN3_CHECK(
      holds(id) && content.size() <= kMaxTokenBytes && bytes_.size() + content.size() <= UINT32_MAX,
      ErrorKind::internal,
      "vocabulary: token {} of {} bytes does not fit",
      id,
      content.size());
  Token& token = tokens_[static_cast<size_t>(id)];
  if (token.kind != TokenKind::none) return Added::id_taken;
  const uint64_t hash = hash_bytes(content, kind);
  const size_t mask = slots_.size() - 1;
  size_t i = hash & mask;
  for (; slots_[i].id >= 0; i = (i + 1) & mask) {
    if (slots_[i].tag == hash >> 32 && equals(slots_[i].id, content, kind)) {
      return Added::content_taken;
    }
  }
  slots_[i] = {static_cast<uint32_t>(hash >> 32), id};
  token.offset = static_cast<uint32_t>(bytes_.size());
  token.length = static_cast<uint32_t>(content.size()) & kMaxTokenBytes;
  token.kind = kind;
  bytes_.append(content);
  return Added::yes;
}

int32_t Vocabulary::find(std::string_view content, TokenKind kind) const {
  const uint64_t hash = hash_bytes(content, kind);
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask; slots_[i].id >= 0; i = (i + 1) & mask) {
    if (slots_[i].tag == hash >> 32 && equals(slots_[i].id, content, kind)) return slots_[i].id;
  }
  return -1;
}

std::string_view Vocabulary::bytes(int32_t id) const {
  if (!holds(id)) return {};
  const Token& token = tokens_[static_cast<size_t>(id)];
  return std::string_view(bytes_).substr(token.offset, token.length);
}

TokenKind Vocabulary::kind(int32_t id) const {
  return holds(id) ? tokens_[static_cast<size_t>(id)].kind : TokenKind::none;
}

}  // namespace qwen3
