#include "formats/gguf_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"

namespace qwen3 {

enum class GgufFile::Type : uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};

namespace {

constexpr int64_t kMaxHeaderBytes = int64_t{256} << 20;  // 6 MB in files of Qwen3
constexpr int64_t kMaxKeys = 65536;
constexpr int64_t kMaxTensors = int64_t{1} << 17;
constexpr int64_t kMaxKeyBytes = 1024;
constexpr int64_t kMaxNameBytes = 63;  // ggml keeps 64 with a terminator
constexpr uint32_t kMaxDims = 4;
constexpr int64_t kMaxAlignment = int64_t{1} << 20;
constexpr int64_t kLeastKeyBytes = 8 + 1 + 4 + 1;  // the length, one letter, the type, a byte
constexpr int64_t kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

constexpr std::array<std::string_view, 13> kTypeNames = {"uint8",
                                                         "int8",
                                                         "uint16",
                                                         "int16",
                                                         "uint32",
                                                         "int32",
                                                         "float32",
                                                         "a boolean",
                                                         "a string",
                                                         "an array",
                                                         "uint64",
                                                         "int64",
                                                         "float64"};
constexpr std::array<int64_t, 13> kTypeBytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

constexpr GgufTensorType kept(uint32_t id, std::string_view name, WeightType type) {
  return {id, name, block_of(type), type};
}

// ggml.h, ggml-common.h. Numbers that are missing were types once and are none now.
constexpr GgufTensorType kTensorTypes[] = {kept(0, "F32", WeightType::f32),
                                           kept(1, "F16", WeightType::f16),
                                           kept(2, "Q4_0", WeightType::q4_0),
                                           kept(3, "Q4_1", WeightType::q4_1),
                                           kept(6, "Q5_0", WeightType::q5_0),
                                           kept(7, "Q5_1", WeightType::q5_1),
                                           kept(8, "Q8_0", WeightType::q8_0),
                                           {9, "Q8_1", {32, 36}},
                                           kept(10, "Q2_K", WeightType::q2_k),
                                           kept(11, "Q3_K", WeightType::q3_k),
                                           kept(12, "Q4_K", WeightType::q4_k),
                                           kept(13, "Q5_K", WeightType::q5_k),
                                           kept(14, "Q6_K", WeightType::q6_k),
                                           {15, "Q8_K", {256, 292}},
                                           {16, "IQ2_XXS", {256, 66}},
                                           {17, "IQ2_XS", {256, 74}},
                                           {18, "IQ3_XXS", {256, 98}},
                                           {19, "IQ1_S", {256, 50}},
                                           kept(20, "IQ4_NL", WeightType::iq4_nl),
                                           {21, "IQ3_S", {256, 110}},
                                           {22, "IQ2_S", {256, 82}},
                                           kept(23, "IQ4_XS", WeightType::iq4_xs),
                                           {24, "I8", {1, 1}},
                                           {25, "I16", {1, 2}},
                                           {26, "I32", {1, 4}},
                                           {27, "I64", {1, 8}},
                                           {28, "F64", {1, 8}},
                                           {29, "IQ1_M", {256, 56}},
                                           kept(30, "BF16", WeightType::bf16),
                                           {34, "TQ1_0", {256, 54}},
                                           {35, "TQ2_0", {256, 66}},
                                           kept(39, "MXFP4", WeightType::mxfp4),
                                           {40, "NVFP4", {64, 36}},
                                           {41, "Q1_0", {128, 18}},
                                           {42, "Q2_0", {64, 18}}};

template <typename Wanted>
const GgufTensorType* find_type_if(const Wanted& wanted) {
  const auto* it = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes), wanted);
  return it == std::end(kTensorTypes) ? nullptr : it;
}

int64_t sign_extended(uint64_t bits, int64_t n_bytes) {
  const int unused = static_cast<int>(64 - 8 * n_bytes);
  return static_cast<int64_t>(bits << unused) >> unused;
}

double shortest_decimal(float value) {
  const std::string text = fmt::format("{}", value);
  double number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

uint64_t from_little_endian(const std::byte* bytes, int64_t n) {
  uint64_t value = 0;
  for (int64_t i = n - 1; i >= 0; --i) value = value << 8 | std::to_integer<uint64_t>(bytes[i]);
  return value;
}

}  // namespace

const GgufTensorType* find_gguf_type(std::string_view name) {
  return find_type_if([&](const GgufTensorType& type) { return type.name == name; });
}

const GgufTensorType* find_gguf_type(WeightType weight_type) {
  return find_type_if([&](const GgufTensorType& type) { return type.weight_type == weight_type; });
}

// Reads the header forwards, through a buffer.
class GgufFile::Cursor {
 public:
  Cursor(const InputFile& file, int64_t at)
      : file_(file), at_(at), end_(std::min(file.size(), kMaxHeaderBytes)) {}

  int64_t at() const { return at_; }
  int64_t left() const { return end_ - at_; }

