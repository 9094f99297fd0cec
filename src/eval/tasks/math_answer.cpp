// Mathematics with a short answer. Where the answer stands, the first that is there:
//   1. the last \boxed{…};   2. after the last "####";   3. after the last "the answer is";
//   4. the whole text, when it is one line;   5. the last number in the text.
// Numbers are compared exactly (exact_number.h). Tuples and sets are compared part by part. What
// is not a number is compared as LaTeX with spelling evened out: spaces, \left, \dfrac, \text{…}.
#include <fmt/format.h>

#include <algorithm>

#include "eval/python/python_text.h"
#include "eval/tasks/answer_text.h"
#include "eval/tasks/exact_number.h"

namespace qwen3::eval {
namespace {

void remove_all(std::string& text, std::string_view what) { replace_all(text, what, ""); }

// "x = 5" answers with what is on the right; "5\text{ cm}" and "5 \mathrm{cm}" with the number.
std::string without_label_and_unit(std::string_view text) {
  std::string_view core = py_strip(text);
  const size_t equals = core.rfind('=');
  if (equals != std::string_view::npos && equals + 1 < core.size() && equals > 0 &&
      core[equals - 1] != '<' && core[equals - 1] != '>') {
    core = py_strip(core.substr(equals + 1));
  }
  for (const std::string_view unit : {"\\text{", "\\mathrm{", "\\mbox{"}) {
    const size_t at = core.find(unit);
    if (at != std::string_view::npos && at > 0 && core.ends_with('}')) {
      core = py_strip(core.substr(0, at));
    }
  }
  return std::string(core);
}

std::string plain_latex(std::string_view text) {
  std::string plain(text);
  for (const std::string_view gone :
       {"\\left", "\\right",  "\\!",    "\\,", "\\;",     "\\:",      "\\ ",
        "\\(",    "\\)",      "$",      " ",   "\t",      "\n",       "\\displaystyle",
        "\\text", "\\mathrm", "\\mbox", "{}",  "^\\circ", "^{\\circ}"}) {
    remove_all(plain, gone);
  }
  replace_all(plain, "\\dfrac", "\\frac");
  replace_all(plain, "\\tfrac", "\\frac");
  while (plain.ends_with('.')) plain.pop_back();
  // Braces around everything say nothing.
  if (plain.size() > 2 && plain.front() == '{' && plain.find('}') == plain.size() - 1) {
    plain = plain.substr(1, plain.size() - 2);
  }
  return plain;
}

// The parts of "(1, 2)", "\{1, 2\}", "[0, 1)" with their brackets; empty for anything else.
std::vector<std::string> parts_of(std::string_view text) {
  std::string plain = plain_latex(text);
  remove_all(plain, "\\");
  if (plain.size() < 3) return {};
  const bool opens = std::string_view("([{").find(plain.front()) != std::string_view::npos;
  const bool closes = std::string_view(")]}").find(plain.back()) != std::string_view::npos;
  if (!opens || !closes) return {};
  std::vector<std::string> parts = {plain.substr(0, 1) + plain.substr(plain.size() - 1)};
  std::string part;
  int depth = 0;
  for (const char c : plain.substr(1, plain.size() - 2)) {
    depth += std::string_view("([{").find(c) != std::string_view::npos;
    depth -= std::string_view(")]}").find(c) != std::string_view::npos;
    if (c == ',' && depth == 0) {
      parts.push_back(std::move(part));
      part.clear();
    } else {
      part += c;
    }
  }
  parts.push_back(std::move(part));
  return parts.size() > 2 ? parts : std::vector<std::string>{};
}

bool same_part(std::string_view a, std::string_view b) {
  const auto number_a = parse_exact_number(a), number_b = parse_exact_number(b);
  if (number_a && number_b) return same_number(*number_a, *number_b);
  return plain_latex(a) == plain_latex(b);
}

bool same_answer(std::string_view a, std::string_view b) {
  if (same_part(a, b)) return true;
  const std::string core_a = without_label_and_unit(a), core_b = without_label_and_unit(b);
  if (same_part(core_a, core_b)) return true;
  const std::vector<std::string> parts_a = parts_of(core_a), parts_b = parts_of(core_b);
  if (parts_a.empty() || parts_a.size() != parts_b.size()) return false;
  const auto same = [](const std::string& x, const std::string& y) {
    return x == y || same_part(x, y);
  };
  // A set has no order; beyond the limit the search for partners would take too long.
  constexpr size_t kMaxSet = 200;
  if (parts_a.front() == "{}" && parts_b.front() == "{}" && parts_a.size() <= kMaxSet) {
    return std::is_permutation(
        parts_a.begin(), parts_a.end(), parts_b.begin(), parts_b.end(), same);
  }
  return std::equal(parts_a.begin(), parts_a.end(), parts_b.begin(), parts_b.end(), same);
}

std::string_view find_answer(std::string_view text) {
  if (const auto boxed = last_boxed(text)) return *boxed;
  if (const auto marked = last_marked_answer(text)) return *marked;
  if (const auto stated = last_stated_answer(text)) {
    // "The answer is 42 apples." answers with the number.
    const bool plain = parse_exact_number(*stated).has_value();
    const std::string_view number = last_number_in(*stated);
    const bool formula = stated->find_first_of("\\$({[") != std::string_view::npos;
    return plain || formula || number.empty() ? *stated : number;
  }
  const std::string_view whole = py_strip(text);
  if (whole.find('\n') == std::string_view::npos && parse_exact_number(whole)) return whole;
  const std::string_view number = last_number_in(text);
  return number.empty() && whole.find('\n') == std::string_view::npos ? whole : number;
}

class MathAnswer : public Task {
 public:
  Verdict score(const PyValue& row, std::string_view text) const override {
    const std::string_view answer = find_answer(text);
    if (answer.empty()) {
      return {.outcome = Outcome::no_answer,
              .reason = "no number and no box in the text",
              .prediction = {}};
    }
    for (const std::string& accepted : accepted_answers(row)) {
      // Data sets keep the whole solution as the answer; its result is marked the same way.
      const auto boxed = last_boxed(accepted);
      const auto marked = last_marked_answer(accepted);
      const std::string truth(boxed ? *boxed : marked ? *marked : accepted);
      if (!same_answer(answer, truth)) continue;
      return {.acc = 1,
              .outcome = Outcome::correct,
              .reason = fmt::format("equal to {}", preview(PyValue(truth))),
              .prediction = readable(answer)};
    }
    return {.outcome = Outcome::wrong,
            .reason = fmt::format("another answer: {}", preview(PyValue(answer))),
            .prediction = readable(answer)};
  }

 private:
  static PyValue readable(std::string_view answer) {
    const auto number = parse_exact_number(answer);
    return number ? show(*number) : plain_latex(answer);
  }
};

}  // namespace

std::unique_ptr<Task> make_math_answer(const TaskOptions&) {
  return std::make_unique<MathAnswer>();
}

}  // namespace qwen3::eval
