// The tensors of each scheme: their names, dtypes and shapes. Sources of the layouts: transformers
// integrations/finegrained_fp8.py; compressed-tensors compressors/pack_quantized, naive_quantized;
// AutoAWQ awq/utils/packing_utils.py; GPTQModel nn_modules/qlinear/__init__.py; mlx ops.cpp quantize.
#include <algorithm>
#include <array>
#include <span>

#include "base/checked.h"
#include "base/error.h"
#include "formats/quantized/column_major.h"
#include "formats/quantized/module.h"
#include "formats/quantized/row_major.h"

namespace qwen3 {
namespace {

using DTypes = std::span<const std::string_view>;
// Of scales; the last two are exponents (e8m0), U8 only where the config says so.
constexpr std::array<std::string_view, 5> kScales = {"BF16", "F16", "F32", "F8_E8M0", "U8"};
constexpr DTypes kFloats = DTypes(kScales).first(3), kFloatsOrE8m0 = DTypes(kScales).first(4);
constexpr std::array<std::string_view, 1> kI8 = {"I8"}, kI32 = {"I32"};
constexpr std::array<std::string_view, 2> kWholeNumbers = {"I64", "I32"};

// As config.json's sizes: beyond it nothing is read, let alone put together.
void check_columns(const QuantizedModule& module, std::string_view part, int64_t n_columns) {
  constexpr int64_t kMaxColumns = int64_t{1} << 20;
  if (n_columns <= kMaxColumns) return;
  module.refuse(part, fmt::format("expected at most {} columns, got {}", kMaxColumns, n_columns));
}

// The columns that share a scale, for a row of `n_columns`.
int64_t columns_of_group(const QuantizedModule& module,
                         std::string_view part,
                         int64_t group_size,
                         int64_t n_columns) {
  check_columns(module, part, n_columns);
  if (group_size == kWholeRow) return n_columns;
  if (n_columns % group_size != 0) {
    module.refuse(part,
                  fmt::format("expected rows that are a multiple of group_size {}, got {} columns",
                              group_size,
                              n_columns));
  }
  return group_size;
}

// e4m3 with a scale per block, per tensor, or per row.
AssembledMatrix assemble_float8(QuantizedModule& module,
                                const QuantizationConfig& config,
                                std::string_view scale_part,
                                DTypes scale_dtypes) {
  const SourceTensor& weight = module.numbers("weight", "F8_E4M3");
  const int64_t out = weight.shape[0], in = weight.shape[1];
  check_columns(module, "weight", in);
  QuantizedMatrix m{.module = module.name(), .n_rows = out, .n_columns = in, .is_float = true};
  RowMajor::Layout layout{.numbers = {weight.file, "weight", weight.file_dtype, weight.begin},
                          .row_bytes = in};
  m.group_size = config.block_columns != 0 ? config.block_columns : in;
  m.n_groups = ceil_div(in, m.group_size);
  std::vector<int64_t> shape = {out, 1};
  if (config.scale_per_tensor) {
    layout.scale_rows = out;
    shape = {1};
  } else if (config.block_rows != 0) {
    layout.scale_rows = config.block_rows;
    shape = {ceil_div(out, config.block_rows), m.n_groups};
  }
  layout.scales = module.need(scale_part, scale_dtypes, shape);
  return {{out, in}, &weight, std::make_unique<RowMajor>(std::move(m), layout)};
}

// [out, in], from the tensor that says so: two whole numbers.
std::array<int64_t, 2> packed_shape(QuantizedModule& module, const SourceTensor& packed, int bits) {
  constexpr std::string_view kPart = "weight_shape";
  const Part part = module.need(kPart, kWholeNumbers, {2});
  std::array<int64_t, 2> shape{};
  if (part.dtype == "I64") {
    part.file->read(part.begin, std::as_writable_bytes(std::span(shape)));
  } else {
    std::array<int32_t, 2> narrow{};
    part.file->read(part.begin, std::as_writable_bytes(std::span(narrow)));
    shape = {narrow[0], narrow[1]};
  }
  const int64_t per_word = 32 / bits;
  const bool fits = shape[0] == packed.shape[0] && shape[1] > (packed.shape[1] - 1) * per_word &&
                    shape[1] <= packed.shape[1] * per_word;
  if (!fits) {
    module.refuse(
        kPart,
        fmt::format("expected rows and columns of weight_packed [{}] with {} bits, got {}, {}",
                    fmt::join(packed.shape, ", "),
                    bits,
                    shape[0],
                    shape[1]));
  }
  return shape;
}

void refuse_zeros_if_symmetric(const QuantizedModule& module, const QuantizationConfig& config) {
  if (config.symmetric && module.find("weight_zero_point") != nullptr) {
    module.refuse("weight_zero_point", "expected none, as symmetric is true, got one");
  }
}

// Integers of compressed-tensors: packed, or a byte each.
AssembledMatrix assemble_integers(QuantizedModule& module, const QuantizationConfig& config) {
  const bool packed = config.format == QuantizationConfig::Format::pack;
  const std::string_view part = packed ? "weight_packed" : "weight";
  const int bits = static_cast<int>(config.bits);
  const SourceTensor& weight = module.numbers(part, packed ? "I32" : "I8");
  std::array<int64_t, 2> shape = {weight.shape[0], weight.shape[1]};
  if (packed) shape = packed_shape(module, weight, bits);
  const auto [out, in] = shape;
  QuantizedMatrix m{.module = module.name(), .n_rows = out, .n_columns = in, .bits = bits};
  m.group_size = columns_of_group(module, part, config.group_size, in);
  m.n_groups = in / m.group_size;
  if (module.find("weight_g_idx") != nullptr) {
    m.group_index = module.need("weight_g_idx", kI32, {in});
  }
  RowMajor::Layout layout{.numbers = {weight.file, part, weight.file_dtype, weight.begin},
                          .row_bytes = packed ? weight.shape[1] * 4 : in,
                          .is_signed = !packed,
                          .zero = packed && !config.symmetric ? 0 : 1 << (bits - 1)};
  std::vector<int64_t> of_scales = {out, m.n_groups};
  if (config.scale_per_tensor) {
    layout.scale_rows = out;
    of_scales = {1};
  }
  layout.scales = module.need("weight_scale", kFloats, of_scales);
  refuse_zeros_if_symmetric(module, config);
  if (!config.symmetric && packed) {
    layout.zeros = module.need("weight_zero_point", kI32, {ceil_div(out * bits, 32), m.n_groups});
  } else if (!config.symmetric) {
    layout.zeros = module.need("weight_zero_point", kI8, of_scales);
  }
  return {{out, in}, &weight, std::make_unique<RowMajor>(std::move(m), layout)};
}

// Scales [n_groups, out], zeros [n_groups, out / per_word]: what AWQ and GPTQ have in common.
AssembledMatrix assemble_columns(QuantizedModule& module,
                                 const QuantizationConfig& config,
                                 const SourceTensor& weight,
                                 QuantizedMatrix m,
                                 ColumnMajor::Layout layout) {
  constexpr std::string_view kPart = "qweight";
  const int64_t per_word = 32 / m.bits;
  if (m.n_rows % per_word != 0) {
    module.refuse(kPart,
                  fmt::format("expected columns in multiples of {}, got {}", per_word, m.n_rows));
  }
  m.group_size = columns_of_group(module, kPart, config.group_size, m.n_columns);
  m.n_groups = m.n_columns / m.group_size;
  layout.numbers = {weight.file, kPart, weight.file_dtype, weight.begin};
  layout.scales = module.need("scales", kFloats, {m.n_groups, m.n_rows});
  layout.zeros = module.need("qzeros", kI32, {m.n_groups, m.n_rows / per_word});
  const std::vector<int64_t> shape = {m.n_rows, m.n_columns};
  return {shape, &weight, std::make_unique<ColumnMajor>(std::move(m), layout)};
}

}  // namespace

AssembledMatrix assemble_fp8(QuantizedModule& module, const QuantizationConfig& config) {
  // Checkpoints with one scale a tensor call it so, in vLLM's way.
  const bool plain_name = config.scale_per_tensor && module.find("weight_scale_inv") == nullptr;
  const std::string_view part = plain_name ? "weight_scale" : "weight_scale_inv";
  const DTypes dtypes = config.scales_ue8m0 ? DTypes(kScales) : kFloatsOrE8m0;
  return assemble_float8(module, config, part, dtypes);
}

AssembledMatrix assemble_compressed_tensors(QuantizedModule& module,
                                            const QuantizationConfig& config) {
  if (config.format != QuantizationConfig::Format::float8) return assemble_integers(module, config);
  refuse_zeros_if_symmetric(module, config);
  return assemble_float8(module, config, "weight_scale", kFloats);
}

AssembledMatrix assemble_awq(QuantizedModule& module, const QuantizationConfig& config) {
  const SourceTensor& weight = module.numbers("qweight", "I32");
  return assemble_columns(module,
                          config,
                          weight,
                          {.module = module.name(),
                           .n_rows = weight.shape[1] * 8,
                           .n_columns = weight.shape[0],
                           .bits = 4},
                          {.awq = true});
}

AssembledMatrix assemble_gptq(QuantizedModule& module, const QuantizationConfig& config) {
  const SourceTensor& weight = module.numbers("qweight", "I32");
  const int bits = static_cast<int>(config.bits);
  QuantizedMatrix m{.module = module.name(),
                    .n_rows = weight.shape[1],
                    .n_columns = weight.shape[0] * (32 / bits),
                    .bits = bits};
  if (module.find("g_idx") != nullptr) m.group_index = module.need("g_idx", kI32, {m.n_columns});
  return assemble_columns(
      module, config, weight, std::move(m), {.add_to_zeros = config.zeros_minus_one ? 1 : 0});
}

AssembledMatrix assemble_mlx(QuantizedModule& module, const QuantizationConfig& config) {
  const auto own = config.mlx_modules.find(module.name());
  if (own != config.mlx_modules.end() && !own->second) {
    module.refuse(
        "scales",
        fmt::format("expected none, as {} says false for this module, got some", config.key));
  }
  const auto [bits, group_size] = own != config.mlx_modules.end() ? *own->second : config.mlx;
  const SourceTensor& weight = module.numbers("weight", "U32", true);
  std::vector<int64_t> shape = weight.shape;
  const int64_t words = shape.back();
  if (words * 32 % bits != 0) {
    module.refuse("weight",
                  fmt::format("expected whole numbers of {} bits, got {} words", bits, words));
  }
  shape.back() = words * 32 / bits;
  QuantizedMatrix m{.module = module.name(),
                    .n_rows = shape.size() == 3 ? shape[0] * shape[1] : shape[0],
                    .n_columns = shape.back(),
                    .bits = static_cast<int>(bits)};
  m.group_size = columns_of_group(module, "weight", group_size, m.n_columns);
  m.n_groups = m.n_columns / m.group_size;
  std::vector<int64_t> of_scales = shape;
  of_scales.back() = m.n_groups;
  RowMajor::Layout layout{.numbers = {weight.file, "weight", weight.file_dtype, weight.begin},
                          .row_bytes = words * 4};
  layout.scales = module.need("scales", kFloats, of_scales);
  layout.offsets = module.need("biases", kFloats, of_scales);
  return {std::move(shape), &weight, std::make_unique<RowMajor>(std::move(m), layout)};
}

}  // namespace qwen3
