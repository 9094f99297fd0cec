#include "grammar/text_dfa.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "base/time_slice.h"
#include "base/utf8.h"
#include "grammar/code_points.h"
#include "grammar/limits.h"

namespace qwen3 {
namespace {

using State = TextDfa::State;
using Edge = TextDfa::Edge;

constexpr char32_t kLastCodePoint = 0x10FFFF;
// Minimising is worth its time only where automata are small; others are right as they are.
constexpr size_t kMinimizedStates = 1000;
constexpr size_t kMinimizingWork = 1 << 18;  // edges seen: about 0.03 s

size_t at(int32_t state) { return static_cast<size_t>(state); }

std::vector<bool> reachable_from_start(const std::vector<State>& states) {
  std::vector<bool> found(states.size(), false);
  std::vector<int32_t> open{0};
  found[0] = true;
  while (!open.empty()) {
    const int32_t state = open.back();
    open.pop_back();
    for (const Edge& edge : states[at(state)].edges) {
      if (found[at(edge.to)]) continue;
      found[at(edge.to)] = true;
      open.push_back(edge.to);
    }
  }
  return found;
}

std::vector<bool> leading_to_acceptance(const std::vector<State>& states) {
  std::vector<std::vector<int32_t>> sources(states.size());
  std::vector<bool> found(states.size(), false);
  std::vector<int32_t> open;
  for (size_t i = 0; i < states.size(); ++i) {
    for (const Edge& edge : states[i].edges) {
      sources[at(edge.to)].push_back(static_cast<int32_t>(i));
    }
    if (states[i].accepts) {
      found[i] = true;
      open.push_back(static_cast<int32_t>(i));
    }
  }
  while (!open.empty()) {
    const int32_t state = open.back();
    open.pop_back();
    for (const int32_t source : sources[at(state)]) {
      if (found[at(source)]) continue;
      found[at(source)] = true;
      open.push_back(source);
    }
  }
  return found;
}

void add_edge(std::vector<Edge>& edges, const Edge& edge) {
  if (!edges.empty() && edges.back().to == edge.to && edges.back().last + 1 == edge.first) {
    edges.back().last = edge.last;
  } else {
    edges.push_back(edge);
  }
}

// The states for which `id` is not negative, under their new numbers.
std::vector<State> renumbered(const std::vector<State>& states,
                              const std::vector<int32_t>& id,
                              int32_t n_ids) {
  std::vector<State> result(static_cast<size_t>(n_ids));
  for (size_t i = 0; i < states.size(); ++i) {
    if (id[i] < 0 || !result[at(id[i])].edges.empty()) continue;
    State& state = result[at(id[i])];
    state.accepts = states[i].accepts;
    for (const Edge& edge : states[i].edges) {
      if (id[at(edge.to)] >= 0) add_edge(state.edges, {edge.first, edge.last, id[at(edge.to)]});
    }
  }
  return result;
}

std::vector<State> trimmed(const std::vector<State>& states) {
  const auto reachable = reachable_from_start(states);
  const auto live = leading_to_acceptance(states);
  std::vector<int32_t> id(states.size(), -1);
  int32_t n = 0;
  for (size_t i = 0; i < states.size(); ++i) {
    if (i == 0 || (reachable[i] && live[i])) id[i] = n++;
  }
  return renumbered(states, id, n);
}

// Moore's partition refinement. As it is where that takes long: long chains are split state by state.
std::vector<State> minimized(const std::vector<State>& states) {
  std::vector<int32_t> group(states.size());
  for (size_t i = 0; i < states.size(); ++i) group[i] = states[i].accepts ? 1 : 0;
  size_t work = 0;
  for (size_t n_groups = 0;;) {
    std::map<std::vector<uint32_t>, int32_t> groups;
    std::vector<int32_t> finer(states.size());
    for (size_t i = 0; i < states.size(); ++i) {
      std::vector<Edge> edges;
      work += 1 + states[i].edges.size();
      for (const Edge& edge : states[i].edges) {
        add_edge(edges, {edge.first, edge.last, group[at(edge.to)]});
      }
      std::vector<uint32_t> key{static_cast<uint32_t>(group[i])};
      for (const Edge& edge : edges) {
        key.insert(key.end(), {edge.first, edge.last, static_cast<uint32_t>(edge.to)});
      }
      finer[i] =
          groups.try_emplace(std::move(key), static_cast<int32_t>(groups.size())).first->second;
    }
    group = std::move(finer);
    if (groups.size() == n_groups) break;
    if (work > kMinimizingWork) return states;
    n_groups = groups.size();
  }
  return renumbered(states, group, *std::max_element(group.begin(), group.end()) + 1);
}

State looping_state(bool accepts) {
  return {{{0, 0xD7FF, 0}, {0xE000, kLastCodePoint, 0}}, accepts};
}

// Walks two automata side by side; -1 is the state of a text that one of them has refused.
class Product {
 public:
  template <typename Accepts>
  static TextDfa make(const TextDfa& a, const TextDfa& b, bool both_needed, Accepts accepts) {
    Product product(a, b, both_needed);
    product.id_of(0, 0);
    for (size_t i = 0; i < product.pairs_.size(); ++i) {
      const auto [p, q] = product.pairs_[i];
      State state;
      state.accepts =
          accepts(p >= 0 && a.states()[at(p)].accepts, q >= 0 && b.states()[at(q)].accepts);
      product.add_edges(p, q, state.edges);
      product.states_.push_back(std::move(state));
    }
    return TextDfa(std::move(product.states_));
  }

