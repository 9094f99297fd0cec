#include "model/weight_sources.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <unordered_set>

#include "base/error.h"
#include "base/json.h"
#include "model/unused_tensors.h"
#include "model/weights.h"

namespace qwen3 {
namespace {

using Kind = WeightSlot::Kind;

std::string to_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

void check_shape(const SourceTensor& tensor,
                 std::string_view name,
                 const std::vector<int64_t>& expected) {
  QWEN3_CHECK(
      tensor.shape == expected,
      ErrorKind::corrupt_file,
      "{}: tensor {}: expected shape {}, got {}; are config and weights from the same model?",
      tensor.file->name(),
      name,
      to_text(expected),
      to_text(tensor.shape));
}

constexpr std::string_view kEmbedTokens =
    "embed_tokens.weight";  // the first tensor that is looked for

// Programs that save a model from inside another object put that one's name before every tensor's:
// torch.compile "_orig_mod.", PEFT "base_model.model.".
void refuse_prefix(const TensorSource& files) {
  for (const auto& [name, tensor] : files.tensors()) {
    if (!name.ends_with(fmt::format(".{}", kEmbedTokens))) continue;
    std::string_view prefix = std::string_view(name).substr(0, name.size() - kEmbedTokens.size());
    if (prefix.ends_with(".model.")) prefix.remove_suffix(std::string_view("model.").size());
    fail(ErrorKind::not_found,
         "{}: tensor {}: expected the name model.{}, got a prefix before it; take \"{}\" off the "
         "names of "
         "all tensors, or save the inner model alone",
         tensor.file->name(),
         quote_for_message(name),
         kEmbedTokens,
         quote_for_message(prefix));
  }
}

const SourceTensor& require(const TensorSource& files,
                            const std::string& name,
                            const std::vector<int64_t>& shape) {
  const SourceTensor* tensor = files.find(name);
  if (tensor == nullptr && name.ends_with(kEmbedTokens)) refuse_prefix(files);
  QWEN3_CHECK(tensor != nullptr,
              ErrorKind::not_found,
              "{}: tensor {}: expected shape {}, got no such tensor; are config and weights from "
              "the same model, and is the download complete?",
              files.name(),
              name,
              to_text(shape));
  check_shape(*tensor, name, shape);
  return *tensor;
}

// transformers 5 may store all experts of a layer in one tensor; nullptr if this file does not.
const SourceTensor* find_fused(const TensorSource& files, const std::string& name) {
  const SourceTensor* tensor = files.find(name);
  return tensor != nullptr ? tensor : files.find(name + ".weight");
}

// All experts of one projection in one tensor: beside the router in mlx-lm's files, among the experts
// in GGUF. nullptr if this file does not have it.
const SourceTensor* find_stack(const TensorSource& files, const WeightSlot& slot) {
  const std::string mlp = slot.name.substr(0, slot.name.rfind('.'));
  const SourceTensor* stack =
      files.find(fmt::format("{}.switch_mlp.{}.weight", mlp, slot.projection));
  if (stack == nullptr && slot.projection != "down_proj") {
    stack = find_fused(files, fmt::format("{}.{}", slot.name, slot.projection));
  }
  return stack;
}

std::vector<WeightSource> expert_sources(const TensorSource& files, const WeightSlot& slot) {
  const int64_t n_experts = slot.shape[0], out = slot.shape[1], in = slot.shape[2];
  std::vector<WeightSource> sources;
  if (const SourceTensor* stack = find_stack(files, slot)) {
    check_shape(*stack, fmt::format("{} of {}", slot.projection, slot.name), {n_experts, out, in});
    for (int64_t e = 0; e < n_experts; ++e) sources.push_back({stack, e * out});
    return sources;
  }
  const bool down = slot.projection == "down_proj";
  const std::string fused_name = slot.name + (down ? ".down_proj" : ".gate_up_proj");
  if (const SourceTensor* fused = find_fused(files, fused_name)) {
    // gate_up_proj holds the rows of gate_proj, then those of up_proj, expert by expert.
    const int64_t stride = down ? out : 2 * out;
    check_shape(*fused, fused_name, {n_experts, stride, in});
    const int64_t first = slot.projection == "up_proj" ? out : 0;
    for (int64_t e = 0; e < n_experts; ++e) sources.push_back({fused, e * stride + first});
    return sources;
  }
  for (int64_t e = 0; e < n_experts; ++e) {
    const std::string name = fmt::format("{}.{}.{}.weight", slot.name, e, slot.projection);
    sources.push_back({&require(files, name, {out, in}), 0});
  }
  return sources;
}

std::vector<WeightSource> find_sources(const TensorSource& files, const WeightSlot& slot) {
  if (slot.kind == Kind::experts) return expert_sources(files, slot);
  std::vector<int64_t> shape;
  for (int i = 0; i < slot.shape.rank(); ++i) shape.push_back(slot.shape[i]);
  const SourceTensor& tensor = require(files, slot.name, shape);
  QWEN3_CHECK(slot.kind != Kind::vector || is_plain(tensor.type),
              ErrorKind::unsupported,
              "{}: tensor {}: expected plain numbers, as norms and biases have them, got {}",
              tensor.file->name(),
              slot.name,
              tensor.file_dtype);
  return {{&tensor, 0}};
}

std::unordered_set<const SourceTensor*> tensors_of(
    const std::vector<std::vector<WeightSource>>& sources) {
  std::unordered_set<const SourceTensor*> tensors;
  for (const std::vector<WeightSource>& of_slot : sources) {
    for (const WeightSource& source : of_slot) tensors.insert(source.tensor);
  }
  return tensors;
}

}  // namespace

std::vector<std::vector<WeightSource>> find_weight_sources(const TensorSource& files,
                                                           std::vector<WeightSlot>& slots) {
  const WeightSlot& last = slots.back();
  if (last.name == "lm_head.weight" && files.find(last.name) == nullptr) slots.pop_back();
  std::vector<std::vector<WeightSource>> sources;
  for (const WeightSlot& slot : slots) sources.push_back(find_sources(files, slot));
  check_all_used(files, tensors_of(sources));
  return sources;
}

}  // namespace qwen3
