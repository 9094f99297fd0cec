// QuantizedModule: the tensors "<name>.<part>" of one quantised matrix while they are put together.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/quantization_config.h"
#include "formats/quantized/rows.h"
#include "formats/tensor_source.h"

namespace qwen3 {

using TensorMap = std::unordered_map<std::string, SourceTensor>;

class QuantizedModule {
 public:
  // `tensors` must outlive this.
  QuantizedModule(const TensorMap& tensors, std::string name)
      : tensors_(tensors), name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  const std::vector<std::string>& used() const { return used_; }  // names of what was asked for
  int64_t n_bytes() const { return n_bytes_; }                    // of them

  const SourceTensor* find(std::string_view part) const;
  // The tensor that holds the numbers. Throws Error{corrupt_file} unless it is there with that dtype,
  // `rank` dimensions (of a stack one more, if `stacks`) and none of them empty.
  const SourceTensor& numbers(std::string_view part, std::string_view dtype, bool stacks = false);
  // Another tensor; [1] stands for a scalar as well. Throws Error{corrupt_file} unless it is there
  // with one of the dtypes and that shape.
  Part need(std::string_view part,
            std::span<const std::string_view> dtypes,
            const std::vector<int64_t>& shape);

  // Throws Error{corrupt_file} naming that tensor; `what` says what was expected and came.
  [[noreturn]] void refuse(std::string_view part, std::string_view what) const;

 private:
  std::string full_name(std::string_view part) const;
  const SourceTensor& use(std::string_view part);

  const TensorMap& tensors_;
  std::string name_;
  std::vector<std::string> used_;
  int64_t n_bytes_ = 0;
};

// A matrix, or a stack of them, as one tensor.
struct AssembledMatrix {
  std::vector<int64_t> shape;
  const SourceTensor* numbers = nullptr;
  std::unique_ptr<QuantizedRows> rows;
};

// One for each scheme: all shapes and dtypes are checked against each other and the config. Throw
// Error{corrupt_file} naming file and tensor.
AssembledMatrix assemble_fp8(QuantizedModule& module, const QuantizationConfig& config);
AssembledMatrix assemble_compressed_tensors(QuantizedModule& module,
                                            const QuantizationConfig& config);
AssembledMatrix assemble_awq(QuantizedModule& module, const QuantizationConfig& config);
AssembledMatrix assemble_gptq(QuantizedModule& module, const QuantizationConfig& config);
AssembledMatrix assemble_mlx(QuantizedModule& module, const QuantizationConfig& config);

}  // namespace qwen3
