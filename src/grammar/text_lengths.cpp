#include "grammar/text_lengths.h"

#include <algorithm>
#include <map>

#include "grammar/limits.h"

namespace qwen3 {
namespace {

constexpr int64_t kMaxLayerBits = 1 << 26;  // 8 MiB

// The states that reach one of `targets` by one code point.
std::vector<bool> before(const TextDfa& dfa, const std::vector<bool>& targets) {
  std::vector<bool> found(targets.size(), false);
  for (size_t i = 0; i < targets.size(); ++i) {
    for (const TextDfa::Edge& edge : dfa.states()[i].edges) {
      if (!targets[static_cast<size_t>(edge.to)]) continue;
      found[i] = true;
      break;
    }
  }
  return found;
}

}  // namespace

TextLengths::TextLengths(const TextDfa& dfa, int64_t min, int64_t max)
    : min_(min), max_(max), n_states_(std::ssize(dfa.states())) {
  shortest_.assign(static_cast<size_t>(n_states_), -1);
  std::vector<bool> layer;
  int64_t n_edges = 0;
  for (const TextDfa::State& state : dfa.states()) {
    layer.push_back(state.accepts);
    n_edges += std::ssize(state.edges) + 1;
  }
  std::map<std::vector<bool>, size_t> known;
  for (int64_t work = 0;; layer = before(dfa, layer)) {
    const auto [entry, is_new] = known.try_emplace(layer, ends_in_.size());
    if (!is_new) {
      repeats_from_ = entry->second;
      return;
    }
    work += n_edges;
    if ((std::ssize(ends_in_) + 1) * n_states_ > kMaxLayerBits || work > kMaxDfaWork) {
      throw GrammarError(
          GrammarFault::too_complex,
          "",
          "a pattern together with these bounds of its length takes too long to work out");
    }
    for (size_t i = 0; i < layer.size(); ++i) {
      if (layer[i] && shortest_[i] < 0) shortest_[i] = std::ssize(ends_in_);
    }
    ends_in_.push_back(layer);
    if (max_ >= 0 && std::ssize(ends_in_) > max_) {  // longer texts are never asked for
      repeats_from_ = ends_in_.size() - 1;
      return;
    }
  }
}

size_t TextLengths::layer(int64_t n) const {
  const int64_t n_layers = std::ssize(ends_in_), from = static_cast<int64_t>(repeats_from_);
  return static_cast<size_t>(n < n_layers ? n : from + (n - from) % (n_layers - from));
}

std::optional<int64_t> TextLengths::ends_after(int32_t state, int64_t length) const {
  const auto i = static_cast<size_t>(state);
  const int64_t first = std::max<int64_t>(0, min_ - length);
  const int64_t last = max_ < 0 ? first + std::ssize(ends_in_) : max_ - length;
  if (shortest_[i] < 0 || last < first) return std::nullopt;
  if (first == 0) return shortest_[i] <= last ? std::optional(shortest_[i]) : std::nullopt;
  // All different layers come within this many steps.
  const int64_t end = std::min(last, first + std::ssize(ends_in_));
  for (int64_t n = first; n <= end; ++n) {
    if (ends_in_[layer(n)][i]) return n;
  }
  return std::nullopt;
}

}  // namespace qwen3
