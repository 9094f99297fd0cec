// The questions: one JSON object a line, each with "prompt" (text), usually "task_id" and "answer".
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/input_file.h"
#include "eval/python/python_json.h"
#include "eval/run/sample_key.h"

namespace qwen3::eval {

// strict: files in, files out and numbers as the official scripts have them.
// standard: the same with their defects fixed.
enum class Mode { standard, strict };

struct DatasetRow {
  PyValue value;        // the object
  std::string json;     // as json.dumps(row, ensure_ascii=False) writes it: valid UTF-8
  std::string prompt;   // "prompt"
  std::string task_id;  // as text; "" when there is none
};

// Rows are checked at once and parsed again when they are asked for: a dataset may be larger than
// memory. Immutable; one object may serve several threads. The file must stay as it is until the
// object goes; whoever changes it gets an error, never other rows.
class Dataset {
 public:
  // Throws Error{corrupt_file} naming the line that is not a row or is too long, Error{not_found}.
  // The members
  // "gen" and "qwen3" are refused in standard mode: they are ours to write.
  Dataset(const std::filesystem::path& path, Mode mode);

  int64_t size() const { return static_cast<int64_t>(lines_.size()); }
  // Throws Error{corrupt_file} when the file no longer holds that row.
  DatasetRow row(int64_t index) const;
  const std::string& sha256() const { return sha256_; }  // of the file
  const std::string& name() const { return file_.name(); }

  // Tells rows apart: the hash of the row as JSON text, and how many equal rows stand before it.
  std::string fingerprint(int64_t index) const;

 private:
  struct Line {
    int64_t offset;
    uint32_t bytes;
    uint32_t n_equal_before;
    std::array<uint8_t, 32> hash;
  };
  DatasetRow parse(std::string_view text, int64_t number) const;
  void add(std::string_view text, int64_t offset, KeyCounts& equal_rows);

  InputFile file_;
  Mode mode_;
  std::string sha256_;
  std::vector<Line> lines_;
};

}  // namespace qwen3::eval
