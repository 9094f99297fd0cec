// Which choice a text names, and which choice a model finds likeliest.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "eval/python/python_json.h"

namespace qwen3::eval {

inline constexpr int kMostChoices = 26;  // A to Z

// The letter (0 is A) that `text` names among `n_choices`. The rules, in this order; the first
// that finds a letter decides:
//   1. the last \boxed{B}, with or without \text{} and brackets;
//   2. the last "answer is B", "Answer: (B)", "answer = **B**" (any case);
//   3. the whole text is a letter: "B", "(B)", "B.", "**B**";
//   4. the first line begins with a letter and one of . ) : as in "B) because";
//   5. the last letter in round brackets: "so (B) it is";
//   6. one letter stands alone in the text, the only one there: "I would choose B".
// Rule 6 leaves out A and I in front of a word, which English needs for other things.
std::optional<int> choice_in_text(std::string_view text, int n_choices);

// The choice that the "answer" of a row names: by its letter ("B"), its number from 0, or its text
// among `choices` (null: the row lists none). Nothing when it names none.
std::optional<int> true_choice(const PyValue& answer, const PyList* choices, int n_choices);

// The index of the largest score, the first of equals; nothing when there is no finite one. The
// scores are sums of log-probabilities of the choices' tokens after the prompt. With `lengths`
// (bytes or tokens of each choice) each score is divided by its length first, so that long choices
// are not at a disadvantage. REQUIRES: lengths is empty or as long as scores, without zeros.
std::optional<size_t> choose_by_loglikelihood(std::span<const double> scores,
                                              std::span<const double> lengths = {});

}  // namespace qwen3::eval
