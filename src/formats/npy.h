// NumPy's .npy, written as version 1.0 (2.0 and 3.0, with a u32 length, are read too):
//
//   magic "\x93NUMPY" 1 0 | u16 header length | Python dict literal, spaces, \n | data
//
// The header ends at a multiple of 64; data is row-major and little-endian.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/input_file.h"
#include "tensor/tensor.h"

namespace qwen3 {

// Writes a dense row-major f32 or i32 tensor. Written aside and renamed. Throws
// Error{invalid_argument} for another dtype, Error{io} when the disk refuses.
void write_npy(const std::filesystem::path& path, const Tensor& tensor);

// An array in a file, of which at first only the header is read: a caller that knows what shape it
// wants asks before the values of a hostile one fill the memory.
class NpyFile {
 public:
  // Throws Error{not_found, corrupt_file}.
  explicit NpyFile(const std::filesystem::path& path);

  const std::vector<int64_t>& shape() const { return shape_; }
  // '<f4' and '<f8' are read, '<i4' and '<i8' converted. Throws Error{corrupt_file} when the file
  // changed since it was opened.
  std::vector<float> values() const;

 private:
  void read_header(std::string_view text);

  InputFile file_;
  std::vector<int64_t> shape_;
  std::string type_;        // "<f4" …
  int64_t data_begin_ = 0;  // to the end of the file
};

struct NpyArray {
  std::vector<int64_t> shape;
  std::vector<float> values;
};
NpyArray read_npy(const std::filesystem::path& path);  // all of an NpyFile; throws as it does

}  // namespace qwen3
