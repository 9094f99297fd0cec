// The defaults of the structs, and the functions that set them.
#include "capi/structs.h"

#include "qwen3/engine.h"

namespace qwen3::capi {

template <>
qwen3_model_options defaults() {
  qwen3_model_options value{};
  value.backend = value.dtype = "auto";
  value.hf_overrides = "";
  return value;
}

template <>
qwen3_model_info defaults() {
  qwen3_model_info value{};
  value.name = value.model_type = value.dtype = value.backend = "";
  return value;
}

template <>
qwen3_chat_options defaults() {
  qwen3_chat_options value{};
  value.thinking = -1;
  value.add_generation_prompt = 1;
  return value;
}

template <>
qwen3_chat_view defaults() {
  return {};
}

template <>
qwen3_sampling defaults() {
  const SamplingParams params;
  qwen3_sampling value{};
  value.temperature = params.temperature;
  value.top_p = params.top_p;
  value.repetition_penalty = params.repetition_penalty;
  value.max_tokens = params.max_tokens;
  value.n_logprobs = params.n_logprobs;
  return value;
}

template <>
qwen3_request defaults() {
  qwen3_request value{};
  value.skip_special_tokens = 1;
  value.n_prompt_logprobs = -1;
  value.timeout_ms = -1;
  return value;
}

template <>
qwen3_event defaults() {
  qwen3_event value{};
  value.token_id = -1;
  value.finish = QWEN3_FINISH_NONE;
  value.matched_stop = -1;
  value.text = value.reasoning = value.error = "";
  return value;
}

template <>
qwen3_result defaults() {
  qwen3_result value{};
  value.finish = QWEN3_FINISH_NONE;
  value.matched_stop = -1;
  value.text = value.reasoning = value.error = "";
  return value;
}

template <>
qwen3_engine_options defaults() {
  const EngineOptions options;
  qwen3_engine_options value{};
  value.kv_dtype = "auto";
  value.max_batch_tokens = options.max_batch_tokens;
  value.max_sequences = options.max_sequences;
  value.max_waiting = options.max_waiting;
  value.prefix_cache = options.prefix_cache ? 1 : 0;
  return value;
}

template <>
qwen3_engine_stats defaults() {
  return {};
}

template <>
qwen3_tensor defaults() {
  qwen3_tensor value{};
  value.name = "";
  return value;
}

template <>
qwen3_forward_options defaults() {
  qwen3_forward_options value{};
  value.logits = 1;
  return value;
}

}  // namespace qwen3::capi

using qwen3::capi::init_struct;

void qwen3_model_options_init(qwen3_model_options* o, size_t size) { init_struct(o, size); }
void qwen3_model_info_init(qwen3_model_info* o, size_t size) { init_struct(o, size); }
void qwen3_chat_options_init(qwen3_chat_options* o, size_t size) { init_struct(o, size); }
void qwen3_chat_view_init(qwen3_chat_view* o, size_t size) { init_struct(o, size); }
void qwen3_sampling_init(qwen3_sampling* o, size_t size) { init_struct(o, size); }
void qwen3_request_init(qwen3_request* o, size_t size) { init_struct(o, size); }
void qwen3_event_init(qwen3_event* o, size_t size) { init_struct(o, size); }
void qwen3_result_init(qwen3_result* o, size_t size) { init_struct(o, size); }
void qwen3_engine_options_init(qwen3_engine_options* o, size_t size) { init_struct(o, size); }
void qwen3_engine_stats_init(qwen3_engine_stats* o, size_t size) { init_struct(o, size); }
void qwen3_tensor_init(qwen3_tensor* o, size_t size) { init_struct(o, size); }
void qwen3_forward_options_init(qwen3_forward_options* o, size_t size) { init_struct(o, size); }
