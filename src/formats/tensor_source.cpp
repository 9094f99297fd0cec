#include "formats/tensor_source.h"

#include <algorithm>
#include <span>

namespace qwen3 {

int64_t TensorSource::n_bytes() const {
  int64_t sum = 0;
  for (const auto& [name, tensor] : tensors()) sum += tensor.n_bytes;
  return sum;
}

std::vector<std::string> TensorSource::names() const { return sorted_names(tensors()); }

void SourceTensor::read_rows(int64_t first_row,
                             int64_t n_rows,
                             int64_t n_columns,
                             std::byte* to) const {
  if (rows != nullptr) return rows->read(first_row, n_rows, to);
  const int64_t row = row_bytes(type, n_columns);
  file->read(begin + first_row * row, std::span(to, static_cast<size_t>(n_rows * row)));
}

void SourceTensor::read_columns(int64_t first_row,
                                int64_t n_rows,
                                int64_t n_columns,
                                int64_t begin_column,
                                int64_t end_column,
                                std::byte* to) const {
  // From here on a read for each row costs less than the rest of the row.
  constexpr int64_t kWorthARead = 4096;
  if (begin_column == 0 && end_column == n_columns)
    return read_rows(first_row, n_rows, n_columns, to);
  const int64_t row = row_bytes(type, n_columns), skipped = row_bytes(type, begin_column);
  const int64_t piece = row_bytes(type, end_column) - skipped;
  if (rows == nullptr && piece >= kWorthARead) {
    for (int64_t r = 0; r < n_rows; ++r, to += piece) {
      file->read(begin + (first_row + r) * row + skipped,
                 std::span(to, static_cast<size_t>(piece)));
    }
    return;
  }
  std::vector<std::byte> whole(static_cast<size_t>(n_rows * row));
  read_rows(first_row, n_rows, n_columns, whole.data());
  for (int64_t r = 0; r < n_rows; ++r, to += piece) {
    std::copy_n(whole.data() + r * row + skipped, piece, to);
  }
}

std::vector<std::string> sorted_names(
    const std::unordered_map<std::string, SourceTensor>& tensors) {
  std::vector<std::string> names;
  names.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

const SourceTensor* find_tensor(const std::unordered_map<std::string, SourceTensor>& tensors,
                                std::string_view name) {
  constexpr std::string_view kPrefix = "model.";
  auto it = tensors.find(std::string(name));
  if (it == tensors.end()) {
    it = tensors.find(name.starts_with(kPrefix) ? std::string(name.substr(kPrefix.size()))
                                                : std::string(kPrefix).append(name));
  }
  return it == tensors.end() ? nullptr : &it->second;
}

}  // namespace qwen3
