// Goldens of the chat room: where they are and how they are read.
#pragma once

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "base/json.h"

namespace qwen3::testing {

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::string source_path(const std::string& relative) {
  return std::string(QWEN3_SOURCE_DIR) + "/" + relative;
}

inline Json read_golden(const std::string& name) {
  return parse_json(read_file(source_path("tests/goldens/" + name)), name);
}

inline std::string hash_text(std::string_view text) {
  uint64_t value = 0xCBF29CE484222325u;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  char out[48];
  std::snprintf(
      out, sizeof out, "%016llx-%zu", static_cast<unsigned long long>(value), text.size());
  return out;
}

constexpr const char* kOfficialTokenizer =
    "third_party/tokenizer-qwen3/models/tokenizer_config.json";

}  // namespace qwen3::testing
