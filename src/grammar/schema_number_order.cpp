#include "grammar/schema_number_order.h"

#include <algorithm>
#include <compare>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace qwen3 {
namespace {

// An automaton from what happens to one of its states: `step` of a state and a character of a number gives the
// next state or none, `accepts` says whether a spelling may end in it.
template <typename State, typename Step, typename Accepts>
TextDfa explore(const State& start, const Step& step, const Accepts& accepts) {
  std::map<State, int32_t> ids = {{start, 0}};
  std::vector<State> found = {start};
  std::vector<TextDfa::State> states;
  for (size_t at = 0; at < found.size(); ++at) {
    const State from = found[at];
    TextDfa::State state;
    state.accepts = accepts(from);
    for (const char c : std::string_view("-.0123456789")) {
      const std::optional<State> to = step(from, c);
      if (!to) continue;
      const auto [id, added] = ids.emplace(*to, static_cast<int32_t>(found.size()));
      if (added) found.push_back(*to);
      const auto code = static_cast<char32_t>(c);
      if (!state.edges.empty() && state.edges.back().last + 1 == code &&
          state.edges.back().to == id->second) {
        state.edges.back().last = code;
      } else {
        state.edges.push_back({code, code, id->second});
      }
    }
    states.push_back(std::move(state));
  }
  return TextDfa(std::move(states));
}

// Where in `-?(0|[1-9]\d*)(\.\d+)?` a spelling stands.
enum class NumberPhase { start, minus, zero, whole, point, fraction };

std::optional<NumberPhase> next_phase(NumberPhase phase, char c) {
  const bool in_fraction = phase == NumberPhase::point || phase == NumberPhase::fraction;
  if (c == '-') {
    return phase == NumberPhase::start ? std::optional(NumberPhase::minus) : std::nullopt;
  }
  if (c == '.') {
    const bool may = phase == NumberPhase::zero || phase == NumberPhase::whole;
    return may ? std::optional(NumberPhase::point) : std::nullopt;
  }
  if (in_fraction) return NumberPhase::fraction;
  if (phase == NumberPhase::zero) return std::nullopt;
  if (phase == NumberPhase::whole) return NumberPhase::whole;
  return c == '0' ? NumberPhase::zero : NumberPhase::whole;
}

bool may_end(NumberPhase phase) {
  return phase == NumberPhase::zero || phase == NumberPhase::whole ||
         phase == NumberPhase::fraction;
}

int compare(int64_t a, int64_t b) { return a < b ? -1 : a > b ? 1 : 0; }

// How the spellings compare to a bound.
class Comparison {
 public:
  explicit Comparison(const Decimal& bound)
      : bound_(bound),
        n_digits_(static_cast<int64_t>(bound.digits.size())),
        point_(n_digits_ + bound.exponent),
        n_whole_(std::max<int64_t>(point_, 1)),
        n_fraction_(std::max<int64_t>(-bound.exponent, 0)) {}

  // The spellings of numbers whose order to the bound (-1, 0, 1) is accepted.
  template <typename Accepted>
  TextDfa where(const Accepted& accepted) const {
    return explore(
        State{},
        [this](const State& state, char c) { return step(state, c); },
        [&](const State& state) { return may_end(state.phase) && accepted(order(state)); });
  }

 private:
  struct State {
    NumberPhase phase = NumberPhase::start;
    bool negative = false;
    int64_t n_read = 0;  // digits of the part it is in, as far as that matters
    int order = 0;       // of the magnitude's digits so far; in a fraction, of all before
    friend auto operator<=>(const State&, const State&) = default;
  };

  // Digit of the bound: 0 is the first behind the point, -1 the last before it.
  int64_t digit(int64_t place) const {
    const int64_t i = point_ + place;
    return i >= 0 && i < n_digits_ ? bound_.digits[static_cast<size_t>(i)] - '0' : 0;
  }

