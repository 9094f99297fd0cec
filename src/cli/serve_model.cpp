#include "cli/serve_model.h"

#include <algorithm>
#include <utility>

#include "base/available_memory.h"
#include "base/error.h"
#include "cli/generation.h"
#include "engine/model_impl.h"
#include "engine/plan.h"
#include "formats/checkpoint.h"

namespace qwen3::cli {
namespace {

// Waiting prompts together: enough to keep the engine busy, little enough to answer soon.
constexpr int64_t kWaitingContexts = 4;

// Refuses early what the files alone show.
void check_weights_fit(const std::filesystem::path& directory, int64_t memory_limit) {
  if (memory_limit <= 0) return;
  const int64_t bytes = Checkpoint::open(directory).n_bytes();
  QWEN3_CHECK(bytes < memory_limit,
              ErrorKind::out_of_memory,
              "--memory-limit: the weights alone take {}; expected less than the limit of {}; "
              "raise it or choose a smaller model",
              format_bytes(bytes),
              format_bytes(memory_limit));
}

MemoryPlan plan_for(const Model& model, const EngineOptions& engine, int64_t memory_limit) {
  const Model::Impl& impl = model.impl();
  int64_t available = available_memory_bytes();
  if (memory_limit > 0) available = std::min(available, memory_limit - model.info().weight_bytes);
  MemoryPlan plan =
      plan_memory(impl.config, *impl.backend, impl.weight_dtype, 0, available, engine);
  QWEN3_CHECK(plan.problem.empty(),
              ErrorKind::out_of_memory,
              "{}{}",
              memory_limit > 0 ? fmt::format("--memory-limit {}: weights take {}; ",
                                             format_bytes(memory_limit),
                                             format_bytes(model.info().weight_bytes))
                               : "",
              plan.problem);
  return plan;
}

std::string describe(const Model& model, const MemoryPlan& plan, const ServeOptions& options) {
  return fmt::format(
      "{}\nmemory: weights {}, KV cache {} ({} tokens, {} per token), activations {}; context {} "
      "tokens, up to {} requests at a time",
      model_line(model.info()),
      format_bytes(model.info().weight_bytes),
      format_bytes(plan.kv_cache_bytes),
      plan.n_blocks * plan.block_size,
      format_bytes(plan.kv_bytes_per_token),
      format_bytes(plan.activation_bytes),
      plan.max_model_len,
      options.engine.max_sequences);
}

}  // namespace

LoadedModel load_served_model(const ServeOptions& options) {
  const std::filesystem::path directory = resolve_model(options.model.model);
  Text text = Text::load(directory);
  check_weights_fit(directory, options.memory_limit);
  const std::shared_ptr<Model> model = load_model(options.model, options.output);
  check_context(options.model, model->impl().config);
  EngineOptions engine = options.engine;
  engine.max_model_len = options.model.context;
  engine.n_real_tokens = std::min(text.n_tokens(), model->info().vocab_size);
  const MemoryPlan plan = plan_for(*model, engine, options.memory_limit);
  engine.max_model_len = plan.max_model_len;
  engine.kv_cache_bytes = plan.kv_cache_bytes;
  engine.max_waiting_tokens =
      options.max_waiting_tokens.value_or(kWaitingContexts * plan.max_model_len);

  server::ModelParts parts{
      .text = std::move(text),
      .generator = std::make_unique<server::EngineGenerator<Engine>>(model, engine),
      .defaults = model->generation_defaults(),
      .info = model->info(),
      .hidden_size = model->impl().config.hidden_size,
      .task = options.service.task == server::Task::automatic ? server::detect_task(directory)
                                                              : options.service.task};
  return {server::make_served_model(std::move(parts), options.service),
          describe(*model, plan, options)};
}

}  // namespace qwen3::cli
