#include "engine/load_plan.h"

#include <utility>

#include "base/error.h"
#include "formats/open_source.h"

namespace qwen3 {
namespace {

LoadPlan begin_plan(HfConfig config, const LoadOptions& o) {
  LoadPlan plan{.config = std::move(config),
                .threads = std::make_unique<ThreadPool>(team_size(o.n_threads)),
                .backend = nullptr};
  plan.backend = make_backend({.name = o.backend, .isa = o.cpu_isa, .threads = plan.threads.get()});
  return plan;
}

WeightType random_type(WeightsDType wanted, const HfConfig& config) {
  if (wanted == WeightsDType::f32) return WeightType::f32;
  if (wanted == WeightsDType::bf16) return WeightType::bf16;
  return weight_type_of(config.dtype);
}

void set_weights(LoadPlan& plan, WeightsInMemory weights, const Shard& shard) {
  plan.weight_bytes = weights.bytes;
  plan.weight_type = weights.type;
  plan.widest = std::move(weights.widest);
  plan.n_ranks = plan.backend->shares_memory() ? shard.n_here() : 1;
}

}  // namespace

LoadPlan plan_load(const TensorSource& source, const LoadOptions& options, const Shard& shard) {
  LoadPlan plan = begin_plan(source.config(), options);
  const WeightsDType dtype = parse_weights_dtype(options.dtype);
  set_weights(plan, weights_in_memory(source, *plan.backend, dtype, shard), shard);
  return plan;
}

LoadPlan plan_load(const std::filesystem::path& path,
                   const LoadOptions& options,
                   const Shard& shard) {
  if (!options.random_weights)
    return plan_load(*open_source(path, options.hf_overrides), options, shard);
  LoadPlan plan = begin_plan(open_config(path, options.hf_overrides), options);
  const QuantizationConfig& quantization = plan.config.quantization;
  QWEN3_CHECK(
      !quantization.present(),
      ErrorKind::unsupported,
      "{}: {}: what quantised weights take is in their files only, and random ones are never "
      "quantised; give the whole checkpoint, or take {} out of config.json",
      (path / "config.json").string(),
      quantization.key,
      quantization.key);
  const WeightType type = random_type(parse_weights_dtype(options.dtype), plan.config);
  set_weights(plan, random_weights_in_memory(plan.config, *plan.backend, type, shard), shard);
  return plan;
}

WeightsDType parse_weights_dtype(std::string_view name) {
  if (name == "auto") return WeightsDType::as_stored;
  if (name == "float32") return WeightsDType::f32;
  if (name == "bfloat16") return WeightsDType::bf16;
  fail(ErrorKind::invalid_argument, "dtype: expected auto, float32 or bfloat16, got \"{}\"", name);
}

}  // namespace qwen3
