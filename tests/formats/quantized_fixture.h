// Goldens of quantised matrices, to load as they are or changed.
#pragma once

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/input_file.h"
#include "base/json.h"
#include "formats/checkpoint.h"
#include "support/raw_safetensors.h"
#include "support/temp_dir.h"
#include "tensor/blocks.h"

namespace qwen3::test {

struct QuantizedGolden {
  std::string name;
  Json config;    // entries of config.json
  Json matrices;  // by module: shape, type, sha256
  RawTensors tensors;

  std::string method() const {
    if (config.contains("quantization")) return "mlx";
    return config.at("quantization_config").at("quant_method").get<std::string>();
  }
};

inline std::vector<QuantizedGolden> read_quantized_goldens() {
  const std::filesystem::path data =
      std::filesystem::path(QWEN3_SOURCE_DIR) / "tests/data/quantized";
  std::vector<QuantizedGolden> goldens;
  for (const Json& g : parse_json(read_text_file(data / "golden.json", 1 << 20), "golden.json")) {
    const auto name = g.at("name").get<std::string>();
    goldens.push_back(
        {name, g.at("config"), g.at("matrices"), read_raw(data / (name + ".safetensors"))});
  }
  return goldens;
}

inline const std::vector<QuantizedGolden>& quantized_goldens() {
  static const std::vector<QuantizedGolden> goldens = read_quantized_goldens();
  return goldens;
}

inline QuantizedGolden quantized_golden(const std::string& name) {
  for (const QuantizedGolden& golden : quantized_goldens()) {
    if (golden.name == name) return golden;
  }
  throw std::runtime_error("no golden " + name);
}

// A directory with a config.json of no model in particular, and these entries.
class QuantizedDir {
 public:
  Checkpoint open(const Json& entries, const RawTensors& tensors) const {
    Json config = parse_json(R"({"model_type":"qwen3","vocab_size":64,"hidden_size":64,
        "intermediate_size":64,"num_hidden_layers":1,"num_attention_heads":2,
        "num_key_value_heads":2,"head_dim":32,"max_position_embeddings":64,"rope_theta":10000})",
                             "config");
    config.update(entries);
    dir_.write("config.json", dump_json(config));
    write_raw(dir_.path() / "model.safetensors", tensors);
    return Checkpoint::open(dir_.path());
  }
  Checkpoint open(const QuantizedGolden& golden) const {
    return open(golden.config, golden.tensors);
  }

 private:
  TempDir dir_;
};

inline int64_t numel_of(const SourceTensor& tensor) {
  int64_t n = 1;
  for (const int64_t dim : tensor.shape) n *= dim;
  return n;
}

// All rows of a quantised tensor, `step` at a time.
inline std::vector<std::byte> read_rows(const SourceTensor& tensor, int64_t step) {
  const int64_t columns = tensor.shape.back(), n_rows = numel_of(tensor) / columns;
  const int64_t row = row_bytes(tensor.type, columns);
  std::vector<std::byte> bytes(static_cast<size_t>(n_rows * row));
  for (int64_t first = 0; first < n_rows; first += step) {
    tensor.rows->read(first, std::min(step, n_rows - first), bytes.data() + first * row);
  }
  return bytes;
}

// Every number of it, widened.
inline std::vector<float> numbers_of(const SourceTensor& tensor) {
  const int64_t n = numel_of(tensor);
  const std::vector<std::byte> rows = read_rows(tensor, n / tensor.shape.back());
  std::vector<float> values(static_cast<size_t>(n));
  widen(values.data(), tensor.type, rows.data(), n);
  return values;
}

}  // namespace qwen3::test
