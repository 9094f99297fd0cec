#include "capi/model.h"

#include <utility>

#include "base/error.h"
#include "capi/structs.h"
#include "chat/text.h"
#include "formats/gguf_path.h"

namespace qwen3::capi {

const Text& ModelObject::need_text() const {
  QWEN3_CHECK(text.has_value(),
              ErrorKind::unsupported,
              "{}: has no tokenizer; give a checkpoint with tokenizer.json",
              name);
  return *text;
}

const std::shared_ptr<Model>& ModelObject::need_weights() const {
  QWEN3_CHECK(weights != nullptr,
              ErrorKind::unsupported,
              "{}: was opened with text_only; open it with its weights",
              name);
  return weights;
}

std::shared_ptr<const TokenTrie> ModelObject::trie() {
  std::call_once(trie_once_, [&] { trie_ = TokenTrie::make(tokenizer_of(need_text())); });
  return trie_;
}

namespace {

std::shared_ptr<ModelObject> open_model(const char* path, const qwen3_model_options& options) {
  check_given(path, "path");
  check_given(options.backend, "options.backend");
  check_given(options.dtype, "options.dtype");
  check_given(options.hf_overrides, "options.hf_overrides");
  auto model = std::make_shared<ModelObject>();
  model->name = model_name(path);
  const bool text_only = options.text_only != 0;
  QWEN3_CHECK(!text_only || *options.hf_overrides == 0,
              ErrorKind::invalid_argument,
              "options.hf_overrides: expected none with text_only, which reads no config.json");
  if (text_only || Text::available(path)) model->text.emplace(Text::load(path));
  if (!text_only) {
    model->weights = Model::load(path,
                                 {.backend = options.backend,
                                  .dtype = options.dtype,
                                  .n_threads = options.n_threads,
                                  .hf_overrides = options.hf_overrides});
  }
  return model;
}

void describe_weights(const Model& model, qwen3_model_info& out) {
  const ModelInfo& info = model.info();
  const ModelShape& shape = model.shape();
  out.model_type = info.model_type.c_str();
  out.dtype = info.dtype.c_str();
  out.backend = info.backend.c_str();
  out.n_parameters = info.n_parameters;
  out.n_active_parameters = info.n_active_parameters;
  out.weight_bytes = info.weight_bytes;
  out.kv_bytes_per_token = info.kv_bytes_per_token;
  out.vocab_size = info.vocab_size;
  out.hidden_size = shape.hidden_size;
  out.intermediate_size = shape.intermediate_size;
  out.num_hidden_layers = shape.num_hidden_layers;
  out.num_attention_heads = shape.num_attention_heads;
  out.num_key_value_heads = shape.num_key_value_heads;
  out.head_dim = shape.head_dim;
  out.max_position_embeddings = shape.max_position_embeddings;
  out.context_length = shape.context_length();
  out.num_experts = shape.num_experts;
  out.num_experts_per_tok = shape.num_experts_per_tok;
  out.moe_intermediate_size = shape.moe_intermediate_size;
  out.rms_norm_eps = shape.rms_norm_eps;
  out.rope_theta = shape.rope_theta;
  out.tie_word_embeddings = shape.tie_word_embeddings ? 1 : 0;
  out.has_weights = 1;
}

}  // namespace
}  // namespace qwen3::capi

using namespace qwen3::capi;

qwen3_status qwen3_model_open(const char* path,
                              const qwen3_model_options* options,
                              qwen3_model* model) {
  return guarded(__func__, [&] {
    check_given(model, "model");
    const auto read = read_optional_struct(options, "options");
    *model = new_handle<qwen3_model>(open_model(path, read));
    return QWEN3_OK;
  });
}

qwen3_status qwen3_model_close(qwen3_model model) {
  return guarded(__func__, [&] {
    close_handle<ModelObject>(model);
    return QWEN3_OK;
  });
}

qwen3_status qwen3_model_get_info(qwen3_model handle, qwen3_model_info* info) {
  return guarded(__func__, [&] {
    const auto model = object_of<ModelObject>(handle);
    check_struct(info, "info");
    auto out = defaults<qwen3_model_info>();
    out.name = model->name.c_str();
    if (model->weights != nullptr) describe_weights(*model->weights, out);
    if (model->text) {
      out.n_tokens = model->text->n_tokens();
      out.has_chat_template = model->text->has_chat_template() ? 1 : 0;
    }
    write_struct(out, info);
    return QWEN3_OK;
  });
}
