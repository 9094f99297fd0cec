#include "formats/npy.h"

#include <array>
#include <bit>
#include <cassert>
#include <charconv>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "base/json.h"
#include "base/output_file.h"

namespace qwen3 {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kAlignment = 64;
constexpr size_t kMaxHeaderBytes = 1 << 16;
constexpr size_t kMaxRank = 64;

// Reads the dict literal that NumPy writes. Only its own three keys occur, in any order.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;

  void parse() {
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr") {
        descr = quoted();
      } else if (key == "fortran_order") {
        fortran_order = boolean();
      } else if (key == "shape") {
        read_shape();
      } else {
        refuse("one of descr, fortran_order, shape");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!text_.empty()) refuse("the end of the header");
  }

 private:
  [[noreturn]] void refuse(std::string_view expected) const {
    fail(ErrorKind::corrupt_file,
         "{}: .npy header: expected {} before \"{}\"",
         where_,
         expected,
         quote_for_message(text_, 40));
  }
  void skip_space() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n'))
      text_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_space();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) refuse(std::string_view(&c, 1));
  }
  std::string_view quoted() {
    expect('\'');
    const size_t end = text_.find('\'');
    if (end == text_.npos) refuse("a closing quote");
    const std::string_view value = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return value;
  }
  bool boolean() {
    skip_space();
    for (const std::string_view word : {"True", "False"}) {
      if (!text_.starts_with(word)) continue;
      text_.remove_prefix(word.size());
      return word == "True";
    }
    refuse("True or False");
  }
  void read_shape() {
    expect('(');
    while (!accept(')')) {
      skip_space();
      int64_t dim = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), dim);
      if (error != std::errc() || dim < 0) refuse("a dimension");
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      if (shape.size() == kMaxRank) refuse("at most 64 dimensions");
      shape.push_back(dim);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }

  std::string_view text_;
  std::string_view where_;
};

template <typename T>
std::vector<float> convert(std::string_view data) {
  std::vector<float> values(data.size() / sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    T value;
    std::memcpy(&value, data.data() + i * sizeof(T), sizeof(T));
    values[i] = static_cast<float>(value);
  }
  return values;
}

size_t element_size(std::string_view descr, std::string_view where) {
  if (descr == "<f4" || descr == "<i4") return 4;
  if (descr == "<f8" || descr == "<i8") return 8;
  fail(ErrorKind::corrupt_file,
       "{}: .npy: expected descr <f4, <f8, <i4 or <i8, got {}",
       where,
       quote_for_message(descr));
}

}  // namespace

void write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  QWEN3_CHECK(tensor.dtype() == DType::f32 || tensor.dtype() == DType::i32,
              ErrorKind::invalid_argument,
              "{}: expected a float32 or int32 tensor, got {}",
              path.string(),
              dtype_name(tensor.dtype()));
  assert(tensor.numel() == 0 || tensor.row_stride() * tensor.dim(0) == tensor.numel());  // dense
  std::string shape;
  for (int i = 0; i < tensor.rank(); ++i) shape += fmt::format("{}, ", tensor.dim(i));
  if (tensor.rank() > 1) shape.resize(shape.size() - 2);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                   tensor.dtype() == DType::f32 ? "<f4" : "<i4",
                                   shape);
  const size_t unpadded = kMagic.size() + 4 + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ').push_back('\n');

  OutputFile out(path);
  out.write(kMagic);
  const std::array<char, 4> version_and_length = {
      1, 0, static_cast<char>(header.size() & 0xFF), static_cast<char>(header.size() >> 8)};
  out.write(std::string_view(version_and_length.data(), version_and_length.size()));
  out.write(header);
  out.write(std::span(static_cast<const std::byte*>(tensor.data()),
                      static_cast<size_t>(tensor.numel() * dtype_size(tensor.dtype()))));
  out.commit();
}

NpyFile::NpyFile(const std::filesystem::path& path) : file_(path) {
  const std::string& where = file_.name();
  std::array<unsigned char, 12> start{};
  QWEN3_CHECK(file_.size() >= std::ssize(start),
              ErrorKind::corrupt_file,
              "{}: expected a .npy file",
              where);
  file_.read(0, std::as_writable_bytes(std::span(start)));
  QWEN3_CHECK(std::memcmp(start.data(), kMagic.data(), kMagic.size()) == 0,
              ErrorKind::corrupt_file,
              "{}: expected a .npy file",
              where);
  const auto byte = [&](size_t i) { return static_cast<size_t>(start[i]); };
  const size_t version = byte(6);
  QWEN3_CHECK(version >= 1 && version <= 3 && byte(7) == 0,
              ErrorKind::corrupt_file,
              "{}: expected .npy version 1.0, 2.0 or 3.0, got {}.{}",
              where,
              version,
              byte(7));
  const size_t begin = version == 1 ? 10 : 12;
  const size_t length =
      byte(8) | byte(9) << 8 | (version == 1 ? 0 : byte(10) << 16 | byte(11) << 24);
  const size_t rest = static_cast<size_t>(file_.size()) - begin;
  QWEN3_CHECK(length <= kMaxHeaderBytes && length <= rest,
              ErrorKind::corrupt_file,
              "{}: .npy header: expected {} bytes, got {}",
              where,
              length,
              rest);
  std::string header(length, '\0');
  file_.read(static_cast<int64_t>(begin), std::as_writable_bytes(std::span(header)));
  data_begin_ = static_cast<int64_t>(begin + length);
  read_header(header);
}

void NpyFile::read_header(std::string_view text) {
  const std::string& where = file_.name();
  HeaderParser header(text, where);
  header.parse();
  QWEN3_CHECK(!header.fortran_order,
              ErrorKind::corrupt_file,
              "{}: .npy: expected row-major data, got fortran_order True",
              where);
  std::optional<int64_t> bytes = static_cast<int64_t>(element_size(header.descr, where));
  for (const int64_t dim : header.shape) bytes = bytes ? checked_mul(*bytes, dim) : std::nullopt;
  QWEN3_CHECK(bytes && *bytes == file_.size() - data_begin_,
              ErrorKind::corrupt_file,
              "{}: .npy: expected {} bytes of data, got {}",
              where,
              bytes.value_or(-1),
              file_.size() - data_begin_);
  shape_ = std::move(header.shape);
  type_ = std::move(header.descr);
}

std::vector<float> NpyFile::values() const {
  std::string data(static_cast<size_t>(file_.size() - data_begin_), '\0');
  file_.read(data_begin_, std::as_writable_bytes(std::span(data)));
  file_.check_unchanged();
  return type_ == "<f4"   ? convert<float>(data)
         : type_ == "<f8" ? convert<double>(data)
         : type_ == "<i4" ? convert<int32_t>(data)
                          : convert<int64_t>(data);
}

NpyArray read_npy(const std::filesystem::path& path) {
  const NpyFile file(path);
  return {file.shape(), file.values()};
}

}  // namespace qwen3
