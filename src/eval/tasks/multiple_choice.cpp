// How many choices a row has says its list "choices", or TaskOptions::choices.
#include "eval/tasks/multiple_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/text.h"
#include "base/utf8.h"
#include "eval/python/python_text.h"
#include "eval/tasks/answer_text.h"
#include "eval/tasks/plain_characters.h"

namespace qwen3::eval {
namespace {

bool is_ascii_word(char c) { return is_ascii_letter(c) || is_ascii_digit(c) || c == '_'; }

// A letter beside it would be part of a word; Chinese writes words without spaces.
bool is_word_at(std::string_view text, size_t at) {
  if (at >= text.size()) return false;
  if (static_cast<unsigned char>(text[at]) < 0x80) return is_ascii_word(text[at]);
  const size_t length = utf8_sequence_length(text, at);
  return length == 0 || length == 2;  // Latin, Greek and Cyrillic letters are of two bytes
}

bool is_word_before(std::string_view text, size_t at) {
  if (at == 0) return false;
  size_t start = at - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return is_word_at(text, start);
}

std::optional<int> as_letter(char c, int n_choices) {
  const int upper = c >= 'a' && c <= 'z' ? c - 'a' : c - 'A';
  if (upper < 0 || upper >= n_choices) return std::nullopt;
  return upper;
}

size_t skip(std::string_view text, size_t at, std::span<const std::string_view> words) {
  for (bool more = true; more && at < text.size();) {
    more = false;
    for (const std::string_view word : words) {
      if (!text.substr(at).starts_with(word)) continue;
      at += word.size();
      more = true;
    }
  }
  return at;
}

constexpr std::string_view kOpening[] = {
    " ", "\t", "*",  "_",  "(", "[",      "{",        "$",        "\"",       "'",
    "`", "【", "「", "《", "“", "\\text", "\\textbf", "\\mathrm", "\\mathbf", "\\boxed"};
constexpr std::string_view kClosing[] = {
    " ", "\t", "*", "_", ")", "]", "}", "$", "\"", "'", "`", "】", "」", "》", "”"};
constexpr std::string_view kJoining[] = {",", "、", "和", "与", "及", "and ", "& ", "/", ";"};

bool denies(std::string_view clause) {
  static constexpr std::string_view kWords[] = {" not ",
                                                "n't ",
                                                " never ",
                                                " wrong ",
                                                " incorrect ",
                                                " false ",
                                                " except ",
                                                " neither ",
                                                "不",
                                                "错",
                                                "非",
                                                "别选",
                                                "排除"};
  const std::string words = " " + ascii_lower(clause) + " ";
  return std::ranges::any_of(
      kWords, [&](std::string_view no) { return words.find(no) != std::string::npos; });
}

struct LetterGroup {
  Choices letters = 0;
  int count = 0;
  size_t end = 0;    // behind the last letter and what closes it
  bool cut = false;  // further letters follow, of what is denied
};
enum class Denied { left_out, kept };

// Letters from text[at] on, with what is around and between them. None where a word begins: "Boston".
LetterGroup read_group(std::string_view text,
                       size_t at,
                       int n_choices,
                       Denied denied = Denied::left_out) {
  LetterGroup group;
  for (;;) {
    const size_t start = skip(text, at, kOpening);
    size_t end = start;
    while (end < text.size() && as_letter(text[end], n_choices)) ++end;
    const size_t n = end - start;
    if (n == 0 || is_word_at(text, end)) return group;
    // "ACD": capitals in the order of the alphabet, or it is a word. Small letters stand alone.
    const bool small = text[start] >= 'a';
    if (n > 1 && small) return group;
    for (size_t i = start + 1; i < end; ++i) {
      if (text[i] <= text[i - 1] || text[i] >= 'a') return group;
    }
    const size_t behind = skip(text, end, kClosing);
    // "a cat", "the answer is a mixture": an article.
    if (small && behind > end && text[end] == ' ' && is_word_at(text, behind)) return group;
    for (size_t i = start; i < end; ++i) {
      group.letters |= Choices{1} << *as_letter(text[i], n_choices);
      ++group.count;
    }
    group.end = behind;
    at = skip(text, behind, kJoining);
    // "(A)(C)" needs nothing between; "B C" is not a list.
    if (at == behind && !(text.substr(at).starts_with("(") && text[behind - 1] == ')'))
      return group;
    // "A; C and D are wrong": the letters of what is denied next are none of the answer.
    const std::string_view ahead = text.substr(at, std::min<size_t>(text.size() - at, 200));
    if (denied == Denied::left_out && denies(ahead.substr(0, ahead.find_first_of(".;!?(\n")))) {
      const size_t next = skip(text, at, kOpening);
      group.cut = next < text.size() && as_letter(text[next], n_choices);
      return group;
    }
  }
}

// Rule 2, before its other forms: the last "answer": "C", which Qwen's model cards ask for.
Choices letters_in_json(std::string_view text, int n_choices) {
  constexpr std::string_view kKey = "\"answer\"";
  const size_t key = text.rfind(kKey);
  if (key == std::string_view::npos) return 0;
  const std::string_view value = py_strip(text.substr(key + kKey.size()));
  if (!value.starts_with(':')) return 0;
  return read_group(value, 1, n_choices).letters;
}

// Rule 3: nothing but letters and what decorates them.
Choices only_letters(std::string_view text, int n_choices) {
  text = py_strip(text);
  const LetterGroup group = read_group(text, 0, n_choices);
  if (group.count == 0) return 0;
  const bool done =
      text.find_first_not_of(" \t\r\n*_)]}.:,;$\"'`", group.end) == std::string_view::npos;
  return done ? group.letters : 0;
}

Choices line_begins_with_letter(std::string_view text, int n_choices) {
  const size_t at = std::min(text.find_first_not_of(" \t*_("), text.size());
  if (at >= text.size() || text[at] < 'A' || text[at] > 'Z') return 0;
  const LetterGroup group = read_group(text, at, n_choices);
  if (group.count == 0 || group.cut) return 0;
  const size_t end = std::min(text.find_first_not_of(" *_", at + 1), text.size());
  const std::string_view behind = text.substr(group.count == 1 ? end : group.end);
  for (const std::string_view mark : {".", ")", ":", "、"}) {
    if (behind.starts_with(mark)) return group.letters;
  }
  return 0;
}

// Rule 5. 选择 and 选 are verbs where a letter follows; 不选, 不能选, 别选 say the opposite.
Choices last_chosen(std::string_view text, int n_choices) {
  static constexpr std::string_view kWord = "选";
  static constexpr std::string_view kBetween[] = {"择", "项", ":", " ", "是", "为", "答案"};
  for (size_t at = text.rfind(kWord); at != std::string_view::npos;
       at = at == 0 ? std::string_view::npos : text.rfind(kWord, at - 1)) {
    const std::string_view before = text.substr(at < 12 ? 0 : at - 12, std::min<size_t>(at, 12));
    bool denied = false;
    for (const std::string_view no : {"不", "别", "勿", "未", "没", "非"}) {
      const size_t found = before.rfind(no);
      denied = denied || (found != std::string_view::npos &&
                          before.find_first_of(".,;:!?\n", found) == std::string_view::npos);
    }
    if (denied) continue;
    size_t behind = at + kWord.size();
    if (text.substr(behind).starts_with("项")) continue;  // "选项B是错的" chooses nothing
    behind = skip(text, behind, kBetween);
    if (const LetterGroup group = read_group(text, behind, n_choices); group.count > 0)
      return group.letters;
  }
  return 0;
}

// Whether the words at text[at], behind letters, say that they are right; a question says nothing.
bool said_to_be_right(std::string_view text, size_t at) {
  static constexpr std::string_view kWords[] = {"are correct",
                                                "are right",
                                                "are both correct",
                                                "are all correct",
                                                "is correct",
                                                "is right",
                                                "is the correct",
                                                "is the right",
                                                "are the correct",
                                                "are the right",
                                                "is the answer",
                                                "are the answers",
                                                "正确",
                                                "是正确",
                                                "都正确",
                                                "均正确",
                                                "都是正确",
                                                "均是正确",
                                                "都对",
                                                "均对",
                                                "是对的",
                                                "都是对的"};
  static constexpr std::string_view kNouns[] = {"项", "选项", " "};
  const std::string_view behind = text.substr(skip(text, at, kNouns));
  for (const std::string_view words : kWords) {
    if (!behind.starts_with(words)) continue;
    const std::string_view rest = py_strip(behind.substr(words.size()));
    return !rest.starts_with('?') && !rest.starts_with("吗");
  }
  return false;
}

// Whether the clause around text[at] denies something.
bool is_denied(std::string_view text, size_t at) {
  static constexpr std::string_view kEnds = ".,;!?\n";
  const size_t before = at == 0 ? std::string_view::npos : text.find_last_of(kEnds, at - 1);
  const size_t start = before == std::string_view::npos ? 0 : before + 1;
  return denies(text.substr(start, std::min(text.find_first_of(kEnds, at), text.size()) - start));
}

// Rule 6: the last letters of which it is said: "Both A and C are correct", "A、C正确".
Choices last_said_to_be_right(std::string_view text, int n_choices) {
  Choices last = 0;
  size_t looked = 0;
  for (size_t at = 0; at < text.size();) {
    const bool capital = text[at] >= 'A' && text[at] <= 'Z' && !is_word_before(text, at);
    const LetterGroup group =
        capital ? read_group(text, at, n_choices, Denied::kept) : LetterGroup{};
    if (group.count == 0) {
      ++at;
      continue;
    }
    if (said_to_be_right(text, group.end) && (++looked > 200 || !is_denied(text, group.end))) {
      last = group.letters;
    }
    at = group.end;
  }
  return last;
}

Choices last_bracketed_letter(std::string_view text, int n_choices) {
  size_t looked = 0;
  for (size_t at = text.size(); at-- > 2;) {
    if (text[at] != ')' || text[at - 2] != '(') continue;
    const char c = text[at - 1];
    const auto letter = c >= 'A' && c <= 'Z' ? as_letter(c, n_choices) : std::nullopt;
    // A clause costs its length: a few hundred are enough to find one that is not denied.
    if (letter && ++looked <= 200 && !is_denied(text, at)) return Choices{1} << *letter;
  }
  return 0;
}

Choices only_lone_letter(std::string_view text, int n_choices) {
  std::optional<int> only;
  size_t looked = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c < 'A' || c > 'Z' || is_word_before(text, at) || (at > 0 && text[at - 1] == '\''))
      continue;
    const char behind = at + 1 < text.size() ? text[at + 1] : ' ';
    if (is_word_at(text, at + 1) || behind == '\'') continue;
    const bool word_follows =
        behind == ' ' && at + 2 < text.size() && text[at + 2] >= 'a' && text[at + 2] <= 'z';
    if ((c == 'A' || c == 'I') && word_follows) continue;
    const auto letter = as_letter(c, n_choices);
    if (!letter || letter == only || (++looked <= 200 && is_denied(text, at))) continue;
    if (only) return 0;  // two of them: which one?
    only = letter;
  }
  return only ? Choices{1} << *only : 0;
}

