#include "formats/tensor_source.h"

#include <algorithm>

namespace qwen3 {

int64_t TensorSource::n_bytes() const {
  int64_t sum = 0;
  for (const auto& [name, tensor] : tensors()) sum += tensor.n_bytes;
  return sum;
}

std::vector<std::string> TensorSource::names() const {
  std::vector<std::string> names;
  names.reserve(n_tensors());
  for (const auto& [name, tensor] : tensors()) names.push_back(name);
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
