// What a rank holds of every weight: rows of the projections that feed a head or a column, columns below
// its nodes, whole experts, rows of the vocabulary (model/weight_slots.h).
#include <algorithm>
#include <array>

#include "base/error.h"
#include "model/weight_slots.h"

namespace qwen3 {
namespace {

using Kind = WeightSlot::Kind;
using Split = WeightSlot::Split;

void set_rows(WeightSlot& slot, std::vector<Range> rows) {
  int64_t n = 0;
  for (const Range& range : rows) n += range.size();
  slot.rows = std::move(rows);
  slot.model_rows = slot.n_rows();
  slot.shape = slot.kind == Kind::vector ? Shape{n} : Shape{n, slot.shape[1]};
}

// Rows of the kv heads that the query heads of these rows read, neighbours joined.
std::vector<Range> kv_rows(const WeightSlot& slot, const HfConfig& c, Range query_rows) {
  const Range heads{query_rows.begin / c.head_dim, query_rows.end / c.head_dim};
  const HeadShare mine = head_share(c.num_attention_heads, slot.n_rows() / c.head_dim, heads);
  std::vector<Range> rows;
  for (const int64_t head : mine.kv_heads) {
    if (!rows.empty() && rows.back().end == head * c.head_dim) {
      rows.back().end += c.head_dim;
    } else {
      rows.push_back({head * c.head_dim, (head + 1) * c.head_dim});
    }
  }
  return rows;
}

std::vector<Range> rows_of(const WeightSlot& slot, const HfConfig& c, const Shard& shard) {
  const Range part = slot.shared == nullptr ? vocabulary_share(slot.n_rows(), shard)
                                            : share(slot.leaves, shard.leaves());
  if (part.empty()) return {};
  // Rows of k_proj and v_proj are shared out as the query heads are that read them.
  const bool by_head = slot.shared != nullptr && slot.n_rows() != slot.leaves.size;
  return by_head ? kv_rows(slot, c, part) : std::vector<Range>{part};
}

// The slots of the nodes that have columns.
void add_nodes(std::vector<WeightSlot>& to, const WeightSlot& slot, const Shard& shard) {
  SummedLinear& w = *slot.nodes;
  const std::array<Linear*, kMaxNodes> nodes{&w, &w.second};
  const std::vector<Range> ranges = nodes_of(shard.leaves());
  w.tree = SumTree(shard.size, slot.leaves);
  for (size_t i = 0; i < ranges.size(); ++i) {
    const Range columns = share(slot.leaves, ranges[i]);
    nodes[i]->leaves =
        slot.leaves.node(static_cast<int>(ranges[i].begin), static_cast<int>(ranges[i].end));
    if (columns.empty()) continue;
    WeightSlot node = slot;
    node.weight = &nodes[i]->weight;
    node.model_columns = slot.row_numel();
    node.columns = columns;
    node.leaves = nodes[i]->leaves;
    node.shape = {slot.n_rows(), columns.size()};
    to.push_back(std::move(node));
  }
}

void add_experts(std::vector<WeightSlot>& to, WeightSlot slot, const Shard& shard) {
  const Range leaves = shard.leaves();
  const Range experts = share(slot.leaves, leaves);
  if (slot.summed != nullptr) {
    slot.summed->begin = static_cast<int>(leaves.begin);
    slot.summed->end = static_cast<int>(leaves.end);
    *slot.tree = SumTree(shard.size, slot.leaves);
  }
  if (experts.empty()) return;
  slot.first_matrix = experts.begin;
  slot.shape = {experts.size(), slot.shape[1], slot.shape[2]};
  to.push_back(std::move(slot));
}

int64_t rows_in(const std::vector<Range>& rows) {
  int64_t n = 0;
  for (const Range& range : rows) n += range.size();
  return n;
}

}  // namespace

std::vector<WeightSlot> share_slots(const std::vector<WeightSlot>& slots,
                                    const HfConfig& config,
                                    const Shard& shard) {
  std::vector<WeightSlot> mine;
  for (const WeightSlot& slot : slots) {
    switch (slot.split) {
      case Split::none:
        mine.push_back(slot);
        break;
      case Split::rows: {
        std::vector<Range> rows = rows_of(slot, config, shard);
        if (rows.empty()) break;
        set_rows(mine.emplace_back(slot), std::move(rows));
        break;
      }
      case Split::columns:
        add_nodes(mine, slot, shard);
        break;
      case Split::experts:
        add_experts(mine, slot, shard);
        break;
    }
  }
  return mine;
}

HfConfig widest_share(const std::vector<WeightSlot>& slots, const HfConfig& config, int n_ranks) {
  int64_t n_heads = 0, n_kv_heads = 0, n_columns = 0;
  for (const WeightSlot& slot : slots) {
    if (slot.kind != Kind::matrix || slot.shared == nullptr) continue;
    int64_t most = 0;
    for (int rank = 0; rank < n_ranks; ++rank) {
      most = std::max(most, rows_in(rows_of(slot, config, {rank, n_ranks})));
    }
    if (slot.name.ends_with(".q_proj.weight")) n_heads = std::max(n_heads, most / config.head_dim);
    if (slot.name.ends_with(".k_proj.weight")) {
      n_kv_heads = std::max(n_kv_heads, most / config.head_dim);
    }
    if (slot.name.ends_with(".gate_proj.weight")) n_columns = std::max(n_columns, most);
  }
  HfConfig widest = config;
  widest.num_attention_heads = n_heads;
  widest.num_key_value_heads = n_kv_heads;
  widest.intermediate_size = n_columns;
  return widest;
}

}  // namespace qwen3
