// The header, read and checked. What it says by keys: gguf_values.cpp.
#include "formats/gguf_file.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "base/json.h"
#include "formats/gguf_cursor.h"

namespace qwen3 {
namespace {

constexpr int64_t kMaxKeys = 65536;
constexpr int64_t kMaxTensors = int64_t{1} << 17;
constexpr int64_t kMaxKeyBytes = 1024;
constexpr int64_t kMaxNameBytes = 63;  // ggml keeps 64 with a terminator
constexpr uint32_t kMaxDims = 4;
constexpr int64_t kMaxAlignment = int64_t{1} << 20;
constexpr int64_t kLeastKeyBytes = 8 + 1 + 4 + 1;  // the length, one letter, the type, a byte
constexpr int64_t kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path) : file_(path) {
  read_header();
  file_.check_unchanged();
}

void GgufFile::read_header() {
  GgufCursor cursor(file_, 0);
  const std::string magic = cursor.text(4, "a GGUF file");
  QWEN3_CHECK(magic == "GGUF",
              ErrorKind::corrupt_file,
              "{}: expected a GGUF file, got one that begins with \"{}\"",
              name(),
              quote_for_message(magic));
  const auto version = static_cast<uint32_t>(cursor.number(4, "version"));
  QWEN3_CHECK((version & 0xFFFF) != 0,
              ErrorKind::unsupported,
              "{}: version: expected a little-endian file, got a big-endian one; convert the model "
              "without --bigendian",
              name());
  QWEN3_CHECK(version == 2 || version == 3,
              ErrorKind::unsupported,
              "{}: version: expected 2 or 3, got {}; get or make a newer file of the model",
              name(),
              version);
  const int64_t n_tensors = cursor.size("number of tensors");
  const int64_t n_keys = cursor.size("number of keys");
  QWEN3_CHECK(n_keys >= 0 && n_keys <= kMaxKeys && n_keys <= cursor.left() / kLeastKeyBytes,
              ErrorKind::corrupt_file,
              "{}: number of keys: expected at most {}, and what {} bytes can hold, got {}",
              name(),
              kMaxKeys,
              cursor.left(),
              n_keys);
  QWEN3_CHECK(
      n_tensors >= 0 && n_tensors <= kMaxTensors && n_tensors <= cursor.left() / kLeastTensorBytes,
      ErrorKind::corrupt_file,
      "{}: number of tensors: expected at most {}, and what {} bytes can hold, got {}",
      name(),
      kMaxTensors,
      cursor.left(),
      n_tensors);
  entries_.reserve(static_cast<size_t>(n_keys));
  for (int64_t i = 0; i < n_keys; ++i) read_entry(cursor);
  sort_entries();
  tensors_.reserve(static_cast<size_t>(n_tensors));
  for (int64_t i = 0; i < n_tensors; ++i) read_tensor(cursor);
  place_tensors(cursor.at());
  check_overlaps();
}

void GgufFile::read_entry(GgufCursor& cursor) {
  Entry& entry = entries_.emplace_back();
  const int64_t length = cursor.size("a key");
  QWEN3_CHECK(length >= 1 && length <= kMaxKeyBytes,
              ErrorKind::corrupt_file,
              "{}: key {} of {}: expected 1 to {} bytes, got {}",
              name(),
              entries_.size(),
              entries_.capacity(),
              kMaxKeyBytes,
              length);
  entry.key = cursor.text(length, "a key");
  const std::string what = quote_for_message(entry.key);
  const auto type = [&] {
    const uint64_t number = cursor.number(4, what);
    QWEN3_CHECK(number < kGgufValueTypes,
                ErrorKind::corrupt_file,
                "{}: {}: expected a value type from 0 to {}, got {}; is the file damaged?",
                name(),
                what,
                kGgufValueTypes - 1,
                number);
    return static_cast<GgufValueType>(number);
  };
  entry.type = entry.element = type();
  if (entry.type == GgufValueType::array) {
    entry.element = type();
    QWEN3_CHECK(entry.element != GgufValueType::array,
                ErrorKind::corrupt_file,
                "{}: {}: expected an array of numbers or strings, got one of arrays",
                name(),
                what);
    entry.count = cursor.size(what);
  }
  read_value(cursor, entry);
}

// From the elements on.
void GgufFile::read_value(GgufCursor& cursor, Entry& entry) const {
  const std::string what = quote_for_message(entry.key);
  entry.begin = cursor.at();
  const int64_t element_bytes = gguf_value_bytes(entry.element);
  if (element_bytes == 0) {
    const auto bytes = checked_mul(entry.count, 8);  // of the lengths alone
    cursor.need(bytes.value_or(-1), what);
    for (int64_t i = 0; i < entry.count; ++i) cursor.skip(cursor.size(what), what);
  } else if (entry.type == GgufValueType::array) {
    cursor.skip(checked_mul(entry.count, element_bytes).value_or(-1), what);
  } else {
    entry.bits = cursor.number(element_bytes, what);
  }
  entry.n_bytes = cursor.at() - entry.begin;
}

void GgufFile::sort_entries() {
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return a.key < b.key;
  });
  const auto twin =
      std::adjacent_find(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
        return a.key == b.key;
      });
  QWEN3_CHECK(twin == entries_.end(),
              ErrorKind::corrupt_file,
              "{}: {}: expected every key once, got it twice",
              name(),
              quote_for_message(twin->key));
}

