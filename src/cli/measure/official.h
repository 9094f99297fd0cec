// The table of Qwen's speed benchmark: one sequence, 2048 tokens generated after inputs of 1 to 129024 tokens.
// Speed is what that benchmark calls so: all tokens, of the prompt and generated, by the time of both.
// https://qwen.readthedocs.io/en/latest/getting_started/speed_benchmark.html
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "qwen3/model.h"

namespace qwen3::cli {

inline constexpr const char* kOfficialInputs = "1,6144,14336,30720,63488,129024";
inline constexpr int64_t kOfficialOutput = 2048;

struct OfficialRun {
  std::vector<int64_t> inputs;
  int64_t output_tokens = kOfficialOutput;
  int64_t repeat = 1;  // the run of median speed is shown
  std::string format;  // "text", "markdown", "csv", "json"
};

// Prints a row per input length; one that is longer than the model's context, or does not fit in memory, says so in
// its note. Throws Error{internal} when the engine fails.
void run_official(const std::shared_ptr<Model>& model, const OfficialRun& run);

// The most memory that this process has had, in bytes.
int64_t peak_memory_bytes();

}  // namespace qwen3::cli
