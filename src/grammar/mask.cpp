// Matcher: the tokens that may come next.
#include <algorithm>
#include <bit>
#include <memory>
#include <optional>

#include "base/error.h"
#include "grammar/limits.h"
#include "grammar/matcher.h"

namespace qwen3 {
namespace {

constexpr int64_t kCheapEdges = 512;  // walks below are as fast as a copy of their mask

void allow(std::span<uint64_t> allowed, int32_t token) {
  allowed[static_cast<size_t>(token) / 64] |= uint64_t{1} << (token % 64);
}

void copy_mask(std::span<uint64_t> allowed, const std::vector<uint64_t>& mask) {
  std::fill(std::copy(mask.begin(), mask.end(), allowed.begin()), allowed.end(), 0);
}

// The only token of the mask, or -1.
int32_t only_token(std::span<const uint64_t> allowed) {
  int32_t token = -1;
  for (size_t i = 0; i < allowed.size(); ++i) {
    if (allowed[i] == 0) continue;
    if (token >= 0 || !std::has_single_bit(allowed[i])) return -1;
    token = static_cast<int32_t>(i * 64) + std::countr_zero(allowed[i]);
  }
  return token;
}

}  // namespace

auto Matcher::fill(std::span<uint64_t> allowed, int32_t& one) -> Fill {
  const int32_t n_tokens = trie_->n_tokens();
  QWEN3_CHECK(std::ssize(allowed) * 64 >= n_tokens,
              ErrorKind::internal,
              "a mask of {} bits for {} tokens",
              allowed.size() * 64,
              n_tokens);
  n_edges_ = 0;
  const bool at_start = positions_.size() == 1;
  if (at_start && *grammar_->start_is_too_complex) memory_->spend(INT64_MAX / 2);
  try {
    with_memory([&] { make_mask(allowed); });
  } catch (const Error&) {
    if (at_start) *grammar_->start_is_too_complex = true;
    throw;
  }
  one = only_token(allowed);
  return one >= 0 && !may_end() ? Fill::one : Fill::mask;
}

void Matcher::make_mask(std::span<uint64_t> allowed) {
  const int32_t config = positions_.back().config;
  // Where there is no end in time nothing is gained by forbidding anything.
  const bool closing = room_ >= 0 && memory_->bytes_to_end(config) <= room_;
  limit_ = closing ? room_ - 1 : kNoLimit;
  for (const Mask& mask : masks_) {
    if (mask.config != config || mask.most_to_end > limit_) continue;
    copy_mask(allowed, *mask.allowed);
    return;
  }
  const int64_t work_left = memory_->work_left();
  if (!closing && find_shared_mask(allowed)) return;
  walk_from_here(allowed);
  if (!options_.cache || depends_on_text_ || any_cut_ || n_edges_ <= kCheapEdges) return;
  const auto mask = std::make_shared<const std::vector<uint64_t>>(
      allowed.begin(),
      allowed.begin() + static_cast<std::ptrdiff_t>((trie_->n_tokens() + 63) / 64));
  keep_mask({config, mask, closing ? most_to_end_ : kNoLimit});
  if (!closing && !place_.empty()) {
    shared_masks_->add(place_, {mask, work_left - memory_->work_left()});
  }
}

// A token may lead there.
bool Matcher::is_in_time(int32_t config) {
  if (limit_ == kNoLimit) return true;
  const int64_t bytes = memory_->bytes_to_end(config);
  if (bytes > limit_) {
    any_cut_ = true;
    return false;
  }
  most_to_end_ = std::max(most_to_end_, bytes);
  return true;
}

void Matcher::walk_from_here(std::span<uint64_t> allowed) {
  const int32_t config = positions_.back().config;
  any_cut_ = false;
  most_to_end_ = 0;
  const auto* slice = options_.slices ? trie_->slice(memory_->plain_room(config)) : nullptr;
  if (limit_ != kNoLimit && slice != nullptr) {
    most_to_end_ = memory_->bytes_behind_plain(config);
    if (most_to_end_ > limit_) slice = nullptr;
  }
  if (slice != nullptr) {
    copy_mask(allowed, slice->mask);
  } else {
    most_to_end_ = 0;
    std::fill(allowed.begin(), allowed.end(), 0);
  }
  depends_on_text_ = false;
  walk(slice != nullptr ? slice->rest : trie_->tree(), allowed);
  memory_->spend(n_edges_ / 16);
  for (const auto& [twin, token] : trie_->twins()) {
    if ((allowed[static_cast<size_t>(token) / 64] >> (token % 64) & 1) != 0) allow(allowed, twin);
  }
  if (!memory_->facts(config).has_tokens) return;
  // By number, for the next configuration may move them.
  for (size_t i = 0; i < memory_->items(config).size(); ++i) {
    const Node& node = grammar_->node(memory_->items(config)[i].node);
    if (node.kind != Node::Kind::token || node.arg >= trie_->n_tokens()) continue;
    if (limit_ == kNoLimit || is_in_time(memory_->next_token(config, node.arg))) {
      allow(allowed, node.arg);
    }
  }
}

// What another answer of the grammar has worked out where this one stands.
bool Matcher::find_shared_mask(std::span<uint64_t> allowed) {
  const int32_t config = positions_.back().config;
  const auto items = memory_->items(config);
  // Of literals alone a mask is sooner made than found.
  const bool large = std::any_of(items.begin(), items.end(), [&](const Item& item) {
    const Node::Kind kind = grammar_->node(item.node).kind;
    return kind == Node::Kind::text || kind == Node::Kind::bytes;
  });
  place_.clear();
  if (!options_.cache || !large) return false;
  if (!memory_->describe(place_, config)) {
    place_.clear();
    return false;
  }
  const std::optional<SharedMasks::Entry> found = shared_masks_->find(place_);
  if (!found) return false;
  memory_->spend(found->work);
  copy_mask(allowed, *found->allowed);
  keep_mask({config, found->allowed, kNoLimit});
  return true;
}

// A quarter of its share for masks.
void Matcher::keep_mask(Mask mask) {
  const int64_t room = share() / 4 / (std::ssize(*mask.allowed) * 8);
  const auto most = static_cast<size_t>(std::clamp<int64_t>(room, 1, kMaxCachedMasks));
  if (masks_.size() > most) masks_.resize(most);
  if (masks_.size() < most) {
    masks_.push_back(std::move(mask));
  } else {
    masks_[oldest_mask_++ % most] = std::move(mask);
  }
}

void Matcher::walk(const TokenTree& tree, std::span<uint64_t> allowed) {
  const size_t n = tree.nodes.size();
  const auto& byte_class = grammar_->byte_class;
  const bool has_keys = !grammar_->members.empty();
  path_.resize(static_cast<size_t>(tree.depth) + 1);
  const int32_t config = positions_.back().config;
  Step* step = path_.data();
  *step = {n, config, memory_->row(config)};
  for (size_t i = 0; i < n;) {
    while (i >= step->end) --step;
    const TrieNode node = tree.nodes[i];
    ++n_edges_;
    int32_t to = step->row != nullptr ? step->row[byte_class[node.byte()]] : -1;
    if (to < 0) {
      to = memory_->next(step->config, node.byte(), nullptr);
      step->row = memory_->row(step->config);
    }
    if (to == Configurations::kDead) {
      i += node.size;
      continue;
    }
    if (has_keys && memory_->facts(to).behind_some_key) {
      check_subtree(std::span(tree.nodes).subspan(i, node.size), allowed);
      i += node.size;
      continue;
    }
    if (node.token() >= 0 && is_in_time(to)) allow(allowed, node.token());
    if (node.size > 1) *++step = {i + node.size, to, memory_->row(to)};
    ++i;
  }
}

// Tokens that end a key and begin another.
void Matcher::check_subtree(std::span<const TrieNode> nodes, std::span<uint64_t> allowed) {
  depends_on_text_ = true;
  for (const TrieNode node : nodes) {
    if (node.token() < 0) continue;
    const int32_t config = behind(node.token()).config;
    text_.resize(static_cast<size_t>(positions_.back().text_size));
    if (config != Configurations::kDead && is_in_time(config)) allow(allowed, node.token());
  }
}

}  // namespace qwen3