std::string letters_text(Choices choices) {
  std::string text;
  for (int i = 0; i < kMostChoices; ++i) {
    if ((choices >> i & 1) != 0) text += static_cast<char>('A' + i);
  }
  return text;
}

std::optional<int> only_one(Choices choices) {
  return std::has_single_bit(choices) ? std::optional<int>(std::countr_zero(choices))
                                      : std::nullopt;
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
    const Choices truth = true_choices(answer_of(row), list, n);
    const Choices chosen = choices_in_text(plain_characters(text), n);
    if (chosen == 0) {
      return {.outcome = Outcome::no_answer,
              .reason = fmt::format("no letter from A to {} stands out",
                                    static_cast<char>('A' + std::max(n - 1, 0))),
              .prediction = {}};
    }
    Verdict verdict{.outcome = Outcome::wrong, .reason = {}, .prediction = letters_text(chosen)};
    if (truth == 0) {
      verdict.reason = "the row has no answer to compare with";
    } else if (chosen == truth) {
      verdict.acc = 1;
      verdict.outcome = Outcome::correct;
      verdict.reason = fmt::format("chose {}", letters_text(chosen));
    } else {
      verdict.reason =
          fmt::format("chose {}; the answer is {}", letters_text(chosen), letters_text(truth));
    }
    return verdict;
  }

 private:
  int n_choices_;
};

}  // namespace

