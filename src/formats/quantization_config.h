// How config.json says that the weights are quantised: `quantization_config`, and MLX's `quantization`.
//
// What is read is what the bytes of the tensors do not tell: bits, group sizes, where zeros begin.
// Which modules are quantised is told by the tensors alone (formats/quantized/), so lists of modules
// (modules_to_not_convert, ignore, targets) are not read, nor is how others compute with activations.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "formats/json_fields.h"

namespace qwen3 {

enum class QuantMethod : uint8_t { none, fp8, compressed_tensors, awq, gptq, mlx };

std::string_view quant_method_name(QuantMethod method);

// Columns that share a scale: a number, or all of a row.
inline constexpr int64_t kWholeRow = -1;

// MLX: bits 2, 3, 4, 5, 6 or 8.
struct MlxParameters {
  int64_t bits = 0, group_size = 0;
};

struct QuantizationConfig {
  QuantMethod method = QuantMethod::none;
  // Not empty: the config is there and asks for what we cannot load; the whole message. It is thrown
  // only if there are such weights, for finetuning tools leave the entry behind on plain ones.
  std::string refusal;
  std::string_view key;  // as the file spells it, for messages and for ever

  int64_t bits = 8;  // awq 4, gptq and compressed-tensors 4 or 8, fp8 8
  int64_t group_size = kWholeRow;
  // Rows and columns of a block that shares a scale; fp8, compressed-tensors float-quantized. 0: one
  // scale, or one a row (compressed-tensors).
  int64_t block_rows = 0, block_columns = 0;

  enum class Format : uint8_t { pack, int8, float8 };
  Format format = Format::pack;  // compressed-tensors
  bool scale_per_tensor = false;
  bool symmetric = true;

  bool zeros_minus_one = true;  // gptq: checkpoint_format "gptq", not "gptq_v2"
  bool scales_ue8m0 = false;    // fp8: scales of dtype U8 are exponents

  MlxParameters mlx;
  // By module ("model.layers.0.mlp.gate"): others than `mlx`, or nothing for plain.
  std::map<std::string, std::optional<MlxParameters>, std::less<>> mlx_modules;

  bool present() const { return method != QuantMethod::none || !refusal.empty(); }
};

// `config` is all of config.json. Throws Error{corrupt_file} for missing, ill-typed and contradicting
// values; what is well-formed and not supported becomes `refusal`.
QuantizationConfig parse_quantization(const JsonFields& config);

}  // namespace qwen3
