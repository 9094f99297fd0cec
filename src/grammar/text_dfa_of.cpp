// TextDfa of a list of texts, and of two automata behind each other.
#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/utf8.h"
#include "grammar/limits.h"
#include "grammar/nfa.h"
#include "grammar/text_dfa.h"

namespace qwen3 {
namespace {

std::u32string code_points_of(std::string_view text) {
  QWEN3_CHECK(utf8_valid(text), ErrorKind::invalid_argument, "a text of a grammar: expected UTF-8");
  std::u32string result;
  for (size_t pos = 0; pos < text.size();) result.push_back(utf8_decode(text, pos));
  return result;
}

// Daciuk et al. 2000: from sorted texts, sharing what follows as soon as a branch is complete.
class SortedTexts {
 public:
  explicit SortedTexts(std::vector<std::u32string> sorted) {
    path_.emplace_back();
    std::u32string_view previous;
    for (const std::u32string& text : sorted) {
      size_t common = 0;
      while (common < previous.size() && common < text.size() && previous[common] == text[common])
        ++common;
      close(common);
      for (size_t i = common; i < text.size(); ++i) {
        path_.back().edges.push_back({text[i], text[i], -1});
        path_.emplace_back();
      }
      path_.back().accepts = true;
      previous = text;
    }
    close(0);
  }

  // State 0 must be the first: the root is interned last, so the order is turned around.
  TextDfa make() {
    states_.push_back(std::move(path_[0]));
    const auto last = static_cast<int32_t>(states_.size()) - 1;
    std::reverse(states_.begin(), states_.end());
    for (TextDfa::State& state : states_) {
      for (TextDfa::Edge& edge : state.edges) edge.to = last - edge.to;
    }
    return TextDfa(std::move(states_));
  }

 private:
  void close(size_t depth) {
    while (path_.size() > depth + 1) {
      const int32_t id = intern(std::move(path_.back()));
      path_.pop_back();
      path_.back().edges.back().to = id;
    }
  }

  int32_t intern(TextDfa::State state) {
    std::vector<int64_t> key{state.accepts ? 1 : 0};
    for (const TextDfa::Edge& edge : state.edges) {
      key.push_back(static_cast<int64_t>(edge.first) << 32 | edge.to);
    }
    const auto [entry, is_new] =
        ids_.try_emplace(std::move(key), static_cast<int32_t>(states_.size()));
    if (is_new) {
      if (std::ssize(states_) >= kMaxDfaStates) {
        throw GrammarError(
            GrammarFault::too_complex, "", "the list of texts needs too many states");
      }
      states_.push_back(std::move(state));
    }
    return entry->second;
  }

  std::vector<TextDfa::State> path_, states_;
  std::map<std::vector<int64_t>, int32_t> ids_;
};

// The states of `dfa` as states of `nfa`; the number of its first one.
int32_t add_to(Nfa& nfa, const TextDfa& dfa) {
  const int32_t first = nfa.n_states();
  for (size_t i = 0; i < dfa.states().size(); ++i) nfa.add_state();
  for (size_t i = 0; i < dfa.states().size(); ++i) {
    std::map<int32_t, std::vector<CodePoints::Range>> by_target;
    for (const TextDfa::Edge& edge : dfa.states()[i].edges) {
      by_target[edge.to].push_back({edge.first, edge.last});
    }
    for (auto& [to, ranges] : by_target) {
      nfa.add_step(
          first + static_cast<int32_t>(i), nfa.add_set(CodePoints(std::move(ranges))), first + to);
    }
  }
  return first;
}

}  // namespace

TextDfa TextDfa::of(const std::vector<std::string>& texts) {
  std::vector<std::u32string> sorted;
  for (const std::string& text : texts) sorted.push_back(code_points_of(text));
  std::sort(sorted.begin(), sorted.end());
  return SortedTexts(std::move(sorted)).make();
}

TextDfa TextDfa::then(const TextDfa& other) const {
  Nfa nfa;
  add_to(nfa, *this);
  const int32_t second = add_to(nfa, other);
  const int32_t end = nfa.add_state();
  for (size_t i = 0; i < states_.size(); ++i) {
    if (states_[i].accepts) nfa.add_free(static_cast<int32_t>(i), second);
  }
  for (size_t i = 0; i < other.states_.size(); ++i) {
    if (other.states_[i].accepts) nfa.add_free(second + static_cast<int32_t>(i), end);
  }
  nfa.accept(end);
  return nfa.determinize();
}

}  // namespace qwen3
