#include "parallel/shard.h"

#include <numeric>

namespace qwen3 {

Range share(const Leaves& all, Range leaves) {
  return {all.bound(static_cast<int>(leaves.begin)), all.bound(static_cast<int>(leaves.end))};
}

std::vector<Range> nodes_of(Range leaves) {
  std::vector<Range> nodes;
  while (!leaves.empty()) {
    int64_t size = kLeaves;
    while (leaves.begin % size != 0 || leaves.begin + size > leaves.end) size /= 2;
    nodes.push_back({leaves.begin, leaves.begin + size});
    leaves.begin += size;
  }
  return nodes;
}

HeadShare head_share(int64_t n_heads, int64_t n_kv_heads, Range query_heads) {
  HeadShare heads{query_heads, {}};
  const int64_t group = n_heads / n_kv_heads;
  const int64_t local =
      std::gcd(group, std::gcd(query_heads.begin % group, query_heads.end % group));
  for (int64_t head = query_heads.begin; head < query_heads.end; head += local) {
    heads.kv_heads.push_back(head / group);
  }
  return heads;
}

Range vocabulary_share(int64_t vocab_size, const Shard& shard) {
  if (vocab_size <= (kLeaves - 1) * kVocabularyUnit) {
    return shard.rank == 0 ? Range{0, vocab_size} : Range{};
  }
  return share({.size = vocab_size, .unit = kVocabularyUnit}, shard.leaves());
}

}  // namespace qwen3
