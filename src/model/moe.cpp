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
  const bool show_experts = run.wants("experts");
  if (show_experts || run.wants("output")) {
    run.ops.fill(b.product, 0);  // the same sum on its own, for the tap
    run.showing({"experts"}, [&] { run.ops.experts_add(b.product, b.h, w.experts, routing); });
    run.tap("output", b.product);
  }
  // x takes the experts one by one, listener or not, so that its bits are the same.
  run.ops.experts_add(x, b.h, w.experts, routing);
}

}  // namespace qwen3
