// Taps that a command records: every tensor to a .npy file, or the router logits for the losses.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "tensor/storage.h"
#include "tensor/tensor.h"
#include "trace/tap.h"

namespace qwen3::cli {

// Writes each tensor to DIRECTORY/<tap name>.npy. Tap names are plain words with dots
// (trace/tap.h). Throws Error{device} when the disk refuses.
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

// Keeps a copy of the router logits of every sparse layer, in order, and passes everything on.
class RouterLogitsTap final : public Tap {
 public:
  explicit RouterLogitsTap(Tap* next) : next_(next) {}  // may be null
  bool wants(std::string_view name) const override;
  void tensor(std::string_view name, const Tensor& value) override;
  const std::vector<Tensor>& layers() const { return layers_; }

 private:
  Tap* next_;
  std::vector<Storage> storage_;
  std::vector<Tensor> layers_;  // [n_tokens, n_experts] each
};

}  // namespace qwen3::cli
