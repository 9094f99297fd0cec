#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "base/error.h"

namespace qwen3 {
namespace {

// Pieces up to this many bytes are merged in arrays: scanning all pairs for the lowest rank is
// quadratic, but with vector instructions cheaper than a heap. Measured on runs of Chinese.
constexpr size_t kShortPiece = 192;
constexpr int kPositionBits = 8;
constexpr size_t kLanes = 16;
static_assert(kShortPiece < 1 << kPositionBits && kShortPiece % kLanes == 0);

// Pairs with higher ranks have no key of 31 bits; a vocabulary with that many merges takes the long
// way for every piece.
constexpr size_t kMaxShortMerges = size_t{1} << (31 - kPositionBits);
constexpr int32_t kNoKeyHere = std::numeric_limits<int32_t>::max();

// The lowest of n keys. REQUIRES: n is a multiple of kLanes. The inner loop becomes a few vector
// operations, and the lanes hide their latency.
int32_t lowest(const int32_t* keys, size_t n) {
  int32_t lanes[kLanes];
  std::fill(lanes, lanes + kLanes, kNoKeyHere);
  for (size_t i = 0; i < n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) lanes[j] = std::min(lanes[j], keys[i + j]);
  }
  return *std::min_element(lanes, lanes + kLanes);
}

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
}

// The upper bits of the result are well mixed.
uint64_t scramble(uint64_t key) { return (key ^ key >> 29) * 0x9E3779B97F4A7C15; }

}  // namespace

Bpe::Bpe(Vocabulary vocabulary,
         const std::vector<Merge>& merges,
         IgnoreMerges ignore_merges,
         std::string_view where)
    : vocabulary_(std::move(vocabulary)), n_merges_(merges.size()) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    byte_tokens_[byte] = vocabulary_.find({&c, 1}, TokenKind::bytes);
    QWEN3_CHECK(byte_tokens_[byte] >= 0, ErrorKind::internal, "bpe: byte {} has no token", byte);
  }
  pairs_.resize(std::bit_ceil(merges.size() + merges.size() / 2 + 2));
  pair_shift_ = 64 - std::countr_zero(pairs_.size());
  const size_t n_bits = std::bit_ceil(8 * merges.size() + 64);
  filter_.resize(n_bits / 64);
  filter_shift_ = 64 - std::countr_zero(n_bits);
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    QWEN3_CHECK(add_pair(merges[rank], static_cast<uint32_t>(rank)),
                ErrorKind::corrupt_file,
                "{}: model.merges[{}]: this pair occurred before; expected every pair once",
                where,
                rank);
  }

  whole_.resize(static_cast<size_t>(vocabulary_.size()));
  Scratch scratch;
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    if (vocabulary_.kind(id) != TokenKind::bytes) continue;
    const std::string_view bytes = vocabulary_.bytes(id);
    if (ignore_merges == IgnoreMerges::no) {
      ids.clear();
      merge(bytes, ids, scratch);
      if (ids.size() != 1 || ids[0] != id) continue;
    }
    whole_[static_cast<size_t>(id)] = true;
    longest_whole_ = std::max(longest_whole_, bytes.size());
  }
}

bool Bpe::add_pair(const Merge& merge, uint32_t rank) {
  // find_pair gives the free slot where the new pair belongs.
  auto& slot = const_cast<Pair&>(find_pair(merge.left, merge.right));
  if (slot.key != kNoKey) return false;
  const uint64_t key = pair_key(merge.left, merge.right);
  slot = {key, rank, merge.result};
  const uint64_t bit = scramble(key) >> filter_shift_;
  filter_[bit / 64] |= uint64_t{1} << bit % 64;
  return true;
}

const Bpe::Pair& Bpe::find_pair(int32_t left, int32_t right) const {
  const uint64_t key = pair_key(left, right);
  const size_t mask = pairs_.size() - 1;
  size_t i = scramble(key) >> pair_shift_;
  while (pairs_[i].key != key && pairs_[i].key != kNoKey) i = (i + 1) & mask;
  return pairs_[i];
}

uint32_t Bpe::rank_of(int32_t left, int32_t right) const {
  const uint64_t bit = scramble(pair_key(left, right)) >> filter_shift_;
  if ((filter_[bit / 64] >> bit % 64 & 1) == 0) return kNoRank;
  return find_pair(left, right).rank;
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& ids, Scratch& scratch) const {
  if (piece.empty()) return;
  if (piece.size() <= longest_whole_) {
    const int32_t id = vocabulary_.find(piece, TokenKind::bytes);
    if (id >= 0 && whole_[static_cast<size_t>(id)]) {
      ids.push_back(id);
      return;
    }
  }
  merge(piece, ids, scratch);
}

