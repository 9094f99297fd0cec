#include <utility>

#include "engine/evaluate.h"
#include "engine/model_impl.h"
#include "qwen3/logits.h"

namespace qwen3 {

struct LogitStream::State {
  State(std::shared_ptr<Model> m,
        std::vector<int32_t> i,
        int64_t first_row,
        std::string_view kv_dtype)
      : model(std::move(m)),
        ids(std::move(i)),
        evaluation(*model, ids, {.kv_dtype = kv_dtype, .first_row = first_row}) {}

  std::shared_ptr<Model> model;
  std::vector<int32_t> ids;
  Evaluation evaluation;  // borrows the two above
};

LogitStream::LogitStream(std::shared_ptr<Model> model,
                         std::vector<int32_t> ids,
                         int64_t first_row,
                         std::string_view kv_dtype)
    : state_(std::make_unique<State>(std::move(model), std::move(ids), first_row, kv_dtype)) {}

LogitStream::~LogitStream() = default;
LogitStream::LogitStream(LogitStream&&) noexcept = default;
LogitStream& LogitStream::operator=(LogitStream&&) noexcept = default;

std::optional<LogitRows> LogitStream::next() {
  const std::optional<Evaluation::Rows> rows = state_->evaluation.next();
  if (!rows) return std::nullopt;
  const Tensor& logits = rows->logits;
  return LogitRows{.first_row = rows->first_row,
                   .n_rows = logits.dim(0),
                   .values = {logits.f32(), static_cast<size_t>(logits.numel())}};
}

}  // namespace qwen3
