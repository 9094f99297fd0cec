// parse_safetensors on arbitrary bytes: refuses with Error{corrupt_file}, or returns a table whose
// tensors cover the data of the file exactly.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "formats/safetensors.h"
#include "qwen3/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace qwen3;
  try {
    const auto entries = parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz");
    if (entries.empty()) return 0;
    int64_t end = entries.front().begin;
    for (const SafetensorsEntry& entry : entries) {
      if (entry.begin != end || entry.end < entry.begin || entry.begin < 8) std::abort();
      for (const int64_t dim : entry.shape) {
        if (dim < 0) std::abort();
      }
      end = entry.end;
    }
    if (end != static_cast<int64_t>(size)) std::abort();
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::corrupt_file) std::abort();
  }
  return 0;
}
