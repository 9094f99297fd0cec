#include "capi/engine.h"

#include <cstdlib>
#include <memory>
#include <mutex>

#include "base/error.h"
#include "capi/request.h"
#include "capi/structs.h"
#include "qwen3/sampling.h"

namespace qwen3::capi {
namespace {

EngineOptions engine_options(const qwen3_engine_options& given, const ModelObject& model) {
  check_given(given.kv_dtype, "options.kv_dtype");
  EngineOptions options;
  options.max_model_len = given.max_model_len;
  options.kv_cache_bytes = given.kv_cache_bytes;
  options.kv_dtype = given.kv_dtype;
  options.max_batch_tokens = given.max_batch_tokens;
  options.max_sequences = given.max_sequences;
  options.max_waiting = given.max_waiting;
  options.prefix_cache = given.prefix_cache != 0;
  if (model.text) {
    options.n_real_tokens = model.text->n_tokens();
    options.eos_token_ids = model.text->eos_token_ids();
  }
  return options;
}

// An engine's thread must not run on while what it uses is destroyed at the end of the process.
void close_at_exit() {
  static std::once_flag once;
  std::call_once(once, [] {
    std::atexit([] {
      for (const auto& object : Handles::instance().remove_all()) object->closed();
    });
  });
}

}  // namespace
}  // namespace qwen3::capi

using namespace qwen3::capi;

qwen3_status qwen3_engine_open(qwen3_model handle,
                               const qwen3_engine_options* options,
                               qwen3_engine* engine) {
  return guarded(__func__, [&] {
    auto model = object_of<ModelObject>(handle);
    check_given(engine, "engine");
    const auto read = engine_options(read_optional_struct(options, "options"), *model);
    auto object = std::make_shared<EngineObject>(std::move(model), read);
    close_at_exit();
    *engine = new_handle<qwen3_engine>(std::move(object));
    return QWEN3_OK;
  });
}

qwen3_status qwen3_engine_close(qwen3_engine engine) {
  return guarded(__func__, [&] {
    close_handle<EngineObject>(engine);
    return QWEN3_OK;
  });
}

qwen3_status qwen3_engine_get_stats(qwen3_engine handle, qwen3_engine_stats* stats) {
  return guarded(__func__, [&] {
    const auto object = object_of<EngineObject>(handle);
    check_struct(stats, "stats");
    const qwen3::EngineStats now = object->engine.stats();
    auto out = defaults<qwen3_engine_stats>();
    out.n_running = now.n_running;
    out.n_waiting = now.n_waiting;
    out.n_blocks = now.n_blocks;
    out.n_free_blocks = now.n_free_blocks;
    out.n_steps = now.n_steps;
    out.n_preemptions = now.n_preemptions;
    out.prompt_tokens = now.prompt_tokens;
    out.cached_tokens = now.cached_tokens;
    out.generated_tokens = now.generated_tokens;
    out.max_model_len = object->engine.max_model_len();
    write_struct(out, stats);
    return QWEN3_OK;
  });
}

qwen3_status qwen3_model_sampling(qwen3_model handle,
                                  int32_t draw_when_silent,
                                  qwen3_sampling* sampling) {
  return guarded(__func__, [&] {
    const auto model = object_of<ModelObject>(handle);
    check_struct(sampling, "sampling");
    write_struct(write_sampling(with_defaults(
                     model->need_weights()->generation_defaults(),
                     draw_when_silent != 0 ? qwen3::DoSample::yes : qwen3::DoSample::no)),
                 sampling);
    return QWEN3_OK;
  });
}
