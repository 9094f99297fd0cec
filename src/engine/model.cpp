// Model::load: checkpoint, backend and weights put together. load_weights checks that they fit.
#include "qwen3/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/input_file.h"
#include "engine/model_impl.h"
#include "engine/plan.h"
#include "formats/checkpoint.h"

namespace qwen3 {
namespace {

constexpr size_t kMaxConfigBytes = 16 << 20;

WeightsDType parse_dtype(const std::string& name) {
  if (name == "auto") return WeightsDType::as_stored;
  if (name == "float32") return WeightsDType::f32;
  if (name == "bfloat16") return WeightsDType::bf16;
  fail(ErrorKind::invalid_argument, "dtype: expected auto, float32 or bfloat16, got \"{}\"", name);
}

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

void choose_backend(Model::Impl& impl, const LoadOptions& o) {
  impl.threads = std::make_unique<ThreadPool>(team_size(o.n_threads));
  impl.backend = make_backend({.name = o.backend, .isa = o.cpu_isa, .threads = impl.threads.get()});
}

std::string base_name(const std::filesystem::path& directory) {
  const std::filesystem::path clean = directory.lexically_normal();
  return (clean.has_filename() ? clean.filename() : clean.parent_path().filename()).string();
}

}  // namespace

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::~Model() = default;
const ModelInfo& Model::info() const { return impl_->info; }
const GenerationDefaults& Model::generation_defaults() const { return impl_->generation_defaults; }

std::shared_ptr<Model> make_model(std::unique_ptr<Model::Impl> impl, std::string name) {
  const HfConfig& c = impl->config;
  if (impl->threads == nullptr) impl->threads = std::make_unique<ThreadPool>(1);
  const BackendInfo backend = impl->backend->info();
  const EngineOptions defaults;
  impl->info = {
      .name = std::move(name),
      .model_type = c.model_type == ModelType::qwen3 ? "qwen3" : "qwen3_moe",
      .dtype = std::string(weight_type_name(impl->weight_type)),
      .backend = fmt::format("{} ({}, {} thread{})",
                             backend.name,
                             backend.hardware,
                             backend.n_threads,
                             backend.n_threads == 1 ? "" : "s"),
      .n_parameters = n_parameters(c),
      .n_active_parameters = n_active_parameters(c),
      .weight_bytes = impl->weights.n_bytes(),
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

std::shared_ptr<Model> Model::load(const std::filesystem::path& directory,
                                   const LoadOptions& options) {
  const WeightsDType wanted = parse_dtype(options.dtype);
  auto impl = std::make_unique<Impl>();
  if (options.random_weights) {
    const std::filesystem::path path = directory / "config.json";
    impl->config = parse_hf_config(read_text_file(path, kMaxConfigBytes), path.string());
    choose_backend(*impl, options);
    impl->weight_type = type_in_memory(wanted, weight_type_of(impl->config.dtype));
    impl->weights = random_weights(impl->config,
                                   *impl->backend,
                                   impl->weight_type,
                                   options.random_seed,
                                   impl->backend->info().n_threads);
  } else {
    const Checkpoint checkpoint = Checkpoint::open(directory);
    impl->config = checkpoint.config();
    impl->generation_defaults = defaults_of(impl->config, checkpoint.generation_config());
    choose_backend(*impl, options);
    impl->weight_type = type_in_memory(wanted, stored_type(checkpoint));
    impl->weights = load_weights(
        checkpoint, *impl->backend, wanted, impl->backend->info().n_threads, options.progress);
  }
  return make_model(std::move(impl), base_name(directory));
}

}  // namespace qwen3
