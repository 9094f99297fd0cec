#include "formats/quantized/module.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"

namespace qwen3 {
namespace {

// The largest vocabulary that config.json may name; products of two of them fit int64_t.
constexpr int64_t kMaxDimension = int64_t{1} << 24;

}  // namespace

std::string QuantizedModule::full_name(std::string_view part) const {
  return fmt::format("{}.{}", name_, part);
}

const SourceTensor* QuantizedModule::find(std::string_view part) const {
  const auto it = tensors_.find(full_name(part));
  return it == tensors_.end() ? nullptr : &it->second;
}

void QuantizedModule::refuse(std::string_view part, std::string_view what) const {
  const SourceTensor* tensor = find(part);
  std::string where = tensor != nullptr ? tensor->file->name() + ": " : "";
  fail(ErrorKind::corrupt_file,
       "{}tensor {}: {}; do the weights belong to this config.json?",
       where,
       quote_for_message(full_name(part), 200),
       what);
}

const SourceTensor& QuantizedModule::use(std::string_view part) {
  const SourceTensor* tensor = find(part);
  if (tensor == nullptr) {
    // Another tensor of the module says in which file to look.
    std::string file;
    for (const std::string_view other :
         {"weight", "weight_packed", "qweight", "scales", "weight_scale"}) {
      if (const SourceTensor* there = find(other)) file = there->file->name();
      if (!file.empty()) break;
    }
    fail(ErrorKind::corrupt_file,
         "{}: tensor {}: expected beside the other tensors of this quantised matrix, got none; is "
         "the "
         "download complete?",
         file,
         quote_for_message(full_name(part), 200));
  }
  used_.push_back(full_name(part));
  n_bytes_ += tensor->n_bytes;
  return *tensor;
}

const SourceTensor& QuantizedModule::numbers(std::string_view part,
                                             std::string_view dtype,
                                             bool stacks) {
  const SourceTensor& tensor = use(part);
  if (tensor.file_dtype != dtype) {
    refuse(part, fmt::format("expected dtype {}, got {}", dtype, tensor.file_dtype));
  }
  const auto& shape = tensor.shape;
  const bool fits = (shape.size() == 2 || (stacks && shape.size() == 3)) &&
                    std::all_of(shape.begin(), shape.end(), [](int64_t n) {
                      return n >= 1 && n <= kMaxDimension;
                    });
  if (!fits) {
    refuse(part,
           fmt::format("expected {} dimensions, each in [1, {}], got [{}]",
                       stacks ? "2 or 3" : "2",
                       kMaxDimension,
                       fmt::join(shape, ", ")));
  }
  return tensor;
}

Part QuantizedModule::need(std::string_view part,
                           std::span<const std::string_view> dtypes,
                           const std::vector<int64_t>& shape) {
  const SourceTensor& tensor = use(part);
  if (std::find(dtypes.begin(), dtypes.end(), tensor.file_dtype) == dtypes.end()) {
    refuse(part,
           fmt::format("expected dtype {}, got {}", fmt::join(dtypes, ", "), tensor.file_dtype));
  }
  const bool scalar = tensor.shape.empty() && shape == std::vector<int64_t>{1};
  if (tensor.shape != shape && !scalar) {
    refuse(part,
           fmt::format("expected shape [{}], got [{}]",
                       fmt::join(shape, ", "),
                       fmt::join(tensor.shape, ", ")));
  }
  return {tensor.file, part, tensor.file_dtype, tensor.begin};
}

}  // namespace qwen3
