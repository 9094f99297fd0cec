#include "quantize/mix.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "formats/gguf_names.h"

namespace qwen3 {
namespace {

constexpr Mix kMixes[] = {
    {"Q4_K_M", 15, WeightType::q4_k, WeightType::q6_k, Mix::MoreBits::some_layers},
    {"Q5_K_M", 17, WeightType::q5_k, WeightType::q6_k, Mix::MoreBits::some_layers},
    {"Q6_K", 18, WeightType::q6_k, WeightType::q6_k, Mix::MoreBits::none},
    {"Q8_0", 7, WeightType::q8_0, WeightType::q8_0, Mix::MoreBits::none},
    {"Q4_0", 2, WeightType::q4_0, WeightType::q6_k, Mix::MoreBits::none}};

bool gets_more_bits(int64_t layer, int64_t n_layers) {
  const int64_t eighth = n_layers / 8;
  return layer < eighth || layer >= 7 * n_layers / 8 || (layer - eighth) % 3 == 2;
}

WeightType with_whole_blocks(WeightType type, int64_t n_columns) {
  if (n_columns % block_of(type).elements == 0) return type;
  const WeightType smaller = type == WeightType::q4_k   ? WeightType::q5_0
                             : type == WeightType::q5_k ? WeightType::q5_1
                             : type == WeightType::q6_k ? WeightType::q8_0
                                                        : WeightType::f16;
  return n_columns % block_of(smaller).elements == 0 ? smaller : WeightType::f16;
}

WeightType type_by_role(const Mix& mix, const MixQuestion& q) {
  const bool table = q.gguf_name == "token_embd.weight";
  if (q.gguf_name == "output.weight" || (table && q.tied)) return mix.head;
  const std::optional<GgufLayerTensor> parts = parse_gguf_layer_tensor(q.gguf_name);
  if (!parts) return mix.base;
  if (parts->stem == "ffn_gate_inp") return WeightType::f32;
  const bool down = parts->stem == "ffn_down" || parts->stem == "ffn_down_exps";
  if (mix.more_bits == Mix::MoreBits::some_layers && (down || parts->stem == "attn_v")) {
    return gets_more_bits(parts->layer, q.n_layers) ? WeightType::q6_k : mix.base;
  }
  if (mix.base == WeightType::q4_0 && down && q.has_importance && parts->layer < q.n_layers / 8) {
    return WeightType::q4_1;
  }
  return mix.base;
}

}  // namespace

std::span<const Mix> mixes() { return kMixes; }

const Mix* find_mix(std::string_view name) {
  const Mix* found = std::ranges::find(kMixes, name, &Mix::name);
  return found == std::end(kMixes) ? nullptr : found;
}

WeightType choose_type(const Mix& mix, const MixQuestion& question) {
  const WeightType type = type_by_role(mix, question);
  return is_plain(type) ? type : with_whole_blocks(type, question.n_columns);
}

}  // namespace qwen3
