#include "formats/gguf_types.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace qwen3 {
namespace {

constexpr std::array<std::string_view, kGgufValueTypes> kValueNames = {"uint8",
                                                                       "int8",
                                                                       "uint16",
                                                                       "int16",
                                                                       "uint32",
                                                                       "int32",
                                                                       "float32",
                                                                       "a boolean",
                                                                       "a string",
                                                                       "an array",
                                                                       "uint64",
                                                                       "int64",
                                                                       "float64"};
constexpr std::array<int64_t, kGgufValueTypes> kValueBytes = {
    1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

constexpr GgufTensorType kept(uint32_t id, std::string_view name, WeightType type) {
  return {id, name, block_of(type), type};
}

// ggml.h, ggml-common.h. Numbers that are missing were types once and are none now.
constexpr GgufTensorType kTensorTypes[] = {kept(0, "F32", WeightType::f32),
                                           kept(1, "F16", WeightType::f16),
                                           kept(2, "Q4_0", WeightType::q4_0),
                                           kept(3, "Q4_1", WeightType::q4_1),
                                           kept(6, "Q5_0", WeightType::q5_0),
                                           kept(7, "Q5_1", WeightType::q5_1),
                                           kept(8, "Q8_0", WeightType::q8_0),
                                           {9, "Q8_1", {32, 36}},
                                           kept(10, "Q2_K", WeightType::q2_k),
                                           kept(11, "Q3_K", WeightType::q3_k),
                                           kept(12, "Q4_K", WeightType::q4_k),
                                           kept(13, "Q5_K", WeightType::q5_k),
                                           kept(14, "Q6_K", WeightType::q6_k),
                                           {15, "Q8_K", {256, 292}},
                                           {16, "IQ2_XXS", {256, 66}},
                                           {17, "IQ2_XS", {256, 74}},
                                           {18, "IQ3_XXS", {256, 98}},
                                           {19, "IQ1_S", {256, 50}},
                                           kept(20, "IQ4_NL", WeightType::iq4_nl),
                                           {21, "IQ3_S", {256, 110}},
                                           {22, "IQ2_S", {256, 82}},
                                           kept(23, "IQ4_XS", WeightType::iq4_xs),
                                           {24, "I8", {1, 1}},
                                           {25, "I16", {1, 2}},
                                           {26, "I32", {1, 4}},
                                           {27, "I64", {1, 8}},
                                           {28, "F64", {1, 8}},
                                           {29, "IQ1_M", {256, 56}},
                                           kept(30, "BF16", WeightType::bf16),
                                           {34, "TQ1_0", {256, 54}},
                                           {35, "TQ2_0", {256, 66}},
                                           kept(39, "MXFP4", WeightType::mxfp4),
                                           {40, "NVFP4", {64, 36}},
                                           {41, "Q1_0", {128, 18}},
                                           {42, "Q2_0", {64, 18}}};

template <typename Wanted>
const GgufTensorType* find_type_if(const Wanted& wanted) {
  const auto* it = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes), wanted);
  return it == std::end(kTensorTypes) ? nullptr : it;
}

}  // namespace

std::string_view gguf_value_name(GgufValueType type) {
  return kValueNames[static_cast<size_t>(type)];
}

int64_t gguf_value_bytes(GgufValueType type) { return kValueBytes[static_cast<size_t>(type)]; }

const GgufTensorType* find_gguf_type(uint32_t id) {
  return find_type_if([&](const GgufTensorType& type) { return type.id == id; });
}

const GgufTensorType* find_gguf_type(std::string_view name) {
  return find_type_if([&](const GgufTensorType& type) { return type.name == name; });
}

const GgufTensorType* find_gguf_type(WeightType weight_type) {
  return find_type_if([&](const GgufTensorType& type) { return type.weight_type == weight_type; });
}

}  // namespace qwen3
