#include "eval/likelihood/perplexity.h"

#include <cmath>
#include <numbers>
#include <vector>

#include "eval/likelihood/logit_rows.h"
#include "qwen3/logits.h"

namespace qwen3 {
namespace {

// Adds -ln p of each target of the window.
void score_window(const std::shared_ptr<Model>& model,
                  std::span<const int32_t> ids,
                  const TextWindow& window,
                  const WindowOptions& options,
                  BlockMean& nll) {
  nll.begin_block();
  const auto part = ids.subspan(static_cast<size_t>(window.begin),
                                static_cast<size_t>(window.end - window.begin));
  // The last token predicts nothing that is scored here.
  const auto seen = part.first(part.size() - 1);
  const int64_t first_row = window.first_target - window.begin - 1;
  LogitStream stream(model, {seen.begin(), seen.end()}, first_row, options.kv_dtype);
  while (const auto rows = stream.next()) {
    for (int64_t i = 0; i < rows->n_rows; ++i) {
      const auto row = rows->row(i);
      const int64_t position = rows->first_row + i;
      const auto target = static_cast<size_t>(part[static_cast<size_t>(position) + 1]);
      const double total = log_sum_exp(row, row_maximum(row).value, window.begin + position);
      nll.add(total - row[target]);
    }
    // The last rows end the window, and with the last window nothing is left to stop.
    const int64_t done = window.begin + rows->first_row + rows->n_rows + 1;
    if (options.progress) options.progress("scoring", done, static_cast<int64_t>(ids.size()));
  }
}

}  // namespace

double Perplexity::perplexity() const { return std::exp(nll.mean()); }

std::optional<double> Perplexity::perplexity_error() const {
  const auto error = nll.standard_error();
  return error ? std::optional(perplexity() * *error) : std::nullopt;
}

double Perplexity::bits_per_byte() const {
  return nll.sum() / (static_cast<double>(text.n_bytes) * std::numbers::ln2);
}

Perplexity measure_perplexity(const std::shared_ptr<Model>& model,
                              const Tokenizer& tokenizer,
                              std::span<const int32_t> ids,
                              const WindowOptions& options) {
  const WindowOptions resolved = resolve_windows(options, model->info().max_position_embeddings);
  const auto n_tokens = static_cast<int64_t>(ids.size());
  const std::vector<TextWindow> windows = sliding_windows(n_tokens, resolved);
  Perplexity result{.n_tokens = n_tokens,
                    .n_windows = static_cast<int64_t>(windows.size()),
                    .context = resolved.context,
                    .stride = resolved.stride,
                    .text = scored_text_size(tokenizer, ids, windows),
                    .nll = {}};
  for (const TextWindow& window : windows) {
    score_window(model, ids, window, options, result.nll);
  }
  return result;
}

Json perplexity_json(const Perplexity& result) {
  const auto per = [&](int64_t count) {
    return count > 0 ? Json(result.nll.sum() / static_cast<double>(count)) : Json();
  };
  return {{"perplexity", finite_or_null(result.perplexity())},
          {"perplexity_error", finite_or_null(result.perplexity_error())},
          {"nll_per_token", result.nll.mean()},
          {"nll_per_token_error", finite_or_null(result.nll.standard_error())},
          {"bits_per_token", result.nll.mean() / std::numbers::ln2},
          {"bits_per_byte", finite_or_null(result.bits_per_byte())},
          {"nll_per_word", per(result.text.n_words)},
          {"log_likelihood", -result.nll.sum()},
          {"tokens", result.n_tokens},
          {"scored_tokens", result.nll.count()},
          {"bytes", result.text.n_bytes},
          {"words", result.text.n_words},
          {"windows", result.n_windows},
          {"context", result.context},
          {"stride", result.stride}};
}

}  // namespace qwen3
