// A score for people and for machines.
#pragma once

#include <string>

#include "base/json.h"
#include "eval/score.h"

namespace qwen3::eval {

// "Task: arc_agi_1, Accuracy: 0.4075": the official line, without a line end.
std::string official_line(const ScoreResult& result);

// Several lines: the accuracy with its interval, pass@k, how many samples of how many, what became
// of them, and whatever a reader must know to trust the number. Each ends with a line end.
std::string score_summary(const ScoreResult& result);

// The same as one JSON object, with the score of every task.
Json score_json(const ScoreResult& result);

}  // namespace qwen3::eval
