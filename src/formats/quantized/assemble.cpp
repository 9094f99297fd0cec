#include "formats/quantized/assemble.h"

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "formats/quantized/module.h"
#include "tensor/convert.h"

namespace qwen3 {
namespace {

using Names = std::span<const std::string_view>;

// What a scheme calls the parts of a module, besides "weight".
constexpr std::array<std::string_view, 2> kFp8 = {"weight_scale_inv", "weight_scale"};
constexpr std::array<std::string_view, 5> kCompressed = {
    "weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "weight_g_idx"};
constexpr std::array<std::string_view, 4> kGptq = {"qweight", "qzeros", "scales", "g_idx"};
constexpr std::array<std::string_view, 3> kAwq = {"qweight", "qzeros", "scales"};
constexpr std::array<std::string_view, 2> kMlx = {"scales", "biases"};
constexpr std::array<Names, 5> kAllParts = {kFp8, kCompressed, kGptq, kAwq, kMlx};
// Not needed to compute with the weights.
constexpr std::array<std::string_view, 7> kOfActivations = {"input_scale",
                                                            "input_zero_point",
                                                            "activation_scale",
                                                            "output_scale",
                                                            "q_scale",
                                                            "k_scale",
                                                            "v_scale"};

struct Scheme {
  QuantMethod method;
  Names parts;
  AssembledMatrix (*assemble)(QuantizedModule& module, const QuantizationConfig& config);
};
constexpr std::array<Scheme, 5> kSchemes = {
    Scheme{QuantMethod::fp8, kFp8, assemble_fp8},
    Scheme{QuantMethod::compressed_tensors, kCompressed, assemble_compressed_tensors},
    Scheme{QuantMethod::awq, kAwq, assemble_awq},
    Scheme{QuantMethod::gptq, kGptq, assemble_gptq},
    Scheme{QuantMethod::mlx, kMlx, assemble_mlx}};

bool contains(Names names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_plain_dtype(std::string_view dtype) {
  return dtype == "BF16" || dtype == "F16" || dtype == "F32";
}

struct SplitName {
  std::string_view module, part;
};
SplitName split(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == name.npos) return {{}, name};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

bool is_part_of_quantized(std::string_view name, const SourceTensor& tensor) {
  const std::string_view part = split(name).part;
  if (part == "weight") return !is_plain_dtype(tensor.file_dtype);
  return std::any_of(
      kAllParts.begin(), kAllParts.end(), [&](Names names) { return contains(names, part); });
}

// "INT4": what the numbers of a matrix are, where the file's dtype is that of a container.
std::string_view dtype_of_numbers(const AssembledMatrix& matrix, int64_t bits) {
  static constexpr std::array<std::string_view, 9> kNames = {
      "", "", "INT2", "INT3", "INT4", "INT5", "INT6", "", "INT8"};
  if (matrix.numbers->file_dtype == "F8_E4M3") {
    return "F8_E4M3";
  }
  return kNames[static_cast<size_t>(bits)];
}

class Assembler {
 public:
  Assembler(TensorMap& tensors, const HfConfig& config, std::string_view config_name)
      : tensors_(tensors),
        config_(config),
        quantization_(config.quantization),
        config_name_(config_name) {}

  std::vector<std::unique_ptr<RowReader>> run() {
    // What is wrong is found in the same order on every machine.
    const std::vector<std::string> names = sorted_names(tensors_);
    std::set<std::string> modules;
    for (const std::string& name : names) {
      if (is_part_of_quantized(name, tensors_.at(name))) {
        check_scheme_has(name);
        modules.emplace(split(name).module);
      }
    }
    if (modules.empty()) refuse_leftover_config();
    if (quantization_.method == QuantMethod::none) return {};
    refuse_plain_overrides(modules);
    for (const std::string& name : names) {
      if (contains(kOfActivations, split(name).part)) tensors_.erase(name);
    }
    for (const std::string& name : modules) assemble(name);
    return std::move(readers_);
  }

 private:
  const Scheme* scheme() const {
    const auto it = std::find_if(kSchemes.begin(), kSchemes.end(), [&](const Scheme& s) {
      return s.method == quantization_.method;
    });
    return it == kSchemes.end() ? nullptr : &*it;
  }

  // A part of a quantised module must be one that the config's scheme has.
  void check_scheme_has(const std::string& name) const {
    if (!quantization_.refusal.empty()) fail(ErrorKind::unsupported, "{}", quantization_.refusal);
    const SourceTensor& tensor = tensors_.at(name);
    QWEN3_CHECK(
        quantization_.present(),
        ErrorKind::unsupported,
        "{}: tensor {}: dtype {}: quantised weights, but {} has no quantization_config that says "
        "how; use the config.json of the same download, or the bfloat16 checkpoint",
        tensor.file->name(),
        quote_for_message(name, 200),
        tensor.file_dtype,
        config_name_);
    const std::string_view part = split(name).part;
    QWEN3_CHECK(
        part == "weight" || contains(scheme()->parts, part),
        ErrorKind::corrupt_file,
        "{}: tensor {}: expected the tensors of {}, as {}: {} says, got one of another scheme; do "
        "the weights belong to this config.json?",
        tensor.file->name(),
        quote_for_message(name, 200),
        quant_method_name(quantization_.method),
        config_name_,
        quantization_.key);
  }

  // Finetuning tools leave it behind on weights that are not quantised any more.
  void refuse_leftover_config() const {
    if (!quantization_.present()) return;
    for (const auto& [name, tensor] : tensors_) {
      if (is_plain_dtype(tensor.file_dtype)) continue;
      if (!quantization_.refusal.empty()) fail(ErrorKind::unsupported, "{}", quantization_.refusal);
      return;
    }
    fail(ErrorKind::corrupt_file,
         "{}: {}: expected quantised weights, got plain ones in every file; if that is what they "
         "are "
         "meant to be, remove {} from config.json",
         config_name_,
         quantization_.key,
         quantization_.key);
  }

  // MLX gives modules their own bits: then they must have them.
  void refuse_plain_overrides(const std::set<std::string>& modules) const {
    for (const auto& [module, parameters] : quantization_.mlx_modules) {
      const auto it = tensors_.find(module + ".weight");
      QWEN3_CHECK(!parameters || modules.contains(module) || it == tensors_.end(),
                  ErrorKind::corrupt_file,
                  "{}: tensor {}: expected quantised numbers, as {}: {} says, got {}; do the "
                  "weights belong "
                  "to this config.json?",
                  it->second.file->name(),
                  quote_for_message(it->first, 200),
                  config_name_,
                  quantization_.key,
                  it->second.file_dtype);
    }
  }

  void assemble(const std::string& name) {
    QuantizedModule module(tensors_, name);
    AssembledMatrix matrix = scheme()->assemble(module, quantization_);
    const bool twice = matrix.numbers != module.find("weight") && module.find("weight") != nullptr;
    if (twice) module.refuse("weight", "expected none beside the quantised numbers, got one");
    int64_t bits = quantization_.bits;
    if (const auto own = quantization_.mlx_modules.find(name);
        own != quantization_.mlx_modules.end()) {
      bits = own->second->bits;
    } else if (quantization_.method == QuantMethod::mlx) {
      bits = quantization_.mlx.bits;
    }
    const SourceTensor whole = {.type = matrix.rows->type(),
                                .file_dtype = dtype_of_numbers(matrix, bits),
                                .shape = std::move(matrix.shape),
                                .begin = matrix.numbers->begin,
                                .n_bytes = module.n_bytes(),
                                .file = matrix.numbers->file,
                                .rows = matrix.rows.get()};
    drop_zero_bias(name);
    for (const std::string& part : module.used()) tensors_.erase(part);
    tensors_.insert_or_assign(name + ".weight", whole);
    readers_.push_back(std::move(matrix.rows));
  }

  // One that is not zero stays, and is refused or used as in any other checkpoint.
  void drop_zero_bias(const std::string& module) {
    const auto it = tensors_.find(module + ".bias");
    const bool wanted = config_.attention_bias && module.find(".self_attn.") != module.npos;
    if (it == tensors_.end() || wanted || !is_plain_dtype(it->second.file_dtype)) return;
    constexpr int64_t kMaxBiasBytes = int64_t{64} << 20;
    const SourceTensor& bias = it->second;
    if (bias.n_bytes > kMaxBiasBytes) return;
    std::vector<std::byte> bytes(static_cast<size_t>(bias.n_bytes));
    bias.file->read(bias.begin, bytes);
    const bool zero =
        std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
    if (zero) tensors_.erase(it);
  }

  TensorMap& tensors_;
  const HfConfig& config_;
  const QuantizationConfig& quantization_;
  std::string_view config_name_;
  std::vector<std::unique_ptr<RowReader>> readers_;
};

}  // namespace

std::vector<std::unique_ptr<RowReader>> assemble_quantized(TensorMap& tensors,
                                                           const HfConfig& config,
                                                           std::string_view config_name) {
  return Assembler(tensors, config, config_name).run();
}

}  // namespace qwen3
