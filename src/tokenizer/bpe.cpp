#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

#include "base/error.h"

namespace qwen3 {
namespace {

// Pieces up to this many bytes are merged in arrays: moving the tail and scanning for the lowest
// rank is quadratic but cheaper than a heap. Measured on long Chinese and hexadecimal pieces.
constexpr size_t kShortPiece = 128;

}  // namespace

Bpe::Bpe(Vocabulary vocabulary, const std::vector<Merge>& merges, IgnoreMerges ignore_merges)
    : vocabulary_(std::move(vocabulary)) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    byte_tokens_[byte] = vocabulary_.find({&c, 1}, TokenKind::bytes);
    QWEN3_CHECK(byte_tokens_[byte] >= 0, ErrorKind::internal, "bpe: byte {} has no token", byte);
  }
  pairs_.resize(std::bit_ceil(2 * merges.size() + 2));
  pair_shift_ = 64 - std::countr_zero(pairs_.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    add_pair(merges[rank], static_cast<uint32_t>(rank));
  }

  whole_.resize(static_cast<size_t>(vocabulary_.size()));
  Scratch scratch;
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    if (vocabulary_.kind(id) != TokenKind::bytes) continue;
    const std::string_view bytes = vocabulary_.bytes(id);
    if (ignore_merges == IgnoreMerges::no) {
      ids.clear();
      encode(bytes, ids, scratch);
      if (ids.size() != 1 || ids[0] != id) continue;
    }
    whole_[static_cast<size_t>(id)] = true;
    longest_whole_ = std::max(longest_whole_, bytes.size());
  }
}

void Bpe::add_pair(const Merge& merge, uint32_t rank) {
  // find_pair gives the free slot where the new pair belongs.
  auto& slot = const_cast<Pair&>(find_pair(merge.left, merge.right));
  QWEN3_CHECK(slot.key == kNoKey, ErrorKind::internal, "bpe: merge {} occurs twice", rank);
  slot = {static_cast<uint64_t>(merge.left) << 32 | static_cast<uint32_t>(merge.right),
          rank,
          merge.result};
}

const Bpe::Pair& Bpe::find_pair(int32_t left, int32_t right) const {
  const uint64_t key = static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  const size_t mask = pairs_.size() - 1;
  size_t i = (key ^ key >> 29) * 0x9E3779B97F4A7C15 >> pair_shift_;
  while (pairs_[i].key != key && pairs_[i].key != kNoKey) i = (i + 1) & mask;
  return pairs_[i];
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& ids, Scratch& scratch) const {
  if (piece.size() <= longest_whole_) {
    const int32_t id = vocabulary_.find(piece, TokenKind::bytes);
    if (id >= 0 && whole_[static_cast<size_t>(id)]) {
      ids.push_back(id);
      return;
    }
  }
  if (piece.size() <= kShortPiece) {
    merge_short(piece, ids);
  } else {
    merge_long(piece, ids, scratch);
  }
}

void Bpe::merge_short(std::string_view piece, std::vector<int32_t>& ids) const {
  if (piece.empty()) return;
  int32_t symbols[kShortPiece];
  uint32_t ranks[kShortPiece];  // ranks[i]: the pair (symbols[i], symbols[i + 1])
  size_t n = piece.size();
  for (size_t i = 0; i < n; ++i) symbols[i] = byte_token(static_cast<unsigned char>(piece[i]));
  for (size_t i = 0; i + 1 < n; ++i) ranks[i] = rank_of(symbols[i], symbols[i + 1]);
  while (n > 1) {
    const size_t n_pairs = n - 1;
    const size_t best = static_cast<size_t>(std::min_element(ranks, ranks + n_pairs) - ranks);
    if (ranks[best] == kNoRank) break;
    symbols[best] = find_pair(symbols[best], symbols[best + 1]).result;
    std::copy(symbols + best + 2, symbols + n, symbols + best + 1);
    if (best + 1 < n_pairs) std::copy(ranks + best + 2, ranks + n_pairs, ranks + best + 1);
    --n;
    if (best > 0) ranks[best - 1] = rank_of(symbols[best - 1], symbols[best]);
    if (best + 1 < n) ranks[best] = rank_of(symbols[best], symbols[best + 1]);
  }
  ids.insert(ids.end(), symbols, symbols + n);
}

void Bpe::merge_long(std::string_view piece, std::vector<int32_t>& ids, Scratch& scratch) const {
  // A heap entry is rank << 32 | position: the lowest rank, then the leftmost. An entry is stale
  // when the pair at its position has another rank by now.
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  const auto n = static_cast<int32_t>(piece.size());
  symbols.clear();
  heap.clear();
  for (int32_t i = 0; i < n; ++i) {
    const auto byte = static_cast<unsigned char>(piece[static_cast<size_t>(i)]);
    symbols.push_back({byte_token(byte), i - 1, i + 1 < n ? i + 1 : -1, kNoRank});
  }
  const auto at = [&](int32_t i) -> Scratch::Symbol& { return symbols[static_cast<size_t>(i)]; };
  const auto update_rank = [&](int32_t i) {
    at(i).rank = at(i).next < 0 ? kNoRank : rank_of(at(i).id, at(at(i).next).id);
    if (at(i).rank == kNoRank) return false;
    heap.push_back(static_cast<uint64_t>(at(i).rank) << 32 | static_cast<uint32_t>(i));
    return true;
  };
  const auto lowest_first = std::greater<>();
  for (int32_t i = 0; i < n; ++i) update_rank(i);
  std::make_heap(heap.begin(), heap.end(), lowest_first);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), lowest_first);
    const auto i = static_cast<int32_t>(heap.back() & UINT32_MAX);
    const auto rank = static_cast<uint32_t>(heap.back() >> 32);
    heap.pop_back();
    if (at(i).rank != rank) continue;
    const int32_t gone = at(i).next;
    at(i).id = find_pair(at(i).id, at(gone).id).result;
    at(i).next = at(gone).next;
    at(gone).rank = kNoRank;
    if (at(i).next >= 0) at(at(i).next).previous = i;
    if (update_rank(i)) std::push_heap(heap.begin(), heap.end(), lowest_first);
    if (at(i).previous >= 0 && update_rank(at(i).previous)) {
      std::push_heap(heap.begin(), heap.end(), lowest_first);
    }
  }
  for (int32_t i = 0; i >= 0; i = at(i).next) ids.push_back(at(i).id);
}

}  // namespace qwen3
