// The types of GGUF: of values in its metadata, and of tensors (ggml's).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "tensor/weight.h"

namespace qwen3 {

enum class GgufValueType : uint32_t {
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
constexpr uint32_t kGgufValueTypes = 13;

// Such as "uint8" or "a string".
std::string_view gguf_value_name(GgufValueType type);
// 0 for strings and arrays, whose values say it themselves.
int64_t gguf_value_bytes(GgufValueType type);

// ggml's name and block of a type, and what it is to us: nothing, if we cannot read its numbers.
struct GgufTensorType {
  uint32_t id;
  std::string_view name;
  WeightBlock block;
  std::optional<WeightType> weight_type = {};
};

// By ggml's number, by its name, such as "Q4_K", and the one that has these numbers; nullptr if there is none.
const GgufTensorType* find_gguf_type(uint32_t id);
const GgufTensorType* find_gguf_type(std::string_view name);
const GgufTensorType* find_gguf_type(WeightType type);

}  // namespace qwen3
