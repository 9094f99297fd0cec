// Rows of quantised matrices, put together from the tensors over which safetensors spread them:
// numbers of a few bits, the scales that groups of columns share, zeros, offsets.
//
// Element i of row r, with its group g, is  scale[r, g] * (q[r, i] - zero[r, g]) + offset[r, g],  or
// scale[r, g] * e4m3(q[r, i]). Rows are given in blocks of 32 (tensor/blocks.h): affine4 where numbers
// have up to 4 bits, affine8, fp8. Where a row is no multiple of 32, or 32 columns do not share a
// scale (groups of other sizes, GPTQ with desc_act), rows are given widened to float32, exactly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/checked.h"
#include "formats/tensor_source.h"
#include "tensor/weight.h"

namespace qwen3 {

// A tensor that others belong to or that belongs to others; its shape is checked by who makes it.
struct Part {
  const InputFile* file = nullptr;
  std::string_view suffix;  // of the module's name, for ever: "scales"
  std::string_view dtype;   // of the file, for ever
  int64_t begin = 0;

  explicit operator bool() const { return file != nullptr; }
  // Its elements from number `first` on, into `to`.
  template <typename T>
  void read(int64_t first, std::span<T> to) const {
    file->read(begin + first * static_cast<int64_t>(sizeof(T)), std::as_writable_bytes(to));
  }
};

// What both arrangements of a quantised matrix have in common. Columns of a matrix all have a group.
struct QuantizedMatrix {
  std::string module;  // the name of the tensors without their last part
  int64_t n_rows = 0;  // matrices of a stack one after the other
  int64_t n_columns = 0;
  int bits = 8;
  bool is_float = false;   // numbers are e4m3
  int64_t group_size = 0;  // columns
  int64_t n_groups = 0;
  Part group_index = {};  // I32 [n_columns]: the group of each column; none: i / group_size
};

// Which words hold rows [first_row, first_row + n_rows), `per_word` of them each.
struct WordRange {
  int64_t begin, count;
};
inline WordRange words_of(int64_t first_row, int64_t n_rows, int64_t per_word) {
  const int64_t begin = first_row / per_word;
  return {begin, ceil_div(first_row + n_rows, per_word) - begin};
}

// The type in which rows of it are given. Reads the group index, if there is one. Throws
// Error{corrupt_file} if that names a group that is not there.
WeightType row_type(const QuantizedMatrix& matrix);

class QuantizedRows : public RowReader {
 public:
  explicit QuantizedRows(QuantizedMatrix matrix);
  void read(int64_t first_row, int64_t n_rows, std::byte* to) const final;
  WeightType type() const { return type_; }

 protected:
  struct Groups {
    std::vector<float> scales, offsets;  // [n_rows, n_groups]; offsets empty: 0
    std::vector<int32_t> zeros;          // the same; empty: 0
  };
  // The numbers of some rows, [n_rows, n_columns], and what their groups share.
  virtual void read_numbers(int64_t first_row, int64_t n_rows, uint8_t* to) const = 0;
  virtual Groups read_groups(int64_t first_row, int64_t n_rows) const = 0;

  const QuantizedMatrix& matrix() const { return matrix_; }
  // `n` floats of a part from element `first` on, into `to`. Throws Error{corrupt_file} unless finite.
  void read_floats(const Part& part, int64_t first, int64_t n, float* to) const;

 private:
  QuantizedMatrix matrix_;
  WeightType type_;
};

}  // namespace qwen3
