// What an output file already holds, learned line by line while the journal reads it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "eval/run/dataset.h"
#include "eval/run/sample_key.h"

namespace qwen3::eval {

class FoundSamples {
 public:
  explicit FoundSamples(Mode mode) : mode_(mode) {}

  // The journal's visitor: false for a damaged line. Throws Error{corrupt_file} when a sample
  // stands twice.
  bool read(std::string_view line, int64_t number);
  void add(std::string_view key) { by_key_[short_key(key)] = 1; }

  bool has(std::string_view key) const { return by_key_.count(short_key(key)) > 0; }

  // Which samples of a row are missing. Lines without a key (the official scripts') count by
  // prompt, as those scripts do: every row with that prompt has as many samples less to ask for.
  std::vector<int64_t> missing(const std::string& row_key,
                               const std::string& prompt,
                               int64_t n_samples) const;

  int64_t n_lines() const { return n_keyed_ + n_unkeyed_; }
  int64_t n_keyed() const { return n_keyed_; }
  int64_t prompt_tokens() const { return prompt_tokens_; }
  int64_t completion_tokens() const { return completion_tokens_; }

 private:
  bool read_by_prompt(std::string_view line);

  Mode mode_;
  KeyCounts by_key_;
  KeyCounts by_prompt_;  // lines without a key
  int64_t n_keyed_ = 0, n_unkeyed_ = 0;
  int64_t prompt_tokens_ = 0, completion_tokens_ = 0;
};

}  // namespace qwen3::eval
