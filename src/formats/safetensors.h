// safetensors: N (u64, little-endian) | N bytes of JSON header | tensor data to the end of the
// file.
//
//   {"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},"__metadata__":{"format":"pt"}}
//
// Accepts what the Rust reference reader (huggingface/safetensors) accepts, decided before anything
// is allocated from the header's numbers: header <= 100,000,000 bytes, UTF-8, begins with '{', no
// duplicate keys, offsets contiguous from 0 without holes or overlaps, end - begin equal to the
// product of the shape times the element size, last end equal to the end of the file.
//
// Stricter than the Rust code in five points that no writer produces; these are refused: white
// space before '{', a tensor listed twice, an entry written as a JSON array, shapes of more than 64
// dimensions or whose leading dimensions multiply to 2^60 elements or more before a zero follows,
// and more than 131072 tensors in one file (all shards of the largest Qwen3 together have 37
// thousand; 100 MB of header could name 1.8 million, and each costs memory).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/input_file.h"
#include "tensor/dtype.h"

namespace qwen3 {

struct SafetensorsEntry {
  std::string name;
  std::string_view dtype;  // as written, for ever: "BF16", "F32", "I64", "F8_E4M3" …
  std::vector<int64_t> shape;
  int64_t begin = 0, end = 0;  // byte offsets in the file
};

// Tensors of a file's bytes, in file order. `where` begins every message.
// Throws Error{corrupt_file}.
std::vector<SafetensorsEntry> parse_safetensors(std::span<const std::byte> file,
                                                std::string_view where);
// The same of a file, of which the header is read and nothing else. Throws as InputFile::read too.
std::vector<SafetensorsEntry> read_safetensors(const InputFile& file);

// Writes a file the reference reader accepts: header padded with spaces so that data starts
// 8-aligned. Written aside and renamed: never half a file under `path`.
struct SafetensorsTensor {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};
// Throws Error{corrupt_file} when bytes do not match shapes or a name is given twice, Error{io}
// when the disk refuses.
void write_safetensors(const std::string& path,
                       std::span<const SafetensorsTensor> tensors,
                       std::span<const std::pair<std::string, std::string>> metadata = {});

}  // namespace qwen3
