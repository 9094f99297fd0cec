#include "eval/tasks/matrix.h"

#include <cstddef>

namespace qwen3::eval {
namespace {

constexpr std::string_view kBegin = "\\begin{matrix}", kEnd = "\\end{matrix}", kRow = "\\\\";

// Where the matrix that begins at text[0] ends; npos when it does not.
size_t end_of(std::string_view text) {
  int depth = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const std::string_view rest = text.substr(at);
    if (rest.starts_with(kBegin)) ++depth;
    if (rest.starts_with(kEnd) && --depth == 0) return at;
  }
  return std::string_view::npos;
}

std::vector<std::vector<std::string>> split_rows(std::string_view inside) {
  std::vector<std::vector<std::string>> rows(1, std::vector<std::string>(1));
  int depth = 0;
  for (size_t at = 0; at < inside.size(); ++at) {
    const std::string_view rest = inside.substr(at);
    depth += rest.starts_with(kBegin);
    depth -= rest.starts_with(kEnd);
    if (depth == 0 && rest.starts_with(kRow)) {
      rows.emplace_back(1);
      ++at;
    } else if (depth == 0 && rest[0] == '&') {
      rows.back().emplace_back();
    } else {
      rows.back().back() += rest[0];
    }
  }
  return rows;
}

}  // namespace

std::optional<Matrix> read_matrix(std::string_view text) {
  const size_t begin = text.find(kBegin);
  if (begin == std::string_view::npos || begin > 2) return std::nullopt;
  const std::string_view matrix = text.substr(begin);
  const size_t end = end_of(matrix);
  if (end == std::string_view::npos) return std::nullopt;
  // As much behind it as in front: its brackets, and no power and no further term.
  const std::string_view behind = matrix.substr(end + kEnd.size());
  const std::string_view around = text.substr(0, begin);
  if (around.find_first_not_of("([{|\\") != std::string_view::npos) return std::nullopt;
  if (behind.find_first_not_of(")]}|\\") != std::string_view::npos) return std::nullopt;
  if (behind.size() != around.size()) return std::nullopt;
  return Matrix{std::string(around), split_rows(matrix.substr(kBegin.size(), end - kBegin.size()))};
}

}  // namespace qwen3::eval
