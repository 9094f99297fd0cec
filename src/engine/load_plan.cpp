#include "engine/load_plan.h"

#include <utility>

#include "base/error.h"
#include "base/input_file.h"

namespace qwen3 {
namespace {

constexpr size_t kMaxConfigBytes = 16 << 20;

WeightType type_in_memory(WeightsDType wanted, WeightType stored) {
  switch (wanted) {
    case WeightsDType::f32:
      return WeightType::f32;
    case WeightsDType::bf16:
      return WeightType::bf16;
    case WeightsDType::as_stored:
      break;
  }
  return stored;
}

// The checkpoint's type for its matrices; config.json may say something else.
WeightType stored_type(const TensorSource& checkpoint) {
  const SourceTensor* embed = checkpoint.find("model.embed_tokens.weight");
  return embed != nullptr ? embed->type : weight_type_of(checkpoint.config().dtype);
}

LoadPlan plan_load(HfConfig config, WeightType stored, const LoadOptions& o) {
  LoadPlan plan{.config = std::move(config),
                .threads = std::make_unique<ThreadPool>(team_size(o.n_threads)),
                .backend = nullptr,
                .weight_type = type_in_memory(parse_weights_dtype(o.dtype), stored)};
  plan.backend = make_backend({.name = o.backend, .isa = o.cpu_isa, .threads = plan.threads.get()});
  plan.weight_bytes = weights_bytes(plan.config, *plan.backend, plan.weight_type);
  return plan;
}

}  // namespace

LoadPlan plan_load(const Checkpoint& checkpoint, const LoadOptions& options) {
  return plan_load(checkpoint.config(), stored_type(checkpoint), options);
}

LoadPlan plan_load(const std::filesystem::path& directory, const LoadOptions& options) {
  if (!options.random_weights) return plan_load(Checkpoint::open(directory), options);
  const std::filesystem::path path = directory / "config.json";
  HfConfig config = parse_hf_config(read_text_file(path, kMaxConfigBytes), path.string());
  const WeightType stored = weight_type_of(config.dtype);
  return plan_load(std::move(config), stored, options);
}

WeightsDType parse_weights_dtype(std::string_view name) {
  if (name == "auto") return WeightsDType::as_stored;
  if (name == "float32") return WeightsDType::f32;
  if (name == "bfloat16") return WeightsDType::bf16;
  fail(ErrorKind::invalid_argument, "dtype: expected auto, float32 or bfloat16, got \"{}\"", name);
}

}  // namespace qwen3
