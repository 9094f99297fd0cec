// Model::load: checkpoint, backend and weights put together. load_weights checks that they fit.
#include "qwen3/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/error.h"
#include "engine/load_plan.h"
#include "engine/model_impl.h"
#include "engine/plan.h"
#include "formats/gguf_path.h"
#include "formats/open_source.h"
#include "parallel/device_windows.h"
#include "parallel/host_windows.h"

namespace qwen3 {
namespace {

GenerationDefaults defaults_of(const HfConfig& config, const GenerationConfig& g) {
  GenerationDefaults d{.do_sample = g.do_sample,
                       .temperature = g.temperature,
                       .top_p = g.top_p,
                       .min_p = g.min_p,
                       .repetition_penalty = g.repetition_penalty,
                       .top_k = g.top_k,
                       .eos_token_ids = config.eos_token_ids};
  for (const int32_t id : g.eos_token_ids) {
    if (std::ranges::find(d.eos_token_ids, id) == d.eos_token_ids.end()) {
      d.eos_token_ids.push_back(id);
    }
  }
  return d;
}

// Of all ranks together.
int64_t bytes_of_all(const Weights& weights, Communicator* group) {
  if (group == nullptr) return weights.n_bytes();
  int64_t sum = 0;
  for (const std::string& bytes : group->all_gather(fmt::format("{}", weights.n_bytes()))) {
    sum += std::stoll(bytes);
  }
  return sum;
}

}  // namespace

int64_t ModelParts::available_bytes(int64_t max_tokens, int64_t max_logit_rows) const {
  const int64_t free = backend->available_bytes();
  if (group == nullptr) return free;
  const Shard shard = group->shard();
  const WindowShape windows{.max_tokens = max_tokens,
                            .hidden_size = config.hidden_size,
                            .max_logit_rows = max_logit_rows,
                            .vocab_size = config.vocab_size};
  if (!backend->shares_memory()) return free - DeviceWindows::bytes(windows, shard);
  return (free - HostWindows::bytes(windows, shard.n_here())) / shard.n_here();
}

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::~Model() = default;
double Model::measure_device_bandwidth() const {
  const std::lock_guard lock(impl_->backend_mutex);
  return impl_->backend->measure_read_bandwidth();
}

const ModelInfo& Model::info() const { return impl_->info; }
const GenerationDefaults& Model::generation_defaults() const { return impl_->generation_defaults; }
const ModelShape& Model::shape() const { return impl_->config; }
Model::Impl& impl_of(const Model& model) { return *model.impl_; }

std::shared_ptr<Model> make_model(ModelParts parts, std::string name) {
  auto impl = std::make_unique<Model::Impl>();
  static_cast<ModelParts&>(*impl) = std::move(parts);
  if (impl->threads == nullptr) impl->threads = std::make_unique<ThreadPool>(1);
  const HfConfig& c = impl->config;
  const BackendInfo backend = impl->backend->info();
  const EngineOptions defaults;
  impl->info = {
      .name = std::move(name),
      .model_type = c.moe() ? "qwen3_moe" : "qwen3",
      .dtype = std::string(weight_type_name(impl->weight_type)),
      .backend = fmt::format(
          "{} ({}, {} thread{}{})",
          backend.name,
          backend.hardware,
          backend.n_threads,
          backend.n_threads == 1 ? "" : "s",
          impl->group == nullptr ? std::string() : fmt::format(", {} ranks", impl->group->size())),
      .n_threads = backend.n_threads,
      .n_parameters = n_parameters(c),
      .n_active_parameters = n_active_parameters(c),
      .weight_bytes = bytes_of_all(impl->weights, impl->group),
      .kv_bytes_per_token =
          plan_memory(c, *impl->backend, impl->weight_type, 0, 0, defaults).kv_bytes_per_token,
      .vocab_size = c.vocab_size,
      .max_position_embeddings = c.max_position_embeddings};
  if (impl->generation_defaults.eos_token_ids.empty()) {
    impl->generation_defaults.eos_token_ids = c.eos_token_ids;
  }
  return std::make_shared<Model>(std::move(impl));
}

void check_generates(const Model::Impl& impl) {
  QWEN3_CHECK(impl.weights.lm_head.weight,
              ErrorKind::unsupported,
              "{}: the checkpoint has no lm_head.weight: an embedding model cannot generate",
              impl.info.name);
}

std::shared_ptr<Model> Model::load(const std::filesystem::path& path, const LoadOptions& options) {
  return make_model(load_parts(path, options), model_name(path));
}

ModelParts load_parts(const std::filesystem::path& path,
                      const LoadOptions& options,
                      Communicator* group) {
  const Shard shard = group == nullptr ? Shard{} : group->shard();
  const WeightsDType wanted = parse_weights_dtype(options.dtype);
  std::unique_ptr<TensorSource> source;
  if (!options.random_weights) source = open_source(path, options.hf_overrides);
  LoadPlan plan = source ? plan_load(*source, options, shard) : plan_load(path, options, shard);
  const int n_threads = plan.backend->info().n_threads;
  ModelParts parts{.config = std::move(plan.config),
                   .threads = std::move(plan.threads),
                   .backend = std::move(plan.backend),
                   .weight_type = plan.weight_type,
                   .group = group,
                   .widest = std::move(plan.widest)};
  if (source) {
    parts.generation_defaults = defaults_of(parts.config, source->generation_config());
    parts.weights =
        load_weights(*source, *parts.backend, wanted, n_threads, options.progress, shard);
  } else {
    parts.weights = random_weights(
        parts.config, *parts.backend, parts.weight_type, options.random_seed, n_threads, shard);
  }
  return parts;
}

}  // namespace qwen3
