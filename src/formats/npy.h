// NumPy's .npy, written as version 1.0 (2.0 and 3.0, with a u32 length, are read too):
//
//   magic "\x93NUMPY" 1 0 | u16 header length | Python dict literal, spaces, \n | data
//
// The header ends at a multiple of 64; data is row-major and little-endian.
#pragma once

#include <filesystem>
#include <vector>

#include "tensor/tensor.h"

namespace qwen3 {

// Writes a dense row-major f32 or i32 tensor. Written aside and renamed. Throws
// Error{invalid_argument} for another dtype, Error{device} when the disk refuses.
void write_npy(const std::filesystem::path& path, const Tensor& tensor);

struct NpyArray {
  std::vector<int64_t> shape;
  std::vector<float> values;  // '<f4' and '<f8' are read, '<i4' and '<i8' converted
};
NpyArray read_npy(const std::filesystem::path& path);  // throws Error{not_found, corrupt_file}

}  // namespace qwen3
