// Arrays that tests own, and the comparison that the oracle chain rests on.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/input_file.h"
#include "formats/safetensors.h"
#include "tensor/tensor.h"

namespace qwen3::test {

struct Array {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// A dense copy of an f32 or i32 tensor whose rows may be strided.
inline Array copy_of(const Tensor& tensor) {
  Array array;
  for (int i = 0; i < tensor.rank(); ++i) array.shape.push_back(tensor.dim(i));
  const int64_t row_size = tensor.dim(0) == 0 ? 0 : tensor.numel() / tensor.dim(0);
  for (int64_t row = 0; row < tensor.dim(0); ++row) {
    for (int64_t i = 0; i < row_size; ++i) {
      const int64_t at = row * tensor.row_stride() + i;
      array.values.push_back(tensor.dtype() == DType::i32 ? static_cast<float>(tensor.i32()[at])
                                                          : tensor.f32()[at]);
    }
  }
  return array;
}

// Every F32 and I32 tensor of a safetensors file.
inline std::map<std::string, Array> read_arrays(const std::filesystem::path& path) {
  const InputFile file(path);
  std::map<std::string, Array> arrays;
  for (const SafetensorsEntry& entry : read_safetensors(file)) {
    Array array{entry.shape, {}};
    std::vector<std::byte> bytes(static_cast<size_t>(entry.end - entry.begin));
    file.read(entry.begin, bytes);
    const std::byte* data = bytes.data();
    for (int64_t i = 0; i < (entry.end - entry.begin) / 4; ++i) {
      if (entry.dtype == "I32") {
        int32_t value;
        std::memcpy(&value, data + 4 * i, 4);
        array.values.push_back(static_cast<float>(value));
      } else {
        float value;
        std::memcpy(&value, data + 4 * i, 4);
        array.values.push_back(value);
      }
    }
    arrays.emplace(entry.name, std::move(array));
  }
  return arrays;
}

// ‖got - want‖ / ‖want‖ in double; infinite when the sizes differ or a value is not finite.
inline double relative_error(const std::vector<float>& got, const std::vector<float>& want) {
  if (got.size() != want.size()) return INFINITY;
  double difference = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = static_cast<double>(got[i]) - want[i];
    difference += d * d;
    size += static_cast<double>(want[i]) * want[i];
  }
  if (!std::isfinite(difference)) return INFINITY;
  return difference == 0 ? 0 : std::sqrt(difference / size);
}

}  // namespace qwen3::test
