// Mathematics with a short answer. Characters are evened out first (plain_characters.h). Where the
// answer stands, the first that is there:
//   1. the last \boxed{…};   2. after the last "####";   3. after the last "the answer is", "答案是",
//      up to the end of the sentence, "because" or 因为;
//   4. the whole text, when it is one line;   5. the last number in the text.
// How two answers are compared stands at same_answer().
#include <fmt/format.h>

#include <algorithm>

#include "eval/python/python_text.h"
#include "eval/tasks/answer_text.h"
#include "eval/tasks/chinese_number.h"
#include "eval/tasks/exact_number.h"
#include "eval/tasks/latex_spelling.h"
#include "eval/tasks/matrix.h"
#include "eval/tasks/plain_characters.h"
#include "eval/tasks/quantity.h"

namespace qwen3::eval {
namespace {

constexpr int kDeepestList = 6;
constexpr size_t kMaxParts = 100;  // of a set: each is compared with each

// Walks over brackets of all kinds; \{ counts as one.
class Depth {
 public:
  void pass(std::string_view text, size_t at) {
    const char c = text[at];
    depth_ += c == '(' || c == '[' || c == '{';
    depth_ -= c == ')' || c == ']' || c == '}';
  }
  bool outside() const { return depth_ <= 0; }

 private:
  int depth_ = 0;
};

// Whether the bracket at the beginning is closed by the last character.
bool is_enclosed(std::string_view text) {
  const std::string_view inside = text.starts_with("\\{") ? text.substr(1) : text;
  if (inside.size() < 2 || std::string_view("([{").find(inside.front()) == std::string_view::npos) {
    return false;
  }
  Depth depth;
  for (size_t at = 0; at < inside.size(); ++at) {
    depth.pass(inside, at);
    if (depth.outside()) return at + 1 == inside.size();
  }
  return false;
}

// Without what only decorates the whole: \left, $, \boxed{}, a full stop, brackets around one thing.
std::string undecorated(std::string_view text) {
  if (text.size() > kLongestFormula) return std::string(py_strip(text));
  std::string plain(text);
  // A space of LaTeX is one; "\\\\ " ends a row.
  for (size_t at = 0; (at = plain.find("\\ ", at)) != std::string::npos;) {
    at > 0 && plain[at - 1] == '\\' ? at += 2 : (plain.erase(at, 1), at);
  }
  plain = with_digits(plain);
  for (const std::string_view gone : {"\\left", "\\right", "\\displaystyle", "\\[", "\\]"}) {
    // \leftarrow and \rightarrow are commands of their own.
    for (size_t at = 0; (at = plain.find(gone, at)) != std::string::npos;) {
      const char behind = at + gone.size() < plain.size() ? plain[at + gone.size()] : ' ';
      const bool longer = (behind >= 'a' && behind <= 'z') && gone.size() > 2;
      longer ? at += gone.size() : (plain.erase(at, gone.size()), at);
    }
  }
  std::string_view core = py_strip(plain);
  for (bool changed = true; changed && !core.empty();) {
    const size_t before = core.size();
    while (core.ends_with('.') || core.ends_with(',') || core.ends_with(';')) core.remove_suffix(1);
    core = py_strip(core);
    for (const auto& [open, close] :
         {std::pair<std::string_view, std::string_view>{"$", "$"}, {"\\(", "\\)"}, {"**", "**"}}) {
      if (core.size() < open.size() + close.size() || !core.starts_with(open) ||
          !core.ends_with(close)) {
        continue;
      }
      const std::string_view inside =
          core.substr(open.size(), core.size() - open.size() - close.size());
      if (inside.find(open) == std::string_view::npos) core = py_strip(inside);
    }
    const auto boxed = last_boxed(core);
    const bool box = core.starts_with("\\boxed{") || core.starts_with("\\fbox{");
    if (boxed && box && boxed->end() + 1 == core.end()) core = py_strip(*boxed);
    for (const std::string_view font : {"\\text", "\\textbf", "\\mathbf", "\\mathrm", "\\mbox"}) {
      if (core.starts_with(font) && is_enclosed(core.substr(font.size())) && core.ends_with('}')) {
        core = py_strip(core.substr(font.size() + 1, core.size() - font.size() - 2));
      }
    }
    changed = core.size() != before;
  }
  return std::string(core);
}

struct Separator {
  std::string_view text;
  bool any_order;
};
constexpr Separator kSeparators[] = {{"\\text{ or }", true},
                                     {"\\text{or}", true},
                                     {"\\mathrm{or}", true},
                                     {"\\text{ and }", true},
                                     {"\\text{and}", true},
                                     {" or ", true},
                                     {" and ", true},
                                     {"\\lor", true},
                                     {"或者", true},
                                     {"或", true},
                                     {"和", true},
                                     {"与", true},
                                     {"、", false},
                                     {",", false},
                                     {";", false}};

struct Listed {
  std::vector<std::string> parts;
  bool any_order = false;
};

// The parts of `text` outside of all brackets: "1, 2", "x = 1 或 x = 2".
Listed split(std::string_view text) {
  Listed listed;
  std::string part;
  Depth depth;
  const auto close = [&] {
    std::string core = undecorated(part);
    if (!core.empty()) listed.parts.push_back(std::move(core));
    part.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const auto* found =
        !depth.outside()
            ? std::end(kSeparators)
            : std::find_if(std::begin(kSeparators), std::end(kSeparators), [&](const Separator& s) {
                return rest.starts_with(s.text);
              });
    if (found != std::end(kSeparators)) {
      close();
      listed.any_order = listed.any_order || found->any_order;
      at += found->text.size();
      continue;
    }
    if (rest.starts_with("\\,") || rest.starts_with("\\;")) part += text[at++];  // spaces
    depth.pass(text, at);
    part += text[at++];
  }
  close();
  return listed;
}

enum class Form { single, list, any_order, brackets, set };

struct Reading {
  Form form = Form::single;
  std::string brackets;  // "(]"
  std::string label;     // "x" of "x = 5"
  std::vector<std::string> parts;
};

// "±a" is a and -a.
void expand_signs(Reading& answer) {
  std::vector<std::string> parts;
  bool found = false;
  for (const std::string& part : answer.parts) {
    const size_t at = part.find("\\pm");
    if (at == std::string::npos || part.find("\\pm", at + 3) != std::string::npos) {
      parts.push_back(part);
      continue;
    }
    found = true;
    for (const std::string_view sign : {"+", "-"}) {
      std::string one = part;
      parts.push_back(undecorated(one.replace(at, 3, sign)));
    }
  }
  if (!found) return;
  answer.parts = std::move(parts);
  if (answer.form != Form::set) answer.form = Form::any_order;
}

// A name, a function's value, a length: no sum, no number.
bool is_label(std::string_view text) {
  return !text.empty() && text.find_first_of("+*/<>^-") == std::string_view::npos &&
         text.find("\\frac") == std::string_view::npos &&
         text.find("\\sqrt") == std::string_view::npos && !(text[0] >= '0' && text[0] <= '9');
}

// "x = 5", "x \in [0, 1)": the label, and what is said of it.
std::string take_label(std::string& text) {
  Depth depth;
  size_t first = std::string::npos, last = std::string::npos;
  size_t width = 1;
  for (size_t at = 0; at < text.size(); ++at) {
    depth.pass(text, at);
    if (!depth.outside()) continue;
    const std::string_view rest = std::string_view(text).substr(at);
    const bool in = rest.starts_with("\\in ") || rest.starts_with("\\in(") ||
                    rest.starts_with("\\in[") || rest.starts_with("\\in\\");
    const bool relation =
        at > 0 && std::string_view("<>!:=").find(text[at - 1]) != std::string_view::npos;
    if (!in && (text[at] != '=' || relation || rest.starts_with("=="))) continue;
    if (first == std::string::npos) first = at;
    last = at;
    width = in ? 3 : 1;
  }
  if (first == std::string::npos || first == 0 || last + width >= text.size()) return {};
  const std::string label = plain_latex(std::string_view(text).substr(0, first));
  const bool letters =
      std::any_of(text.begin(), text.begin() + static_cast<ptrdiff_t>(last), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      });
  if (letters && !is_label(label)) return {};  // an equation is an answer of its own
  text = undecorated(std::string_view(text).substr(last + width));
  return letters ? label : std::string();
}

Reading read_answer(std::string_view text) {
  Reading answer;
  std::string core = undecorated(text);
  for (int round = 0; round < kDeepestList; ++round) {
    if (parse_exact_number(core)) break;  // "1,234" is no list
    if (!is_enclosed(core)) {
      Listed listed = split(core);
      if (listed.parts.size() > 1) {
        answer.form = listed.any_order ? Form::any_order : Form::list;
        answer.parts = std::move(listed.parts);
        break;
      }
      const std::string label = take_label(core);
      if (label.empty()) break;
      if (answer.label.empty()) answer.label = label;
      continue;
    }
    const bool shown = core.starts_with("\\{");
    const size_t open = shown ? 2 : 1;
    const bool shown_end = core.ends_with("\\}");
    const std::string inside(
        std::string_view(core).substr(open, core.size() - open - (shown_end ? 2 : 1)));
    Listed listed = split(inside);
    const char first = shown ? '{' : core.front();
    if (listed.parts.size() < 2 &&
        ((first == '(' && core.back() == ')') || (first == '{' && !shown))) {
      core = undecorated(inside);  // around one thing they say nothing
      continue;
    }
    if (listed.parts.size() < 2 && !shown) break;
    // {x | x > 1} is described, not listed.
    const bool described =
        inside.find('|') != std::string::npos || inside.find("\\mid") != std::string::npos;
    if (described) break;
    answer.form = first == '{' && core.back() == '}' ? Form::set : Form::brackets;
    answer.brackets = {first, core.back()};
    answer.parts = std::move(listed.parts);
    break;
  }
  if (answer.form == Form::single) answer.parts.assign(1, core);
  if (answer.form != Form::brackets) expand_signs(answer);
  return answer;
}

Rational scaled_by(const Rational& value, int exponent) {
  Rational scaled = value;
  for (int i = 0; i < exponent; ++i) scaled *= 10;
  return scaled;
}

// Two matrices of one shape, entry by entry: \frac12 is 0.5 in one, too. Nothing when one is no matrix.
bool same_answer(std::string_view a, std::string_view b, int depth);
std::optional<bool> same_matrix(std::string_view a, std::string_view b, int depth) {
  const auto x = read_matrix(plain_latex(a)), y = read_matrix(plain_latex(b));
  if (!x || !y) return std::nullopt;
  const auto bare = [](const std::string& around) { return around.empty() || around == "("; };
  if (x->around != y->around && !(bare(x->around) && bare(y->around))) return false;
  if (x->rows.size() != y->rows.size()) return false;
  for (size_t row = 0; row < x->rows.size(); ++row) {
    const auto same = [&](const std::string& p, const std::string& q) {
      return same_answer(p, q, depth + 1);
    };
    const auto &p = x->rows[row], &q = y->rows[row];
    if (!std::equal(p.begin(), p.end(), q.begin(), q.end(), same)) return false;
  }
  return true;
}

// Two numbers, two formulas, one of them with a unit perhaps; two units must be the same.
bool same_single(std::string_view a, std::string_view b) {
  auto number_a = parse_exact_number(a), number_b = parse_exact_number(b);
  const Quantity quantity_a = read_quantity(a), quantity_b = read_quantity(b);
  if (!quantity_a.unit.empty() && !quantity_b.unit.empty() && quantity_a.unit != quantity_b.unit) {
    return false;
  }
  if (number_a && number_b) return same_number(*number_a, *number_b);
  if (plain_latex(a) == plain_latex(b)) return true;
  number_a = parse_exact_number(quantity_a.value);
  number_b = parse_exact_number(quantity_b.value);
  if (number_a && number_b) {
    number_a->value = scaled_by(number_a->value, quantity_a.exponent);
    number_b->value = scaled_by(number_b->value, quantity_b.exponent);
    return same_number(*number_a, *number_b);
  }
  return quantity_a.exponent == quantity_b.exponent &&
         plain_latex(quantity_a.value) == plain_latex(quantity_b.value);
}

// In this order; the first rule that applies decides:
//   1. the same formula (latex_spelling.h); matrices entry by entry;
//   2. labels ("x =", "x \in") must be the same where both have one; "2 + 3 = 5" is 5;
//   3. sets are equal when each part of one is in the other; so are answers joined by "or", "and",
//      "或", "和", and "±a", which is a and -a;
//   4. tuples, intervals (with their brackets) and lists part by part, in order;
//   5. numbers exactly (exact_number.h), formulas by spelling, with their units (quantity.h).
bool same_answer(std::string_view a, std::string_view b, int depth) {
  const std::string plain = plain_latex(a);
  if (!plain.empty() && plain == plain_latex(b)) return true;
  if (std::max(a.size(), b.size()) > kLongestFormula) return false;
  const Reading x = read_answer(a), y = read_answer(b);
  if (!x.label.empty() && !y.label.empty() && x.label != y.label) return false;
  const bool singles = x.form == Form::single && y.form == Form::single;
  if (depth >= kDeepestList) return singles && same_single(x.parts.front(), y.parts.front());
  if (singles) {
    const std::string &p = x.parts.front(), &q = y.parts.front();
    const auto matrices = same_matrix(p, q, depth);
    return matrices ? *matrices : same_single(p, q);
  }
  const auto same = [&](const std::string& p, const std::string& q) {
    return same_answer(p, q, depth + 1);
  };
  const auto no_order = [](Form form) { return form == Form::set || form == Form::any_order; };
  const auto bare = [](Form form) { return form == Form::list || form == Form::any_order; };
  const bool small = std::max(x.parts.size(), y.parts.size()) <= kMaxParts;
  const bool sets = no_order(x.form) && no_order(y.form);
  if (small && (sets || (bare(x.form) && bare(y.form) && (no_order(x.form) || no_order(y.form))))) {
    const auto within = [&](const Reading& part, const Reading& whole) {
      return std::all_of(part.parts.begin(), part.parts.end(), [&](const std::string& p) {
        return std::any_of(whole.parts.begin(), whole.parts.end(), [&](const std::string& q) {
          return same(p, q);
        });
      });
    };
    return within(x, y) && within(y, x);
  }
  if (x.form != y.form || x.brackets != y.brackets) return false;
  return std::equal(x.parts.begin(), x.parts.end(), y.parts.begin(), y.parts.end(), same);
}

// The statement without the reasons behind it: "18 because 9 + 9 = 18", "$x = 3$. Then …".
std::string_view without_reasons(std::string_view stated) {
  static constexpr std::string_view kReasons[] = {" because ",
                                                  ", because",
                                                  " since ",
                                                  ", since",
                                                  " (because",
                                                  " (since",
                                                  "因为",
                                                  "由于",
                                                  "(因",
                                                  "(由"};
  Depth depth;
  bool in_formula = false;
  for (size_t at = 1; at < stated.size(); ++at) {
    if (stated[at - 1] == '$') in_formula = !in_formula;
    depth.pass(stated, at - 1);
    if (in_formula || !depth.outside()) continue;
    const std::string_view rest = stated.substr(at);
    const bool reason = std::ranges::any_of(kReasons, [&](auto r) { return rest.starts_with(r); });
    const bool sentence =
        rest.size() > 1 && rest[0] == '.' && (rest[1] == ' ' || (rest[1] & 0x80) != 0);
    if (reason || sentence) return py_strip(stated.substr(0, at));
  }
  return stated;
}

std::string_view find_answer(std::string_view text) {
  if (const auto boxed = last_boxed(text)) return *boxed;
  if (const auto marked = last_marked_answer(text)) return *marked;
  if (const auto line = last_stated_answer(text)) {
    std::string_view stated = without_reasons(*line);
    const bool words_only = stated.find_first_of("\\$({[0123456789") == std::string_view::npos;
    if (words_only && !last_number_in(*line).empty()) stated = *line;
    const auto plain = [](std::string_view words) {
      return parse_exact_number(read_quantity(undecorated(words)).value).has_value();
    };
    const bool formula = stated.find_first_of("\\$({[") != std::string_view::npos;
    if (formula || plain(stated)) return stated;
    // "The answer is 42 apples, not 7." answers with the number of its first clause.
    const std::string_view clause =
        stated.substr(0, std::min(stated.find(", "), stated.find(",不")));
    if (plain(clause)) return clause;
    const std::string_view number = last_number_in(clause);
    return number.empty() ? stated : number;
  }
  const std::string_view whole = py_strip(text);
  const bool one_line = whole.find('\n') == std::string_view::npos;
  if (one_line && parse_exact_number(read_quantity(undecorated(whole)).value)) return whole;
  const std::string_view number = last_number_in(text);
  return number.empty() && one_line ? whole : number;
}

class MathAnswer : public Task {
 public:
  Verdict score(const PyValue& row, std::string_view text) const override {
    const std::string plain = plain_characters(text);
    const std::string_view answer = find_answer(plain);
    if (answer.empty()) {
      return {.outcome = Outcome::no_answer,
              .reason = "no number and no box in the text",
              .prediction = {}};
    }
    for (const std::string& accepted : accepted_answers(row)) {
      // Data sets keep the whole solution as the answer; its result is marked the same way.
      const auto boxed = last_boxed(accepted);
      const auto marked = last_marked_answer(accepted);
      const std::string truth = plain_characters(boxed ? *boxed : marked ? *marked : accepted);
      if (!same_answer(answer, truth, 0)) continue;
      return {.acc = 1,
              .outcome = Outcome::correct,
              .reason = fmt::format("equal to {}", preview(PyValue(truth))),
              .prediction = readable(answer)};
    }
    return {.outcome = Outcome::wrong,
            .reason = fmt::format("another answer: {}", preview(PyValue(std::string(answer)))),
            .prediction = readable(answer)};
  }

 private:
  static PyValue readable(std::string_view answer) {
    const auto number = parse_exact_number(undecorated(answer));
    return number ? show(*number) : plain_latex(answer);
  }
};

}  // namespace

std::unique_ptr<Task> make_math_answer(const TaskOptions&) {
  return std::make_unique<MathAnswer>();
}

}  // namespace qwen3::eval