void GgufFile::read_tensor(GgufCursor& cursor) {
  GgufTensor& tensor = tensors_.emplace_back();
  const int64_t length = cursor.size("a tensor's name");
  QWEN3_CHECK(length >= 1 && length <= kMaxNameBytes,
              ErrorKind::corrupt_file,
              "{}: name of tensor {} of {}: expected 1 to {} bytes, got {}",
              name(),
              tensors_.size(),
              tensors_.capacity(),
              kMaxNameBytes,
              length);
  tensor.name = cursor.text(length, "a tensor's name");
  const std::string what = "tensor " + quote_for_message(tensor.name);
  const uint64_t n_dims = cursor.number(4, what);
  QWEN3_CHECK(n_dims >= 1 && n_dims <= kMaxDims,
              ErrorKind::corrupt_file,
              "{}: {}: expected 1 to {} dimensions, got {}",
              name(),
              what,
              kMaxDims,
              n_dims);
  tensor.shape.resize(static_cast<size_t>(n_dims));
  std::optional<int64_t> numel = 1;
  for (uint64_t i = 0; i < n_dims; ++i) {
    const int64_t dim = cursor.size(what);
    numel = checked_mul(numel.value_or(-1), dim);
    tensor.shape[n_dims - 1 - i] = dim;
  }
  const auto id = static_cast<uint32_t>(cursor.number(4, what));
  tensor.type = find_gguf_type(id);
  QWEN3_CHECK(
      tensor.type != nullptr,
      ErrorKind::unsupported,
      "{}: {}: expected a type of ggml's, got number {}; use a Q4_K_M, Q6_K or Q8_0 file of "
      "this model, made by llama.cpp",
      name(),
      what,
      id);
  const auto [elements, bytes] = tensor.type->block;
  const std::optional<int64_t> n_bytes = checked_mul(numel.value_or(-1) / elements, bytes);
  QWEN3_CHECK(
      numel > 0 && n_bytes && tensor.shape.back() % elements == 0,
      ErrorKind::corrupt_file,
      "{}: {}: expected dimensions above 0 whose product fits 63 bits, the first a multiple "
      "of {} for {}, got {}",
      name(),
      what,
      elements,
      tensor.type->name,
      fmt::join(tensor.shape.rbegin(), tensor.shape.rend(), " x "));
  tensor.n_bytes = *n_bytes;
  tensor.begin = cursor.size(what);  // until place_tensors: from the begin of the data
}

int64_t GgufFile::alignment() const {
  constexpr std::string_view kKey = "general.alignment";
  const int64_t bytes = integer(kKey, {1, kMaxAlignment}).value_or(32);
  if (!std::has_single_bit(static_cast<uint64_t>(bytes))) refuse(kKey, "a power of two");
  return bytes;
}

void GgufFile::place_tensors(int64_t header_end) {
  const int64_t step = alignment();
  const int64_t data_begin = round_up(header_end, step);
  for (GgufTensor& tensor : tensors_) {
    const int64_t offset = tensor.begin;
    const auto begin = checked_add(offset, data_begin);
    const auto end = begin ? checked_add(*begin, tensor.n_bytes) : std::nullopt;
    QWEN3_CHECK(end && offset % step == 0,
                ErrorKind::corrupt_file,
                "{}: tensor {}: expected an offset that is a multiple of {} and inside the file, "
                "got {}",
                name(),
                quote_for_message(tensor.name),
                step,
                offset < 0 ? "2^63 or more" : fmt::format("{}", offset));
    QWEN3_CHECK(*end <= file_.size(),
                ErrorKind::corrupt_file,
                "{}: tensor {}: expected its {} bytes to end within the file's {}, got {}; is the "
                "download complete?",
                name(),
                quote_for_message(tensor.name),
                tensor.n_bytes,
                file_.size(),
                *end);
    tensor.begin = *begin;
  }
}

void GgufFile::check_overlaps() const {
  std::vector<const GgufTensor*> order;
  order.reserve(tensors_.size());
  for (const GgufTensor& tensor : tensors_) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const GgufTensor* a, const GgufTensor* b) {
    return a->name < b->name;
  });
  for (size_t i = 1; i < order.size(); ++i) {
    QWEN3_CHECK(order[i]->name != order[i - 1]->name,
                ErrorKind::corrupt_file,
                "{}: tensor {}: expected every tensor once, got it twice",
                name(),
                quote_for_message(order[i]->name));
  }
  std::sort(order.begin(), order.end(), [](const GgufTensor* a, const GgufTensor* b) {
    return a->begin < b->begin;
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const GgufTensor &before = *order[i - 1], &after = *order[i];
    QWEN3_CHECK(after.begin >= before.begin + before.n_bytes,
                ErrorKind::corrupt_file,
                "{}: tensor {}: expected bytes of its own, got some of tensor {}",
                name(),
                quote_for_message(after.name),
                quote_for_message(before.name));
  }
}

}  // namespace qwen3
