// How many choices a row has says its list "choices", or TaskOptions::choices.
#include "eval/tasks/multiple_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/python/python_text.h"
#include "eval/tasks/answer_text.h"

namespace qwen3::eval {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

std::optional<int> as_letter(char c, int n_choices) {
  const int upper = c >= 'a' && c <= 'z' ? c - 'a' : c - 'A';
  if (upper < 0 || upper >= n_choices) return std::nullopt;
  return upper;
}

// The letter at the start of text[at...], brackets and emphasis aside, with no word after it.
std::optional<int> leading_letter(std::string_view text, int n_choices) {
  for (const std::string_view wrapper : {"\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{"}) {
    if (text.starts_with(wrapper)) text.remove_prefix(wrapper.size());
  }
  const size_t at = text.find_first_not_of(" \t*_([{$\"'`");
  if (at == std::string_view::npos) return std::nullopt;
  if (at + 1 < text.size() && is_word(text[at + 1])) return std::nullopt;
  return as_letter(text[at], n_choices);
}

// Rule 3: nothing but the letter and what decorates it.
std::optional<int> only_letter(std::string_view text, int n_choices) {
  constexpr std::string_view kDecoration = " \t\r\n*_()[]{}.:,$\"'`";
  const size_t first = text.find_first_not_of(kDecoration);
  if (first == std::string_view::npos || first != text.find_last_not_of(kDecoration)) {
    return std::nullopt;
  }
  return as_letter(text[first], n_choices);
}

std::optional<int> line_begins_with_letter(std::string_view text, int n_choices) {
  const size_t at = text.find_first_not_of(" \t*_(");
  if (at == std::string_view::npos || at + 1 >= text.size()) return std::nullopt;
  if (std::string_view(".):").find(text[at + 1]) == std::string_view::npos) return std::nullopt;
  return text[at] >= 'A' && text[at] <= 'Z' ? as_letter(text[at], n_choices) : std::nullopt;
}

std::optional<int> last_bracketed_letter(std::string_view text, int n_choices) {
  for (size_t at = text.size(); at-- > 2;) {
    if (text[at] != ')' || text[at - 2] != '(') continue;
    const char c = text[at - 1];
    const auto letter = c >= 'A' && c <= 'Z' ? as_letter(c, n_choices) : std::nullopt;
    if (letter) return letter;
  }
  return std::nullopt;
}

std::optional<int> only_lone_letter(std::string_view text, int n_choices) {
  std::optional<int> only;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c < 'A' || c > 'Z' || (at > 0 && (is_word(text[at - 1]) || text[at - 1] == '\''))) continue;
    const char behind = at + 1 < text.size() ? text[at + 1] : ' ';
    if (is_word(behind) || behind == '\'') continue;
    const bool word_follows =
        behind == ' ' && at + 2 < text.size() && text[at + 2] >= 'a' && text[at + 2] <= 'z';
    if ((c == 'A' || c == 'I') && word_follows) continue;
    const auto letter = as_letter(c, n_choices);
    if (!letter || letter == only) continue;
    if (only) return std::nullopt;  // two of them: which one?
    only = letter;
  }
  return only;
}

class MultipleChoice : public Task {
 public:
  explicit MultipleChoice(const TaskOptions& options)
      : n_choices_(std::clamp(options.choices, 1, kMostChoices)) {}

  Verdict score(const PyValue& row, std::string_view text) const override {
    const PyValue* choices = row.find("choices");
    const PyList* list = choices == nullptr ? nullptr : choices->list();
    const int n = list == nullptr ? n_choices_
                                  : static_cast<int>(std::min<size_t>(list->size(), kMostChoices));
    const auto truth = true_choice(answer_of(row), list, n);
    const auto chosen = choice_in_text(text, n);
    if (!chosen) {
      return {.outcome = Outcome::no_answer,
              .reason = fmt::format("no letter from A to {} stands out", letter_text(n - 1)),
              .prediction = {}};
    }
    Verdict verdict{.outcome = Outcome::wrong, .reason = {}, .prediction = letter_text(*chosen)};
    if (!truth) {
      verdict.reason = "the row has no answer to compare with";
    } else if (chosen == truth) {
      verdict.acc = 1;
      verdict.outcome = Outcome::correct;
      verdict.reason = fmt::format("chose {}", letter_text(*chosen));
    } else {
      verdict.reason =
          fmt::format("chose {}; the answer is {}", letter_text(*chosen), letter_text(*truth));
    }
    return verdict;
  }

 private:
  static std::string letter_text(int letter) {
    return std::string(1, static_cast<char>('A' + std::max(letter, 0)));
  }

  int n_choices_;
};

}  // namespace

std::optional<int> choice_in_text(std::string_view text, int n_choices) {
  if (const auto boxed = last_boxed(text)) {
    if (const auto letter = leading_letter(*boxed, n_choices)) return letter;
  }
  if (const auto stated = last_stated_answer(text)) {
    if (const auto letter = leading_letter(*stated, n_choices)) return letter;
  }
  if (const auto letter = only_letter(text, n_choices)) return letter;
  const std::string_view stripped = py_strip(text);
  const std::string_view first_line = stripped.substr(0, stripped.find('\n'));
  if (const auto letter = line_begins_with_letter(first_line, n_choices)) return letter;
  if (const auto letter = last_bracketed_letter(text, n_choices)) return letter;
  return only_lone_letter(text, n_choices);
}

std::optional<int> true_choice(const PyValue& answer, const PyList* choices, int n_choices) {
  if (const int64_t* index = answer.integer()) {
    return *index >= 0 && *index < n_choices ? std::optional<int>(static_cast<int>(*index))
                                             : std::nullopt;
  }
  if (answer.string() == nullptr) return std::nullopt;
  if (const auto letter = only_letter(*answer.string(), n_choices)) return letter;
  for (int i = 0; choices != nullptr && i < n_choices; ++i) {
    if (py_equal((*choices)[static_cast<size_t>(i)], answer)) return i;
  }
  return std::nullopt;
}

std::optional<size_t> choose_by_loglikelihood(std::span<const double> scores,
                                              std::span<const double> lengths) {
  std::optional<size_t> best;
  double best_score = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    const double score = lengths.empty() ? scores[i] : scores[i] / lengths[i];
    if (!std::isfinite(score) || (best && score <= best_score)) continue;
    best = i;
    best_score = score;
  }
  return best;
}

std::unique_ptr<Task> make_multiple_choice(const TaskOptions& options) {
  return std::make_unique<MultipleChoice>(options);
}

}  // namespace qwen3::eval
