// A GGUF model of one file or of a set that gguf-split made, as Hugging Face's names and shapes have
// it. Opening it reads the headers only.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "formats/gguf_file.h"
#include "formats/tensor_source.h"

namespace qwen3 {

class GgufSource final : public TensorSource {
 public:
  // `path`: the file, or the first of a set. Throws Error naming file and key or tensor: not_found
  // (a part that is missing), corrupt_file, unsupported.
  // `overrides`: parse_hf_config.
  static GgufSource open(const std::filesystem::path& path, std::string_view overrides = {});

  const HfConfig& config() const override { return config_; }
  const GenerationConfig& generation_config() const override { return generation_config_; }
  const std::string& name() const override { return files_.front().name(); }
  const SourceTensor* find(std::string_view name) const override;
  const std::unordered_map<std::string, SourceTensor>& tensors() const override { return tensors_; }
  size_t n_files() const override { return files_.size(); }
  void check_unchanged() const override;

 private:
  void open_files(const std::filesystem::path& path);
  void read_config(std::string_view overrides);
  void add_tensor(const GgufFile& file, const GgufTensor& tensor);
  // The tensor's rows from the top on as tensors of their own.
  void add_rows(const GgufFile& file,
                const GgufTensor& tensor,
                const std::vector<std::pair<std::string, int64_t>>& names_and_rows);

  std::vector<GgufFile> files_;
  HfConfig config_;
  GenerationConfig generation_config_;
  std::unordered_map<std::string, SourceTensor> tensors_;
};

}  // namespace qwen3