Choices choices_in_text(std::string_view text, int n_choices) {
  if (const auto boxed = last_boxed(text)) {
    if (const LetterGroup group = read_group(*boxed, 0, n_choices); group.count > 0)
      return group.letters;
  }
  if (const Choices letters = letters_in_json(text, n_choices)) return letters;
  if (const auto stated = last_stated_answer(text)) {
    if (const LetterGroup group = read_group(*stated, 0, n_choices); group.count > 0)
      return group.letters;
  }
  if (const Choices letters = only_letters(text, n_choices)) return letters;
  const std::string_view stripped = py_strip(text);
  const std::string_view first_line = stripped.substr(0, stripped.find('\n'));
  if (const Choices letters = line_begins_with_letter(first_line, n_choices)) return letters;
  if (const Choices letters = last_chosen(text, n_choices)) return letters;
  if (const Choices letters = last_said_to_be_right(text, n_choices)) return letters;
  if (const Choices letter = last_bracketed_letter(text, n_choices)) return letter;
  return only_lone_letter(text, n_choices);
}

std::optional<int> choice_in_text(std::string_view text, int n_choices) {
  return only_one(choices_in_text(text, n_choices));
}

Choices true_choices(const PyValue& answer, const PyList* choices, int n_choices) {
  if (const int64_t* index = answer.integer()) {
    return *index >= 0 && *index < n_choices ? Choices{1} << *index : 0;
  }
  if (const PyList* list = answer.list()) {
    Choices all = 0;
    for (const PyValue& one : *list) {
      const Choices letters = one.list() == nullptr ? true_choices(one, choices, n_choices) : 0;
      if (letters == 0) return 0;
      all |= letters;
    }
    return all;
  }
  if (answer.string() == nullptr) return 0;
  // The text of a choice goes first: "A" may be one.
  for (int i = 0; choices != nullptr && i < n_choices; ++i) {
    if (answer.string()->size() > 1 && py_equal((*choices)[static_cast<size_t>(i)], answer)) {
      return Choices{1} << i;
    }
  }
  return only_letters(plain_characters(*answer.string()), n_choices);
}

std::optional<int> true_choice(const PyValue& answer, const PyList* choices, int n_choices) {
  return answer.list() != nullptr ? std::nullopt
                                  : only_one(true_choices(answer, choices, n_choices));
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
