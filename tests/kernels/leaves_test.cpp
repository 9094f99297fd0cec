// Sums in the order of their leaves (tensor/leaves.h): the tree against a model of its own, and the
// kernels against the tree. What n processes add up apart, each with its own columns or experts packed as
// matrices of their own, must have the bits of one process.
#include "tensor/leaves.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "kernels/cpu_testing.h"
#include "kernels/reference/reference_backend.h"
#include "support/random_blocks.h"

namespace qwen3::testing {
namespace {

using Sums = std::vector<float>;
using Node = std::pair<int, int>;  // leaves [first, second)
constexpr int kProcesses[] = {1, 2, 3, 4, 5, 6, 7, 8};

Sums plus(Sums a, const Sums& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

// The sum of a node: known, or that of its children. Nothing where all below is empty.
std::optional<Sums> tree(Node node, const std::function<std::optional<Sums>(Node)>& known) {
  if (auto sum = known(node)) return sum;
  const auto [begin, end] = node;
  if (end - begin == 1) return std::nullopt;
  const int middle = (begin + end) / 2;
  auto left = tree({begin, middle}, known), right = tree({middle, end}, known);
  return left && right ? plus(*left, *right) : left ? left : right;
}

// The largest nodes that process r of n owns alone.
std::vector<Node> nodes_of(int r, int n) {
  std::vector<Node> nodes;
  for (int begin = kLeaves * r / n, end = kLeaves * (r + 1) / n; begin < end;) {
    int size = kLeaves;
    while (begin % size != 0 || begin + size > end) size /= 2;
    nodes.emplace_back(begin, begin + size);
    begin += size;
  }
  return nodes;
}

// What n processes send each other, and what they make of it.
Sums of_processes(int n, const Leaves& leaves, const std::function<Sums(const Leaves&)>& node_sum) {
  std::map<Node, Sums> sent;
  for (int r = 0; r < n; ++r) {
    const std::vector<Node> nodes = nodes_of(r, n);
    EXPECT_LE(nodes.size(), n == 3 || n == 5 ? 2u : 1u);
    for (const auto& [begin, end] : nodes) {
      const Leaves node = leaves.node(begin, end);
      if (node.count() > 0) sent[{begin, end}] = node_sum(node);
    }
  }
  return *tree({0, kLeaves}, [&](Node node) {
    const auto found = sent.find(node);
    return found == sent.end() ? std::nullopt : std::optional(found->second);
  });
}

TEST(Leaves, AreWholeUnitsInOrderAndMayBeEmpty) {
  for (const auto& [size, unit] : std::vector<std::pair<int64_t, int64_t>>{{3072, 16},
                                                                           {25600, 256},
                                                                           {5120, 128},
                                                                           {5120, 256},
                                                                           {32, 32},
                                                                           {30, 2},
                                                                           {3, 1},
                                                                           {2500, 1024}}) {
    const Leaves leaves{size, unit};
    EXPECT_EQ(leaves.bound(0), 0);
    EXPECT_EQ(leaves.bound(kLeaves), size);
    int64_t end = 0;
    int n_merges = 0;
    const LeafSteps steps = leaf_steps(leaves, size);
    for (const LeafSteps::Step& step : steps.steps()) {
      EXPECT_EQ(step.begin, end);
      EXPECT_LT(step.begin, step.end);
      EXPECT_TRUE(step.end % unit == 0 || step.end == size);
      end = step.end;
      n_merges += step.n_merges;
    }
    EXPECT_EQ(end, size);
    EXPECT_EQ(n_merges, steps.n - 1);
  }
  EXPECT_EQ((Leaves{5120, 128}.bound(3)), 1920);
  EXPECT_EQ((Leaves{5120, 256}.bound(3)), 1792);  // 20 units: 2, 3, 2, 3, …
  EXPECT_EQ(leaf_steps({32, 32}, 32).n, 1);
  EXPECT_EQ((Leaves{3072, 16, 2, 4}.count()), 768);
}

// Any number of processes, empty leaves too; and the ways to get it wrong are seen.
TEST(Leaves, AnyNumberOfProcessesGivesTheBitsOfOneAndOtherOrdersDoNot) {
  std::mt19937 random(1);
  int folds = 0, swaps = 0, halves = 0;
  for (int trial = 0; trial < 400; ++trial) {
    std::array<std::optional<Sums>, kLeaves> leaf;
    for (size_t i = 0; i < leaf.size(); ++i) {
      if (trial % 4 != 0 || random() % 3 != 0) leaf[i] = random_floats(1, random());
    }
    leaf[random() % kLeaves] = Sums{1.0f};
    const auto known = [&](Node node) {
      return node.second - node.first == 1 ? leaf[static_cast<size_t>(node.first)] : std::nullopt;
    };
    const Sums one = *tree({0, kLeaves}, known);
    for (const int n : kProcesses) {
      std::map<Node, std::optional<Sums>> sent;
      for (int r = 0; r < n; ++r) {
        for (const Node& node : nodes_of(r, n)) sent[node] = tree(node, known);
      }
      const auto there = [&](Node node) {
        const auto found = sent.find(node);
        return found == sent.end() ? std::nullopt : found->second;
      };
      EXPECT_EQ(*tree({0, kLeaves}, there), one) << n;
    }
    float fold = 0;
    for (const auto& sum : leaf) fold += sum ? (*sum)[0] : 0.0f;
    folds += fold != one[0] ? 1 : 0;
    std::swap(leaf[1], leaf[6]);
    swaps += *tree({0, kLeaves}, known) != one ? 1 : 0;
    std::swap(leaf[1], leaf[6]);
    float left = 0, right = 0;
    for (size_t i = 0; i < 4; ++i) left += leaf[i] ? (*leaf[i])[0] : 0.0f;
    for (size_t i = 4; i < 8; ++i) right += leaf[i] ? (*leaf[i])[0] : 0.0f;
    halves += left + right != one[0] ? 1 : 0;
  }
  EXPECT_GT(folds, 100);
  EXPECT_GT(swaps, 100);
  EXPECT_GT(halves, 100);
}

// Rows of a matrix as files have them, of any type.
struct Rows {
  WeightType type;
  int64_t n_out, n_in;
  std::vector<std::byte> bytes;

  // Columns [begin, end) as a matrix of their own, packed.
  Weight pack(const Backend& backend, int64_t begin, int64_t end, Storage& to) const {
    std::vector<std::byte> part;
    const int64_t row = row_bytes(type, n_in);
    for (int64_t r = 0; r < n_out; ++r) {
      const auto at = bytes.begin() + r * row;
      part.insert(part.end(), at + row_bytes(type, begin), at + row_bytes(type, end));
    }
    const Weight packed = allocate_weight(backend, type, {n_out, end - begin}, to);
    backend.pack_weight(packed, 0, {type, part.data(), n_out, end - begin}, 0);
    return packed;
  }
};

Rows make_rows(WeightType type, int64_t n_out, int64_t n_in, uint32_t seed) {
  Rows rows{type, n_out, n_in, {}};
  const int64_t n = n_out * n_in;
  if (is_plain(type)) {
    rows.bytes.resize(static_cast<size_t>(row_bytes(type, n)));
    const std::vector<float> values = random_floats(n, seed, 0.5f);
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t bits =
          type == WeightType::f16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
      if (type == WeightType::f32) {
        std::memcpy(rows.bytes.data() + i * 4, &values[i], 4);
      } else {
        std::memcpy(rows.bytes.data() + i * 2, &bits, 2);
      }
    }
    return rows;
  }
  rows.bytes = test::random_blocks(type, n, seed);
  for (size_t at = 0; at < rows.bytes.size(); at += static_cast<size_t>(block_of(type).bytes)) {
    const float scale_offset[2] = {0.01f, -0.25f};
    if (type == WeightType::affine4 || type == WeightType::affine8) {
      std::memcpy(rows.bytes.data() + at, scale_offset, sizeof scale_offset);
      std::memset(rows.bytes.data() + at + 8, 0, 4);
    }
    if (type == WeightType::mxfp4) rows.bytes[at] = std::byte{120};
  }
  return rows;
}

Sums product(Backend& backend, const Linear& w, Sums x, int64_t n_rows, int64_t stride) {
  const int64_t n_in = w.weight.n_in();
  Sums dense;
  for (int64_t t = 0; t < n_rows; ++t) {
    dense.insert(dense.end(), x.begin() + t * stride, x.begin() + t * stride + n_in);
  }
  Sums out(static_cast<size_t>(n_rows * w.weight.n_out()), NAN);
  backend.linear(
      Tensor::view(out, {n_rows, w.weight.n_out()}), Tensor::view(dense, {n_rows, n_in}), w);
  return out;
}

// `columns` of x from `begin` on.
Sums part(Backend& backend,
          const Rows& rows,
          const Leaves& node,
          bool with_leaves,
          const Sums& x,
          int64_t n_rows) {
  Storage packed;
  const Weight w = rows.pack(backend, node.first(), node.first() + node.count(), packed);
  const Sums from(x.begin() + node.first(), x.end());
  return product(backend, {w, {}, with_leaves ? node : Leaves{}}, from, n_rows, rows.n_in);
}

void expect_tree(Backend& backend, const Rows& rows, const Leaves& leaves, int64_t n_rows) {
  SCOPED_TRACE(::testing::Message() << weight_type_name(rows.type) << " k=" << rows.n_in << " unit "
                                    << leaves.unit << ", " << n_rows << " rows");
  // Enough room behind the last row for a part to be read with a stride.
  const Sums x = random_floats((n_rows + 1) * rows.n_in, 9);
  const Sums whole = part(backend, rows, leaves, true, x, n_rows);
  // The definition: a chain for each leaf, which is a product without leaves, and the tree.
  const auto chain = [&](Node node) -> std::optional<Sums> {
    const Leaves leaf = leaves.node(node.first, node.second);
    if (node.second - node.first != 1 || leaf.count() == 0) return std::nullopt;
    return part(backend, rows, leaf, false, x, n_rows);
  };
  EXPECT_EQ(whole, *tree({0, kLeaves}, chain));
  for (const int n : kProcesses) {
    EXPECT_EQ(whole,
              of_processes(
                  n,
                  leaves,
                  [&](const Leaves& node) { return part(backend, rows, node, true, x, n_rows); }))
        << n << " processes";
  }
  // Added to x at once.
  Storage packed;
  const Linear w{rows.pack(backend, 0, rows.n_in, packed), {}, leaves};
  Sums inputs(x.begin(), x.begin() + n_rows * rows.n_in);
  Sums added = random_floats(n_rows * rows.n_out, 3);
  const Sums expected = plus(added, whole);
  backend.linear_add(
      Tensor::view(added, {n_rows, rows.n_out}), Tensor::view(inputs, {n_rows, rows.n_in}), w);
  EXPECT_EQ(added, expected);
}

constexpr int64_t kOut = 70;  // panels by four, and one that is not whole

TEST(CpuLeaves, APlainProductIsTheTreeAndSoAreItsPartsTogether) {
  for (const CpuIsa isa : isas_here()) {
    SCOPED_TRACE(isa_name(isa));
    const auto backend = make_cpu_backend(2, isa);
    for (const WeightType type : {WeightType::f32, WeightType::bf16, WeightType::f16}) {
      for (const auto& [n_in, unit] : std::vector<std::pair<int64_t, int64_t>>{
               {512, 16}, {640, 128}, {304, 16}, {30, 2}, {48, 16}, {33, 33}}) {
        const Rows rows = make_rows(type, kOut, n_in, 1);
        for (const int64_t n_rows : {1, 2, 7, 40}) {
          expect_tree(*backend, rows, {n_in, unit}, n_rows);
        }
      }
    }
  }
}

TEST(CpuLeaves, AProductOfBlocksIsTheTreeAndSoAreItsPartsTogether) {
  for (const CpuIsa isa : isas_here()) {
    SCOPED_TRACE(isa_name(isa));
    const auto backend = make_cpu_backend(2, isa);
    for (int i = 0; i < kWeightTypes; ++i) {
      const auto type = static_cast<WeightType>(i);
      if (is_plain(type) || backend->kept_type(type, 256) != type) continue;
      const int64_t unit = block_of(type).elements;
      for (const int64_t n_units : {10, 3}) {
        const Rows rows = make_rows(type, kOut, n_units * unit, 1);
        for (const int64_t n_rows : {1, 9}) {
          expect_tree(*backend, rows, {n_units * unit, unit}, n_rows);
        }
      }
    }
  }
}

TEST(CpuLeaves, ARowsBitsAreItsOwnInAnyBatchAndOnAnyThreads) {
  constexpr int64_t kIn = 416, kRows = 150;
  const Leaves leaves{kIn, 16};
  for (const CpuIsa isa : isas_here()) {
    SCOPED_TRACE(isa_name(isa));
    const auto backend = make_cpu_backend(2, isa), other = make_cpu_backend(5, isa);
    for (const WeightType type : {WeightType::f32, WeightType::bf16, WeightType::q8_0}) {
      const Rows rows = make_rows(type, 200, kIn, 1);
      Storage packed;
      const Linear w{rows.pack(*backend, 0, kIn, packed),
                     {},
                     type == WeightType::q8_0 ? Leaves{kIn, 32} : leaves};
      const Sums x = random_floats(kRows * kIn, 2);
      const Sums all = product(*backend, w, x, kRows, kIn);
      for (const int64_t count : {1, 2, 3, 5, 7, 16, 17, 24, 25, 33, 127}) {
        const Sums last(x.end() - count * kIn, x.end());
        const Sums some = product(count % 2 == 0 ? *other : *backend, w, last, count, kIn);
        EXPECT_TRUE(same_bits(some.data(), all.data() + (kRows - count) * 200, count * 200))
            << weight_type_name(type) << " " << count;
      }
    }
  }
}

TEST(ReferenceLeaves, AProductIsTheTreeAndSoAreItsPartsTogether) {
  const auto backend = make_reference_backend();
  for (const auto& [n_in, unit] :
       std::vector<std::pair<int64_t, int64_t>>{{512, 16}, {30, 2}, {48, 16}, {33, 33}}) {
    expect_tree(*backend, make_rows(WeightType::f32, 9, n_in, 1), {n_in, unit}, 3);
  }
}

// ---- experts ------------------------------------------------------------------------------------

struct Experts {
  static constexpr int64_t kHidden = 80, kInner = 48;
  int64_t n_experts;
  StoredWeight gate, up, down;

