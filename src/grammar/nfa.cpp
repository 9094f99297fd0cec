#include "grammar/nfa.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "base/time_slice.h"
#include "grammar/limits.h"

namespace qwen3 {
namespace {

[[noreturn]] void too_complex(const char* what) {
  throw GrammarError(GrammarFault::too_complex, "", what);
}

// Code points that every set of an Nfa treats alike.
struct Alphabet {
  struct Atom {
    char32_t first, last;
    int32_t group;
  };
  std::vector<Atom> atoms;                      // ascending
  std::vector<std::vector<int32_t>> groups_of;  // by set: the groups in it
  int32_t n_groups = 0;
};

Alphabet split_alphabet(const std::vector<CodePoints>& sets) {
  std::map<char32_t, std::vector<int32_t>> changes;  // where sets begin (i) and end (~i)
  for (size_t i = 0; i < sets.size(); ++i) {
    const auto set = static_cast<int32_t>(i);
    for (const auto& range : sets[i].ranges()) {
      changes[range.first].push_back(set);
      changes[range.last + 1].push_back(~set);
    }
  }
  Alphabet alphabet;
  alphabet.groups_of.resize(sets.size());
  std::map<std::vector<int32_t>, int32_t> groups;
  std::vector<int32_t> inside;  // ascending
  for (auto it = changes.begin(); it != changes.end(); ++it) {
    for (const int32_t change : it->second) {
      const int32_t set = change < 0 ? ~change : change;
      const auto place = std::lower_bound(inside.begin(), inside.end(), set);
      if (change < 0) {
        inside.erase(place);
      } else {
        inside.insert(place, set);
      }
    }
    if (inside.empty()) continue;
    const auto [entry, is_new] = groups.try_emplace(inside, alphabet.n_groups);
    if (is_new) {
      for (const int32_t set : inside)
        alphabet.groups_of[static_cast<size_t>(set)].push_back(entry->second);
      ++alphabet.n_groups;
    }
    alphabet.atoms.push_back({it->first, std::next(it)->first - 1, entry->second});
  }
  return alphabet;
}

}  // namespace

int32_t Nfa::add_state() {
  if (n_states() >= kMaxNfaStates) {
    too_complex("the expression is too long when its repetitions are written out");
  }
  states_.emplace_back();
  return n_states() - 1;
}

int32_t Nfa::add_set(CodePoints set) {
  const auto found = std::find(sets_.begin(), sets_.end(), set);
  if (found != sets_.end()) return static_cast<int32_t>(found - sets_.begin());
  sets_.push_back(std::move(set));
  return static_cast<int32_t>(sets_.size()) - 1;
}

void Nfa::add_step(int32_t from, int32_t set, int32_t to) {
  states_[static_cast<size_t>(from)].steps.push_back({set, to});
}

void Nfa::add_free(int32_t from, int32_t to, When when) {
  states_[static_cast<size_t>(from)].free.push_back({to, when});
}

class SubsetConstruction {
 public:
  SubsetConstruction(const Nfa& nfa, int64_t max_work)
      : nfa_(nfa),
        max_work_(max_work),
        alphabet_(split_alphabet(nfa.sets_)),
        seen_(nfa.states_.size(), 0) {}

  TextDfa run() {
    // The first state stands apart: only there does the text begin.
    subsets_.push_back(close({0}, true, false));
    accepts_.push_back(accepts(subsets_[0], true));
    for (size_t i = 0; i < subsets_.size(); ++i) add_edges(i);
    return TextDfa(std::move(states_));
  }

 private:
  using Subset = std::vector<int32_t>;  // ascending

  Subset close(Subset states, bool at_begin, bool at_end) {
    ++epoch_;
    for (const int32_t state : states) seen_[static_cast<size_t>(state)] = epoch_;
    for (size_t i = 0; i < states.size(); ++i) {
      for (const auto& free : nfa_.states_[static_cast<size_t>(states[i])].free) {
        spend(1);
        const bool open = free.when == Nfa::When::always ||
                          (free.when == Nfa::When::at_begin && at_begin) ||
                          (free.when == Nfa::When::at_end && at_end);
        if (!open || seen_[static_cast<size_t>(free.to)] == epoch_) continue;
        seen_[static_cast<size_t>(free.to)] = epoch_;
        states.push_back(free.to);
      }
    }
    std::sort(states.begin(), states.end());
    return states;
  }

  bool accepts(const Subset& subset, bool at_begin) {
    const Subset closed = close(subset, at_begin, true);
    return std::binary_search(closed.begin(), closed.end(), nfa_.accepting_);
  }

  void add_edges(size_t from) {
    std::vector<Subset> targets(static_cast<size_t>(alphabet_.n_groups));
    for (const int32_t state : subsets_[from]) {
      for (const auto& step : nfa_.states_[static_cast<size_t>(state)].steps) {
        for (const int32_t group : alphabet_.groups_of[static_cast<size_t>(step.set)]) {
          spend(1);
          targets[static_cast<size_t>(group)].push_back(step.to);
        }
      }
    }
    std::vector<int32_t> ids(targets.size(), -1);
    for (size_t group = 0; group < targets.size(); ++group) {
      if (!targets[group].empty()) ids[group] = id_of(std::move(targets[group]));
    }
    TextDfa::State state;
    state.accepts = accepts_[from];
    spend(static_cast<int64_t>(alphabet_.atoms.size()));
    for (const auto& atom : alphabet_.atoms) {
      const int32_t to = ids[static_cast<size_t>(atom.group)];
      if (to < 0) continue;
      auto& edges = state.edges;
      if (!edges.empty() && edges.back().to == to && edges.back().last + 1 == atom.first) {
        edges.back().last = atom.last;
      } else {
        edges.push_back({atom.first, atom.last, to});
      }
    }
    states_.push_back(std::move(state));
  }

  int32_t id_of(Subset states) {
    std::sort(states.begin(), states.end());
    states.erase(std::unique(states.begin(), states.end()), states.end());
    Subset subset = close(std::move(states), false, false);
    spend(8 * std::ssize(subset));  // for it is kept
    const auto [entry, is_new] = ids_.try_emplace(subset, static_cast<int32_t>(subsets_.size()));
    if (is_new) {
      if (std::ssize(subsets_) >= 2 * kMaxDfaStates)
        too_complex("the set of texts needs too many states");
      accepts_.push_back(accepts(subset, false));
      subsets_.push_back(std::move(subset));
    }
    return entry->second;
  }

  void spend(int64_t work) {
    TimeSlice::spend(work);
    work_ += work;
    if (work_ > max_work_) too_complex("the set of texts takes too long to work out");
  }

  const Nfa& nfa_;
  const int64_t max_work_;
  const Alphabet alphabet_;
  std::vector<Subset> subsets_;
  std::vector<bool> accepts_;
  std::map<Subset, int32_t> ids_;
  std::vector<TextDfa::State> states_;
  std::vector<uint32_t> seen_;
  uint32_t epoch_ = 0;
  int64_t work_ = 0;
};

TextDfa Nfa::determinize(int64_t max_work) const {
  return SubsetConstruction(*this, max_work).run();
}

}  // namespace qwen3
