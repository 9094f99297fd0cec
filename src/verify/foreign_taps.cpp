#include "verify/foreign_taps.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "formats/npy.h"
#include "trace/tap_name.h"

namespace qwen3 {
namespace {

constexpr int64_t kMaxIds = 1 << 20;

std::vector<int64_t> without_batch_of_one(std::vector<int64_t> shape, size_t rank) {
  while (shape.size() > rank && shape.front() == 1) shape.erase(shape.begin());
  return shape;
}

void check_directory(const std::filesystem::path& directory) {
  std::error_code ignored;
  QWEN3_CHECK(
      std::filesystem::is_directory(directory, ignored),
      ErrorKind::not_found,
      "{}: no such directory; expected one with <tap>.npy files, as script/transformers-taps "
      "writes them",
      directory.string());
}

}  // namespace

ForeignTaps::ForeignTaps(std::filesystem::path directory, const ModelShape& shape, int64_t n_tokens)
    : directory_(std::move(directory)) {
  check_directory(directory_);
  for (const std::string& name : all_tap_names(shape)) {
    const std::filesystem::path path = directory_ / (name + ".npy");
    const TapName tap = parse_tap_name(name);
    std::error_code ignored;
    if (tap.expert >= 0 || tap.part.ends_with("probs") || !std::filesystem::exists(path, ignored)) {
      continue;
    }
    const NpyFile file(path);
    const std::vector<int64_t>& dims = file.shape();
    const bool batch = dims.size() > 2 && dims.front() == 1;
    const int64_t rows = dims.empty() ? 0 : batch && n_tokens != 1 ? dims[1] : dims.front();
    QWEN3_CHECK(rows == n_tokens,
                ErrorKind::corrupt_file,
                "{}: expected {} rows, one for each token; got the shape [{}]; run both programs "
                "over the same ids",
                path.string(),
                n_tokens,
                fmt::join(dims, ", "));
    names_.add(name);
  }
  QWEN3_CHECK(names_.size() > 0,
              ErrorKind::not_found,
              "{}: expected taps of this model, such as layers.0.output.npy; got none; "
              "script/transformers-taps makes them",
              directory_.string());
}

KeptTensor ForeignTaps::read(std::string_view name, const std::vector<int64_t>& shape) const {
  const std::filesystem::path path = directory_ / (std::string(name) + ".npy");
  const NpyFile file(path);
  QWEN3_CHECK(without_batch_of_one(file.shape(), shape.size()) == shape,
              ErrorKind::corrupt_file,
              "{}: expected the shape [{}], got [{}]; is it of the same model?",
              path.string(),
              fmt::join(shape, ", "),
              fmt::join(file.shape(), ", "));
  return {shape, file.values()};
}

std::optional<std::vector<int32_t>> foreign_ids(const std::filesystem::path& directory) {
  check_directory(directory);
  const std::filesystem::path path = directory / "input_ids.npy";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  const NpyFile file(path);
  const std::vector<int64_t> dims = without_batch_of_one(file.shape(), 1);
  QWEN3_CHECK(dims.size() == 1 && dims.front() >= 1 && dims.front() <= kMaxIds,
              ErrorKind::corrupt_file,
              "{}: expected 1 to {} token ids in one row, got the shape [{}]",
              path.string(),
              kMaxIds,
              fmt::join(file.shape(), ", "));
  std::vector<int32_t> ids;
  for (const float value : file.values()) {
    // A float holds every integer up to 2^24, and vocabularies are far smaller.
    QWEN3_CHECK(value >= 0 && value < 0x1p24f && value == std::floor(value),
                ErrorKind::corrupt_file,
                "{}: expected token ids, got {}",
                path.string(),
                value);
    ids.push_back(static_cast<int32_t>(value));
  }
  return ids;
}

}  // namespace qwen3
