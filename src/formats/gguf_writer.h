// Writes GGUF version 3 (gguf_file.h shows the format), in one go and in the order of the file: all
// that the header says is known before the first byte, tensors follow in pieces of any size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/output_file.h"
#include "formats/gguf_types.h"

namespace qwen3 {

// Keys and their values, in the order of the calls. A key is set once.
class GgufMetadata {
 public:
  void u32(std::string_view key, int64_t value);  // REQUIRES: fits
  void i32(std::string_view key, int64_t value);  // REQUIRES: fits
  void f32(std::string_view key, double value);
  void boolean(std::string_view key, bool value);
  void string(std::string_view key, std::string_view value);
  void strings(std::string_view key, std::span<const std::string> values);
  void i32s(std::string_view key, std::span<const int32_t> values);

  int64_t count() const { return count_; }
  std::string_view bytes() const { return bytes_; }

 private:
  void begin(std::string_view key, GgufValueType type);
  void begin_array(std::string_view key, GgufValueType element, size_t count);

  std::string bytes_;
  int64_t count_ = 0;
};

struct GgufTensorPlan {
  std::string name;
  WeightType type;             // that GGUF has
  std::vector<int64_t> shape;  // PyTorch's order

  int64_t n_rows() const;
  int64_t n_bytes() const;
};

class GgufWriter {
 public:
  // Writes the header beside `path`. Throws Error{io} naming it if the disk has not enough room for
  // all of the file, or cannot be written; Error{invalid_argument} for a tensor's name that GGUF
  // cannot hold.
  GgufWriter(const std::filesystem::path& path,
             const GgufMetadata& metadata,
             std::vector<GgufTensorPlan> tensors);

  int64_t file_bytes() const { return file_bytes_; }

  // The next bytes of the tensors, one after the other. What separates tensors is added.
  // REQUIRES: no piece goes beyond its tensor's end.
  void write(std::span<const std::byte> bytes);
  // Puts the file in its place. REQUIRES: every tensor was written whole.
  void commit();

 private:
  void pad(int64_t n_bytes);

  OutputFile file_;
  std::vector<GgufTensorPlan> tensors_;
  size_t tensor_ = 0;    // that is being written
  int64_t written_ = 0;  // of it
  int64_t file_bytes_ = 0;
};

}  // namespace qwen3
