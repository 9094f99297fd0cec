#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "tokenizer/unicode_classes.h"

namespace qwen3 {
namespace {

constexpr int32_t kRoot = 0;

bool has_class(std::string_view text, size_t pos, UnicodeClass wanted) {
  return (unicode_classes()[utf8_decode(text, pos)] & wanted) != 0;
}

// Start of the code point that ends at `end`. REQUIRES: end > 0.
size_t previous_start(std::string_view text, size_t end) {
  do {
    --end;
  } while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  return end;
}

bool word_at(std::string_view text, size_t pos) {
  return pos < text.size() && has_class(text, pos, kWord);
}

bool word_before(std::string_view text, size_t pos) {
  return pos > 0 && has_class(text, previous_start(text, pos), kWord);
}

// `pos` moved left over the white space before it, not beyond `limit`.
size_t skip_space_left(std::string_view text, size_t pos, size_t limit) {
  while (pos > limit) {
    const size_t start = previous_start(text, pos);
    if (!has_class(text, start, kSpace)) break;
    pos = start;
  }
  return pos;
}

size_t skip_space_right(std::string_view text, size_t pos) {
  while (pos < text.size() && has_class(text, pos, kSpace)) utf8_decode(text, pos);
  return pos;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::fill(std::begin(root_children_), std::end(root_children_), -1);
  nodes_.emplace_back();
  for (size_t i = 0; i < tokens_.size(); ++i) insert(static_cast<int32_t>(i));
  link_fallbacks();
}

int32_t AddedTokenMatcher::child(int32_t node, unsigned char byte) const {
  if (node == kRoot) return root_children_[byte];
  int32_t c = nodes_[static_cast<size_t>(node)].first_child;
  while (c >= 0 && nodes_[static_cast<size_t>(c)].byte != byte) {
    c = nodes_[static_cast<size_t>(c)].next_sibling;
  }
  return c;
}

int32_t AddedTokenMatcher::step(int32_t node, unsigned char byte) const {
  while (true) {
    const int32_t next = child(node, byte);
    if (next >= 0) return next;
    if (node == kRoot) return kRoot;
    node = nodes_[static_cast<size_t>(node)].fallback;
  }
}

void AddedTokenMatcher::insert(int32_t token) {
  const std::string& content = tokens_[static_cast<size_t>(token)].content;
  int32_t node = kRoot;
  for (size_t i = content.size(); i-- > 0;) {
    const auto byte = static_cast<unsigned char>(content[i]);
    int32_t next = child(node, byte);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      Node& parent = nodes_[static_cast<size_t>(node)];
      Node added;
      added.byte = byte;
      added.next_sibling = std::exchange(parent.first_child, next);
      if (node == kRoot) root_children_[byte] = next;
      nodes_.push_back(added);
    }
    node = next;
  }
  nodes_[static_cast<size_t>(node)].longest = token;
}

void AddedTokenMatcher::link_fallbacks() {
  std::vector<int32_t> queue{kRoot};  // breadth first: a fallback is shallower than its node
  for (size_t i = 0; i < queue.size(); ++i) {
    const int32_t parent = queue[i];
    for (int32_t c = nodes_[static_cast<size_t>(parent)].first_child; c >= 0;) {
      Node& node = nodes_[static_cast<size_t>(c)];
      if (parent != kRoot) {
        node.fallback = step(nodes_[static_cast<size_t>(parent)].fallback, node.byte);
      }
      if (node.longest < 0) node.longest = nodes_[static_cast<size_t>(node.fallback)].longest;
      queue.push_back(c);
      c = node.next_sibling;
    }
  }
}

std::vector<AddedTokenMatcher::Match> AddedTokenMatcher::matches_from_the_end(
    std::string_view text) const {
  std::vector<Match> matches;
  int32_t node = kRoot;
  for (size_t i = text.size(); i-- > 0;) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (node == kRoot) {
      node = root_children_[byte];
      if (node < 0) {
        node = kRoot;
        continue;
      }
    } else {
      node = step(node, byte);
    }
    const int32_t token = nodes_[static_cast<size_t>(node)].longest;
    if (token >= 0) matches.push_back({static_cast<uint32_t>(i), token});
  }
  return matches;
}

void AddedTokenMatcher::split(std::string_view text, std::vector<TextPart>& parts) const {
  const std::vector<Match> matches = matches_from_the_end(text);
  size_t searched = 0;  // end of the last match of the search, taken or refused
  size_t done = 0;      // end of the last part
  for (size_t i = matches.size(); i-- > 0;) {
    const AddedToken& token = tokens_[static_cast<size_t>(matches[i].token)];
    size_t begin = matches[i].begin;
    if (begin < searched) continue;
    size_t end = begin + token.content.size();
    searched = end;
    if (token.single_word && (word_before(text, begin) || word_at(text, end))) continue;
    if (token.lstrip) begin = std::max(skip_space_left(text, begin, 0), done);
    if (token.rstrip) end = skip_space_right(text, end);
    if (done < begin) parts.push_back({text.substr(done, begin - done), -1});
    parts.push_back({text.substr(begin, end - begin), token.id});
    done = end;
  }
  if (done < text.size()) parts.push_back({text.substr(done), -1});
}

}  // namespace qwen3
