// AllowedTokens: what a constraint leaves of the vocabulary for one token, ready for the sampler: end tokens,
// min_tokens and ids without a token are settled.
#pragma once

#include <cstdint>
#include <vector>

namespace qwen3 {

struct AllowedTokens {
  enum class Kind {
    all_but,  // `ids` are forbidden
    only,     // `ids`, ascending, are allowed; possibly none
    bits,     // bit i % 64 of bits[i / 64] says it of token i
  };

  Kind kind = Kind::all_but;
  std::vector<int32_t> ids = {};
  std::vector<uint64_t> bits = {};
  int64_t n_bits = 0;  // that are set
  bool over = false;   // nothing is allowed, and the answer is complete

  // Nothing to choose.
  bool forced() const { return kind == Kind::only && ids.size() == 1; }
  bool has(int32_t id) const;
};

}  // namespace qwen3
