// Which choice a text names, and which choice a model finds likeliest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "eval/python/python_json.h"

namespace qwen3::eval {

inline constexpr int kMostChoices = 26;  // A to Z

// Letters named: bit 0 is A.
using Choices = uint32_t;

// The letters that `text` (of plain_characters()) names among `n_choices`; 0: none. The rules, in
// this order; the first that finds any decides:
//   1. the last \boxed{B}, with or without \text{} and brackets;
//   2. the last "answer is B", "Answer: (B)", "option is B" (any case), "答案是B", "【答案】B";
//   3. the whole text is letters: "B", "(B)", "B.", "**B**", "b";
//   4. the first line begins with a letter and one of . ) : 、 as in "B) because";
//   5. the last "选B", "故选：B", "选择B", without 不 or 别 in front;
//   6. the last of which it is said: "A and C are correct", "B is the answer", "A、C正确";
//   7. the last letter in round brackets: "so (B) it is";
//   8. one letter stands alone in the text, the only one there: "I would choose B".
// Rules 1 to 6 take several: "A、C", "A, C and D", "(A)(C)", and "ACD" in the order of the alphabet.
// Rules 6 to 8 leave out letters beside a "not", "wrong", 不 or 错 in the same clause, rule 8 also
// A and I in front of a word, which English needs for other things.
Choices choices_in_text(std::string_view text, int n_choices);

// The one letter (0 is A) that choices_in_text finds; nothing for none or several.
std::optional<int> choice_in_text(std::string_view text, int n_choices);

// The choices that the "answer" of a row names: by letter ("B", "AC", "A、C"), number from 0, text among
// `choices` (null: the row lists none), or a list of these. 0 when it names none, or one that is not.
Choices true_choices(const PyValue& answer, const PyList* choices, int n_choices);

// The one choice of true_choices; nothing for none, several or a list.
std::optional<int> true_choice(const PyValue& answer, const PyList* choices, int n_choices);

// The index of the largest score, the first of equals; nothing when there is no finite one. The
// scores are sums of log-probabilities of the choices' tokens after the prompt. With `lengths`
// (bytes or tokens of each choice) each score is divided by its length first, so that long choices
// are not at a disadvantage. REQUIRES: lengths is empty or as long as scores, without zeros.
std::optional<size_t> choose_by_loglikelihood(std::span<const double> scores,
                                              std::span<const double> lengths = {});

}  // namespace qwen3::eval
