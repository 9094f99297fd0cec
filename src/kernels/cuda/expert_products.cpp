#include "kernels/cuda/expert_products.h"

#include "tensor/storage.h"

namespace qwen3::cuda {
namespace {

ExpertLeaves leaves_of(const ExpertWeights& w) {
  ExpertLeaves leaves;
  if (!w.leaves) {  // one chain
    leaves.bounds[1] = int_of(w.gate_proj.n_matrices());
    leaves.end = 1;
    return leaves;
  }
  for (int i = 0; i <= kLeaves; ++i) leaves.bounds[i] = int_of(w.leaves.bound(i));
  leaves.begin = w.leaves.begin;
  leaves.end = w.leaves.end;
  return leaves;
}

// What lies between the launches. Of pairs; where those are few, they are sorted and summed by the way, and what is
// taken where it lies has no rows of its own.
struct Scratch {
  PairLists lists;
  Tensor rows, gate, down;

  Scratch(Arena& arena, const ExpertWeights& w, const ExpertRows& experts, int n_tokens) {
    const int64_t n_pairs = experts.n_pairs, n_experts = experts.n_experts;
    gate = arena.take(DType::bf16, {n_pairs, w.gate_proj.n_out()});
    if (sorts_by_the_way(n_tokens, experts.n_pairs, experts.n_experts)) return;
    const auto ints = [&](int64_t n) { return reinterpret_cast<int32_t*>(arena.take(n * 4)); };
    lists = {.offsets = ints(n_experts + 1),
             .active = ints(n_experts + 1),
             .tokens = ints(n_pairs),
             .pair_of = ints(n_pairs),
             .leaf_of = ints(n_pairs),
             .weights = reinterpret_cast<float*>(arena.take(n_pairs * 4))};
    if (!experts_have_few_rows(n_tokens, experts.n_pairs, experts.n_experts))
      rows = arena.take(DType::bf16, {n_pairs, w.gate_proj.n_in()});
    down = arena.take(DType::f32, {n_pairs, w.down_proj.n_out()});
  }
};

}  // namespace

void ExpertProducts::sum(const Tensor& x,
                         bool add,
                         const Tensor& h,
                         const ExpertWeights& w,
                         const Routing& routing,
                         Stream stream) {
  if (h.dim(0) == 0) return;
  LinearArgs up;
  up.n_rows = int_of(h.dim(0));
  ExpertRows& experts = up.experts;
  experts.n_experts = int_of(w.gate_proj.n_matrices());
  experts.n_pairs = int_of(routing.experts.numel());
  experts.routed = {.weights = routing.weights.f32(),
                    .experts = routing.experts.i32(),
                    .leaves = leaves_of(w),
                    .n_tokens = up.n_rows,
                    .top_k = int_of(routing.experts.dim(1))};
  Arena measure;
  Scratch(measure, w, experts, up.n_rows);
  const Storage view(scratch_.at_least<std::byte>(measure.used(), generation_),
                     measure.used(),
                     Place::device,
                     [](std::byte*, int64_t) {});
  Arena arena(view);
  const Scratch s(arena, w, experts, up.n_rows);
  experts.lists = s.lists;

  up.x = rows_of(h);
  up.n_in = int_of(w.gate_proj.n_in());
  up.parts[0] = part_of(s.gate, w.gate_proj);
  up.parts[1] = part_of(s.gate, w.up_proj);
  up.n_parts = 2;
  up.epilogue = Epilogue::silu_mul;

  const bool few = !s.down;
  LinearArgs down = up;
  down.x = rows_of(s.gate);
  down.n_in = int_of(w.down_proj.n_in());
  down.parts[0] = part_of(few ? x : s.down, w.down_proj);
  down.n_parts = 1;
  down.epilogue = few && add ? Epilogue::add : Epilogue::store;
  down.experts.gathered = true;

  if (few) {
    if (up.n_rows == 1 && token_experts(up, down, stream)) return;
    linear(up, stream);
    return expert_sums(down, stream);
  }
  sort_pairs(s.lists, experts.routed, stream);
  if (s.rows) {
    gather_pairs(s.rows.data(), up.x, s.lists, experts.n_experts, experts.n_pairs, up.n_in, stream);
    up.x = rows_of(s.rows);
    experts.gathered = true;
  }
  linear(up, stream);
  linear(down, stream);
  sum_experts(x.f32(), add, s.down.f32(), s.lists, experts.routed, int_of(x.dim(1)), stream);
}

}  // namespace qwen3::cuda
