// Tensors of another program's pass over the same ids: DIRECTORY/<tap name>.npy, as
// script/transformers-taps and `qwen3 logits --taps` write them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "qwen3/shape.h"
#include "trace/filter_tap.h"
#include "verify/tap_channel.h"

namespace qwen3 {

class ForeignTaps {
 public:
  // Opens every file that a tap of this model has there, and reads its header. What is inside single
  // experts is left out: mlp.output has their sum. Throws Error{not_found, corrupt_file}.
  ForeignTaps(std::filesystem::path directory, const ModelShape& shape, int64_t n_tokens);
  const TapNames& names() const { return names_; }
  bool has(std::string_view name) const { return names_.contains(name); }
  // Throws Error{corrupt_file} when it does not have this shape; a leading batch of 1 does not count.
  KeptTensor read(std::string_view name, const std::vector<int64_t>& shape) const;

 private:
  std::filesystem::path directory_;
  TapNames names_;
};

// DIRECTORY/input_ids.npy, [n_tokens] or [1, n_tokens]; nothing when there is none. Throws
// Error{not_found} without the directory, Error{corrupt_file} for what are no ids.
std::optional<std::vector<int32_t>> foreign_ids(const std::filesystem::path& directory);

}  // namespace qwen3
