// Token ids and their bytes, both ways.
//
// All bytes lie in one string; a flat hash finds the id of a byte string. A token whose spelling
// leaves the byte alphabet keeps the spelling's own UTF-8 bytes: it can be decoded, but the encoder
// never looks for it, so the two kinds are kept apart in the hash.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qwen3 {

enum class TokenKind : uint8_t {
  none,     // no token has this id
  bytes,    // spelled in the byte alphabet
  literal,  // spelled with other characters
};

class Vocabulary {
 public:
  // The allocation is bounded by the input: an id beyond the limit is refused. Holes are allowed,
  // but only as many as there are tokens, and some.
  static int64_t id_limit(size_t n_tokens) { return 2 * static_cast<int64_t>(n_tokens) + 65536; }

  // Room for ids in [0, n_ids) and n_bytes bytes of tokens.
  Vocabulary(int64_t n_ids, size_t n_bytes);

  enum class Added { yes, id_taken, content_taken };

  // REQUIRES: 0 <= id < n_ids; no more bytes in total than announced.
  Added add(int32_t id, std::string_view content, TokenKind kind);

  // Id of the token with exactly these bytes, or -1.
  int32_t find(std::string_view content, TokenKind kind) const;

  // Empty for ids without a token.
  std::string_view bytes(int32_t id) const;
  TokenKind kind(int32_t id) const;

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }  // ids are below this

 private:
  struct Token {
    uint32_t offset = 0;
    uint32_t length : 30 = 0;
    TokenKind kind : 2 = TokenKind::none;
  };
  struct Slot {
    uint32_t tag = 0;  // upper half of the hash
    int32_t id = -1;
  };

  bool holds(int32_t id) const { return id >= 0 && id < size(); }
  bool equals(int32_t id, std::string_view content, TokenKind kind) const;

  std::string bytes_;
  std::vector<Token> tokens_;
  std::vector<Slot> slots_;  // a power of two, at most half full
};

}  // namespace qwen3
