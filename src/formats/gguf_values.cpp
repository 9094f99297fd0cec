// Values of the metadata by their keys.
#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "formats/gguf_cursor.h"
#include "formats/gguf_file.h"

namespace qwen3 {
namespace {

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

}  // namespace

const GgufFile::Entry* GgufFile::find(std::string_view key) const {
  const auto it = std::lower_bound(
      entries_.begin(), entries_.end(), key, [](const Entry& entry, std::string_view wanted) {
        return entry.key < wanted;
      });
  return it != entries_.end() && it->key == key ? &*it : nullptr;
}

int64_t GgufFile::as_integer(const Entry& entry,
                             uint64_t bits,
                             GgufValueType type,
                             IntRange range) const {
  const auto expected = [&] {
    return fmt::format("an integer from {} to {}", range.low, range.high);
  };
  int64_t value = 0;
  switch (type) {
    case GgufValueType::i8:
    case GgufValueType::i16:
    case GgufValueType::i32:
    case GgufValueType::i64:
      value = sign_extended(bits, gguf_value_bytes(type));
      break;
    case GgufValueType::u8:
    case GgufValueType::u16:
    case GgufValueType::u32:
    case GgufValueType::u64:
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
  if (entry->type == GgufValueType::f32) {
    const auto narrow = std::bit_cast<float>(static_cast<uint32_t>(entry->bits));
    if (std::isfinite(narrow)) value = shortest_decimal(narrow);
  } else if (entry->type == GgufValueType::f64) {
    value = std::bit_cast<double>(entry->bits);
  }
  if (!std::isfinite(value)) refuse(key, "a finite float32 or float64");
  return value;
}

std::optional<bool> GgufFile::boolean(std::string_view key) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != GgufValueType::boolean || entry->bits > 1) refuse(key, "a boolean, 0 or 1");
  return entry->bits == 1;
}

std::optional<std::string> GgufFile::string(std::string_view key, size_t max_bytes) const {
  const Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != GgufValueType::string || static_cast<size_t>(entry->n_bytes - 8) > max_bytes) {
    refuse(key, fmt::format("a string of at most {} bytes", max_bytes));
  }
  GgufCursor cursor(file_, entry->begin);
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
  if (entry->type != GgufValueType::array)
    return {{as_integer(*entry, entry->bits, entry->type, range)}};
  if (static_cast<size_t>(entry->count) > max_count) {
    refuse(key, fmt::format("at most {} integers", max_count));
  }
  std::vector<int64_t> values;
  values.reserve(static_cast<size_t>(entry->count));
  GgufCursor cursor(file_, entry->begin);
  const int64_t n_bytes = gguf_value_bytes(entry->element);
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
  if (entry->type != GgufValueType::array || entry->element != GgufValueType::string) {
    refuse(key, "an array of strings");
  }
  if (static_cast<size_t>(entry->n_bytes) > std::min<size_t>(max_bytes, UINT32_MAX)) {
    refuse(key, fmt::format("at most {} bytes of strings", max_bytes));
  }
  const auto n_bytes = static_cast<size_t>(entry->n_bytes - 8 * entry->count);
  GgufStrings strings;
  strings.text_.reserve(n_bytes);
  strings.ends_.reserve(static_cast<size_t>(entry->count));
  GgufCursor cursor(file_, entry->begin);
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
  std::string got(gguf_value_name(entry.type));
  if (entry.type == GgufValueType::array) {
    std::string_view element = gguf_value_name(entry.element);
    if (element.starts_with("a ")) element.remove_prefix(2);
    got = fmt::format("an array of {} {}", entry.count, element);
  } else if (entry.type == GgufValueType::string) {
    constexpr int64_t kShown = 60;
    GgufCursor cursor(file_, entry.begin + 8);
    const std::string begin = cursor.text(std::min(entry.n_bytes - 8, kShown), entry.key);
    got = fmt::format("\"{}\"", quote_for_message(begin));
  } else if (entry.type == GgufValueType::f32) {
    got = fmt::format("{}", std::bit_cast<float>(static_cast<uint32_t>(entry.bits)));
  } else if (entry.type == GgufValueType::f64) {
    got = fmt::format("{}", std::bit_cast<double>(entry.bits));
  } else if (entry.type == GgufValueType::boolean) {
    got = entry.bits == 0 ? "false" : entry.bits == 1 ? "true" : fmt::format("{}", entry.bits);
  } else {
    const bool is_signed = got.starts_with('i');
    const int64_t value = sign_extended(entry.bits, gguf_value_bytes(entry.type));
    got = is_signed ? fmt::format("{}", value) : fmt::format("{}", entry.bits);
  }
  fail(kind, "{}: {}: expected {}, got {}", name(), quote_for_message(entry.key), expected, got);
}

}  // namespace qwen3
