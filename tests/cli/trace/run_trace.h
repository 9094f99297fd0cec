// qwen3 trace of a golden model.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "cli/run_program.h"

namespace qwen3::test {

// In the languages of the original, unless another one is asked for.
inline ProgramResult trace(std::vector<std::string> arguments,
                           const std::string& model = "dense_tied") {
  std::vector<std::string> all{
      "trace", "-m", golden_model(model), "--backend", "reference", "--quiet"};
  if (std::ranges::find(arguments, "--lang") == arguments.end()) {
    all.insert(all.end(), {"--lang", "original"});
  }
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_qwen3(all);
}

}  // namespace qwen3::test
