// Writes GGUF, from the format's description and not from our reader: whole files, and files whose
// every field can be found and spoiled.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qwen3::test {

enum class GgufValue : uint32_t {
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

// ggml's numbers of the types that tests write.
enum GgmlType : uint32_t { kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ8_0 = 8, kIQ2_XXS = 16, kBF16 = 30 };

class GgufWriter {
 public:
  struct Field {
    size_t offset;
    int n_bytes;  // 4 or 8
    std::string what;
  };

  explicit GgufWriter(uint32_t version = 3) : version_(version) {}

  // A value as its bytes.
  GgufWriter& value(std::string_view key, GgufValue type, std::string_view bytes) {
    Piece piece;
    piece.string(key, "length of key");
    piece.number(static_cast<uint32_t>(type), "value type");
    piece.bytes += bytes;
    keys_.push_back({std::string(key), std::move(piece)});
    return *this;
  }
  template <typename T>
  GgufWriter& number(std::string_view key, GgufValue type, T number) {
    return value(key, type, raw(number));
  }
  GgufWriter& u32(std::string_view key, uint32_t n) { return number(key, GgufValue::u32, n); }
  GgufWriter& f32(std::string_view key, float x) { return number(key, GgufValue::f32, x); }
  GgufWriter& boolean(std::string_view key, bool b) {
    return number(key, GgufValue::boolean, static_cast<uint8_t>(b));
  }
  GgufWriter& string(std::string_view key, std::string_view text) {
    Piece piece;
    piece.string(key, "length of key");
    piece.number(static_cast<uint32_t>(GgufValue::string), "value type");
    piece.string(text, "length of string");
    keys_.push_back({std::string(key), std::move(piece)});
    return *this;
  }
  GgufWriter& strings(std::string_view key, const std::vector<std::string>& texts) {
    Piece piece = begin_array(key, GgufValue::string, texts.size());
    for (const std::string& text : texts) piece.string(text, "length of element");
    keys_.push_back({std::string(key), std::move(piece)});
    return *this;
  }
  template <typename T>
  GgufWriter& array(std::string_view key, GgufValue type, const std::vector<T>& values) {
    Piece piece = begin_array(key, type, values.size());
    for (const T value : values) piece.bytes += raw(value);
    keys_.push_back({std::string(key), std::move(piece)});
    return *this;
  }
  // Takes a key back.
  GgufWriter& without(std::string_view key) {
    std::erase_if(keys_, [&](const auto& entry) { return entry.first == key; });
    return *this;
  }

  // `shape` in PyTorch's order.
  GgufWriter& tensor(std::string_view name,
                     std::vector<int64_t> shape,
                     uint32_t type,
                     std::string bytes) {
    tensors_.push_back({std::string(name), std::move(shape), type, std::move(bytes)});
    return *this;
  }
  GgufWriter& without_tensor(std::string_view name) {
    std::erase_if(tensors_, [&](const Tensor& tensor) { return tensor.name == name; });
    return *this;
  }

  size_t n_tensors() const { return tensors_.size(); }

  // The file. general.alignment is the caller's to write; `alignment` is what the data gets.
  std::string file(size_t alignment = 32) {
    Piece head;
    head.bytes = "GGUF";
    head.number(version_, "version");
    head.number(uint64_t{tensors_.size()}, "number of tensors");
    head.number(uint64_t{keys_.size()}, "number of keys");
    for (const auto& [key, piece] : keys_) head.append(piece);
    size_t offset = 0;
    for (const Tensor& tensor : tensors_) {
      head.string(tensor.name, "length of tensor name");
      head.number(static_cast<uint32_t>(tensor.shape.size()), "number of dimensions");
      for (size_t i = tensor.shape.size(); i-- > 0;) {
        head.number(static_cast<uint64_t>(tensor.shape[i]), "dimension");
      }
      head.number(tensor.type, "tensor type");
      head.number(uint64_t{offset}, "offset");
      offset = padded(offset + tensor.bytes.size(), alignment);
    }
    fields_ = head.fields;
    std::string file = std::move(head.bytes);
    header_bytes_ = file.size();
    file.resize(padded(file.size(), alignment));
    const size_t begin = file.size();
    for (const Tensor& tensor : tensors_) {
      file += tensor.bytes;
      file.resize(begin + padded(file.size() - begin, alignment));
    }
    return file;
  }
  // Of the last file: every u32 and u64 of the header, and where it ends.
  const std::vector<Field>& fields() const { return fields_; }
  size_t header_bytes() const { return header_bytes_; }

  template <typename T>
  static std::string raw(T value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
  }

 private:
  struct Piece {
    std::string bytes;
    std::vector<Field> fields;

    template <typename T>
    void number(T value, std::string what) {
      fields.push_back({bytes.size(), static_cast<int>(sizeof value), std::move(what)});
      bytes += raw(value);
    }
    void string(std::string_view text, const std::string& what) {
      number(uint64_t{text.size()}, what);
      bytes += text;
    }
    void append(const Piece& piece) {
      for (Field field : piece.fields) {
        field.offset += bytes.size();
        fields.push_back(std::move(field));
      }
      bytes += piece.bytes;
    }
  };
  struct Tensor {
    std::string name;
    std::vector<int64_t> shape;
    uint32_t type;
    std::string bytes;
  };

  static Piece begin_array(std::string_view key, GgufValue element, size_t count) {
    Piece piece;
    piece.string(key, "length of key");
    piece.number(static_cast<uint32_t>(GgufValue::array), "value type");
    piece.number(static_cast<uint32_t>(element), "element type");
    piece.number(uint64_t{count}, "array count");
    return piece;
  }
  static size_t padded(size_t n, size_t alignment) {
    return (n + alignment - 1) / alignment * alignment;
  }

  uint32_t version_;
  std::vector<std::pair<std::string, Piece>> keys_;
  std::vector<Tensor> tensors_;
  std::vector<Field> fields_;
  size_t header_bytes_ = 0;
};

}  // namespace qwen3::test
