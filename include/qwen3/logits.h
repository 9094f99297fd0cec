// LogitStream: the logits of one whole sequence, a few rows at a time, for measuring models:
// perplexity, divergence. Nothing is sampled.
//
//   qwen3::LogitStream stream(model, ids);
//   while (auto rows = stream.next()) use(rows->first_row, rows->row(0));
//
// The caller pulls, so that two streams (of two models, or of one) can go on side by side without
// either sequence's logits ever being in memory whole. A stream has a KV cache of its own, in
// float32 unless told otherwise, and may run beside an engine.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "qwen3/model.h"

namespace qwen3 {

// Row i holds the scores of every token of the vocabulary at position first_row + i + 1.
struct LogitRows {
  int64_t first_row = 0;
  int64_t n_rows = 0;
  std::span<const float> values;  // [n_rows, vocab_size]

  std::span<const float> row(int64_t i) const {
    const size_t size = values.size() / static_cast<size_t>(n_rows);
    return values.subspan(static_cast<size_t>(i) * size, size);
  }
};

class LogitStream {
 public:
  // Logits are computed for rows first_row … ids.size() - 1 only; the tokens before are context.
  // Throws Error{invalid_argument} for ids out of the vocabulary, no ids, more than the context
  // length, a first_row out of range, or an unknown kv_dtype (EngineOptions; auto: the most exact);
  // Error{out_of_memory} when buffers and cache do not fit.
  LogitStream(std::shared_ptr<Model> model,
              std::vector<int32_t> ids,
              int64_t first_row = 0,
              std::string_view kv_dtype = "auto");
  ~LogitStream();
  LogitStream(LogitStream&&) noexcept;
  LogitStream& operator=(LogitStream&&) noexcept;

  // The next rows, in order, at least one; empty after the last. Valid until the next call. Two
  // streams with equal ids, first_row and vocabulary size are cut at the same rows. One thread at a
  // time per stream; streams of one model may be used by several threads.
  std::optional<LogitRows> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qwen3
