// GGUF, one file of it: versions 2 and 3, little-endian, nothing between the fields.
//
//   "GGUF" | version u32 | n_tensors u64 | n_keys u64
//   n_keys x    { key string | type u32 | value }          string: length u64 | bytes
//   n_tensors x { name string | n_dims u32 | dims u64 ... | type u32 | offset u64 }
//   zeros to a multiple of general.alignment (32 if absent) | data, where offsets count from
//
//   array value: element type u32 | count u64 | elements          dims[0] is the contiguous one
//
// Opening reads the header through a small buffer and keeps keys and tensors; of a value only where
// it lies, so that the 300 thousand strings of a tokenizer cost nothing until they are asked for.
// Every count and length is held against what is left of the file before it is used. Refused, though
// some writers' files might have it: keys of more than 1024 bytes, more than 65536 of them, more than
// 131072 tensors, a header above 256 MiB, an alignment above 1 MiB, arrays of arrays, a dimension of
// 0, and tensors that overlap. Gaps between tensors, and a tail, are none of our business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/input_file.h"
#include "formats/gguf_types.h"

namespace qwen3 {

class GgufCursor;

struct GgufTensor {
  std::string name;
  const GgufTensorType* type = nullptr;  // lives for ever
  std::vector<int64_t> shape;            // PyTorch's order: the contiguous dimension is the last
  int64_t begin = 0, n_bytes = 0;        // in the file, which has them
};

// The strings of an array, all in one piece of memory.
class GgufStrings {
 public:
  size_t size() const { return ends_.size(); }
  std::string_view operator[](size_t i) const {
    const size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(text_).substr(begin, ends_[i] - begin);
  }

 private:
  friend class GgufFile;
  std::string text_;
  std::vector<uint32_t> ends_;
};

class GgufFile {
 public:
  // Reads the header. Throws Error naming the file: corrupt_file; unsupported for version 1, big
  // endian, a tensor type that ggml does not have; what InputFile throws.
  explicit GgufFile(const std::filesystem::path& path);

  const std::string& name() const { return file_.name(); }
  const InputFile& file() const { return file_; }
  std::span<const GgufTensor> tensors() const { return tensors_; }

  // Metadata. All give nothing for a key that is absent, and throw Error{corrupt_file} naming file
  // and key for a value of another type or out of range. An integer may be of any width, a number
  // float32 or float64 and is finite. Strings are UTF-8; those of an array have at most `max_bytes`
  // in the file, lengths included.
  struct IntRange {
    int64_t low, high;
  };
  bool has(std::string_view key) const { return find(key) != nullptr; }
  std::optional<int64_t> integer(std::string_view key, IntRange range) const;
  // float32 is read as the shortest decimal that stands for it: 1e-6 is 1e-6 and not 9.99999997e-7,
  // for that is what the writer had.
  std::optional<double> real(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string> string(std::string_view key, size_t max_bytes) const;
  // An array of integers; one integer is an array of one.
  std::optional<std::vector<int64_t>> integers(std::string_view key,
                                               IntRange range,
                                               size_t max_count) const;
  std::optional<GgufStrings> strings(std::string_view key, size_t max_bytes) const;

  // Throw Error{corrupt_file}, Error{unsupported}. REQUIRES: the key is there.
  [[noreturn]] void refuse(std::string_view key, std::string_view expected) const;
  [[noreturn]] void unsupported(std::string_view key, std::string_view supported) const;

 private:
  struct Entry {
    std::string key;
    GgufValueType type, element;  // the latter of an array
    int64_t count = 1;            // elements of an array
    int64_t begin = 0;            // of the value in the file; of an array: of its elements
    int64_t n_bytes = 0;          // of all that
    uint64_t bits = 0;            // the value itself, of anything but strings and arrays
  };

  void read_header();
  void read_entry(GgufCursor& cursor);
  void read_value(GgufCursor& cursor, Entry& entry) const;
  void read_tensor(GgufCursor& cursor);
  void sort_entries();
  int64_t alignment() const;
  void place_tensors(int64_t header_end);
  void check_overlaps() const;

  const Entry* find(std::string_view key) const;
  int64_t as_integer(const Entry& entry, uint64_t bits, GgufValueType type, IntRange range) const;
  [[noreturn]] void fail_at(ErrorKind kind, const Entry& entry, std::string_view expected) const;

  InputFile file_;
  std::vector<Entry> entries_;  // by key
  std::vector<GgufTensor> tensors_;
};

}  // namespace qwen3
