#include "model/moe.h"

namespace qwen3 {

void moe(const Tensor& x, const Norm& norm, const MoeWeights& w, Run& run) {
  const Buffers& b = run.buffers;
  const Routing routing = run.next_routing();
  const auto renormalise =
      run.config.norm_topk_prob ? Backend::Renormalise::yes : Backend::Renormalise::no;
  run.showing({"post_attention_layernorm", "router_logits", "routing_weights", "selected_experts"},
              [&] {
                // h = norm(x), logits = h · routerᵀ          [n_tokens, num_experts]
                // routing = the best of softmax(logits)      [n_tokens, num_experts_per_tok]
                run.ops.norm_route(routing, b.router_logits, b.h, x, norm, w.router, renormalise);
              });
  if (run.windows != nullptr) return run.sum_experts_and_add(x, routing, w, "output");
  const bool show_experts = run.wants("experts");
  if (show_experts || run.wants("output")) {
    run.showing({"experts"}, [&] { run.ops.experts_sum(b.product, b.h, w.experts, routing); });
    run.tap("output", b.product);
  }
  // The same operation, listener or not, so that its bits are the same on every backend.
  run.ops.experts_add(x, b.h, w.experts, routing);
}

}  // namespace qwen3