  Experts(const Backend& backend, WeightType type, int64_t n)
      : n_experts(n),
        gate(make_weight(backend, type, {n, kInner, kHidden}, 1)),
        up(make_weight(backend, type, {n, kInner, kHidden}, 2)),
        down(make_weight(backend, type, {n, kHidden, kInner}, 3)) {}

  // Those of a node.
  ExpertWeights of(const Leaves& node) const {
    const auto stack = [&](const Weight& w) {
      return Weight(w.data() + node.first() * w.format().bytes,
                    w.type(),
                    {node.count(), w.n_out(), w.n_in()},
                    w.format());
    };
    return {stack(gate.packed), stack(up.packed), stack(down.packed), node};
  }
};

void expect_experts(Backend& backend, WeightType type, int64_t n_experts, int64_t n_tokens) {
  SCOPED_TRACE(::testing::Message() << weight_type_name(type) << ", " << n_experts << " experts, "
                                    << n_tokens << " tokens");
  constexpr int64_t kHidden = Experts::kHidden;
  const int64_t top_k = std::min<int64_t>(n_experts, 4);
  const Experts experts(backend, type, n_experts);
  const Leaves leaves{n_experts, 1};
  std::mt19937 random(5);
  std::vector<int32_t> chosen;
  for (int64_t t = 0; t < n_tokens; ++t) {
    std::vector<int32_t> ids(static_cast<size_t>(n_experts));
    for (size_t e = 0; e < ids.size(); ++e) ids[e] = static_cast<int32_t>(e);
    std::shuffle(ids.begin(), ids.end(), random);
    chosen.insert(chosen.end(), ids.begin(), ids.begin() + top_k);
  }
  Sums weights = random_floats(n_tokens * top_k, 6), h = random_floats(n_tokens * kHidden, 7);
  const Routing routing{Tensor::view(weights, {n_tokens, top_k}),
                        Tensor(chosen.data(), DType::i32, {n_tokens, top_k})};
  const Tensor input = Tensor::view(h, {n_tokens, kHidden});
  const auto sum = [&](const Leaves& node, bool as_defined) {
    Sums out(static_cast<size_t>(n_tokens * kHidden), NAN);
    const Tensor to = Tensor::view(out, {n_tokens, kHidden});
    if (as_defined) {
      backend.Backend::experts_sum(to, input, experts.of(node), routing);
    } else {
      backend.experts_sum(to, input, experts.of(node), routing);
    }
    return out;
  };
  const Sums whole = sum(leaves, false);
  EXPECT_TRUE(std::ranges::all_of(whole, [](float value) { return std::isfinite(value); }));
  EXPECT_EQ(whole, sum(leaves, true));
  for (const int n : kProcesses) {
    EXPECT_EQ(whole, of_processes(n, leaves, [&](const Leaves& node) { return sum(node, false); }))
        << n << " processes";
  }
  Sums added = random_floats(n_tokens * kHidden, 8);
  const Sums expected = plus(added, whole);
  backend.experts_add(Tensor::view(added, {n_tokens, kHidden}), input, experts.of(leaves), routing);
  EXPECT_EQ(added, expected);
}

TEST(CpuLeaves, ExpertsAreTheTreeOfTheirLeavesAndSoAreTheirPartsTogether) {
  for (const CpuIsa isa : isas_here()) {
    SCOPED_TRACE(isa_name(isa));
    const auto backend = make_cpu_backend(2, isa);
    for (const WeightType type : {WeightType::f32, WeightType::bf16}) {
      for (const int64_t n_experts : {3, 11, 64}) {
        for (const int64_t n_tokens : {1, 40}) expect_experts(*backend, type, n_experts, n_tokens);
      }
    }
  }
}

TEST(ReferenceLeaves, ExpertsAreTheTreeOfTheirLeavesAndSoAreTheirPartsTogether) {
  const auto backend = make_reference_backend();
  for (const int64_t n_experts : {3, 11}) expect_experts(*backend, WeightType::f32, n_experts, 5);
}

// Many rows and features: tasks of several panels, whose sums take turns.
TEST(CpuLeaves, ManyTokensOfExpertsHaveTheBitsOfEachAlone) {
  const auto backend = make_cpu_backend(2, isas_here().back());
  constexpr int64_t kTokens = 300, kWide = 784, kInner = 64, kExperts = 16, kTopK = 2;
  const StoredWeight gate = make_weight(*backend, WeightType::bf16, {kExperts, kInner, kWide}, 1);
  const StoredWeight up = make_weight(*backend, WeightType::bf16, {kExperts, kInner, kWide}, 2);
  const StoredWeight down = make_weight(*backend, WeightType::bf16, {kExperts, kWide, kInner}, 3);
  const ExpertWeights experts{gate.packed, up.packed, down.packed, {kExperts, 1}};
  Sums h = random_floats(kTokens * kWide, 4), weights = random_floats(kTokens * kTopK, 5);
  std::vector<int32_t> chosen;
  for (int32_t t = 0; t < kTokens; ++t) chosen.insert(chosen.end(), {t % 16, (t * 5 + 1) % 16});
  for (size_t i = 0; i < chosen.size(); i += 2) {
    if (chosen[i] == chosen[i + 1]) chosen[i + 1] = (chosen[i] + 1) % 16;
  }
  const auto sum = [&](int64_t first, int64_t n) {
    Sums out(static_cast<size_t>(n * kWide), NAN);
    const Tensor shares = Tensor::view(weights, {kTokens, kTopK});
    const Tensor ids(chosen.data(), DType::i32, {kTokens, kTopK});
    backend->experts_sum(Tensor::view(out, {n, kWide}),
                         Tensor::view(h, {kTokens, kWide}).rows(first, n),
                         experts,
                         {shares.rows(first, n), ids.rows(first, n)});
    return out;
  };
  const Sums all = sum(0, kTokens);
  for (const int64_t t : {0, 1, 77, 299}) {
    const Sums alone = sum(t, 1);
    EXPECT_TRUE(same_bits(alone.data(), all.data() + t * kWide, kWide)) << t;
  }
}

}  // namespace
}  // namespace qwen3::testing
