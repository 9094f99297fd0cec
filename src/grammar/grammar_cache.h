// GrammarCache: the compiled grammars of a model's clients, the latest used of them, and the model's TokenTrie,
// which is made when the first grammar is. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "grammar/grammar.h"
#include "grammar/token_trie.h"

namespace qwen3 {

class GrammarCache {
 public:
  using MakeTrie = std::function<std::shared_ptr<const TokenTrie>()>;
  static constexpr int64_t kMostBytes = 32 << 20;

  explicit GrammarCache(MakeTrie make_trie, int64_t most_bytes = kMostBytes)
      : make_trie_(std::move(make_trie)), most_bytes_(most_bytes) {}

  std::shared_ptr<const TokenTrie> trie();

  // `source`: everything that decides what `compile` returns. What it throws passes through, and nothing is kept.
  // Two threads that miss the same source both compile it.
  GrammarPtr get(std::string_view source, const std::function<GrammarPtr()>& compile);

 private:
  struct Entry {
    std::string key;
    GrammarPtr grammar;
    int64_t bytes;
  };

  GrammarPtr find(const std::string& key);
  void keep(const std::string& key, const GrammarPtr& grammar);

  const MakeTrie make_trie_;
  const int64_t most_bytes_;
  std::once_flag once_;
  std::shared_ptr<const TokenTrie> trie_;  // after once_
  std::mutex mutex_;
  std::list<Entry> entries_;  // the latest used first; under mutex_, as all below
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
  int64_t bytes_ = 0;
};

}  // namespace qwen3
