// OUT.partial: the answers of a `generate --prompts` run as they come, so that a run that was killed goes on with what
// is missing. It is gone when every prompt has its answer.
//
//   {"qwen3_generate":1,"options":{"model":…,"temperature":0.6,…}}        what shapes an answer
//   {"prompt":"<SHA-256 of the text>","line":{"index":7,"text":…,…}}      one for each, in the order of arrival
//
// A row counts where the prompt of its index is still the same text: the file of prompts may grow, or be mended.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/chat/batch.h"
#include "eval/run/journal.h"

namespace qwen3::cli {

class BatchBook {
 public:
  // Opens or begins it. Throws Error{invalid_argument} naming an option that differs from those it was begun with,
  // Error{corrupt_file} for another kind of file, Error{busy} when another process writes it, Error{io}.
  BatchBook(const std::filesystem::path& out,
            const Json& options,
            const std::vector<BatchPrompt>& prompts);

  // The line that it has for a prompt; null: none yet.
  const Json& line(size_t index) const { return lines_[index]; }
  int64_t n_found() const { return n_found_; }  // when it was opened
  int64_t n_lines() const { return n_lines_; }
  std::string name() const { return path_.string(); }

  // On the disk at once, as far as a kill is concerned; within a second, as far as the power is. Throws Error{io}.
  void add(size_t index, const Json& line);
  // Every prompt has its answer, which are safe elsewhere.
  void remove();

 private:
  bool read_row(std::string_view row, int64_t number, const Json& options);
  void check_options(const Json& before, const Json& now) const;

  const std::filesystem::path path_;
  const std::vector<BatchPrompt>& prompts_;
  std::vector<Json> lines_;
  int64_t n_found_ = 0, n_lines_ = 0;
  bool has_header_ = false;
  std::optional<eval::Journal> journal_;
  std::chrono::steady_clock::time_point committed_;
};

// Where the book of an output file is.
std::filesystem::path book_path(const std::filesystem::path& out);
// Whether it may have one: a device or a pipe keeps nothing to go on from.
bool may_have_book(const std::filesystem::path& out);

}  // namespace qwen3::cli
