// Steering: what a request decides of its answer, and not the model: a TokenConstraint around the grammar.
//
//   prompt ── start ──────────────────────────────────┬─> answer   the grammar, if there is one
//               └ <think> ─> thought ── </think> ── 2 newlines at most ──┘
//                               └ budget used up, or ended from outside ─> closing, token by token ─> answer
//
// A newline behind a thought is the template's: the grammar's own may come behind two of them. So the text tells
// which is which, as AnswerOptions::max_newlines wants it.
//
// Inside a thought everything is allowed; under a grammar all but the end, which would leave no answer. But only the
// token </think> ends it: ordinary tokens that would spell the tag to its end are forbidden, since who reads the text
// would take what follows for the answer, which nothing holds to the grammar yet.
// A grammar with a `trigger` leaves the answer free until that token and holds what comes behind it: calls
// of tools that the model may make or not.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "grammar/grammar.h"
#include "qwen3/constraint.h"
#include "qwen3/text.h"

namespace qwen3 {

class Tokenizer;

using TokenIds = std::vector<int32_t>;

// Set once, by who wants the answer now; read before each token of a thought.
using ThoughtSwitch = std::shared_ptr<std::atomic<bool>>;

struct SteeringPlan {
  PromptState state = PromptState::plain;
  int32_t think_open = -1, think_close = -1;  // the ids of <think> and </think>; -1: none
  const Tokenizer* tokenizer =
      nullptr;             // that they are of; null: nobody looks how tags are spelled
  TokenIds newlines = {};  // of one newline, and of two, where there are such tokens

  std::optional<int64_t> thought_budget = {};  // tokens that the model thinks; then `closing`
  TokenIds closing = {};                       // "… directly now.\n</think>\n\n"

  ThoughtSwitch end_thought = {};  // set: then `ending`; null: never
  TokenIds ending = {};            // "\n</think>\n\n"; of thoughts that are to end in time, too

  GrammarPtr grammar = nullptr;  // of the answer; null: anything
  std::shared_ptr<const TokenTrie> trie = nullptr;
  int32_t trigger = -1;  // the grammar begins behind it; -1: with the answer
  TokenIds begun = {};   // of the answer, in the prompt; the grammar takes them

  // Tokens that the answer has, its thought included; -1: it need not be whole by then. Else, where there is a grammar,
  // the thought ends (`ending`) and the answer is closed in time; `closed`, if it is there, then says so.
  int64_t close_within = -1;
  std::shared_ptr<std::atomic<bool>> closed = {};

  bool empty() const { return !thought_budget && !end_thought && grammar == nullptr; }
};

// Of the model's tokens, and nothing wanted yet.
SteeringPlan steering_plan(const Text& text, PromptState state);

// For one answer.
std::unique_ptr<TokenConstraint> make_steering(SteeringPlan plan);

}  // namespace qwen3
