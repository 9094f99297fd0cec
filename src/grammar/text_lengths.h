// TextLengths: in how many more code points a text of an automaton may end. With it a text with bounds on its
// length never runs into a place from which no allowed length can be reached.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "grammar/text_dfa.h"

namespace qwen3 {

class TextLengths {
 public:
  // max -1: no limit. GrammarError{too_complex} when the lengths repeat too late to be listed.
  TextLengths(const TextDfa& dfa, int64_t min, int64_t max);

  // Behind `length` code points in `state`: so many more end a text of min to max code points, at the least.
  std::optional<int64_t> ends_after(int32_t state, int64_t length) const;
  bool can_end(int32_t state, int64_t length) const {
    return ends_after(state, length).has_value();
  }

  bool may_end_now(int64_t length) const { return length >= min_ && (max_ < 0 || length <= max_); }
  // Lengths from which on nothing changes are one.
  int64_t counted(int64_t length) const { return max_ < 0 && length > min_ ? min_ : length; }
  int64_t bytes() const { return std::ssize(ends_in_) * n_states_ / 8; }

 private:
  size_t layer(int64_t n) const;  // of "ends in exactly n more"

  int64_t min_, max_;
  int64_t n_states_;
  std::vector<std::vector<bool>> ends_in_;  // by number of code points, then by state
  size_t repeats_from_ = 0;                 // behind the last layer comes this one again
  std::vector<int64_t> shortest_;           // by state
};

}  // namespace qwen3
