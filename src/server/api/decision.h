// Decisions: closed questions about a text, answered by probabilities instead of words. Each question
// is one user message that ends with labels (A … Z for options, 0 … 9 for levels, yes and no); the
// model is read once, thinking off, and the answer is the softmax over the labels' logits at the place
// where it would write one. Nothing is generated.
//
//   decisions.cpp  POST /v1/decisions  OpenAI's shape   ┐
//   systemone.cpp  POST /v1/systemone  TypeSafe's shape ┴─> answer_decisions()
//
// The text comes first in every message, so that the prefix cache has it from the second question on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "server/api/answer_json.h"
#include "server/api/decision_labels.h"
#include "server/api/handlers.h"

namespace qwen3::server {

inline constexpr size_t kMaxQuestions = 64;

struct DecisionOption {
  std::string text;
  std::string description = {};
};

struct DecisionQuestion {
  enum class Kind { predicate, choice, score };

  Kind kind = Kind::predicate;
  std::string path;  // in the request, for complaints
  std::string instructions = {};
  std::vector<DecisionOption> options = {};  // predicate: what yes and no mean; else 1 or more
};

struct DecisionAnswer {
  std::vector<double> probabilities = {};  // by option; a predicate's first is that of yes
  double label_mass = 0;                   // what the labels have of the whole vocabulary's

  size_t best() const;
  // 1 when one option has everything, 0 when all have the same.
  double confidence() const;
  double expected_level() const;
};

// Text of a JSON value: a string's own, else its JSON.
std::string text_of_value(const Json& value);

// Answers the request with what `shape` makes of the answers, in the order of the questions. Refuses
// a model without the labels or without a chat template.
using DecisionShape =
    std::function<std::string(const std::vector<DecisionAnswer>& answers, const TokenUsage& usage)>;
void answer_decisions(Service& service,
                      const HttpRequest& http,
                      const ExchangePtr& exchange,
                      std::string_view about,
                      const std::vector<DecisionQuestion>& questions,
                      DecisionShape shape);

}  // namespace qwen3::server
