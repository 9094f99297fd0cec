// The inside of a TokenTrie: trees of bytes in the order of a walk, and slices.
//
// A slice holds the tokens that are plain text of at most n code points: whole code points without `"`, `\` and
// controls. Inside of a string a mask is a slice and a walk of the tree of all other tokens, which is small.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "grammar/token_trie.h"

namespace qwen3 {

struct TrieNode {
  uint32_t head;  // byte, and the token that ends here plus one, shifted by 8
  uint32_t size;  // nodes of the subtree, this one included

  uint8_t byte() const { return static_cast<uint8_t>(head); }
  int32_t token() const { return static_cast<int32_t>(head >> 8) - 1; }
};

struct TokenTree {
  std::vector<TrieNode> nodes;  // a node stands before what is below it; bytes ascend
  int64_t depth = 0;
};

class TokenTrieNodes final : public TokenTrie {
 public:
  TokenTrieNodes(const std::vector<std::string>& token_bytes, const std::vector<int32_t>& added);

  struct Slice {
    int64_t room;                // at most so many code points; -1: any number
    std::vector<uint64_t> mask;  // by token
    TokenTree rest;              // the other tokens
  };

  int32_t n_tokens() const override { return static_cast<int32_t>(begins_.size()) - 1; }
  std::string_view bytes(int32_t id) const override;
  std::optional<int32_t> added_token(std::string_view content) const override;

  bool is_added(int32_t id) const;
  const TokenTree& tree() const { return tree_; }
  // The largest that fits where `room` plain code points may come (-1: without end); null if none does.
  const Slice* slice(int64_t room) const;
  // Base tokens with the bytes of another, and that other, which stands in the trees.
  const std::vector<std::pair<int32_t, int32_t>>& twins() const { return twins_; }

 private:
  // Of these tokens, in order of their bytes.
  TokenTree make_tree(const std::vector<int32_t>& ids) const;
  void make_slices(const std::vector<int32_t>& ids);

  std::string bytes_;
  std::vector<uint32_t> begins_;  // by token, and the end
  std::vector<int32_t> added_;    // ascending
  std::map<std::string, int32_t, std::less<>> added_by_content_;
  std::vector<std::pair<int32_t, int32_t>> twins_;
  TokenTree tree_;
  std::vector<Slice> slices_;  // the largest first
};

}  // namespace qwen3