 private:
  Product(const TextDfa& a, const TextDfa& b, bool both_needed)
      : a_(a), b_(b), both_needed_(both_needed) {}

  int32_t id_of(int32_t p, int32_t q) {
    const auto [entry, is_new] = ids_.try_emplace({p, q}, static_cast<int32_t>(pairs_.size()));
    if (is_new) {
      if (std::ssize(pairs_) >= 4 * kMaxDfaStates) {
        throw GrammarError(GrammarFault::too_complex, "", "the set of texts needs too many states");
      }
      pairs_.push_back({p, q});
    }
    return entry->second;
  }

  void add_edges(int32_t p, int32_t q, std::vector<Edge>& edges) {
    static const std::vector<Edge> kNone;
    const auto& left = p < 0 ? kNone : a_.states()[at(p)].edges;
    const auto& right = q < 0 ? kNone : b_.states()[at(q)].edges;
    TimeSlice::spend(std::ssize(left) + std::ssize(right));
    work_ += std::ssize(left) + std::ssize(right);
    if (work_ > kMaxDfaWork) {
      throw GrammarError(
          GrammarFault::too_complex, "", "the set of texts takes too long to work out");
    }
    size_t i = 0, j = 0;
    for (char32_t next = 0; i < left.size() || j < right.size();) {
      // Up to the next place where either automaton changes its mind.
      const bool in_left = i < left.size() && left[i].first <= next;
      const bool in_right = j < right.size() && right[j].first <= next;
      char32_t last = kLastCodePoint;
      if (i < left.size())
        last = std::min<char32_t>(last, in_left ? left[i].last : left[i].first - 1);
      if (j < right.size())
        last = std::min<char32_t>(last, in_right ? right[j].last : right[j].first - 1);
      if (both_needed_ ? in_left && in_right : in_left || in_right) {
        add_edge(edges,
                 {next, last, id_of(in_left ? left[i].to : -1, in_right ? right[j].to : -1)});
      }
      if (in_left && left[i].last == last) ++i;
      if (in_right && right[j].last == last) ++j;
      next = last + 1;
    }
  }

