#include "formats/safetensors.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "base/json.h"
#include "base/output_file.h"
#include "base/text.h"

namespace qwen3 {
namespace {

constexpr int64_t kPrefixBytes = 8;
constexpr int64_t kMaxHeaderBytes = 100'000'000;
constexpr int kMaxSkipDepth = 125;  // with header and entry 127 levels, as the reference allows
// Both bound what a hostile header can make us hold, to about 64 MiB beyond its own text.
constexpr size_t kMaxRank = 64;                  // as in PyTorch and NumPy
constexpr size_t kMaxTensors = size_t{1} << 17;  // official shards hold some thousand

struct DTypeBits {
  std::string_view name;
  int bits;
};
constexpr std::array kDTypes = {
    DTypeBits{"BOOL", 8},        DTypeBits{"U8", 8},          DTypeBits{"I8", 8},
    DTypeBits{"F8_E5M2", 8},     DTypeBits{"F8_E4M3", 8},     DTypeBits{"F8_E8M0", 8},
    DTypeBits{"F8_E4M3FNUZ", 8}, DTypeBits{"F8_E5M2FNUZ", 8}, DTypeBits{"I16", 16},
    DTypeBits{"U16", 16},        DTypeBits{"F16", 16},        DTypeBits{"BF16", 16},
    DTypeBits{"I32", 32},        DTypeBits{"U32", 32},        DTypeBits{"F32", 32},
    DTypeBits{"C64", 64},        DTypeBits{"F64", 64},        DTypeBits{"I64", 64},
    DTypeBits{"U64", 64},        DTypeBits{"F4", 4},          DTypeBits{"F6_E2M3", 6},
    DTypeBits{"F6_E3M2", 6},
};

// nullptr for a type that the format does not know.
const DTypeBits* find_dtype(std::string_view name) {
  const auto it = std::find_if(
      kDTypes.begin(), kDTypes.end(), [&](const DTypeBits& d) { return d.name == name; });
  return it == kDTypes.end() ? nullptr : &*it;
}

// Reads the header event by event into entries: a tree of a hostile 100 MB header would be many
// times its size. Keys of an entry other than the three known ones are skipped, as the reference
// does; so are their values, of any kind.
class HeaderReader final : public JsonEvents {
 public:
  explicit HeaderReader(std::string_view where) : where_(where) {}

  std::vector<SafetensorsEntry> take() { return std::move(entries_); }

  bool null() override { return scalar("null", place_ == Place::tensor && in_metadata()); }
  bool boolean(bool) override { return scalar("a boolean", false); }
  bool number_integer(number_integer_t) override { return scalar("a negative number", false); }
  bool number_float(number_float_t, const string_t&) override {
    return scalar("a fraction", false);
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (skip_depth_ > 0 || place_ == Place::other_field) return skip_scalar();
    if (place_ != Place::shape && place_ != Place::offsets) unexpected("a number");
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      unexpected("2^63 or more");
    if (place_ == Place::shape) {
      if (entries_.back().shape.size() == kMaxRank) unexpected("more than 64 dimensions");
      entries_.back().shape.push_back(static_cast<int64_t>(value));
    } else {
      if (n_offsets_ == 2) unexpected("a third number");
      (n_offsets_++ == 0 ? entries_.back().begin : entries_.back().end) =
          static_cast<int64_t>(value);
    }
    return true;
  }
  bool string(string_t& value) override {
    if (skip_depth_ > 0 || place_ == Place::other_field) return skip_scalar();
    if (place_ == Place::metadata) return true;
    if (place_ != Place::dtype) unexpected("a string");
    entries_.back().dtype = known_dtype(value);
    place_ = Place::entry;
    return true;
  }

