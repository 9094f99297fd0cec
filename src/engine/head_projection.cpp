#include "engine/head_projection.h"

#include "engine/model_impl.h"
#include "model/logit_projection.h"

namespace qwen3 {

HeadProjection::HeadProjection(const Model& model, int64_t max_rows)
    : model_(model),
      normed_(max_rows * model.shape().hidden_size * dtype_size(DType::f32)),
      logits_(max_rows * model.shape().vocab_size * dtype_size(DType::f32)) {
  check_generates(impl_of(model));
}

Tensor HeadProjection::operator()(const Tensor& rows) const {
  const Model::Impl& m = impl_of(model_);
  const int64_t n = rows.dim(0);
  const Tensor normed(normed_.data(), DType::f32, {n, m.config.hidden_size});
  const Tensor logits(logits_.data(), DType::f32, {n, m.config.vocab_size});
  project_logits(logits, normed, rows, m.weights, m.config, *m.backend);
  return logits;
}

}  // namespace qwen3
