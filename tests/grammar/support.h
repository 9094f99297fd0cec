// What the tests of grammars share: the tokenizer of models/nano, and a second reading of masks.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/grammar_builder.h"
#include "grammar/matcher.h"
#include "tokenizer/tokenizer.h"

namespace qwen3 {

inline const Tokenizer& nano_tokenizer() {
  static const Tokenizer tokenizer =
      Tokenizer::load(std::string(QWEN3_SOURCE_DIR) + "/models/nano");
  return tokenizer;
}

inline std::shared_ptr<const TokenTrieNodes> nano_trie() {
  static const auto trie =
      std::static_pointer_cast<const TokenTrieNodes>(TokenTrie::make(nano_tokenizer()));
  return trie;
}

inline bool matches(const GrammarPtr& grammar, std::string_view text) {
  return match_bytes(*grammar, text) == Membership::whole;
}

inline std::vector<uint64_t> empty_mask(const TokenTrie& trie) {
  return std::vector<uint64_t>(static_cast<size_t>(trie.n_tokens()) / 64 + 3, ~uint64_t{0});
}

inline bool has(const std::vector<uint64_t>& mask, int32_t token) {
  return (mask[static_cast<size_t>(token) / 64] >> (token % 64) & 1) != 0;
}

// The tokens that fill() allows.
inline std::vector<int32_t> tokens_of(TokenConstraint& constraint, const TokenTrie& trie) {
  auto mask = empty_mask(trie);
  int32_t one = -1;
  std::vector<int32_t> tokens;
  if (constraint.fill(mask, one) == TokenConstraint::Fill::one) return {one};
  for (int32_t id = 0; id < static_cast<int32_t>(mask.size() * 64); ++id) {
    if (has(mask, id)) tokens.push_back(id);
  }
  return tokens;
}

}  // namespace qwen3
