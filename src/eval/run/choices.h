// Multiple choice by log-likelihood: what is scored, and which choice wins. The definitions are
// those of lm-evaluation-harness 0.4.13 (lm_eval/api/model.py, _encode_pair; lm_eval/api/task.py,
// process_results of "multiple_choice"), so that scores compare:
//
//   context         choose_prompt with the row's prompt in its place; white space at its end goes
//                   over to the continuation
//   continuation    choose_delimiter, then the text of the choice
//   its tokens      those of context + continuation, after those that the context has alone
//   log-likelihood  Σ ln p(token | all tokens before it), over the continuation's tokens
//
//   choose_by                      the answer is the choice with the largest      there called
//   loglikelihood                  log-likelihood                                 acc
//   loglikelihood_per_character    … per character of the choice's text           acc_norm
//   loglikelihood_per_byte         … per byte of it, in UTF-8                     acc_bytes
//
// Of equals the first. (The two norms differ only where a choice is not all ASCII.)
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/run/config.h"
#include "eval/run/dataset.h"

namespace qwen3::eval {

// The "choices" of a row: 2 to 26 texts, none empty. Throws Error{corrupt_file} naming `where`
// (file and line) and the field that is not right, be it the choices, an "answer" that is there and
// names none of them, or a prompt that gives no context.
std::vector<std::string> read_choices(const EvalConfig& config,
                                      const DatasetRow& row,
                                      std::string_view where);

// What a model reads.
struct ChoiceTexts {
  std::string context;             // "" when there is nothing but white space
  std::vector<std::string> whole;  // of each choice: context and continuation
};
ChoiceTexts choice_texts(const EvalConfig& config,
                         std::string_view prompt,
                         std::span<const std::string> choices);

// The winner; nothing when no log-likelihood is finite. REQUIRES: one for each choice.
std::optional<size_t> choose(ChooseBy by,
                             std::span<const std::string> choices,
                             std::span<const double> loglikelihoods);

}  // namespace qwen3::eval