  int whole_order(const State& state) const {
    return state.n_read != n_whole_ ? compare(state.n_read, n_whole_) : state.order;
  }

  std::optional<State> step(State state, char c) const {
    const std::optional<NumberPhase> phase = next_phase(state.phase, c);
    if (!phase) return std::nullopt;
    state.phase = *phase;
    if (c == '-') {
      state.negative = true;
    } else if (c == '.') {
      state.order = whole_order(state);
      state.n_read = 0;
    } else if (*phase == NumberPhase::fraction) {
      if (state.order == 0) {
        state.order = compare(c - '0', digit(state.n_read));
        state.n_read = state.order == 0 ? std::min(state.n_read + 1, n_fraction_) : 0;
      }
    } else {
      if (state.order == 0 && state.n_read < n_whole_) {
        state.order = compare(c - '0', digit(state.n_read - n_whole_));
      }
      state.n_read = std::min(state.n_read + 1, n_whole_ + 1);
    }
    return state;
  }

  int order(const State& state) const {
    int magnitude = state.order;
    int64_t n_behind_point = state.n_read;
    if (state.phase != NumberPhase::fraction) {
      magnitude = whole_order(state);
      n_behind_point = 0;
    }
    if (magnitude == 0 && n_behind_point < n_fraction_) magnitude = -1;
    if (bound_.negative) return state.negative ? -magnitude : 1;
    if (!state.negative) return magnitude;
    return bound_.digits.empty() ? -magnitude : -1;
  }

  const Decimal bound_;
  const int64_t n_digits_;
  const int64_t point_;  // how many of the digits stand before the point; below 0: zeros behind it
  const int64_t n_whole_;
  const int64_t n_fraction_;
};

// Remainders of the digits read, divided by a whole number; `n_behind_point` more digits may count.
class Division {
 public:
  Division(int64_t divisor, int64_t n_behind_point)
      : divisor_(divisor), n_behind_point_(n_behind_point) {}

  TextDfa exact() const {
    return explore(
        State{},
        [this](const State& state, char c) { return step(state, c); },
        [this](const State& state) {
          if (!may_end(state.phase)) return false;
          int64_t rest = state.remainder;
          for (int64_t i = state.n_read; i < n_behind_point_; ++i) rest = rest * 10 % divisor_;
          return rest == 0;
        });
  }

 private:
  struct State {
    NumberPhase phase = NumberPhase::start;
    int64_t n_read = 0;  // behind the point
    int64_t remainder = 0;
    friend auto operator<=>(const State&, const State&) = default;
  };

  std::optional<State> step(State state, char c) const {
    const std::optional<NumberPhase> phase = next_phase(state.phase, c);
    if (!phase) return std::nullopt;
    state.phase = *phase;
    if (c == '-' || c == '.') return state;
    if (*phase == NumberPhase::fraction && state.n_read == n_behind_point_) {
      if (c != '0') return std::nullopt;
      return state;
    }
    state.remainder = (state.remainder * 10 + (c - '0')) % divisor_;
    if (*phase == NumberPhase::fraction) ++state.n_read;
    return state;
  }

  const int64_t divisor_;
  const int64_t n_behind_point_;
};

}  // namespace

TextDfa compared_spellings(NumberOrder order, const Decimal& bound) {
  const Comparison comparison(bound);
  switch (order) {
    case NumberOrder::less:
      return comparison.where([](int found) { return found < 0; });
    case NumberOrder::less_or_equal:
      return comparison.where([](int found) { return found <= 0; });
    case NumberOrder::greater:
      return comparison.where([](int found) { return found > 0; });
    case NumberOrder::greater_or_equal:
      break;
  }
  return comparison.where([](int found) { return found >= 0; });
}

TextDfa divisible_spellings(int64_t divisor, int64_t n_behind_point) {
  return Division(divisor, n_behind_point).exact();
}

}  // namespace qwen3
