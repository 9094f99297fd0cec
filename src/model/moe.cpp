#include "model/moe.h"

namespace qwen3 {

void moe(const Tensor& x, const Tensor& h, const MoeWeights& w, const HfConfig& c, Run& run) {
  const Tensor& logits = run.buffers.router_logits;  // [n_tokens, num_experts]
  const Routing& routing = run.buffers.routing;      // [n_tokens, num_experts_per_tok]
  run.ops.linear(logits, h, w.router);
  run.tap("router_logits", logits);
  run.ops.route_top_k(
      routing, logits, c.norm_topk_prob ? Backend::Renormalise::yes : Backend::Renormalise::no);
  run.tap("routing_weights", routing.weights);
  run.tap("selected_experts", routing.experts);
  const bool show_experts = run.wants("experts");
  if (show_experts || run.wants("output")) {
    const Tensor& output = run.buffers.product;  // the same sum on its own, for the tap
    run.ops.fill(output, 0);
    run.observing(show_experts, [&] { run.ops.experts_add(output, h, w.experts, routing); });
    run.tap("output", output);
  }
  // x takes the experts one by one, listener or not, so that its bits are the same.
  run.ops.experts_add(x, h, w.experts, routing);
}

}  // namespace qwen3
