#include "formats/gguf_cursor.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/error.h"

namespace qwen3 {
namespace {

constexpr int64_t kMaxHeaderBytes = int64_t{256} << 20;  // 6 MB in files of Qwen3

uint64_t from_little_endian(const std::byte* bytes, int64_t n) {
  uint64_t value = 0;
  for (int64_t i = n - 1; i >= 0; --i) value = value << 8 | std::to_integer<uint64_t>(bytes[i]);
  return value;
}

}  // namespace

GgufCursor::GgufCursor(const InputFile& file, int64_t at)
    : file_(file), at_(at), end_(std::min(file.size(), kMaxHeaderBytes)) {}

void GgufCursor::need(int64_t n, std::string_view what) const {
  if (n >= 0 && n <= left()) return;
  QWEN3_CHECK(end_ == file_.size(),
              ErrorKind::corrupt_file,
              "{}: {}: expected the header to end within {} bytes, got a longer one; is the file "
              "damaged?",
              file_.name(),
              what,
              kMaxHeaderBytes);
  fail(ErrorKind::corrupt_file,
       "{}: {}: expected {} more bytes, got {}; is the download complete?",
       file_.name(),
       what,
       n < 0 ? "2^63 or" : fmt::format("{}", n),
       left());
}

uint64_t GgufCursor::number(int64_t n_bytes, std::string_view what) {
  std::byte bytes[8];
  read(bytes, n_bytes, what);
  return from_little_endian(bytes, n_bytes);
}

int64_t GgufCursor::size(std::string_view what) {
  const uint64_t value = number(8, what);
  return value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())
             ? -1
             : static_cast<int64_t>(value);
}

std::string GgufCursor::text(int64_t n, std::string_view what) {
  need(n, what);
  std::string text(static_cast<size_t>(n), '\0');
  read(reinterpret_cast<std::byte*>(text.data()), n, what);
  return text;
}

void GgufCursor::read(std::byte* out, int64_t n, std::string_view what) {
  need(n, what);
  while (n > 0) {
    const auto [data, size] = buffered();
    const int64_t part = std::min(size, n);
    std::memcpy(out, data, static_cast<size_t>(part));
    out += part;
    at_ += part;
    n -= part;
  }
}

void GgufCursor::skip(int64_t n, std::string_view what) {
  need(n, what);
  at_ += n;
}

GgufCursor::Part GgufCursor::buffered() {
  if (at_ < begin_ || at_ >= begin_ + static_cast<int64_t>(buffer_.size())) {
    constexpr int64_t kBufferBytes = 64 << 10;
    buffer_.resize(static_cast<size_t>(std::min(kBufferBytes, left())));
    file_.read(at_, buffer_);
    begin_ = at_;
  }
  return {buffer_.data() + (at_ - begin_), begin_ + static_cast<int64_t>(buffer_.size()) - at_};
}

}  // namespace qwen3
