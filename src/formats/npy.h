// NumPy's .npy, version 1.0: magic "\x93NUMPY" 1 0 | u16 header length | Python dict literal padded
// with spaces to a multiple of 64 | row-major little-endian data.
#pragma once

#include <filesystem>
#include <vector>

#include "tensor/tensor.h"

namespace qwen3 {

// Writes a row-major f32 or i32 tensor (rows may be strided). Written aside and renamed.
// Throws Error{device} when the disk refuses (naming path and reason).
void write_npy(const std::filesystem::path& path, const Tensor& tensor);

struct NpyArray {
  std::vector<int64_t> shape;
  std::vector<float> values;  // '<f4' and '<f8' are read, '<i4' and '<i8' converted
};
NpyArray read_npy(const std::filesystem::path& path);  // throws Error{not_found, corrupt_file}

}  // namespace qwen3
