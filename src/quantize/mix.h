// Which type each tensor of a model gets. The names and the choices are llama.cpp's (llama-quantize),
// so that a Q4_K_M of ours has the sizes that people know.
//
//   mix      matrices   head (the table, if tied)   attn_v, ffn_down in the layers below
//   Q8_0     Q8_0       Q8_0
//   Q6_K     Q6_K       Q6_K
//   Q5_K_M   Q5_K       Q6_K                        Q6_K
//   Q4_K_M   Q4_K       Q6_K                        Q6_K
//   Q4_0     Q4_0       Q6_K                        (ffn_down with importance: Q4_1 in the first eighth)
//
// "More bits" are for the first and the last eighth of the layers and for every third between. Norms,
// biases and the router of experts stay float32. Rows that are not whole blocks get the next type whose
// blocks fit: Q4_K Q5_0, Q5_K Q5_1, Q6_K Q8_0, and what has no multiple of 32 columns F16.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "tensor/weight.h"

namespace qwen3 {

struct Mix {
  std::string_view name;
  int32_t file_type;      // general.file_type
  WeightType base, head;  // of most matrices; of what gives the logits
  enum class MoreBits { none, some_layers } more_bits;
};

std::span<const Mix> mixes();
const Mix* find_mix(std::string_view name);  // nullptr: there is none

struct MixQuestion {
  std::string_view gguf_name;
  int64_t n_columns;
  int64_t n_layers;
  bool tied;            // the embedding table is the head, too
  bool has_importance;  // a calibration was made
};
// REQUIRES: a matrix, or a stack of them.
WeightType choose_type(const Mix& mix, const MixQuestion& question);

}  // namespace qwen3
