// The entries of a matrix.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qwen3::eval {

struct Matrix {
  std::string around;  // "(" of pmatrix, "|" of vmatrix; empty: nothing
  std::vector<std::vector<std::string>> rows;
};

// `text` (of plain_latex()) as one matrix; nothing when it is none, or more than that.
std::optional<Matrix> read_matrix(std::string_view text);

}  // namespace qwen3::eval
