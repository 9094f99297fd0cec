// A Hugging Face model directory: config.json, generation_config.json, model.safetensors or shards
// listed by model.safetensors.index.json. Opening it reads the headers only, and of quantised
// checkpoints what is needed to know the types of their matrices (formats/quantized/assemble.h).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/input_file.h"
#include "formats/hf_config.h"
#include "formats/tensor_source.h"

namespace qwen3 {

// config.json of a directory. Throws as Checkpoint::open does for it.
HfConfig read_hf_config(const std::filesystem::path& directory, std::string_view overrides = {});

class Checkpoint final : public TensorSource {
 public:
  // Throws Error naming the file: not_found (no config.json, no weights, missing shard),
  // corrupt_file, unsupported (also for quantised weights that do not fit the config). With an index, model.safetensors itself is not read. Shard names in
  // the index must be plain file names (no separators, not "." or "..", no NUL); a symlink placed
  // by the operator (the hub cache) is followed.
  // `overrides`: parse_hf_config.
  static Checkpoint open(const std::filesystem::path& directory, std::string_view overrides = {});

  const HfConfig& config() const override { return config_; }
  const GenerationConfig& generation_config() const override { return generation_config_; }
  const std::string& name() const override { return name_; }  // the directory
  // BF16, F16, F32, or quantised.
  const SourceTensor* find(std::string_view name) const override;
  const std::unordered_map<std::string, SourceTensor>& tensors() const override { return tensors_; }
  size_t n_files() const override { return files_.size(); }
  void check_unchanged() const override;
  std::span<const InputFile> files() const { return files_; }

 private:
  void open_files(const std::filesystem::path& directory);
  // Opens one weight file and takes the `wanted` tensors of it, or all if null. Tensors of a shard
  // that the index does not list do not exist.
  void add_file(const std::filesystem::path& path, const std::vector<std::string>* wanted);

  std::string name_;
  HfConfig config_;
  GenerationConfig generation_config_;
  std::vector<InputFile> files_;
  std::unordered_map<std::string, SourceTensor> tensors_;
  std::vector<std::unique_ptr<RowReader>> readers_;  // that tensors point at
};

}  // namespace qwen3
