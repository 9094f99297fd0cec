// safetensors of any dtype, for tests: write_safetensors knows those with which we compute only.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/input_file.h"
#include "formats/safetensors.h"

namespace qwen3::test {

struct RawTensor {
  std::string dtype;  // as written
  std::vector<int64_t> shape;
  std::string bytes;
};
using RawTensors = std::map<std::string, RawTensor>;

inline RawTensors read_raw(const std::filesystem::path& path) {
  const InputFile file(path);
  RawTensors tensors;
  for (const SafetensorsEntry& entry : read_safetensors(file)) {
    RawTensor& to = tensors[entry.name];
    to.dtype = std::string(entry.dtype);
    to.shape = entry.shape;
    to.bytes.resize(static_cast<size_t>(entry.end - entry.begin));
    file.read(entry.begin, std::as_writable_bytes(std::span(to.bytes)));
  }
  return tensors;
}

inline void write_raw(const std::filesystem::path& path, const RawTensors& tensors) {
  std::string header = "{", data;
  for (const auto& [name, t] : tensors) {
    header += fmt::format("{}\"{}\":{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                          header.size() > 1 ? "," : "",
                          name,
                          t.dtype,
                          fmt::join(t.shape, ","),
                          data.size(),
                          data.size() + t.bytes.size());
    data += t.bytes;
  }
  header += "}";
  std::string size(8, '\0');
  for (size_t i = 0; i < 8; ++i) size[i] = static_cast<char>(header.size() >> 8 * i & 0xFF);
  std::ofstream out(path, std::ios::binary);
  out << size << header << data;
}

template <typename T>
std::string raw_bytes(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace qwen3::test
