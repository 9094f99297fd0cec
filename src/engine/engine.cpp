// Engine: EngineCore over a Model, sized by the memory plan.
#include "qwen3/engine.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/engine_core.h"
#include "engine/event_stream.h"
#include "engine/model_impl.h"
#include "engine/plan.h"
#include "engine/validate.h"

namespace qwen3 {
namespace {

std::vector<int32_t> end_tokens(const Model& model, const EngineOptions& o) {
  std::vector<int32_t> ids = model.generation_defaults().eos_token_ids;
  for (const int32_t id : o.eos_token_ids) {
    if (std::ranges::find(ids, id) == ids.end()) ids.push_back(id);
  }
  return ids;
}

int64_t experts_per_row(const ModelShape& shape) {
  const std::vector<bool>& sparse = shape.layer_is_sparse;
  return std::count(sparse.begin(), sparse.end(), true) * shape.num_experts_per_tok;
}

CoreOptions core_options(const Model& model, const EngineOptions& o, const MemoryPlan& plan) {
  const int64_t vocab_size = model.info().vocab_size;
  check_tokenizer(o, vocab_size);
  return {.scheduler = {.n_blocks = plan.n_blocks,
                        .block_size = o.block_size,
                        .max_batch_tokens = max_batch_tokens(o, *impl_of(model).backend),
                        .max_sequences = o.max_sequences,
                        .max_logit_rows = max_logit_rows(o),
                        .prefix_cache = o.prefix_cache},
          .limits = {.n_real_tokens = o.n_real_tokens > 0 ? o.n_real_tokens : vocab_size,
                     .max_model_len = plan.max_model_len,
                     .has_head = static_cast<bool>(impl_of(model).weights.lm_head.weight),
                     .experts_per_row = experts_per_row(model.shape())},
          .max_waiting = o.max_waiting,
          .max_waiting_tokens = o.max_waiting_tokens,
          .eos_token_ids = end_tokens(model, o),
          .on_step = o.on_step};
}

}  // namespace

struct Engine::Impl {
  EngineCore core;
};

Engine::Engine(std::shared_ptr<Model> model, const EngineOptions& options) {
  validate(options);
  const Model::Impl& m = impl_of(*model);
  const int64_t context = m.config.context_length();
  QWEN3_CHECK(options.max_model_len <= context,
              ErrorKind::invalid_argument,
              "max_model_len: expected at most the model's {} tokens, got {}",
              context,
              options.max_model_len);
  const int64_t step_rows = max_batch_tokens(options, *m.backend);
  const MemoryPlan plan = plan_memory(m.buffers_config(),
                                      *m.backend,
                                      m.weight_type,
                                      0,
                                      m.available_bytes(step_rows, max_logit_rows(options)),
                                      options);
  QWEN3_CHECK(plan.problem.empty(), ErrorKind::out_of_memory, "{}", plan.problem);
  CoreOptions core = core_options(*model, options, plan);
  auto runner = make_model_runner(
      std::move(model),
      {.kv = {.dtype = plan.kv_dtype, .n_blocks = plan.n_blocks, .block_size = plan.block_size},
       .max_batch_tokens = step_rows,
       .max_sequences = options.max_sequences,
       .max_logit_rows = max_logit_rows(options),
       .max_model_len = plan.max_model_len,
       .operations = options.operations});
  impl_.reset(new Impl{{std::move(runner), std::move(core)}});
}

Engine::~Engine() = default;

EventStream Engine::submit(Request request) { return impl_->core.submit(std::move(request)); }

uint64_t Engine::submit(Request request, OnEvent on_event) {
  return impl_->core.submit(std::move(request), std::move(on_event));
}

void Engine::cancel(uint64_t request_id) { impl_->core.cancel(request_id); }
EngineStats Engine::stats() const { return impl_->core.stats(); }
int64_t Engine::max_model_len() const { return impl_->core.max_model_len(); }

}  // namespace qwen3
