// The public ARC task files (one JSON file a task, "train" and "test" lists of {"input", "output"}
// grids) as a prompt file: one row for each test grid, worded exactly as the prompts of the
// official arc_agi_1.jsonl.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace qwen3::eval {

using Grid = std::vector<std::vector<int>>;

struct ArcPair {
  Grid input, output;
};

std::string arc_prompt(const std::vector<ArcPair>& train, const Grid& test_input);

struct ArcCounts {
  int64_t tasks = 0, rows = 0;
};

// Reads every *.json of `tasks`, in the order of their names, and writes `out` when all is well.
// task_id is the name without ".json"; a test grid without output (a hidden test) gives "answer":
// null. Throws Error{not_found} for a folder that is missing or holds no task, Error{corrupt_file}
// naming the file and the place: grids are lists of equally long rows of integers 0 to 9, at most
// 100 on a side.
ArcCounts write_arc_prompts(const std::filesystem::path& tasks, const std::filesystem::path& out);

}  // namespace qwen3::eval
