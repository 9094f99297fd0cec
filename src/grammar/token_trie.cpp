#include "grammar/token_trie.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"
#include "grammar/token_trie_nodes.h"
#include "tokenizer/tokenizer.h"

namespace qwen3 {
namespace {

constexpr int32_t kMaxTokens = (1 << 24) - 2;  // a token and a byte share 32 bits
constexpr int64_t kRooms[] = {-1, 16, 8, 4};

// Code points of a plain text; -1 if it is none.
int64_t plain_length(std::string_view text) {
  int64_t n = 0;
  for (size_t pos = 0; pos < text.size(); ++n) {
    const size_t length = utf8_sequence_length(text, pos);
    const auto byte = static_cast<uint8_t>(text[pos]);
    if (length == 0 || byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7F) return -1;
    pos += length;
  }
  return n;
}

}  // namespace

TokenTrieNodes::TokenTrieNodes(const std::vector<std::string>& token_bytes,
                               const std::vector<int32_t>& added)
    : added_(added) {
  QWEN3_CHECK(std::ssize(token_bytes) <= kMaxTokens,
              ErrorKind::unsupported,
              "a vocabulary of {} tokens; grammars take at most {}",
              token_bytes.size(),
              kMaxTokens);
  begins_.push_back(0);
  for (const std::string& bytes : token_bytes) {
    bytes_ += bytes;
    QWEN3_CHECK(
        bytes_.size() <= UINT32_MAX, ErrorKind::unsupported, "a vocabulary of more than 4 GiB");
    begins_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
  for (const int32_t id : added_) {
    QWEN3_CHECK(id >= 0 && id < n_tokens(), ErrorKind::internal, "no token {} is added", id);
    added_by_content_.emplace(bytes(id), id);
  }
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < n_tokens(); ++id) {
    if (!bytes(id).empty() && !is_added(id)) ids.push_back(id);
  }
  std::stable_sort(
      ids.begin(), ids.end(), [this](int32_t a, int32_t b) { return bytes(a) < bytes(b); });
  std::vector<int32_t> different;
  for (const int32_t id : ids) {
    if (!different.empty() && bytes(different.back()) == bytes(id)) {
      twins_.emplace_back(id, different.back());
    } else {
      different.push_back(id);
    }
  }
  tree_ = make_tree(different);
  make_slices(different);
}

std::string_view TokenTrieNodes::bytes(int32_t id) const {
  if (id < 0 || id >= n_tokens()) return {};
  const auto i = static_cast<size_t>(id);
  return std::string_view(bytes_).substr(begins_[i], begins_[i + 1] - begins_[i]);
}

std::optional<int32_t> TokenTrieNodes::added_token(std::string_view content) const {
  const auto found = added_by_content_.find(content);
  return found == added_by_content_.end() ? std::nullopt : std::optional(found->second);
}

bool TokenTrieNodes::is_added(int32_t id) const {
  return std::binary_search(added_.begin(), added_.end(), id);
}

TokenTree TokenTrieNodes::make_tree(const std::vector<int32_t>& ids) const {
  TokenTree tree;
  std::vector<size_t> path;  // open nodes
  const auto close = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back()) {
      tree.nodes[path.back()].size = static_cast<uint32_t>(tree.nodes.size() - path.back());
    }
  };
  std::string_view previous;
  for (const int32_t id : ids) {
    const std::string_view text = bytes(id);
    size_t common = 0;
    while (common < previous.size() && common < text.size() && previous[common] == text[common])
      ++common;
    close(common);
    for (size_t i = common; i < text.size(); ++i) {
      path.push_back(tree.nodes.size());
      tree.nodes.push_back({static_cast<uint8_t>(text[i]), 1});
    }
    tree.nodes.back().head |= static_cast<uint32_t>(id + 1) << 8;
    tree.depth = std::max(tree.depth, std::ssize(text));
    previous = text;
  }
  close(0);
  return tree;
}

void TokenTrieNodes::make_slices(const std::vector<int32_t>& ids) {
  std::vector<int64_t> lengths;
  for (const int32_t id : ids) lengths.push_back(plain_length(bytes(id)));
  for (const int64_t room : kRooms) {
    Slice slice{room, std::vector<uint64_t>((static_cast<size_t>(n_tokens()) + 63) / 64, 0), {}};
    std::vector<int32_t> rest;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (lengths[i] < 0 || (room >= 0 && lengths[i] > room)) {
        rest.push_back(ids[i]);
      } else {
        slice.mask[static_cast<size_t>(ids[i]) / 64] |= uint64_t{1} << (ids[i] % 64);
      }
    }
    slice.rest = make_tree(rest);
    slices_.push_back(std::move(slice));
  }
}

auto TokenTrieNodes::slice(int64_t room) const -> const Slice* {
  for (const Slice& slice : slices_) {
    if (room < 0 || (slice.room >= 0 && slice.room <= room)) return &slice;
  }
  return nullptr;
}

std::shared_ptr<const TokenTrie> TokenTrie::make(const std::vector<std::string>& token_bytes,
                                                 const std::vector<int32_t>& added) {
  return std::make_shared<TokenTrieNodes>(token_bytes, added);
}

std::shared_ptr<const TokenTrie> TokenTrie::make(const Tokenizer& tokenizer) {
  std::vector<std::string> token_bytes;
  std::vector<int32_t> added;
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    token_bytes.emplace_back(tokenizer.token_bytes(id));
    if (tokenizer.is_added(id)) added.push_back(id);
  }
  return make(token_bytes, added);
}

}  // namespace qwen3
