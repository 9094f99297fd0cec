// The experts that chose the tokens of an answer, as clients get them: `return_routed_experts`, and
// `routed_experts_prompt` for the prompt's rows before them. A row has num_experts_per_tok ids, best
// first, for each sparse layer; ids are uint8, of more than 256 experts int16, little-endian.
//
//   whole     "routed_experts": base64 of a .npy file [tokens, layers, k]
//   streamed  "routed_experts": base64 of the numbers alone, of the chunk's tokens,
//             "routed_experts_shape": [layers, k] once, in the choice's first chunk that has some
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "qwen3/request.h"
#include "qwen3/shape.h"
#include "server/api/fields.h"

namespace qwen3::server {

struct ExpertShape {
  int64_t n_layers = 0;  // sparse ones; 0: a dense model
  int64_t top_k = 0;
  int64_t n_experts = 0;

  int64_t row() const { return n_layers * top_k; }
  int64_t id_bytes() const { return n_experts > 256 ? 2 : 1; }
};

ExpertShape expert_shape(const ModelShape& shape);

// Reads the two fields. Refuses them for a dense model, and the prompt's rows for several choices.
RoutedExperts read_routed_experts(Fields& fields, const ExpertShape& shape, int64_t n_choices);

// Those of one choice, until they are sent.
class ExpertRows {
 public:
  explicit ExpertRows(const ExpertShape& shape) : shape_(shape) {}

  void add(std::span<const uint16_t> ids);
  // ,"routed_experts":… as members of a choice; "" when nothing came since the last call.
  std::string take_chunk();
  std::string take_whole();
  size_t n_bytes() const { return bytes_.size(); }

 private:
  ExpertShape shape_;
  std::string bytes_;
  bool shape_is_said_ = false;
};

}  // namespace qwen3::server
