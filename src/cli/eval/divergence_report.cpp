#include "cli/eval/divergence_report.h"

#include <fmt/format.h>

#include <optional>

#include "cli/eval/text_options.h"

namespace qwen3::cli {

std::string divergence_report(const Divergence& d) {
  std::string text;
  text +=
      fmt::format("mean KL(P‖Q)         {} nats\n", with_error(d.kl.mean(), d.kl.standard_error()));
  text += fmt::format("median, 90 %, 99 %   {:.5g}, {:.5g}, {:.5g}\n",
                      d.kl_quantile(0.5),
                      d.kl_quantile(0.9),
                      d.kl_quantile(0.99));
  text += fmt::format("largest              {:.5g}\n", d.kl_quantile(1));
  const auto same_error = d.same_top.standard_error();
  text += fmt::format("same top token       {} %\n",
                      with_error(100 * d.same_top.mean(),
                                 same_error ? std::optional(100 * *same_error) : std::nullopt));
  text += fmt::format("perplexity of P      {}\n",
                      with_error(d.p.perplexity(), d.p.perplexity_error()));
  text += fmt::format("perplexity of Q      {}\n",
                      with_error(d.q.perplexity(), d.q.perplexity_error()));
  text += fmt::format("Q - P                {:.5g} in perplexity, {} nats per token\n",
                      d.q.perplexity() - d.p.perplexity(),
                      with_error(d.nll_difference.mean(), d.nll_difference.standard_error()));
  text += fmt::format("scored               {} of {} tokens in {} windows of up to {}, stride {}\n",
                      d.kl.count(),
                      d.p.n_tokens,
                      d.p.n_windows,
                      d.p.context,
                      d.p.stride);
  return text;
}

}  // namespace qwen3::cli
