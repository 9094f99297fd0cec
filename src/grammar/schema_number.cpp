#include "grammar/schema_number.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <compare>
#include <map>
#include <optional>
#include <utility>

#include "grammar/schema_document.h"

namespace qwen3 {
namespace {

constexpr int64_t kMaxResidues = 1000;

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

const TextDfa& number_spellings() {
  static const TextDfa spellings = TextDfa::full_match("-?(0|[1-9][0-9]*)(\\.[0-9]+)?");
  return spellings;
}

const TextDfa& integer_spellings() {
  static const TextDfa spellings = TextDfa::full_match("-?(0|[1-9][0-9]*)");
  return spellings;
}

}  // namespace

std::string Decimal::text() const {
  if (digits.empty()) return "0";
  const auto n = static_cast<int64_t>(digits.size());
  const std::string sign = negative ? "-" : "";
  if (exponent >= 0) return sign + digits + std::string(static_cast<size_t>(exponent), '0');
  const int64_t point = n + exponent;
  if (point <= 0) return sign + "0." + std::string(static_cast<size_t>(-point), '0') + digits;
  return sign + digits.substr(0, static_cast<size_t>(point)) + "." +
         digits.substr(static_cast<size_t>(point));
}

Decimal to_decimal(const Json& number) {
  std::string text;
  if (number.is_number_float()) {
    char buffer[64];
    const double value = number.get<double>();
    const auto end =
        std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
    text.assign(buffer, end.ptr);
  } else if (number.is_number_unsigned()) {
    text = std::to_string(number.get<uint64_t>());
  } else {
    text = std::to_string(number.get<int64_t>());
  }
  Decimal out;
  out.negative = text[0] == '-';
  if (const size_t e = text.find('e'); e != text.npos) {
    out.exponent = std::stoll(text.substr(e + 1));
    text.resize(e);
  }
  const size_t point = text.find('.');
  if (point != text.npos) out.exponent -= static_cast<int64_t>(text.size() - point - 1);
  for (const char c : text) {
    if (c >= '0' && c <= '9' && (c != '0' || !out.digits.empty())) out.digits += c;
  }
  while (out.digits.ends_with('0')) {
    out.digits.pop_back();
    ++out.exponent;
  }
  if (out.digits.empty()) out = Decimal{};
  return out;
}

NumberSet NumberSet::none() {
  static const NumberSet set(TextDfa::none(), true);
  return set;
}

NumberSet NumberSet::all() {
  static const NumberSet set(number_spellings(), true);
  return set;
}

NumberSet NumberSet::integers() {
  static const NumberSet set(Division(1, 0).exact(), true);
  return set;
}

NumberSet NumberSet::at_least(const Decimal& bound) {
  return {Comparison(bound).where([](int order) { return order >= 0; }), true};
}
NumberSet NumberSet::above(const Decimal& bound) {
  return {Comparison(bound).where([](int order) { return order > 0; }), true};
}
NumberSet NumberSet::at_most(const Decimal& bound) {
  return {Comparison(bound).where([](int order) { return order <= 0; }), true};
}
NumberSet NumberSet::below(const Decimal& bound) {
  return {Comparison(bound).where([](int order) { return order < 0; }), true};
}

NumberSet NumberSet::multiples(const Decimal& divisor, const std::string& place) {
  // 2.5 is 25 tenths: one digit behind the point counts. 200 is 2 hundreds, and 200 whole ones.
  int64_t whole = 0;
  const std::string digits =
      divisor.digits +
      std::string(static_cast<size_t>(std::clamp<int64_t>(divisor.exponent, 0, 4)), '0');
  for (const char c : digits) whole = std::min<int64_t>(whole * 10 + (c - '0'), kMaxResidues + 1);
  if (whole > kMaxResidues) {
    fail_schema(GrammarFault::too_complex,
                place,
                fmt::format("{} has more than {} residues", divisor.text(), kMaxResidues));
  }
  return {Division(whole, std::max<int64_t>(-divisor.exponent, 0)).exact(), true};
}

NumberSet NumberSet::of(const std::vector<Decimal>& values) {
  std::vector<std::string> texts;
  for (const Decimal& value : values) texts.push_back(value.text());
  return {TextDfa::of(texts), false};
}

NumberSet NumberSet::operator&(const NumberSet& other) const {
  if (spellings_ == other.spellings_) return *this;
  if (spellings_ == all().spellings_) return other;
  if (other.spellings_ == all().spellings_) return *this;
  return {*spellings_ & *other.spellings_, every_spelling_ && other.every_spelling_};
}

NumberSet NumberSet::operator|(const NumberSet& other) const {
  if (spellings_ == other.spellings_ || other.empty()) return *this;
  if (empty()) return other;
  return {*spellings_ | *other.spellings_, every_spelling_ && other.every_spelling_};
}

NumberSet NumberSet::complement() const {
  if (empty()) return all();
  if (spellings_ == all().spellings_) return none();
  TextDfa spellings = *spellings_;
  if (!every_spelling_) {  // zeros at the end, and the sign of zero
    const TextDfa whole = spellings & integer_spellings();
    const TextDfa broken = spellings & integer_spellings().complement();
    spellings = spellings | whole.then(TextDfa::full_match("(\\.0+)?")) |
                broken.then(TextDfa::full_match("0*"));
    if (spellings.contains("0")) spellings = spellings | TextDfa::full_match("-0(\\.0+)?");
  }
  return {number_spellings() & spellings.complement(), true};
}

bool NumberSet::universal() const {
  if (spellings_ == all().spellings_) return true;
  return every_spelling_ && (number_spellings() & spellings_->complement()).empty();
}

bool NumberSet::only_integers() const {
  return (*spellings_ & integers().spellings_->complement()).empty();
}

TextDfa NumberSet::written() const {
  return only_integers() ? *spellings_ & integer_spellings() : *spellings_;
}

TextDfa NumberSet::shortest() const {
  return *spellings_ & TextDfa::full_match("0|-?[1-9][0-9]*|-?(0|[1-9][0-9]*)\\.[0-9]*[1-9]");
}

}  // namespace qwen3
