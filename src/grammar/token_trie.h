// TokenTrie: the vocabulary as a tree of bytes, so that a mask is one walk. Made once per model.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qwen3 {

class Tokenizer;

class TokenTrie {
 public:
  // Of the base tokens' bytes; added tokens stand apart: only a grammar that names one allows it.
  static std::shared_ptr<const TokenTrie> make(const Tokenizer& tokenizer);
  // token_bytes[id]; `added`: the ids of added tokens, ascending.
  static std::shared_ptr<const TokenTrie> make(const std::vector<std::string>& token_bytes,
                                               const std::vector<int32_t>& added);
  virtual ~TokenTrie() = default;

  virtual int32_t n_tokens() const = 0;
  virtual std::string_view bytes(int32_t id) const = 0;
  virtual std::optional<int32_t> added_token(std::string_view content) const = 0;
};

}  // namespace qwen3
