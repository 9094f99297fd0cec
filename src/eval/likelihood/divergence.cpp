#include "eval/likelihood/divergence.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/error.h"
#include "eval/likelihood/logit_rows.h"
#include "qwen3/logits.h"

namespace qwen3 {
namespace {

struct TokenDivergence {
  double kl, p_nll, q_nll;
  bool same_top;
};

TokenDivergence compare_rows(std::span<const float> p,
                             std::span<const float> q,
                             int32_t target,
                             int64_t position) {
  const RowDivergence rows = row_divergence(p, q, position);
  const auto at = static_cast<size_t>(target);
  return {.kl = rows.kl,
          .p_nll = rows.p_total - p[at],
          .q_nll = rows.q_total - q[at],
          .same_top = rows.same_top};
}

void compare_window(const std::shared_ptr<Model>& p,
                    const std::shared_ptr<Model>& q,
                    std::span<const int32_t> ids,
                    const TextWindow& window,
                    const WindowOptions& options,
                    Divergence& result) {
  for (BlockMean* mean :
       {&result.kl, &result.nll_difference, &result.same_top, &result.p.nll, &result.q.nll}) {
    mean->begin_block();
  }
  const auto part = ids.subspan(static_cast<size_t>(window.begin),
                                static_cast<size_t>(window.end - window.begin));
  const auto seen = part.first(part.size() - 1);
  const int64_t first_row = window.first_target - window.begin - 1;
  LogitStream p_stream(p, {seen.begin(), seen.end()}, first_row);
  LogitStream q_stream(q, {seen.begin(), seen.end()}, first_row, options.kv_dtype);
  while (const auto p_rows = p_stream.next()) {
    const auto q_rows = q_stream.next();
    QWEN3_CHECK(
        q_rows && q_rows->first_row == p_rows->first_row && q_rows->n_rows == p_rows->n_rows,
        ErrorKind::internal,
        "divergence: the two models' rows are out of step");
    for (int64_t i = 0; i < p_rows->n_rows; ++i) {
      const int64_t position = p_rows->first_row + i;
      const TokenDivergence token = compare_rows(p_rows->row(i),
                                                 q_rows->row(i),
                                                 part[static_cast<size_t>(position) + 1],
                                                 window.begin + position);
      result.kl.add(token.kl);
      result.kl_sorted.push_back(static_cast<float>(token.kl));
      result.p.nll.add(token.p_nll);
      result.q.nll.add(token.q_nll);
      result.nll_difference.add(token.q_nll - token.p_nll);
      result.same_top.add(token.same_top ? 1 : 0);
    }
    const int64_t done = window.begin + p_rows->first_row + p_rows->n_rows + 1;
    if (options.progress) options.progress("comparing", done, static_cast<int64_t>(ids.size()));
  }
}

}  // namespace

double Divergence::kl_quantile(double at) const {
  const auto n = static_cast<double>(kl_sorted.size());
  const auto rank = static_cast<size_t>(std::clamp(std::ceil(at * n), 1.0, n));
  return kl_sorted[rank - 1];
}

void check_same_vocabulary(const Tokenizer& p, const Tokenizer& q) {
  const int32_t n = std::max(p.size(), q.size());
  for (int32_t id = 0; id < n; ++id) {
    QWEN3_CHECK(
        p.token_bytes(id) == q.token_bytes(id),
        ErrorKind::invalid_argument,
        "divergence: token {}: expected the same in both models; got {} and {}; only models "
        "with one vocabulary can be compared token by token",
        id,
        quote_for_message(p.token_bytes(id), 40),
        quote_for_message(q.token_bytes(id), 40));
  }
}

Divergence measure_divergence(const std::shared_ptr<Model>& p,
                              const std::shared_ptr<Model>& q,
                              const Tokenizer& tokenizer,
                              std::span<const int32_t> ids,
                              const WindowOptions& options) {
  QWEN3_CHECK(p->info().vocab_size == q->info().vocab_size,
              ErrorKind::invalid_argument,
              "divergence: expected two models with one vocabulary; got {} rows in the head of {} "
              "and {} in that of {}",
              p->info().vocab_size,
              p->info().name,
              q->info().vocab_size,
              q->info().name);
  const WindowOptions resolved = resolve_windows(
      options, std::min(p->info().max_position_embeddings, q->info().max_position_embeddings));
  const auto n_tokens = static_cast<int64_t>(ids.size());
  const std::vector<TextWindow> windows = sliding_windows(n_tokens, resolved);
  Divergence result;
  result.p = {.n_tokens = n_tokens,
              .n_windows = static_cast<int64_t>(windows.size()),
              .context = resolved.context,
              .stride = resolved.stride,
              .text = scored_text_size(tokenizer, ids, windows),
              .nll = {}};
  result.q = result.p;
  for (const TextWindow& window : windows) {
    compare_window(p, q, ids, window, options, result);
  }
  std::sort(result.kl_sorted.begin(), result.kl_sorted.end());
  return result;
}

Json divergence_json(const Divergence& result) {
  return {{"kl", finite_or_null(result.kl.mean())},
          {"kl_error", finite_or_null(result.kl.standard_error())},
          {"kl_median", finite_or_null(result.kl_quantile(0.5))},
          {"kl_90", finite_or_null(result.kl_quantile(0.9))},
          {"kl_99", finite_or_null(result.kl_quantile(0.99))},
          {"kl_max", finite_or_null(result.kl_quantile(1))},
          {"same_top", result.same_top.mean()},
          {"same_top_error", finite_or_null(result.same_top.standard_error())},
          {"nll_difference", finite_or_null(result.nll_difference.mean())},
          {"nll_difference_error", finite_or_null(result.nll_difference.standard_error())},
          {"perplexity_difference", finite_or_null(result.q.perplexity() - result.p.perplexity())},
          {"p", perplexity_json(result.p)},
          {"q", perplexity_json(result.q)}};
}

}  // namespace qwen3
