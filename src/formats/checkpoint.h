// A Hugging Face model directory: config.json, generation_config.json, model.safetensors or shards
// listed by model.safetensors.index.json. Opening it reads the headers only.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/input_file.h"
#include "formats/hf_config.h"
#include "tensor/tensor.h"

namespace qwen3 {

struct CheckpointTensor {
  DType dtype;                  // BF16, F16 or F32 only; others are reported by find()
  std::string_view file_dtype;  // as written, for ever
  std::vector<int64_t> shape;
  int64_t begin = 0, n_bytes = 0;  // in `file`
  const InputFile* file = nullptr;
};

class Checkpoint {
 public:
  // Throws Error naming the file: not_found (no config.json, no weights, missing shard),
  // corrupt_file, unsupported. With an index, model.safetensors itself is not read. Shard names in
  // the index must be plain file names (no separators, not "." or "..", no NUL); a symlink placed
  // by the operator (the hub cache) is followed.
  static Checkpoint open(const std::filesystem::path& directory);

  const HfConfig& config() const { return config_; }
  const GenerationConfig& generation_config() const { return generation_config_; }
  const std::string& name() const { return name_; }  // the directory, for messages

  // The tensor of that Hugging Face name, tried with and without the "model." prefix; nullptr if
  // there is none. Throws Error{unsupported} if its dtype is not BF16, F16 or F32.
  const CheckpointTensor* find(std::string_view name) const;
  size_t n_tensors() const { return tensors_.size(); }
  int64_t n_bytes() const;  // of all tensors
  // All names as written in the files, sorted.
  std::vector<std::string> names() const;
  // All tensors by their names as written in the files.
  const std::unordered_map<std::string, CheckpointTensor>& tensors() const { return tensors_; }
  std::span<const InputFile> files() const { return files_; }

 private:
  // Opens one weight file and takes the `wanted` tensors of it, or all if null. Tensors of a shard
  // that the index does not list do not exist.
  void add_file(const std::filesystem::path& path, const std::vector<std::string>* wanted);

  std::string name_;
  HfConfig config_;
  GenerationConfig generation_config_;
  std::vector<InputFile> files_;
  std::unordered_map<std::string, CheckpointTensor> tensors_;
};

}  // namespace qwen3
