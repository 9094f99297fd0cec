// ModelGrammars: the compiled grammars of a served model's requests, and its tokens as a tree, made when the first
// grammar is. Any thread.
#pragma once

#include <memory>
#include <mutex>

#include "grammar/grammar_cache.h"
#include "grammar/token_trie.h"

namespace qwen3::server {

class ModelGrammars {
 public:
  // The tokenizer is borrowed.
  explicit ModelGrammars(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  GrammarCache& cache() { return cache_; }
  std::shared_ptr<const TokenTrie> trie() {
    std::call_once(once_, [this] { trie_ = TokenTrie::make(tokenizer_); });
    return trie_;
  }

 private:
  const Tokenizer& tokenizer_;
  GrammarCache cache_;
  std::once_flag once_;
  std::shared_ptr<const TokenTrie> trie_;  // after once_
};

}  // namespace qwen3::server
