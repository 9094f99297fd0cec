// Where a model's numbers come from: named tensors in files of some format, and the config that says
// what they mean. A Hugging Face directory (checkpoint.h) is one, a GGUF file (gguf_source.h) another;
// open_source.h tells them apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/input_file.h"
#include "formats/hf_config.h"
#include "tensor/weight.h"

namespace qwen3 {

// Rows that lie in no file as their type has them: their scales are a tensor of their own, or columns
// come first. Implementations are called by several threads at once.
class RowReader {
 public:
  virtual ~RowReader() = default;
  // Rows [first_row, first_row + n_rows) into `to`, row_bytes each. Throws Error naming file and
  // tensor: corrupt_file for what is only seen in the data, io.
  virtual void read(int64_t first_row, int64_t n_rows, std::byte* to) const = 0;
  // How many rows to ask for at least, since fewer would cost as much.
  virtual int64_t row_step() const { return 1; }
};

struct SourceTensor {
  WeightType type;  // only where the file's type is one of them; find() reports others
  // As written, for ever; of a matrix put together from several tensors, what its numbers are: "INT4".
  std::string_view file_dtype;
  std::vector<int64_t> shape;      // PyTorch's order
  int64_t begin = 0, n_bytes = 0;  // in `file`, rows one after the other; with all its parts
  const InputFile* file = nullptr;
  const RowReader* rows =
      nullptr;  // if there is one, `begin` only says where most of the data lies

  // Rows [first_row, first_row + n_rows) of n_columns numbers into `to`, as `type` has them: the tensor
  // seen as rows one after the other. Throws what RowReader and InputFile throw.
  void read_rows(int64_t first_row, int64_t n_rows, int64_t n_columns, std::byte* to) const;
  // Of the same rows columns [begin, end) alone, each where a block begins.
  void read_columns(int64_t first_row,
                    int64_t n_rows,
                    int64_t n_columns,
                    int64_t begin,
                    int64_t end,
                    std::byte* to) const;
};

class TensorSource {
 public:
  virtual ~TensorSource() = default;

  virtual const HfConfig& config() const = 0;
  virtual const GenerationConfig& generation_config() const = 0;
  virtual const std::string& name() const = 0;  // for messages
  // The tensor of that Hugging Face name, with or without the "model." prefix; nullptr if there is
  // none. Throws Error{unsupported} if its type is none that can be loaded.
  virtual const SourceTensor* find(std::string_view name) const = 0;
  // All tensors by their Hugging Face names, with or without that prefix; what quantised matrices
  // consist of is one tensor "<module>.weight".
  virtual const std::unordered_map<std::string, SourceTensor>& tensors() const = 0;
  virtual size_t n_files() const = 0;
  // Throws Error{corrupt_file} if a file is no longer the one that was opened.
  virtual void check_unchanged() const = 0;

  size_t n_tensors() const { return tensors().size(); }
  int64_t n_bytes() const;                 // of all tensors
  std::vector<std::string> names() const;  // of all tensors, sorted
};

// Of all tensors, sorted.
std::vector<std::string> sorted_names(const std::unordered_map<std::string, SourceTensor>& tensors);

// The tensor of that name, with or without the "model." prefix; nullptr if there is none.
const SourceTensor* find_tensor(const std::unordered_map<std::string, SourceTensor>& tensors,
                                std::string_view name);

}  // namespace qwen3
