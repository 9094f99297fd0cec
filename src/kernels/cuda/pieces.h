// Into how many pieces a sum over a matrix's inputs is cut (layout.h), when ranks hold parts of the matrix.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/cuda/layout.h"
#include "tensor/leaves.h"

namespace qwen3::cuda {

// Of the part of a matrix [n_out, n_in] that has all inputs (no leaves), or those below a node. None if the
// ends of the part lie within pieces of the whole.
inline std::optional<int32_t> pieces_of(int64_t n_out, int64_t n_in, const Leaves& part) {
  if (!part) return n_segments(n_out, n_in);
  const int pieces = n_shared_segments(n_out, n_in);
  if (part.count() == n_in) return pieces;
  const auto before = [&](int64_t inputs) { return inputs * pieces / n_in; };
  const int64_t first = part.first(), last = first + part.count();
  if (first * pieces % n_in != 0 || last * pieces % n_in != 0) return std::nullopt;
  return static_cast<int32_t>(before(last) - before(first));
}

}  // namespace qwen3::cuda
