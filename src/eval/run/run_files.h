// The names of what a run keeps beside its OUTPUT (generate.h says what is in them).
#pragma once

#include <filesystem>

namespace qwen3::eval {

inline std::filesystem::path manifest_path(std::filesystem::path output) {
  return output += ".manifest.json";
}
inline std::filesystem::path failures_path(std::filesystem::path output) {
  return output += ".failures.jsonl";
}
inline std::filesystem::path timings_path(std::filesystem::path output) {
  return output += ".timings.jsonl";
}

}  // namespace qwen3::eval
