// Nfa: what a regular expression is before it becomes a TextDfa. Also the way to concatenate automata.
#pragma once

#include <cstdint>
#include <vector>

#include "grammar/code_points.h"
#include "grammar/limits.h"
#include "grammar/text_dfa.h"

namespace qwen3 {

class Nfa {
 public:
  // A step without a character: free, or free only where the text begins or ends.
  enum class When : uint8_t { always, at_begin, at_end };

  int32_t add_state();              // GrammarError{too_complex} beyond kMaxNfaStates
  int32_t add_set(CodePoints set);  // equal sets get one index
  void add_step(int32_t from, int32_t set, int32_t to);
  void add_free(int32_t from, int32_t to, When when = When::always);
  void accept(int32_t state) { accepting_ = state; }
  int32_t n_states() const { return static_cast<int32_t>(states_.size()); }

  // The texts that lead from state 0 to the accepting one. Subset construction; GrammarError{too_complex}.
  TextDfa determinize(int64_t max_work = kMaxDfaWork) const;

 private:
  struct Step {
    int32_t set, to;
  };
  struct Free {
    int32_t to;
    When when;
  };
  struct State {
    std::vector<Step> steps;
    std::vector<Free> free;
  };

  friend class SubsetConstruction;

  std::vector<State> states_;
  std::vector<CodePoints> sets_;
  int32_t accepting_ = -1;
};

}  // namespace qwen3
