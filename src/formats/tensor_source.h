// Where a model's numbers come from: named tensors in files of some format, and the config that says
// what they mean. A Hugging Face directory (checkpoint.h) is one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/input_file.h"
#include "formats/hf_config.h"
#include "tensor/weight.h"

namespace qwen3 {

struct SourceTensor {
  WeightType type;              // only where the file's type is one of them; find() reports others
  std::string_view file_dtype;  // as written, for ever
  std::vector<int64_t> shape;   // PyTorch's order
  int64_t begin = 0, n_bytes = 0;  // in `file`, rows one after the other
  const InputFile* file = nullptr;
};

class TensorSource {
 public:
  virtual ~TensorSource() = default;

  virtual const HfConfig& config() const = 0;
  virtual const std::string& name() const = 0;  // for messages
  // The tensor of that Hugging Face name, with or without the "model." prefix; nullptr if there is
  // none. Throws Error{unsupported} if its type is none that can be loaded.
  virtual const SourceTensor* find(std::string_view name) const = 0;
  // All tensors by their names as written in the files.
  virtual const std::unordered_map<std::string, SourceTensor>& tensors() const = 0;
  // Throws Error{corrupt_file} if a file is no longer the one that was opened.
  virtual void check_unchanged() const = 0;
};

}  // namespace qwen3
