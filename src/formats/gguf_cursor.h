// Reads a GGUF file forwards from some place, through a buffer: numbers, lengths and texts, each held against what is
// left of the file. What `what` names is what the errors are about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/input_file.h"

namespace qwen3 {

class GgufCursor {
 public:
  GgufCursor(const InputFile& file, int64_t at);

  int64_t at() const { return at_; }
  int64_t left() const { return end_ - at_; }

  // Throws Error{corrupt_file} unless so many bytes are left.
  void need(int64_t n, std::string_view what) const;
  uint64_t number(int64_t n_bytes, std::string_view what);
  // A count or a length. 2^63 and above become -1, which no check lets pass.
  int64_t size(std::string_view what);
  std::string text(int64_t n, std::string_view what);
  void read(std::byte* out, int64_t n, std::string_view what);
  void skip(int64_t n, std::string_view what);

 private:
  struct Part {
    const std::byte* data;
    int64_t size;
  };
  // What of the file lies in memory from at_ on; at least one byte. REQUIRES: left() > 0.
  Part buffered();

  const InputFile& file_;
  int64_t at_, end_;
  int64_t begin_ = 0;  // of the buffer
  std::vector<std::byte> buffer_;
};

}  // namespace qwen3