  bool start_object(std::size_t) override {
    if (skip_depth_ > 0 || place_ == Place::other_field) {
      deepen_skipped();
    } else if (place_ == Place::outside) {
      place_ = Place::header;
    } else if (place_ == Place::tensor && in_metadata()) {
      place_ = Place::metadata;
    } else if (place_ == Place::tensor) {
      if (entries_.size() == kMaxTensors) unexpected("more than 131072 tensors");
      entries_.emplace_back();
      seen_ = {};
      n_offsets_ = 0;
      place_ = Place::entry;
    } else {
      unexpected("an object");
    }
    return true;
  }
  bool end_object() override {
    if (skip_depth_ > 0) return end_skipped();
    if (place_ == Place::entry) {
      check_complete();
      entries_.back().name = std::move(name_);
    }
    place_ = place_ == Place::header ? Place::outside : Place::header;
    return true;
  }
  bool start_array(std::size_t) override {
    if (skip_depth_ > 0 || place_ == Place::other_field) {
      deepen_skipped();
    } else if (place_ == Place::shape_value) {
      place_ = Place::shape;
    } else if (place_ == Place::offsets_value) {
      place_ = Place::offsets;
    } else {
      unexpected("an array");
    }
    return true;
  }
  bool end_array() override {
    if (skip_depth_ > 0) return end_skipped();
    if (place_ == Place::offsets && n_offsets_ != 2) unexpected("fewer than two numbers");
    place_ = Place::entry;
    return true;
  }
  bool key(string_t& key) override {
    if (skip_depth_ > 0 || place_ == Place::metadata) return true;
    if (place_ == Place::header) {
      name_ = std::move(key);
      if (in_metadata() && std::exchange(has_metadata_, true)) unexpected("a second __metadata__");
      place_ = Place::tensor;
      return true;
    }
    place_ = key == "dtype"          ? Place::dtype
             : key == "shape"        ? Place::shape_value
             : key == "data_offsets" ? Place::offsets_value
                                     : Place::other_field;
    if (place_ == Place::other_field) return true;
    bool& seen = place_ == Place::dtype         ? seen_.dtype
                 : place_ == Place::shape_value ? seen_.shape
                                                : seen_.offsets;
    if (std::exchange(seen, true)) unexpected("the same key twice");
    return true;
  }

 private:
  // Where the next event belongs.
  enum class Place {
    outside,   // before and after the header object
    header,    // a tensor name or "__metadata__" follows
    tensor,    // the value of that name follows
    metadata,  // inside __metadata__: strings only
    entry,     // inside a tensor's object: a key follows
    dtype,
    shape_value,
    offsets_value,
    other_field,  // the value of that key follows
    shape,
    offsets,  // inside that array
  };
  struct Seen {
    bool dtype = false, shape = false, offsets = false;
  };

  bool in_metadata() const { return name_ == "__metadata__"; }

  bool scalar(std::string_view what, bool allowed) {
    if (skip_depth_ > 0 || place_ == Place::other_field) return skip_scalar();
    if (!allowed) unexpected(what);
    place_ = Place::header;  // "__metadata__": null means none
    return true;
  }
  bool skip_scalar() {
    if (skip_depth_ == 0) place_ = Place::entry;
    return true;
  }
  void deepen_skipped() {
    if (++skip_depth_ > kMaxSkipDepth) unexpected("values nested more than 125 deep");
  }
  bool end_skipped() {
    if (--skip_depth_ == 0) place_ = Place::entry;
    return true;
  }

  // The table's own spelling: entries need not hold one each.
  std::string_view known_dtype(std::string_view name) const {
    const DTypeBits* known = find_dtype(name);
    QWEN3_CHECK(known != nullptr,
                ErrorKind::corrupt_file,
                "{}: tensor {}: unknown dtype \"{}\"",
                where_,
                quote_for_message(name_),
                quote_for_message(name));
    return known->name;
  }

  void check_complete() const {
    const std::string_view missing = !seen_.dtype     ? "dtype"
                                     : !seen_.shape   ? "shape"
                                     : !seen_.offsets ? "data_offsets"
                                                      : "";
    if (missing.empty()) return;
    fail(ErrorKind::corrupt_file,
         "{}: tensor {}: expected the key \"{}\", got none",
         where_,
         quote_for_message(name_),
         missing);
  }

  [[noreturn]] void unexpected(std::string_view got) const {
    static constexpr std::array<std::string_view, 11> kExpected = {
        "one object",
        "a tensor name",
        "an object",
        "strings only",
        "a key",
        "dtype to be a string",
        "shape to be an array",
        "data_offsets to be an array",
        "any value",
        "shape to hold whole numbers >= 0",
        "data_offsets to hold two whole numbers >= 0",
    };
    fail(ErrorKind::corrupt_file,
         "{}: header: {}: expected {}, got {}",
         where_,
         name_.empty() ? "start" : quote_for_message(name_),
         kExpected[static_cast<size_t>(place_)],
         got);
  }

