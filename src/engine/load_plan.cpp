#include "engine/load_plan.h"

#include <utility>

#include "base/error.h"
#include "base/input_file.h"

namespace qwen3 {
namespace {

constexpr size_t kMaxConfigBytes = 16 << 20;

DType dtype_in_memory(WeightsDType wanted, DType stored) {
  switch (wanted) {
    case WeightsDType::f32:
      return DType::f32;
    case WeightsDType::bf16:
      return DType::bf16;
    case WeightsDType::as_stored:
      break;
  }
  return stored;
}

// The checkpoint's dtype for its matrices; config.json may say something else.
DType stored_dtype(const Checkpoint& checkpoint) {
  const CheckpointTensor* embed = checkpoint.find("model.embed_tokens.weight");
  return embed != nullptr ? embed->dtype : checkpoint.config().dtype;
}

LoadPlan plan_load(HfConfig config, DType stored, const LoadOptions& o) {
  LoadPlan plan{
      .config = std::move(config),
      .backend = make_backend({.name = o.backend, .n_threads = o.n_threads, .isa = o.cpu_isa}),
      .weight_dtype = dtype_in_memory(parse_weights_dtype(o.dtype), stored)};
  plan.weight_bytes = weights_bytes(plan.config, *plan.backend, plan.weight_dtype);
  return plan;
}

}  // namespace

LoadPlan plan_load(const Checkpoint& checkpoint, const LoadOptions& options) {
  return plan_load(checkpoint.config(), stored_dtype(checkpoint), options);
}

LoadPlan plan_load(const std::filesystem::path& directory, const LoadOptions& options) {
  if (!options.random_weights) return plan_load(Checkpoint::open(directory), options);
  const std::filesystem::path path = directory / "config.json";
  HfConfig config = parse_hf_config(read_text_file(path, kMaxConfigBytes), path.string());
  const DType stored = config.dtype;
  return plan_load(std::move(config), stored, options);
}

WeightsDType parse_weights_dtype(std::string_view name) {
  if (name == "auto") return WeightsDType::as_stored;
  if (name == "float32") return WeightsDType::f32;
  if (name == "bfloat16") return WeightsDType::bf16;
  fail(ErrorKind::invalid_argument, "dtype: expected auto, float32 or bfloat16, got \"{}\"", name);
}

}  // namespace qwen3
