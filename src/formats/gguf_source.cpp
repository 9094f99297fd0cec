#include "formats/gguf_source.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "formats/gguf_config.h"
#include "formats/gguf_names.h"
#include "formats/gguf_path.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxParts = 65535;  // split.count is a u16
constexpr int64_t kMaxTensors = int64_t{1} << 24;

int64_t part_number(const GgufFile& file, std::string_view key) {
  return file.integer(key, {0, kMaxParts}).value_or(key == "split.count" ? 1 : 0);
}

void check_part(const GgufFile& file, int64_t number, int64_t count) {
  QWEN3_CHECK(
      part_number(file, "split.no") == number && part_number(file, "split.count") == count,
      ErrorKind::corrupt_file,
      "{}: expected part {} of {}, got part {} of {}; are all files from the same download, "
      "under the names that they had?",
      file.name(),
      number + 1,
      count,
      part_number(file, "split.no") + 1,
      part_number(file, "split.count"));
}

}  // namespace

GgufSource GgufSource::open(const fs::path& path, std::string_view overrides) {
  GgufSource source;
  source.open_files(path);
  source.read_config(overrides);
  for (const GgufFile& file : source.files_) {
    for (const GgufTensor& tensor : file.tensors()) source.add_tensor(file, tensor);
  }
  return source;
}

void GgufSource::open_files(const fs::path& path) {
  const std::vector<fs::path> paths = gguf_files(path);
  files_.reserve(paths.size());  // tensors point at the elements
  const auto count = static_cast<int64_t>(paths.size());
  int64_t n_tensors = 0;
  for (const fs::path& part : paths) {
    files_.emplace_back(part);
    check_part(files_.back(), static_cast<int64_t>(files_.size()) - 1, count);
    n_tensors += static_cast<int64_t>(files_.back().tensors().size());
  }
  constexpr std::string_view kSum = "split.tensors.count";
  const auto sum = files_.front().integer(kSum, {0, kMaxTensors});
  if (sum && *sum != n_tensors) {
    files_.front().refuse(kSum, fmt::format("the {} tensors that the files have", n_tensors));
  }
}

void GgufSource::read_config(std::string_view overrides) {
  const GgufTensor* embedding = nullptr;
  GgufTensorFacts facts{.tie_word_embeddings = true};
  for (const GgufFile& file : files_) {
    for (const GgufTensor& tensor : file.tensors()) {
      if (tensor.name == "token_embd.weight") embedding = &tensor;
      if (tensor.name == "output.weight") facts.tie_word_embeddings = false;
      if (tensor.name == "blk.0.attn_q.bias" || tensor.name == "blk.0.attn_qkv.bias") {
        facts.attention_bias = true;
      }
      const std::optional<GgufLayerTensor> parts = parse_gguf_layer_tensor(tensor.name);
      if (parts && parts->stem == "ffn_gate") facts.dense_layers.push_back(parts->layer);
    }
  }
  if (embedding != nullptr) {
    facts.vocab_size = embedding->shape.front();
    const auto type = embedding->type->weight_type;
    if (type && is_plain(*type)) facts.dtype = dtype_of(*type);
  }
  config_ = read_gguf_config(files_.front(), facts, overrides);
  generation_config_ = read_gguf_generation_config(files_.front());
}

void GgufSource::add_tensor(const GgufFile& file, const GgufTensor& tensor) {
  const std::optional<GgufLayerTensor> parts = parse_gguf_layer_tensor(tensor.name);
  if (parts && parts->stem == "attn_qkv") {
    const HfConfig& c = config_;
    const auto name = [&](char which) {
      return fmt::format("model.layers.{}.self_attn.{}_proj{}", parts->layer, which, parts->suffix);
    };
    const int64_t kv_rows = c.num_key_value_heads * c.head_dim;
    add_rows(file,
             tensor,
             {{name('q'), c.num_attention_heads * c.head_dim},
              {name('k'), kv_rows},
              {name('v'), kv_rows}});
    return;
  }
  const std::optional<std::string> name = hf_tensor_name(tensor.name);
  QWEN3_CHECK(
      name.has_value(),
      ErrorKind::unsupported,
      "{}: tensor {}: expected the tensors of a Qwen3 model only, got one that it has no use "
      "for; is it a fine-tune with parts of its own?",
      file.name(),
      quote_for_message(tensor.name));
  add_rows(file, tensor, {{*name, tensor.shape.front()}});
}

void GgufSource::add_rows(const GgufFile& file,
                          const GgufTensor& tensor,
                          const std::vector<std::pair<std::string, int64_t>>& names_and_rows) {
  int64_t n_rows = 0;
  for (const auto& [name, rows] : names_and_rows) n_rows += rows;
  QWEN3_CHECK(tensor.shape.front() == n_rows,
              ErrorKind::corrupt_file,
              "{}: tensor {}: expected {} rows for the heads that the metadata names, got {}",
              file.name(),
              quote_for_message(tensor.name),
              n_rows,
              tensor.shape.front());
  const int64_t bytes_of_row = tensor.n_bytes / n_rows;
  int64_t begin = tensor.begin;
  for (const auto& [name, rows] : names_and_rows) {
    SourceTensor part{.type = tensor.type->weight_type.value_or(WeightType::f32),
                      .file_dtype = tensor.type->name,
                      .shape = tensor.shape,
                      .begin = begin,
                      .n_bytes = rows * bytes_of_row,
                      .file = &file.file()};
    part.shape.front() = rows;
    begin += part.n_bytes;
    QWEN3_CHECK(tensors_.emplace(name, std::move(part)).second,
                ErrorKind::corrupt_file,
                "{}: tensor {}: expected every tensor once, got another that is {}",
                file.name(),
                quote_for_message(tensor.name),
                name);
  }
}

const SourceTensor* GgufSource::find(std::string_view name) const {
  const SourceTensor* tensor = find_tensor(tensors_, name);
  if (tensor == nullptr) return nullptr;
  QWEN3_CHECK(
      find_gguf_type(tensor->file_dtype)->weight_type.has_value(),
      ErrorKind::unsupported,
      "{}: tensor {}: numbers of type {} are not supported; use a Q4_K_M, Q6_K or Q8_0 file "
      "of this model",
      tensor->file->name(),
      name,
      tensor->file_dtype);
  return tensor;
}

void GgufSource::check_unchanged() const {
  for (const GgufFile& file : files_) file.file().check_unchanged();
}

}  // namespace qwen3