  // Throws unless so many bytes are left for `what`.
  void need(int64_t n, std::string_view what) const {
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

  uint64_t number(int64_t n_bytes, std::string_view what) {
    std::byte bytes[8];
    read(bytes, n_bytes, what);
    return from_little_endian(bytes, n_bytes);
  }

  // A count or a length. 2^63 and above become -1, which no check lets pass.
  int64_t size(std::string_view what) {
    const uint64_t value = number(8, what);
    return value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())
               ? -1
               : static_cast<int64_t>(value);
  }

  std::string text(int64_t n, std::string_view what) {
    need(n, what);
    std::string text(static_cast<size_t>(n), '\0');
    read(reinterpret_cast<std::byte*>(text.data()), n, what);
    return text;
  }

  void read(std::byte* out, int64_t n, std::string_view what) {
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

  void skip(int64_t n, std::string_view what) {
    need(n, what);
    at_ += n;
  }

 private:
  struct Part {
    const std::byte* data;
    int64_t size;
  };
  // What of the file lies in memory from at_ on; at least one byte. REQUIRES: left() > 0.
  Part buffered() {
    if (at_ < begin_ || at_ >= begin_ + static_cast<int64_t>(buffer_.size())) {
      constexpr int64_t kBufferBytes = 64 << 10;
      buffer_.resize(static_cast<size_t>(std::min(kBufferBytes, left())));
      file_.read(at_, buffer_);
      begin_ = at_;
    }
    return {buffer_.data() + (at_ - begin_), begin_ + static_cast<int64_t>(buffer_.size()) - at_};
  }

  const InputFile& file_;
  int64_t at_, end_;
  int64_t begin_ = 0;  // of the buffer
  std::vector<std::byte> buffer_;
};

GgufFile::GgufFile(const std::filesystem::path& path) : file_(path) {
  read_header();
  file_.check_unchanged();
}

void GgufFile::read_header() {
  Cursor cursor(file_, 0);
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

void GgufFile::read_entry(Cursor& cursor) {
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
    QWEN3_CHECK(number < kTypeNames.size(),
                ErrorKind::corrupt_file,
                "{}: {}: expected a value type from 0 to {}, got {}; is the file damaged?",
                name(),
                what,
                kTypeNames.size() - 1,
                number);
    return static_cast<Type>(number);
  };
  entry.type = entry.element = type();
  if (entry.type == Type::array) {
    entry.element = type();
    QWEN3_CHECK(entry.element != Type::array,
                ErrorKind::corrupt_file,
                "{}: {}: expected an array of numbers or strings, got one of arrays",
                name(),
                what);
    entry.count = cursor.size(what);
  }
  read_value(cursor, entry);
}

// From the elements on.
void GgufFile::read_value(Cursor& cursor, Entry& entry) const {
  const std::string what = quote_for_message(entry.key);
  entry.begin = cursor.at();
  const int64_t element_bytes = kTypeBytes[static_cast<size_t>(entry.element)];
  if (element_bytes == 0) {
    const auto bytes = checked_mul(entry.count, 8);  // of the lengths alone
    cursor.need(bytes.value_or(-1), what);
    for (int64_t i = 0; i < entry.count; ++i) cursor.skip(cursor.size(what), what);
  } else if (entry.type == Type::array) {
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

void GgufFile::read_tensor(Cursor& cursor) {
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
  tensor.type = find_type_if([&](const GgufTensorType& type) { return type.id == id; });
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

const GgufFile::Entry* GgufFile::find(std::string_view key) const {
  const auto it = std::lower_bound(
      entries_.begin(), entries_.end(), key, [](const Entry& entry, std::string_view wanted) {
        return entry.key < wanted;
      });
  return it != entries_.end() && it->key == key ? &*it : nullptr;
}

int64_t GgufFile::as_integer(const Entry& entry, uint64_t bits, Type type, IntRange range) const {
  const auto expected = [&] {
    return fmt::format("an integer from {} to {}", range.low, range.high);
  };
  int64_t value = 0;
  switch (type) {
    case Type::i8:
    case Type::i16:
    case Type::i32:
    case Type::i64:
      value = sign_extended(bits, kTypeBytes[static_cast<size_t>(type)]);
      break;
    case Type::u8:
    case Type::u16:
    case Type::u32:
    case Type::u64:
      if (bits > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        fail_at(ErrorKind::corrupt_file, entry, expected());
      }
      value = static_cast<int64_t>(bits);
      break;
    default:
      fail_at(ErrorKind::corrupt_file, entry, expected());
  }
  if (value < range.low || value > range.high) fail_at(ErrorKind::corrupt_file, entry, expected());
  return value;
}

std::optional<int64_t> GgufFile::integer(std::string_view key, IntRange range) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  return as_integer(*entry, entry->bits, entry->type, range);
}

std::optional<double> GgufFile::real(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  double value = std::numeric_limits<double>::quiet_NaN();
  if (entry->type == Type::f32) {
    const auto narrow = std::bit_cast<float>(static_cast<uint32_t>(entry->bits));
    if (std::isfinite(narrow)) value = shortest_decimal(narrow);
  } else if (entry->type == Type::f64) {
    value = std::bit_cast<double>(entry->bits);
  }
  if (!std::isfinite(value)) refuse(key, "a finite float32 or float64");
  return value;
}

std::optional<bool> GgufFile::boolean(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != Type::boolean || entry->bits > 1) refuse(key, "a boolean, 0 or 1");
  return entry->bits == 1;
}

std::optional<std::string> GgufFile::string(std::string_view key, size_t max_bytes) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != Type::string || static_cast<size_t>(entry->n_bytes - 8) > max_bytes) {
    refuse(key, fmt::format("a string of at most {} bytes", max_bytes));
  }
  Cursor cursor(file_, entry->begin);
  std::string text = cursor.text(cursor.size(key), key);
  file_.check_unchanged();
  if (!utf8_valid(text)) refuse(key, "well-formed UTF-8");
  return text;
}

