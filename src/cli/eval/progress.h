// How far an evaluation is: one line that is drawn again on a terminal, a plain line now and then
// elsewhere (a log file).
#pragma once

#include <chrono>
#include <string>

#include "eval/run/generate.h"

namespace qwen3::cli {

class EvalProgress {
 public:
  explicit EvalProgress(bool enabled);
  ~EvalProgress();
  EvalProgress(const EvalProgress&) = delete;
  EvalProgress& operator=(const EvalProgress&) = delete;

  void show(const eval::Tally& tally, const std::string& condition);
  void note(const std::string& line);  // a line that stays, also when the rest is not shown
  void erase();

 private:
  std::string line(const eval::Tally& tally, const std::string& condition) const;

  bool enabled_, terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace qwen3::cli