  const TextDfa& a_;
  const TextDfa& b_;
  const bool both_needed_;
  std::map<std::pair<int32_t, int32_t>, int32_t> ids_;
  std::vector<std::pair<int32_t, int32_t>> pairs_;
  std::vector<State> states_;
  int64_t work_ = 0;
};

}  // namespace

TextDfa::TextDfa(std::vector<State> states) : states_(std::move(states)) {
  if (states_.empty()) states_.emplace_back();
  for (State& state : states_) {
    std::vector<Edge> edges;
    for (const Edge& edge : state.edges) {
      for (const auto& range : CodePoints({{edge.first, edge.last}}).ranges()) {
        add_edge(edges, {range.first, range.last, edge.to});
      }
    }
    state.edges = std::move(edges);
  }
  states_ = trimmed(states_);
  if (states_.size() <= kMinimizedStates) states_ = minimized(states_);
  if (std::ssize(states_) > kMaxDfaStates) {
    throw GrammarError(GrammarFault::too_complex, "", "the set of texts needs too many states");
  }
}

TextDfa TextDfa::all() { return TextDfa({looping_state(true)}); }

TextDfa TextDfa::none() { return TextDfa({State{}}); }

TextDfa TextDfa::length(int64_t min, int64_t max) {
  if (max >= 0 && min > max) return none();
  const int64_t n = std::max(min, max) + 1;
  if (n > kMaxDfaStates) {
    throw GrammarError(GrammarFault::too_complex, "", "the set of texts needs too many states");
  }
  std::vector<State> states;
  for (int64_t i = 0; i < n; ++i) {
    State state = looping_state(i >= min);
    for (Edge& edge : state.edges) edge.to = static_cast<int32_t>(std::min(i + 1, n - 1));
    if (max >= 0 && i == n - 1) state.edges.clear();
    states.push_back(std::move(state));
  }
  return TextDfa(std::move(states));
}

TextDfa TextDfa::operator&(const TextDfa& other) const {
  return Product::make(*this, other, true, [](bool a, bool b) { return a && b; });
}

TextDfa TextDfa::operator|(const TextDfa& other) const {
  return Product::make(*this, other, false, [](bool a, bool b) { return a || b; });
}

TextDfa TextDfa::complement() const {
  std::vector<State> states = states_;
  const auto refused = static_cast<int32_t>(states.size());
  for (State& state : states) {
    state.accepts = !state.accepts;
    std::vector<Edge> edges;
    char32_t next = 0;
    for (const Edge& edge : state.edges) {
      if (edge.first > next) edges.push_back({next, edge.first - 1, refused});
      edges.push_back(edge);
      next = edge.last + 1;
    }
    if (next <= kLastCodePoint) edges.push_back({next, kLastCodePoint, refused});
    state.edges = std::move(edges);
  }
  states.push_back({{{0, kLastCodePoint, refused}}, true});
  return TextDfa(std::move(states));
}

bool TextDfa::empty() const { return states_.size() == 1 && !states_[0].accepts; }

bool TextDfa::universal() const {
  return std::all_of(states_.begin(), states_.end(), [](const State& state) {
    int64_t covered = 0;
    for (const Edge& edge : state.edges) covered += int64_t{edge.last} - edge.first + 1;
    return state.accepts && covered == kLastCodePoint + 1 - 0x800;
  });
}

bool TextDfa::contains(std::string_view utf8) const {
  int32_t state = 0;
  for (size_t pos = 0; pos < utf8.size();) {
    if (utf8_sequence_length(utf8, pos) == 0) return false;
    const char32_t c = utf8_decode(utf8, pos);
    const auto& edges = states_[at(state)].edges;
    const auto edge = std::lower_bound(
        edges.begin(), edges.end(), c, [](const Edge& e, char32_t x) { return e.last < x; });
    if (edge == edges.end() || edge->first > c) return false;
    state = edge->to;
  }
  return states_[at(state)].accepts;
}

bool TextDfa::finite() const {
  // All states lead to acceptance, so any cycle makes it infinite: remove states without predecessors.
  std::vector<int32_t> n_sources(states_.size(), 0);
  for (const State& state : states_) {
    for (const Edge& edge : state.edges) ++n_sources[at(edge.to)];
  }
  if (n_sources[0] > 0) return false;
  std::vector<int32_t> open{0};
  size_t n_removed = 0;
  while (!open.empty()) {
    const int32_t state = open.back();
    open.pop_back();
    ++n_removed;
    for (const Edge& edge : states_[at(state)].edges) {
      if (--n_sources[at(edge.to)] == 0) open.push_back(edge.to);
    }
  }
  return n_removed == states_.size();
}

}  // namespace qwen3