std::optional<std::vector<int64_t>> GgufFile::integers(std::string_view key,
                                                       IntRange range,
                                                       size_t max_count) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != Type::array) return {{as_integer(*entry, entry->bits, entry->type, range)}};
  if (static_cast<size_t>(entry->count) > max_count) {
    refuse(key, fmt::format("at most {} integers", max_count));
  }
  std::vector<int64_t> values;
  values.reserve(static_cast<size_t>(entry->count));
  Cursor cursor(file_, entry->begin);
  const int64_t n_bytes = kTypeBytes[static_cast<size_t>(entry->element)];
  if (n_bytes == 0) refuse(key, "integers");
  for (int64_t i = 0; i < entry->count; ++i) {
    values.push_back(as_integer(*entry, cursor.number(n_bytes, key), entry->element, range));
  }
  file_.check_unchanged();
  return values;
}

std::optional<GgufStrings> GgufFile::strings(std::string_view key, size_t max_bytes) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != Type::array || entry->element != Type::string) {
    refuse(key, "an array of strings");
  }
  if (static_cast<size_t>(entry->n_bytes) > std::min<size_t>(max_bytes, UINT32_MAX)) {
    refuse(key, fmt::format("at most {} bytes of strings", max_bytes));
  }
  const auto n_bytes = static_cast<size_t>(entry->n_bytes - 8 * entry->count);
  GgufStrings strings;
  strings.text_.reserve(n_bytes);
  strings.ends_.reserve(static_cast<size_t>(entry->count));
  Cursor cursor(file_, entry->begin);
  for (int64_t i = 0; i < entry->count; ++i) {
    const int64_t length = cursor.size(key);
    cursor.need(length, key);
    const size_t begin = strings.text_.size();
    if (static_cast<size_t>(length) > n_bytes - begin) refuse(key, "the strings it had before");
    strings.text_.resize(begin + static_cast<size_t>(length));
    cursor.read(reinterpret_cast<std::byte*>(strings.text_.data()) + begin, length, key);
    if (!utf8_valid(std::string_view(strings.text_).substr(begin))) {
      refuse(key, fmt::format("well-formed UTF-8 in string {}", i));
    }
    strings.ends_.push_back(static_cast<uint32_t>(strings.text_.size()));
  }
  file_.check_unchanged();
  return strings;
}

void GgufFile::refuse(std::string_view key, std::string_view expected) const {
  fail_at(ErrorKind::corrupt_file, *find(key), expected);
}

void GgufFile::unsupported(std::string_view key, std::string_view supported) const {
  fail_at(ErrorKind::unsupported, *find(key), supported);
}

void GgufFile::fail_at(ErrorKind kind, const Entry& entry, std::string_view expected) const {
  std::string got(kTypeNames[static_cast<size_t>(entry.type)]);
  if (entry.type == Type::array) {
    std::string_view element = kTypeNames[static_cast<size_t>(entry.element)];
    if (element.starts_with("a ")) element.remove_prefix(2);
    got = fmt::format("an array of {} {}", entry.count, element);
  } else if (entry.type == Type::string) {
    constexpr int64_t kShown = 60;
    Cursor cursor(file_, entry.begin + 8);
    const std::string begin = cursor.text(std::min(entry.n_bytes - 8, kShown), entry.key);
    got = fmt::format("\"{}\"", quote_for_message(begin));
  } else if (entry.type == Type::f32) {
    got = fmt::format("{}", std::bit_cast<float>(static_cast<uint32_t>(entry.bits)));
  } else if (entry.type == Type::f64) {
    got = fmt::format("{}", std::bit_cast<double>(entry.bits));
  } else if (entry.type == Type::boolean) {
    got = entry.bits == 0 ? "false" : entry.bits == 1 ? "true" : fmt::format("{}", entry.bits);
  } else {
    const bool is_signed = got.starts_with('i');
    const int64_t value = sign_extended(entry.bits, kTypeBytes[static_cast<size_t>(entry.type)]);
    got = is_signed ? fmt::format("{}", value) : fmt::format("{}", entry.bits);
  }
  fail(kind, "{}: {}: expected {}, got {}", name(), quote_for_message(entry.key), expected, got);
}

}  // namespace qwen3
