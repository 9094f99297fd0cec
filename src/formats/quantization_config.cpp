#include "formats/quantization_config.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"

namespace qwen3 {
namespace {

using Null = JsonFields::Null;
using Format = QuantizationConfig::Format;

constexpr std::string_view kConfig = "quantization_config", kMlxConfig = "quantization";
constexpr int64_t kMaxGroup = int64_t{1} << 20;
constexpr JsonFields::IntRange kBits = {1, 64};

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// An optional string that must be one of `supported`, the first of which it is when absent.
std::string one_of(const JsonFields& f,
                   std::string_view key,
                   std::initializer_list<std::string_view> supported) {
  std::string value =
      lower(f.optional_string(key, Null::absent).value_or(std::string(*supported.begin())));
  if (std::find(supported.begin(), supported.end(), value) == supported.end()) {
    f.unsupported(key, fmt::format("{}", fmt::join(supported, ", ")));
  }
  return value;
}

int64_t bits_of(const JsonFields& f, std::string_view key, std::initializer_list<int> supported) {
  const int64_t bits = f.required_int(key, kBits);
  if (std::find(supported.begin(), supported.end(), bits) == supported.end()) {
    f.unsupported(key, fmt::format("{}", fmt::join(supported, ", ")));
  }
  return bits;
}

// -1, for a whole row, or a number of columns.
int64_t group_of(const JsonFields& f, std::string_view key) {
  const int64_t group = f.required_int(key, {-1, kMaxGroup});
  if (group == 0) f.refuse(key, "-1 for a whole row, or a number of columns");
  return group;
}

void refuse_object(const JsonFields& f, std::string_view key) {
  const Json* value = f.find(key);
  if (value != nullptr && !(value->is_object() && value->empty())) f.unsupported(key, "null");
}

// A pair of positive numbers; nothing if absent or null.
void read_block(QuantizationConfig& q, const JsonFields& f, std::string_view key) {
  const std::vector<int64_t> block = f.int_list(key, {1, kMaxGroup});
  if (f.find(key) == nullptr) return;
  if (block.size() != 2) f.refuse(key, "two numbers, rows and columns");
  q.block_rows = block[0];
  q.block_columns = block[1];
}

void read_fp8(QuantizationConfig& q, const JsonFields& f) {
  one_of(f, "fmt", {"e4m3", "float8_e4m3fn"});
  q.scales_ue8m0 = one_of(f, "scale_fmt", {"float", "ue8m0"}) == "ue8m0";
  read_block(q, f, "weight_block_size");
  q.scale_per_tensor = q.block_rows == 0;  // what a missing key means is held against the scales
}

void read_awq(QuantizationConfig& q, const JsonFields& f) {
  q.bits = bits_of(f, f.spelling("bits", "w_bit"), {4});
  q.group_size = group_of(f, f.spelling("group_size", "q_group_size"));
  for (const std::string_view key : {"version", "format", "checkpoint_format"}) {
    one_of(f, key, {"gemm"});
  }
}

void read_gptq(QuantizationConfig& q, const JsonFields& f) {
  q.bits = bits_of(f, "bits", {4, 8});
  q.group_size = group_of(f, "group_size");
  const std::string_view key = f.spelling("checkpoint_format", "format");
  q.zeros_minus_one = one_of(f, key, {"gptq", "gptq_v2"}) == "gptq";
  one_of(f, "pack_dtype", {"int32"});
}

// The `weights` of the one group of modules.
void read_scheme(QuantizationConfig& q, const JsonFields& f) {
  const bool is_float = q.format == Format::float8;
  const std::string type = f.required_string("type");
  if (type != (is_float ? "float" : "int")) {
    f.refuse("type", is_float ? "\"float\" with this format" : "\"int\" with this format");
  }
  q.bits = q.format == Format::pack ? bits_of(f, "num_bits", {4, 8}) : bits_of(f, "num_bits", {8});
  q.symmetric = f.optional_bool("symmetric").value_or(true);
  if (is_float && !q.symmetric) f.refuse("symmetric", "true with numbers of type float");
  if (f.optional_bool("dynamic", Null::absent).value_or(false)) f.unsupported("dynamic", "false");
  const std::string strategy = f.required_string("strategy");
  if (strategy == "group" && !is_float) {
    q.group_size = group_of(f, "group_size");
  } else if (strategy == "block" && is_float) {
    read_block(q, f, "block_structure");
    if (q.block_rows == 0) f.refuse("block_structure", "two numbers, rows and columns");
  } else if (strategy == "tensor") {
    q.scale_per_tensor = true;
  } else if (strategy != "channel") {
    f.unsupported("strategy",
                  is_float ? "channel, tensor, block with float-quantized"
                           : "channel, group, tensor with numbers of type int");
  }
}

void read_compressed_tensors(QuantizationConfig& q, const JsonFields& f) {
  const std::string format = f.required_string("format");
  static constexpr std::array<std::string_view, 3> kFormats = {
      "pack-quantized", "int-quantized", "float-quantized"};
  const auto it = std::find(kFormats.begin(), kFormats.end(), format);
  if (it == kFormats.end()) f.unsupported("format", fmt::format("{}", fmt::join(kFormats, ", ")));
  q.format = static_cast<Format>(it - kFormats.begin());
  if (const Json* sparsity = f.find("sparsity_config")) {
    if (!sparsity->is_object()) f.refuse("sparsity_config", "an object or null");
    const JsonFields s(*sparsity, f.where(), "quantization_config.sparsity_config.");
    one_of(s, "format", {"dense"});
  }
  refuse_object(f, "transform_config");
  const Json* groups = f.find("config_groups");
  if (groups == nullptr || !groups->is_object() || groups->empty()) {
    f.refuse("config_groups", "an object of one group");
  }
  if (groups->size() != 1) f.unsupported("config_groups", "one group");
  const std::string name = fmt::format("quantization_config.config_groups.{}.",
                                       quote_for_message(groups->begin().key()));
  const JsonFields group(*groups->begin(), f.where(), name);
  if (group.optional_string("format", Null::absent).value_or(format) != format) {
    group.unsupported("format", "that of all groups");
  }
  const Json* weights = group.find("weights");
  if (weights == nullptr) group.refuse("weights", "an object");
  read_scheme(q, JsonFields(*weights, f.where(), name + "weights."));
}

MlxParameters read_mlx_parameters(const JsonFields& f) {
  one_of(f, "mode", {"affine"});
  return {.bits = bits_of(f, "bits", {2, 3, 4, 5, 6, 8}),
          .group_size = f.required_int("group_size", {1, kMaxGroup})};
}

void read_mlx(QuantizationConfig& q, const JsonFields& f, const Json& object) {
  q.mlx = read_mlx_parameters(f);
  const std::string prefix(q.key);
  for (const auto& [name, value] : object.items()) {
    if (value.is_object()) {
      const std::string module = fmt::format("{}.{}.", prefix, quote_for_message(name));
      q.mlx_modules[name] = read_mlx_parameters(JsonFields(value, f.where(), module));
    } else if (value.is_boolean()) {
      q.mlx_modules[name] = value.get<bool>() ? std::optional(q.mlx) : std::nullopt;
    }
  }
}

void read_method(QuantizationConfig& q, const JsonFields& f) {
  struct Reader {
    QuantMethod method;
    void (*read)(QuantizationConfig& q, const JsonFields& f);
  };
  static constexpr std::array<Reader, 4> kReaders = {
      Reader{QuantMethod::fp8, read_fp8},
      Reader{QuantMethod::compressed_tensors, read_compressed_tensors},
      Reader{QuantMethod::awq, read_awq},
      Reader{QuantMethod::gptq, read_gptq}};
  const std::string name = f.required_string("quant_method");
  for (const auto& [method, read] : kReaders) {
    if (quant_method_name(method) != name) continue;
    q.method = method;
    read(q, f);
    return;
  }
  f.unsupported("quant_method", "fp8, compressed-tensors, awq, gptq");
}

}  // namespace

std::string_view quant_method_name(QuantMethod method) {
  switch (method) {
    case QuantMethod::none:
      return "none";
    case QuantMethod::fp8:
      return "fp8";
    case QuantMethod::compressed_tensors:
      return "compressed-tensors";
    case QuantMethod::awq:
      return "awq";
    case QuantMethod::gptq:
      return "gptq";
    case QuantMethod::mlx:
      return "mlx";
  }
  return "?";
}

QuantizationConfig parse_quantization(const JsonFields& config) {
  QuantizationConfig q;
  const Json* object = config.find(kConfig);
  const Json* mlx = config.find(kMlxConfig);
  q.key = object != nullptr ? kConfig : kMlxConfig;
  for (const std::string_view key : {kConfig, kMlxConfig}) {
    const Json* value = config.find(key);
    if (value != nullptr && !value->is_object()) config.refuse(key, "an object or null");
  }
  if (object != nullptr && mlx != nullptr && *object != *mlx) {
    config.refuse(kMlxConfig, "the same object as quantization_config");
  }
  if (object == nullptr) object = mlx;
  if (object == nullptr) return q;
  const JsonFields fields(*object, config.where(), std::string(q.key) + ".");
  try {
    if (mlx != nullptr || (!fields.has("quant_method") && fields.has("bits"))) {
      q.method = QuantMethod::mlx;  // names no method, and is written twice
      read_mlx(q, fields, *object);
    } else {
      read_method(q, fields);
    }
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::unsupported) throw;
    q.method = QuantMethod::none;
    q.refusal = fmt::format("{}; or use the bfloat16 checkpoint of this model", e.what());
  }
  return q;
}

}  // namespace qwen3
