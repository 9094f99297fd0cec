// OUTPUT.failures.jsonl: the samples that have no answer, one line each, so that the output file
// holds answers only:
//
//   {"id": …, "task_id": …, "sample": 0, "kind": "timeout", "status": 0, "message": …,
//    "attempts": 10}
//
// While a run goes on the file grows; its end rewrites it: one line for each sample that still
// has no answer, sorted, however often the run was interrupted. It is removed when it is empty.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "eval/run/answer_source.h"
#include "eval/run/journal.h"

namespace qwen3::eval {

class FailureLog {
 public:
  // Reads what an earlier run left. Throws Error{corrupt_file, io}.
  explicit FailureLog(const std::filesystem::path& output);

  void add(const std::string& key,
           const std::string& task_id,
           int64_t sample,
           const Failure& failure,
           int attempts);
  void forget(const std::string& key);  // the sample has an answer now
  // Rewrites the file. Throws Error{io}.
  void finish();

  const std::map<std::string, std::string>& lines() const { return lines_; }  // by key
  // How many of each kind.
  std::map<std::string, int64_t> counts() const;

 private:
  void open();

  std::filesystem::path path_;
  std::unique_ptr<Journal> journal_;  // null: no file yet
  std::map<std::string, std::string> lines_;
};

}  // namespace qwen3::eval
