#include "formats/gguf_writer.h"

#include <array>
#include <cassert>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/checked.h"
#include "base/error.h"

namespace qwen3 {
namespace {

constexpr int64_t kAlignment = 32;  // what general.alignment is when it is absent
constexpr size_t kMaxTensorName = 63;

template <typename T>
void put(std::string& to, T value) {
  std::array<char, sizeof value> bytes;
  std::memcpy(bytes.data(), &value, sizeof value);
  to.append(bytes.data(), bytes.size());
}

void put_string(std::string& to, std::string_view text) {
  put(to, uint64_t{text.size()});
  to += text;
}

std::string header_of(const GgufMetadata& metadata, const std::vector<GgufTensorPlan>& tensors) {
  std::string header = "GGUF";
  put(header, uint32_t{3});
  put(header, uint64_t{tensors.size()});
  put(header, static_cast<uint64_t>(metadata.count()));
  header += metadata.bytes();
  int64_t offset = 0;
  for (const GgufTensorPlan& tensor : tensors) {
    put_string(header, tensor.name);
    put(header, static_cast<uint32_t>(tensor.shape.size()));
    for (size_t i = tensor.shape.size(); i-- > 0;) {
      put(header, static_cast<uint64_t>(tensor.shape[i]));
    }
    put(header, find_gguf_type(tensor.type)->id);
    put(header, static_cast<uint64_t>(offset));
    offset = round_up(offset + tensor.n_bytes(), kAlignment);
  }
  header.resize(static_cast<size_t>(round_up(static_cast<int64_t>(header.size()), kAlignment)));
  return header;
}

void check_room(const std::filesystem::path& path, int64_t n_bytes) {
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error))
    return;
  std::filesystem::path folder = path.parent_path();
  if (folder.empty()) folder = ".";
  const std::filesystem::space_info space = std::filesystem::space(folder, error);
  if (error) return;  // a file system that cannot say; writing will
  QWEN3_CHECK(space.available >= static_cast<uintmax_t>(n_bytes),
              ErrorKind::io,
              "{}: expected {} bytes of free space on the disk, got {}; make room, or name a file "
              "on another disk",
              path.string(),
              n_bytes,
              space.available);
}

}  // namespace

void GgufMetadata::begin(std::string_view key, GgufValueType type) {
  put_string(bytes_, key);
  put(bytes_, static_cast<uint32_t>(type));
  ++count_;
}

void GgufMetadata::begin_array(std::string_view key, GgufValueType element, size_t count) {
  begin(key, GgufValueType::array);
  put(bytes_, static_cast<uint32_t>(element));
  put(bytes_, uint64_t{count});
}

void GgufMetadata::u32(std::string_view key, int64_t value) {
  assert(std::in_range<uint32_t>(value));
  begin(key, GgufValueType::u32);
  put(bytes_, static_cast<uint32_t>(value));
}

void GgufMetadata::i32(std::string_view key, int64_t value) {
  assert(std::in_range<int32_t>(value));
  begin(key, GgufValueType::i32);
  put(bytes_, static_cast<int32_t>(value));
}

void GgufMetadata::f32(std::string_view key, double value) {
  begin(key, GgufValueType::f32);
  put(bytes_, static_cast<float>(value));
}

void GgufMetadata::boolean(std::string_view key, bool value) {
  begin(key, GgufValueType::boolean);
  put(bytes_, static_cast<uint8_t>(value));
}

void GgufMetadata::string(std::string_view key, std::string_view value) {
  begin(key, GgufValueType::string);
  put_string(bytes_, value);
}

void GgufMetadata::strings(std::string_view key, std::span<const std::string> values) {
  begin_array(key, GgufValueType::string, values.size());
  for (const std::string& value : values) put_string(bytes_, value);
}

void GgufMetadata::i32s(std::string_view key, std::span<const int32_t> values) {
  begin_array(key, GgufValueType::i32, values.size());
  for (const int32_t value : values) put(bytes_, value);
}

int64_t GgufTensorPlan::n_rows() const {
  int64_t n = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
  return n;
}

int64_t GgufTensorPlan::n_bytes() const { return n_rows() * row_bytes(type, shape.back()); }

GgufWriter::GgufWriter(const std::filesystem::path& path,
                       const GgufMetadata& metadata,
                       std::vector<GgufTensorPlan> tensors)
    : file_(path), tensors_(std::move(tensors)) {
  for (const GgufTensorPlan& tensor : tensors_) {
    assert(find_gguf_type(tensor.type) != nullptr && !tensor.shape.empty());
    QWEN3_CHECK(tensor.name.size() <= kMaxTensorName,
                ErrorKind::invalid_argument,
                "{}: tensor {}: expected a name of at most {} bytes, as GGUF has them",
                path.string(),
                tensor.name,
                kMaxTensorName);
  }
  const std::string header = header_of(metadata, tensors_);
  file_bytes_ = static_cast<int64_t>(header.size());
  for (const GgufTensorPlan& tensor : tensors_) {
    file_bytes_ += round_up(tensor.n_bytes(), kAlignment);
  }
  check_room(path, file_bytes_);
  file_.write(header);
}

void GgufWriter::write(std::span<const std::byte> bytes) {
  assert(tensor_ < tensors_.size());
  const int64_t n_bytes = tensors_[tensor_].n_bytes();
  file_.write(bytes);
  written_ += static_cast<int64_t>(bytes.size());
  assert(written_ <= n_bytes);
  if (written_ < n_bytes) return;
  pad(n_bytes);
  ++tensor_;
  written_ = 0;
}

void GgufWriter::pad(int64_t n_bytes) {
  static constexpr std::array<std::byte, kAlignment> kZeros{};
  const int64_t n = round_up(n_bytes, kAlignment) - n_bytes;
  file_.write(std::span(kZeros).first(static_cast<size_t>(n)));
}

void GgufWriter::commit() {
  assert(tensor_ == tensors_.size());
  file_.sync();
  file_.commit();
}

}  // namespace qwen3
