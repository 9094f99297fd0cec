// Taps on disk: dumps as .npy files, and the comparison with dumps of another program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trace/compare_tap.h"
#include "trace/filter_tap.h"
#include "trace/tap.h"

namespace qwen3::cli {

// Throws Error{not_found} with the nearest names for a pattern that matches none of `names`.
void check_patterns(const std::vector<std::string>& patterns, std::span<const std::string> names);

// The taps that DIRECTORY/<tap name>.npy are there for, and their tensors: for CompareTap.
// Throws Error{not_found} when there is no such directory.
TapNames npy_names(const std::filesystem::path& directory);
CompareTap::Read npy_reader(std::filesystem::path directory);

// Writes each tensor to DIRECTORY/<tap name>.npy. Tap names are plain words with dots
// (trace/tap.h). Throws Error{io} when the disk refuses.
class NpyTaps final : public Tap {
 public:
  // Makes the directory when it is missing.
  explicit NpyTaps(std::filesystem::path directory);
  void tensor(std::string_view name, const Tensor& value) override;
  int64_t n_files() const { return n_files_; }

 private:
  std::filesystem::path directory_;
  int64_t n_files_ = 0;
};

}  // namespace qwen3::cli