  std::string_view where_;
  std::vector<SafetensorsEntry> entries_;
  Place place_ = Place::outside;
  int skip_depth_ = 0;
  std::string name_;
  bool has_metadata_ = false;
  Seen seen_;
  int n_offsets_ = 0;
};

// product(shape) * element size in bytes; nothing on overflow or a fraction of a byte.
std::optional<int64_t> byte_size(const SafetensorsEntry& entry) {
  std::optional<int64_t> n = 1;
  for (const int64_t dim : entry.shape) {
    n = checked_mul(*n, dim);
    if (!n) return std::nullopt;
  }
  n = checked_mul(*n, find_dtype(entry.dtype)->bits);
  if (!n || *n % 8 != 0) return std::nullopt;
  return *n / 8;
}

void check_names_unique(const std::vector<SafetensorsEntry>& entries, std::string_view where) {
  std::vector<std::string_view> names;
  names.reserve(entries.size());
  for (const SafetensorsEntry& entry : entries) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  const auto twin = std::adjacent_find(names.begin(), names.end());
  QWEN3_CHECK(twin == names.end(),
              ErrorKind::corrupt_file,
              "{}: tensor {} is listed twice",
              where,
              quote_for_message(*twin));
}

// Entries are sorted by offsets. Returns where the last one ends.
int64_t check_extents(const std::vector<SafetensorsEntry>& entries, std::string_view where) {
  int64_t expected_begin = 0;
  for (const SafetensorsEntry& entry : entries) {
    const std::string name = quote_for_message(entry.name);
    QWEN3_CHECK(entry.begin == expected_begin && entry.end >= entry.begin,
                ErrorKind::corrupt_file,
                "{}: tensor {}: expected data_offsets to begin at {} (no holes, no overlaps), got "
                "[{}, {}]",
                where,
                name,
                expected_begin,
                entry.begin,
                entry.end);
    const std::optional<int64_t> bytes = byte_size(entry);
    QWEN3_CHECK(bytes && *bytes == entry.end - entry.begin,
                ErrorKind::corrupt_file,
                "{}: tensor {}: expected {} bytes for its shape and dtype {}, got {}",
                where,
                name,
                bytes ? fmt::format("{}", *bytes) : "a whole, representable number of",
                entry.dtype,
                entry.end - entry.begin);
    expected_begin = entry.end;
  }
  return expected_begin;
}

std::string_view file_dtype_name(DType type) {
  switch (type) {
    case DType::f32:
      return "F32";
    case DType::bf16:
      return "BF16";
    case DType::f16:
      return "F16";
    case DType::i32:
      return "I32";
    case DType::q8:  // no file holds it
      break;
  }
  return "?";
}

// The size of the header, from the first bytes of a file of `size` bytes.
int64_t header_size(std::span<const std::byte> prefix, int64_t size, std::string_view where) {
  uint64_t header_bytes = 0;
  for (int i = kPrefixBytes - 1; i >= 0; --i) {
    header_bytes = header_bytes << 8 | std::to_integer<uint64_t>(prefix[static_cast<size_t>(i)]);
  }
  const std::string_view first(reinterpret_cast<const char*>(prefix.data()), kPrefixBytes);
  const std::string_view mistaken = mistaken_download(first);
  QWEN3_CHECK(mistaken.empty(), ErrorKind::corrupt_file, "{}: {}", where, mistaken);
  QWEN3_CHECK(header_bytes <= kMaxHeaderBytes,
              ErrorKind::corrupt_file,
              "{}: expected a header of at most {} bytes, got {}; is it a safetensors file?",
              where,
              kMaxHeaderBytes,
              header_bytes);
  QWEN3_CHECK(static_cast<int64_t>(header_bytes) <= size - kPrefixBytes,
              ErrorKind::corrupt_file,
              "{}: expected a header of {} bytes, got {}; is the file truncated?",
              where,
              header_bytes,
              size - kPrefixBytes);
  return static_cast<int64_t>(header_bytes);
}

void check_has_prefix(int64_t size, std::string_view where) {
  QWEN3_CHECK(size >= kPrefixBytes,
              ErrorKind::corrupt_file,
              "{}: expected a safetensors file, got {} bytes",
              where,
              size);
}

// The tensors that `header` lists, of a file of `size` bytes.
std::vector<SafetensorsEntry> parse_header(std::string_view header,
                                           int64_t size,
                                           std::string_view where) {
  QWEN3_CHECK(header.starts_with('{'),
              ErrorKind::corrupt_file,
              "{}: expected the header to begin with '{{'; is it a safetensors file?",
              where);
  HeaderReader reader(where);
  parse_json_events(header, where, reader);
  std::vector<SafetensorsEntry> entries = reader.take();
  check_names_unique(entries, where);
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  const int64_t data_bytes = check_extents(entries, where);
  const int64_t data_begin = kPrefixBytes + static_cast<int64_t>(header.size());
  QWEN3_CHECK(
      data_bytes == size - data_begin,
      ErrorKind::corrupt_file,
      "{}: expected {} bytes of tensor data, got {}; is the file truncated or does it carry "
      "a tail?",
      where,
      data_bytes,
      size - data_begin);
  for (SafetensorsEntry& entry : entries) {
    entry.begin += data_begin;
    entry.end += data_begin;
  }
  return entries;
}

}  // namespace

std::vector<SafetensorsEntry> parse_safetensors(std::span<const std::byte> file,
                                                std::string_view where) {
  const auto size = static_cast<int64_t>(file.size());
  check_has_prefix(size, where);
  const int64_t header_bytes = header_size(file, size, where);
  const std::string_view header(reinterpret_cast<const char*>(file.data()) + kPrefixBytes,
                                static_cast<size_t>(header_bytes));
  return parse_header(header, size, where);
}

std::vector<SafetensorsEntry> read_safetensors(const InputFile& file) {
  check_has_prefix(file.size(), file.name());
  std::array<std::byte, kPrefixBytes> prefix{};
  file.read(0, prefix);
  std::string header(static_cast<size_t>(header_size(prefix, file.size(), file.name())), '\0');
  file.read(kPrefixBytes, std::as_writable_bytes(std::span(header)));
  std::vector<SafetensorsEntry> entries = parse_header(header, file.size(), file.name());
  file.check_unchanged();
  return entries;
}

void write_safetensors(const std::string& path,
                       std::span<const SafetensorsTensor> tensors,
                       std::span<const std::pair<std::string, std::string>> metadata) {
  // The text is put together by hand: a tree would search its keys once per tensor.
  std::string text = "{";
  const auto quoted = [](const std::string& value) { return dump_json(Json(value)); };
  if (!metadata.empty()) {
    Json entries = Json::object();
    for (const auto& [key, value] : metadata) entries[key] = value;
    text += "\"__metadata__\":" + dump_json(entries);
  }
  std::vector<SafetensorsEntry> entries;
  int64_t offset = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    const int64_t end = offset + static_cast<int64_t>(tensor.bytes.size());
    entries.push_back({tensor.name, file_dtype_name(tensor.dtype), tensor.shape, offset, end});
    text += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{},{}]}}",
                        text.size() > 1 ? "," : "",
                        quoted(tensor.name),
                        entries.back().dtype,
                        dump_json(Json(tensor.shape)),
                        offset,
                        end);
    offset = end;
  }
  text += "}";
  check_names_unique(entries, path);
  check_extents(entries, path);
  text.resize(static_cast<size_t>(round_up(static_cast<int64_t>(text.size()), 8)), ' ');

  std::array<char, kPrefixBytes> prefix{};
  for (size_t i = 0; i < prefix.size(); ++i)
    prefix[i] = static_cast<char>(text.size() >> 8 * i & 0xFF);
  OutputFile out(path);
  out.write(std::string_view(prefix.data(), prefix.size()));
  out.write(text);
  for (const SafetensorsTensor& tensor : tensors) out.write(tensor.bytes);
  out.commit();
}

}  // namespace qwen3
