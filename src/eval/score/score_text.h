// A score for people and for machines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "eval/score/score.h"
#include "eval/score/spread.h"

namespace qwen3::eval {

// "1 task", "2 tasks".
std::string counted(int64_t n, const char* word);

// "Task: arc_agi_1, Accuracy: 0.4075": the official line, without a line end.
std::string official_line(const ScoreResult& result);

// What the result tells of each answer's completion tokens, and of the seconds each took.
std::vector<Measured> lengths_of(const ScoreResult& result);
std::vector<Measured> times_of(const ScoreResult& result);

// Several lines: the accuracy with its interval, pass@k, how many samples of how many, what became
// of them, how long answers were and took, and whatever a reader must know to trust the number.
// Each ends with a line end.
std::string score_summary(const ScoreResult& result);

// The same as one JSON object, with the score of every task.
Json score_json(const ScoreResult& result);

}  // namespace qwen3::eval
