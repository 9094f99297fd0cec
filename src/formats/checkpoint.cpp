#include "formats/checkpoint.h"

#include <map>
#include <utility>

#include "base/embedded_files.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "formats/quantized/assemble.h"
#include "formats/safetensors.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxConfigBytes = 4 << 20;
// The index of the largest official model lists 37 thousand tensors in 4 MB.
constexpr size_t kMaxIndexBytes = 32 << 20;
constexpr JsonLimits kIndexLimits = {.max_depth = 8, .max_values = 300'000};
constexpr size_t kMaxFileNameBytes = 255;

std::optional<WeightType> parse_dtype(std::string_view name) {
  if (name == "BF16") return WeightType::bf16;
  if (name == "F16") return WeightType::f16;
  if (name == "F32") return WeightType::f32;
  return std::nullopt;
}

// A name from an untrusted index must stay inside its directory.
void check_shard_name(const std::string& name, std::string_view where) {
  const bool plain = name.size() <= kMaxFileNameBytes && is_plain_file_name(name);
  QWEN3_CHECK(plain,
              ErrorKind::corrupt_file,
              "{}: weight_map: expected plain file names beside the index, got \"{}\"",
              where,
              quote_for_message(name));
}

// weight_map of model.safetensors.index.json, turned round: file name to its tensors.
std::map<std::string, std::vector<std::string>> read_index(const fs::path& path) {
  const std::string where = path.string();
  const Json root = parse_json(read_text_file(path, kMaxIndexBytes), where, kIndexLimits);
  const auto map = root.is_object() ? root.find("weight_map") : root.end();
  QWEN3_CHECK(map != root.end() && map->is_object(),
              ErrorKind::corrupt_file,
              "{}: expected an object \"weight_map\"",
              where);
  std::map<std::string, std::vector<std::string>> tensors_of_file;
  for (const auto& [tensor, file] : map->items()) {
    QWEN3_CHECK(file.is_string(),
                ErrorKind::corrupt_file,
                "{}: weight_map: {}: expected a file name",
                where,
                quote_for_message(tensor));
    const auto& name = file.get_ref<const std::string&>();
    check_shard_name(name, where);
    tensors_of_file[name].push_back(tensor);
  }
  QWEN3_CHECK(!tensors_of_file.empty(), ErrorKind::corrupt_file, "{}: weight_map is empty", where);
  return tensors_of_file;
}

bool is_head(std::string_view name) {
  return name == "lm_head.weight" || name == "model.lm_head.weight";
}

// Takes the entry's shape.
SourceTensor make_tensor(SafetensorsEntry& entry, const InputFile& file) {
  return {parse_dtype(entry.dtype).value_or(WeightType::f32),
          entry.dtype,
          std::move(entry.shape),
          entry.begin,
          entry.end - entry.begin,
          &file};
}

}  // namespace

HfConfig read_hf_config(const fs::path& directory, std::string_view overrides) {
  const fs::path config = directory / "config.json";
  return parse_hf_config(read_text_file(config, kMaxConfigBytes), config.string(), overrides);
}

Checkpoint Checkpoint::open(const fs::path& directory, std::string_view overrides) {
  Checkpoint checkpoint;
  checkpoint.name_ = directory.string();
  QWEN3_CHECK(folder_exists(directory),
              ErrorKind::not_found,
              "{}: expected the directory of a Hugging Face model",
              checkpoint.name_);
  checkpoint.config_ = read_hf_config(directory, overrides);
  const fs::path generation = directory / "generation_config.json";
  if (const auto text = read_text_file_if_there(generation, kMaxConfigBytes)) {
    checkpoint.generation_config_ = parse_generation_config(*text, generation.string());
  }
  checkpoint.open_files(directory);
  checkpoint.readers_ = assemble_quantized(
      checkpoint.tensors_, checkpoint.config_, (directory / "config.json").string());
  return checkpoint;
}

void Checkpoint::open_files(const fs::path& directory) {
  const fs::path index = directory / "model.safetensors.index.json";
  if (file_exists(index)) {
    const auto tensors_of_file = read_index(index);
    files_.reserve(tensors_of_file.size());  // tensors point at the elements
    size_t number = 0;
    for (const auto& [file, tensors] : tensors_of_file) {
      ++number;
      QWEN3_CHECK(file_exists(directory / file),
                  ErrorKind::not_found,
                  "{}: shard {} of {} is missing; is the download complete?",
                  (directory / file).string(),
                  number,
                  tensors_of_file.size());
      add_file(directory / file, &tensors);
    }
    return;
  }
  const fs::path single = directory / "model.safetensors";
  for (const char* other :
       {"pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth"}) {
    QWEN3_CHECK(
        file_exists(single) || !file_exists(directory / other),
        ErrorKind::unsupported,
        "{}: found {}; only safetensors and GGUF files are read: get the model.safetensors of this "
        "model",
        name_,
        other);
  }
  QWEN3_CHECK(file_exists(single),
              ErrorKind::not_found,
              "{}: expected model.safetensors or model.safetensors.index.json, got neither; is the "
              "download complete?",
              name_);
  files_.reserve(1);
  add_file(single, nullptr);
}

void Checkpoint::add_file(const fs::path& path, const std::vector<std::string>* wanted) {
  const InputFile& file = files_.emplace_back(path);
  std::vector<SafetensorsEntry> entries = read_safetensors(file);
  if (wanted == nullptr) {
    for (SafetensorsEntry& entry : entries) {
      SourceTensor tensor = make_tensor(entry, file);
      tensors_.emplace(std::move(entry.name), std::move(tensor));
    }
    return;
  }
  std::unordered_map<std::string_view, SafetensorsEntry*> by_name;
  for (SafetensorsEntry& entry : entries) by_name.emplace(entry.name, &entry);
  for (const std::string& name : *wanted) {
    const auto it = by_name.find(name);
    // Tools that untie and tie again leave it in the index; a tied model does not need it.
    if (it == by_name.end() && config_.tie_word_embeddings && is_head(name)) continue;
    QWEN3_CHECK(it != by_name.end(),
                ErrorKind::corrupt_file,
                "{}: expected tensor {} as the index says, got none; are index and shards from the "
                "same download?",
                file.name(),
                quote_for_message(name));
    tensors_.emplace(name, make_tensor(*it->second, file));
  }
}

const SourceTensor* Checkpoint::find(std::string_view name) const {
  const SourceTensor* tensor = find_tensor(tensors_, name);
  if (tensor == nullptr) return nullptr;
  QWEN3_CHECK(tensor->rows != nullptr || parse_dtype(tensor->file_dtype).has_value(),
              ErrorKind::unsupported,
              "{}: tensor {}: expected dtype BF16, F16 or F32, got {}; use the bfloat16 checkpoint "
              "of this model",
              tensor->file->name(),
              name,
              tensor->file_dtype);
  return tensor;
}

void Checkpoint::check_unchanged() const {
  for (const InputFile& file : files_) file.check_unchanged();
}

}  // namespace qwen3
