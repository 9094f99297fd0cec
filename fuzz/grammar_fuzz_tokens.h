// A small vocabulary for the targets of grammars: all bytes, some longer tokens, two added ones.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "grammar/matcher.h"

namespace qwen3 {

inline void require(bool condition) {
  if (!condition) std::abort();
}

inline std::shared_ptr<const TokenTrieNodes> fuzz_trie() {
  static const auto trie = [] {
    std::vector<std::string> tokens;
    for (int byte = 0; byte < 256; ++byte)
      tokens.push_back(std::string(1, static_cast<char>(byte)));
    for (const char* text : {"ab",
                             "abc",
                             "aa",
                             "bb",
                             "aaaa",
                             "aaaaaaaaaaaaaaaaaaaaaaaa",
                             "the quick brown",
                             "\":",
                             "\":\"",
                             "\",\"",
                             "{\"",
                             "\"}",
                             "[{",
                             "}]",
                             "  ",
                             "\n  ",
                             "00",
                             "123",
                             "1.5",
                             "true",
                             "false",
                             "null",
                             "é",
                             "éé",
                             "\xC3",
                             "\xA9\xC3",
                             "日本語",
                             "\xE6\x97",
                             "🙂",
                             "\\n",
                             "\\u00",
                             "\\ud83d",
                             "\":1,\"",
                             "a\":1,\"a\":1",
                             "\\\"",
                             "<t",
                             "tool>",
                             "yes",
                             "no",
                             "root",
                             "::="}) {
      tokens.emplace_back(text);
    }
    tokens.emplace_back("aa");  // a twin
    tokens.emplace_back();      // an id without a token
    tokens.emplace_back("<|call|>");
    tokens.emplace_back("<|im_end|>");
    const auto n = static_cast<int32_t>(tokens.size());
    return std::static_pointer_cast<const TokenTrieNodes>(TokenTrie::make(tokens, {n - 2, n - 1}));
  }();
  return trie;
}

inline std::vector<int32_t> fuzz_tokens_of(Matcher& matcher) {
  std::vector<uint64_t> mask(static_cast<size_t>(fuzz_trie()->n_tokens()) / 64 + 2, ~uint64_t{0});
  int32_t one = -1;
  if (matcher.fill(mask, one) == TokenConstraint::Fill::one) return {one};
  std::vector<int32_t> tokens;
  for (int32_t id = 0; id < static_cast<int32_t>(mask.size() * 64); ++id) {
    if ((mask[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0) tokens.push_back(id);
  }
  return tokens;
}

// Follows an answer whose tokens `steps` chooses, and takes some back. Every live place has a token or may end; masks
// are what each token says by itself, with slices and cache as without; taking back is not having accepted.
inline void fuzz_walk(const GrammarPtr& grammar, std::string_view steps) {
  Matcher matcher(grammar, fuzz_trie());
  Matcher plain(grammar, fuzz_trie(), {.slices = false, .cache = false});
  std::vector<int32_t> accepted;
  std::string text;
  for (const char c : steps.substr(0, 32)) {
    const auto step = static_cast<uint8_t>(c);
    const auto tokens = fuzz_tokens_of(matcher);
    require(tokens == fuzz_tokens_of(plain));
    require(!tokens.empty() || matcher.may_end());
    require(matcher.exhausted() == (tokens.empty() && matcher.may_end()));
    const int32_t probe = step % fuzz_trie()->n_tokens();
    require(matcher.allows(probe) == std::binary_search(tokens.begin(), tokens.end(), probe));
    if (step >= 250 && !accepted.empty()) {
      const size_t n = 1 + step % std::min<size_t>(accepted.size(), 5);
      matcher.rollback(static_cast<int64_t>(n));
      accepted.resize(accepted.size() - n);
      plain.rollback(static_cast<int64_t>(n));
      Matcher fresh(grammar, fuzz_trie());
      for (const int32_t token : accepted) fresh.accept(token);
      require(fuzz_tokens_of(fresh) == fuzz_tokens_of(matcher));
      require(fresh.may_end() == matcher.may_end());
      continue;
    }
    if (tokens.empty()) return;
    const int32_t token = tokens[step % tokens.size()];
    matcher.accept(token);
    plain.accept(token);
    accepted.push_back(token);
    require(matcher.may_end() == plain.may_end());
  }
  bool has_added = false;
  for (const int32_t token : accepted) {
    has_added = has_added || fuzz_trie()->is_added(token);
    text += fuzz_trie()->bytes(token);
  }
  if (has_added) return;
  require((match_bytes(*grammar, text) == Membership::whole) == matcher.may_end());
  require(match_bytes(*grammar, text) != Membership::no);
}

}  // namespace qwen3