void Bpe::merge(std::string_view piece, std::vector<int32_t>& ids, Scratch& scratch) const {
  if (piece.size() <= kShortPiece && n_merges_ <= kMaxShortMerges) {
    merge_short(piece, ids);
  } else {
    merge_long(piece, ids, scratch);
  }
}

void Bpe::merge_short(std::string_view piece, std::vector<int32_t>& ids) const {
  // keys[i] is rank << kPositionBits | i for the pair (i, next[i]): the lowest key is the lowest
  // rank, the leftmost among equals. Symbols stay where they are; gone ones have no key.
  int32_t symbols[kShortPiece + 1];
  int32_t keys[kShortPiece];
  uint8_t previous[kShortPiece + 1], next[kShortPiece + 1];
  const size_t n = piece.size();
  const size_t n_padded = (n + kLanes - 1) / kLanes * kLanes;
  const auto key_of = [&](size_t i) {
    const uint32_t rank = rank_of(symbols[i], symbols[next[i]]);
    if (rank == kNoRank) return kNoKeyHere;
    return static_cast<int32_t>(rank << kPositionBits | i);
  };
  for (size_t i = 0; i < n; ++i) {
    symbols[i] = byte_token(static_cast<unsigned char>(piece[i]));
    next[i] = static_cast<uint8_t>(i + 1);
    previous[i] = static_cast<uint8_t>(i - 1);  // of the first symbol: never read
  }
  for (size_t i = 0; i + 1 < n; ++i) keys[i] = key_of(i);
  std::fill(keys + n - 1, keys + n_padded, kNoKeyHere);
  while (true) {
    const int32_t key = lowest(keys, n_padded);
    if (key == kNoKeyHere) break;
    const auto i = static_cast<size_t>(key & ((1 << kPositionBits) - 1));
    const size_t gone = next[i];
    symbols[i] = find_pair(symbols[i], symbols[gone]).result;
    next[i] = next[gone];
    previous[next[i]] = static_cast<uint8_t>(i);
    keys[gone] = kNoKeyHere;
    keys[i] = next[i] < n ? key_of(i) : kNoKeyHere;
    if (i > 0) keys[previous[i]] = key_of(previous[i]);
  }
  for (size_t i = 0; i < n; i = next[i]) ids.push_back(symbols[i]);
}

void Bpe::merge_long(std::string_view piece, std::vector<int32_t>& ids, Scratch& scratch) const {
  auto& symbols = scratch.symbols;
  const auto n = static_cast<int32_t>(piece.size());
  symbols.clear();
  symbols.reserve(piece.size());
  for (int32_t i = 0; i < n; ++i) {
    const auto byte = static_cast<unsigned char>(piece[static_cast<size_t>(i)]);
    symbols.push_back({byte_token(byte), i - 1, i + 1 < n ? i + 1 : -1, kNoRank});
  }
  const auto at = [&](int32_t i) -> Scratch::Symbol& { return symbols[static_cast<size_t>(i)]; };
  RankQueue& queue = scratch.queue;
  queue.prepare(n_merges_, piece.size());
  const auto update_rank = [&](int32_t i) {
    at(i).rank = at(i).next < 0 ? kNoRank : rank_of(at(i).id, at(at(i).next).id);
    if (at(i).rank != kNoRank) queue.push(at(i).rank, i);
  };
  for (int32_t i = 0; i < n; ++i) update_rank(i);
  while (!queue.empty()) {
    const uint32_t rank = queue.lowest();
    const RankQueue::Positions& positions = queue.pop_lowest();
    for (size_t k = 0; k < positions.size(); ++k) {
      const int32_t i = positions[k];
      if (at(i).rank != rank) continue;  // the pair was changed by a merge beside it
      if (!queue.empty() && queue.lowest() < rank) {
        // Only where merges stand in another order than training makes them: the lower rank first.
        for (; k < positions.size(); ++k) queue.push(rank, positions[k]);
        break;
      }
      const int32_t gone = at(i).next;
      at(i).id = find_pair(at(i).id, at(gone).id).result;
      at(i).next = at(gone).next;
      at(gone).rank = kNoRank;
      if (at(i).next >= 0) at(at(i).next).previous = i;
      update_rank(i);
      if (at(i).previous >= 0) update_rank(at(i).previous);
    }
  }
  for (int32_t i = 0; i >= 0; i = at(i).next) ids.push_back(at(i).id);
}

}  // namespace qwen3
