#include "server/api/routed_experts.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace qwen3::server {
namespace {

std::string base64_of(std::string_view bytes) {
  return base64({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

// Version 1.0 of NumPy's format: the magic, the length of the header, the header as a Python
// dictionary, blanks up to a multiple of 64 bytes and a newline.
std::string npy_header(const ExpertShape& shape, size_t n_tokens) {
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}, {}, {}), }}",
                  shape.id_bytes() == 1 ? "|u1" : "<i2",
                  n_tokens,
                  shape.n_layers,
                  shape.top_k);
  constexpr size_t kBefore = 10, kAlignment = 64;
  header.append(kAlignment - 1 - (kBefore + header.size()) % kAlignment, ' ');
  header += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(header.size() & 0xFF);
  out += static_cast<char>(header.size() >> 8);
  return out + header;
}

}  // namespace

ExpertShape expert_shape(const ModelShape& shape) {
  const auto n_sparse =
      std::count(shape.layer_is_sparse.begin(), shape.layer_is_sparse.end(), true);
  if (n_sparse == 0) return {};
  return {n_sparse, shape.num_experts_per_tok, shape.num_experts};
}

RoutedExperts read_routed_experts(Fields& fields, const ExpertShape& shape, int64_t n_choices) {
  constexpr const char* kRows = "return_routed_experts";
  constexpr const char* kPrompt = "routed_experts_prompt";
  const bool wanted = fields.boolean(kRows).value_or(false);
  const bool prompt = fields.boolean(kPrompt).value_or(false);
  if (prompt && !wanted) refuse(kPrompt, "only allowed when return_routed_experts is true");
  if (!wanted) return RoutedExperts::none;
  if (shape.n_layers == 0) refuse_unsupported(kRows, "this model is dense: it has no experts");
  if (prompt && n_choices > 1) refuse(kPrompt, "only of one choice; leave n out");
  return prompt ? RoutedExperts::with_the_prompt : RoutedExperts::generated;
}

void ExpertRows::add(std::span<const uint16_t> ids) {
  for (const uint16_t id : ids) {
    bytes_ += static_cast<char>(id & 0xFF);
    if (shape_.id_bytes() == 2) bytes_ += static_cast<char>(id >> 8);
  }
}

std::string ExpertRows::take_chunk() {
  if (bytes_.empty()) return {};
  std::string out = R"(,"routed_experts":")" + base64_of(std::exchange(bytes_, {})) + '"';
  if (!std::exchange(shape_is_said_, true)) {
    out += fmt::format(R"(,"routed_experts_shape":[{},{}])", shape_.n_layers, shape_.top_k);
  }
  return out;
}

std::string ExpertRows::take_whole() {
  if (shape_.n_layers == 0) return {};
  const auto row_bytes = static_cast<size_t>(shape_.row() * shape_.id_bytes());
  const std::string rows = std::exchange(bytes_, {});
  return R"(,"routed_experts":")" + base64_of(npy_header(shape_, rows.size() / row_bytes) + rows) +
         '"';
}

}  // namespace qwen3::server
