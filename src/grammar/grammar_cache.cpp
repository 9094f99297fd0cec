#include "grammar/grammar_cache.h"

#include <utility>

#include "base/sha256.h"
#include "grammar/network.h"

namespace qwen3 {

std::shared_ptr<const TokenTrie> GrammarCache::trie() {
  std::call_once(once_, [this] { trie_ = make_trie_(); });
  return trie_;
}

GrammarPtr GrammarCache::get(std::string_view source, const std::function<GrammarPtr()>& compile) {
  const std::string key = sha256_hex(source);
  if (GrammarPtr found = find(key)) return found;
  GrammarPtr made = compile();
  keep(key, made);
  return made;
}

GrammarPtr GrammarCache::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto at = by_key_.find(key);
  if (at == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, at->second);
  return entries_.front().grammar;
}

void GrammarCache::keep(const std::string& key, const GrammarPtr& grammar) {
  const int64_t bytes = grammar->bytes();
  const std::lock_guard lock(mutex_);
  if (bytes > most_bytes_ || by_key_.contains(key)) return;
  while (bytes_ + bytes > most_bytes_) {
    bytes_ -= entries_.back().bytes;
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
  entries_.push_front({key, grammar, bytes});
  by_key_.emplace(key, entries_.begin());
  bytes_ += bytes;
}

}  // namespace qwen3
