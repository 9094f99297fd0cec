// A model's checkpoint into one quantised GGUF file, rows at a time: neither the source nor the
// result is ever in memory whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/progress.h"
#include "quantize/importance.h"
#include "quantize/mix.h"
#include "tensor/weight.h"

namespace qwen3 {

struct QuantizeOptions {
  const Mix* mix = nullptr;                // required
  std::string name = {};                   // general.name
  const Importance* importance = nullptr;  // none: every input counts the same
  int n_threads = 1;
  Progress progress = {};  // in bytes of the result; may throw to stop
};

struct QuantizedTensor {
  std::string name;  // GGUF's
  WeightType type;
  std::vector<int64_t> shape;
  int64_t n_bytes = 0;
  double relative_rms = 0;  // of the error, against the numbers' own
  bool has_importance = false;
};

struct QuantizedModel {
  std::vector<QuantizedTensor> tensors;
  int64_t file_bytes = 0;
  int64_t tensor_bytes() const;
  int64_t n_parameters() const;
  double bits_per_weight() const;
};

// Everything that can be refused is refused before anything is written, and `out` is there whole or
// not at all. Throws Error naming file and tensor: what opening and loading the model throw,
// what GgufWriter and model_metadata throw, invalid_argument when `out` is a file of the model or the
// importance is another model's.
QuantizedModel quantize_model(const std::filesystem::path& model,
                              const std::filesystem::path& out,
                              const QuantizeOptions& options);

}  // namespace qwen3
