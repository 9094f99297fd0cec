#include "base/nearest.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace qwen3 {
namespace {

// Words longer than this are not typing errors of a known word.
constexpr size_t kMaxWordBytes = 64;

// Edit distance with swaps of neighbours (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string nearest(std::string_view word, std::span<const std::string> known) {
  if (word.size() > kMaxWordBytes) return {};
  std::string best;
  // The beginning of a known word is that word: "--temp" is no "--help".
  if (word.find_last_not_of('-') != word.npos && word.size() - word.find_first_not_of('-') >= 3) {
    for (const std::string& candidate : known) {
      const bool begins = candidate.starts_with(word) && candidate != word;
      if (begins && (best.empty() || candidate.size() < best.size())) best = candidate;
    }
    if (!best.empty()) return best;
  }
  size_t best_distance = std::min<size_t>(3, word.size() / 2) + 1;
  for (const std::string& candidate : known) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> known) {
  const std::string best = nearest(word, known);
  return best.empty() ? std::string() : fmt::format("; did you mean \"{}\"?", best);
}

}  // namespace qwen3
