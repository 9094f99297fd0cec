// The config file of scoring: YAML with the official keys eval_input_path, details_path and
// task_name. Other keys are ignored, as the official scorer does.
#pragma once

#include <filesystem>

#include "eval/score/score.h"

namespace qwen3::eval {

// Fills in the paths and the task. Throws Error naming the file and the key that is missing or no
// text.
void read_score_config(const std::filesystem::path& path, ScoreOptions& options);

}  // namespace qwen3::eval
