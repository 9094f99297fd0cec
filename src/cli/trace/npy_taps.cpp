#include "cli/trace/npy_taps.h"

#include <cstring>
#include <string>
#include <utility>

#include "base/output_file.h"
#include "formats/npy.h"

namespace qwen3::cli {
namespace {

bool is_router(std::string_view name) { return name.ends_with(".mlp.router_logits"); }

}  // namespace

NpyTaps::NpyTaps(std::filesystem::path directory) : directory_(std::move(directory)) {
  make_folder(directory_);
}

void NpyTaps::tensor(std::string_view name, const Tensor& value) {
  write_npy(directory_ / (std::string(name) + ".npy"), value);
  ++n_files_;
}

bool RouterLogitsTap::wants(std::string_view name) const {
  return is_router(name) || (next_ != nullptr && next_->wants(name));
}

void RouterLogitsTap::tensor(std::string_view name, const Tensor& value) {
  if (next_ != nullptr && next_->wants(name)) next_->tensor(name, value);
  if (!is_router(name)) return;
  const int64_t rows = value.dim(0);
  const int64_t columns = value.dim(1);
  Storage& storage = storage_.emplace_back(value.numel() * dtype_size(DType::f32));
  const Tensor copy(storage.data(), DType::f32, {rows, columns});
  for (int64_t row = 0; row < rows; ++row) {
    std::memcpy(
        copy.f32_row(row), value.f32_row(row), static_cast<size_t>(columns) * sizeof(float));
  }
  layers_.push_back(copy);
}

}  // namespace qwen3::cli
