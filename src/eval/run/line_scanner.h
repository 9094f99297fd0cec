// The lines of a file of any size, in order, through a window of a megabyte. A line that is too
// long is refused as soon as the window has gone that far, before any of it is kept: a file of ten
// gigabytes without a line end costs what its first megabytes cost.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/input_file.h"

namespace qwen3::eval {

// The longest line of an answers file or journal that is read or written: a row of a dataset
// (eval/run/dataset.h) with its answer.
inline constexpr int64_t kMaxLineBytes = int64_t{128} << 20;

class LineScanner {
 public:
  // Bytes from `offset` on: as many as `out` takes or the file still has, 0 at its end. Throws.
  using Read = std::function<int64_t(int64_t offset, std::span<char> out)>;
  enum class Ends {
    newline,  // '\n'
    python,   // '\n', "\r\n" or '\r', as a file opened as text has in Python
  };
  struct Line {
    std::string_view text;       // without its end; valid until the next call
    int64_t number = 0;          // from 1
    int64_t begin = 0, end = 0;  // in the file; `end` lies after the line's end
    bool terminated = true;
  };

  // `name` begins messages.
  LineScanner(std::string name, Read read, int64_t max_line_bytes, Ends ends = Ends::newline);
  // `file` must outlive it. Reads as far as the file reached when it was opened: one that grows is
  // no trouble.
  LineScanner(const InputFile& file, int64_t max_line_bytes, Ends ends = Ends::newline);

  // False at the end. Throws Error{corrupt_file} for a line longer than max_line_bytes, and when
  // the file shrinks.
  bool next(Line& line);

 private:
  bool fill(int64_t offset);
  size_t find_end(size_t from) const;
  void finish(Line& line, size_t at);
  void take_text(Line& line, int64_t n_bytes);

  std::string name_;
  Read read_;
  int64_t max_line_bytes_;
  Ends ends_;
  std::vector<char> window_;
  int64_t window_begin_ = 0;  // in the file
  size_t filled_ = 0;         // bytes of the window
  size_t pos_ = 0;            // of the next line, in the window
  int64_t number_ = 0;
  std::string long_line_;  // one that crosses windows
};

}  // namespace qwen3::eval
