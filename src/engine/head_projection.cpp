#include "engine/head_projection.h"

#include "engine/model_impl.h"

namespace qwen3 {

HeadProjection::HeadProjection(const Model& model, int64_t max_rows)
    : model_(model),
      max_rows_(max_rows),
      hidden_(take(model.shape().hidden_size)),
      normed_(take(model.shape().hidden_size)),
      logits_(take(model.shape().vocab_size)) {
  check_generates(impl_of(model));
}

Storage HeadProjection::take(int64_t features) const {
  return impl_of(model_).backend->allocate(max_rows_ * features * dtype_size(DType::f32));
}

Tensor HeadProjection::operator()(const Tensor& rows) {
  const Model::Impl& m = impl_of(model_);
  const auto view = [n = rows.dim(0)](const Storage& storage, int64_t features) {
    return Tensor(storage.data(), DType::f32, {n, features}, storage.place());
  };
  const Tensor hidden = view(hidden_, m.config.hidden_size);
  const Tensor normed = view(normed_, m.config.hidden_size);
  const Tensor logits = view(logits_, m.config.vocab_size);
  m.backend->upload(hidden, rows.data());
  m.backend->rms_norm(normed, hidden, m.weights.norm, static_cast<float>(m.config.rms_norm_eps));
  m.backend->linear(logits, normed, m.weights.lm_head);
  return m.backend->to_host(logits, on_host_);
}

}  // namespace qwen3
