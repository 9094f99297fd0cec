// The walk of linear_amx.h through tiles, panels, leaves and tails, on processors without AMX
// (amx_model.h). What it cannot see is whether a processor's TDPBF16PS rounds as the manual says: on one
// that has it, kernels_tests does.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

#include "kernels/amx_model.h"
#include "tensor/dtype.h"
#include "tensor/leaves.h"
// After the model, whose functions it calls.
#include "kernels/cpu/isa/linear_kernel.h"
namespace qwen3::cpu {
namespace {
#if !defined(__AVX512BF16__)
// All that linear_amx.h asks of it.
struct Bf16DotProduct {
  using X = uint16_t;
};
#endif
}  // namespace
}  // namespace qwen3::cpu
#include "kernels/cpu/isa/linear_amx.h"

namespace qwen3::cpu {
namespace {

constexpr int64_t kOut = 70;
int g_failures = 0;

struct Product {
  std::vector<uint16_t> x;  // [n_rows, n_in]
  std::vector<uint16_t> w;  // [kOut, n_in]
  int64_t n_rows, n_in;
};

// Columns [begin, end), in panels of their own.
std::vector<float> multiply(const Product& p,
                            int64_t begin,
                            int64_t end,
                            const std::vector<Leaf>& leaves) {
  const int64_t n_panels = (kOut + kPanel - 1) / kPanel, n = end - begin, padded = (n + 1) / 2 * 2;
  std::vector<uint16_t> panels(static_cast<size_t>(n_panels * kPanel * padded));
  for (int64_t o = 0; o < kOut; ++o) {
    for (int64_t i = 0; i < n; ++i) {
      panels[static_cast<size_t>((o / 16 * padded / 2 + i / 2) * 32 + o % 16 * 2 + i % 2)] =
          p.w[static_cast<size_t>(o * p.n_in + begin + i)];
    }
  }
  std::vector<float> out(static_cast<size_t>(p.n_rows * kOut), NAN);
  LinearArgs args;
  args.x = p.x.data() + begin;
  args.x_stride = p.n_in;
  args.w = panels.data();
  args.n_in = n;
  args.n_out = kOut;
  args.leaves = leaves.data();
  args.n_leaves = static_cast<int64_t>(leaves.size());
  args.out = out.data();
  args.out_stride = kOut;
  linear_amx(args, 0, p.n_rows, 0, n_panels);
  return out;
}

std::vector<Leaf> kernel_leaves(const Leaves& leaves) {
  std::vector<Leaf> list;
  const LeafSteps steps = leaf_steps(leaves, leaves.count());
  for (const LeafSteps::Step& step : steps.steps()) {
    list.push_back({step.begin, step.end, step.n_merges});
  }
  return list;
}

// The chains of a node's leaves, which are products without leaves, added up as the tree says.
std::vector<float> tree(const Product& p, const Leaves& node) {
  if (node.end - node.begin == 1) {
    return node.count() == 0 ? std::vector<float>()
                             : multiply(p, node.first(), node.first() + node.count(), {});
  }
  const int middle = (node.begin + node.end) / 2;
  std::vector<float> left = tree(p, node.node(node.begin, middle));
  const std::vector<float> right = tree(p, node.node(middle, node.end));
  if (left.empty() || right.empty()) return left.empty() ? right : left;
  for (size_t i = 0; i < left.size(); ++i) left[i] += right[i];
  return left;
}

void check(const char* what, bool good, const Product& p, int64_t unit) {
  if (good) return;
  ++g_failures;
  std::printf("%s: %d rows, %d columns in units of %d\n",
              what,
              static_cast<int>(p.n_rows),
              static_cast<int>(p.n_in),
              static_cast<int>(unit));
}

void check_product(int64_t n_rows, int64_t n_in, int64_t unit) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const auto numbers = [&](int64_t n) {
    std::vector<uint16_t> values(static_cast<size_t>(n));
    for (uint16_t& value : values) value = f32_to_bf16(normal(random));
    return values;
  };
  const Product p{numbers(n_rows * n_in), numbers(kOut * n_in), n_rows, n_in};
  const Leaves leaves{n_in, unit};
  const std::vector<float> whole = multiply(p, 0, n_in, kernel_leaves(leaves));
  check("not the tree of its leaves", whole == tree(p, leaves), p, unit);
  for (const auto& [begin, end] : {std::pair(0, 4), {4, 8}, {2, 4}, {6, 8}}) {
    const Leaves node = leaves.node(begin, end);
    if (node.count() == 0) continue;
    const std::vector<float> alone =
        multiply(p, node.first(), node.first() + node.count(), kernel_leaves(node));
    check("not the sum of a node", alone == tree(p, node), p, unit);
  }
  for (int64_t t = 0; t < n_rows; ++t) {
    for (int64_t o = 0; o < kOut; ++o) {
      double sum = 0, size = 0;
      for (int64_t i = 0; i < n_in; ++i) {
        const double term = double{bf16_to_f32(p.x[static_cast<size_t>(t * n_in + i)])} *
                            double{bf16_to_f32(p.w[static_cast<size_t>(o * n_in + i)])};
        sum += term;
        size += std::abs(term);
      }
      const double bound = 1.2e-7 * static_cast<double>(n_in) * size;
      const double error =
          std::abs(static_cast<double>(whole[static_cast<size_t>(t * kOut + o)]) - sum);
      check("not the product", error <= bound, p, unit);
    }
  }
}

}  // namespace
}  // namespace qwen3::cpu

int main() {
  for (const int64_t n_rows : {1, 16, 21, 40}) {
    qwen3::cpu::check_product(n_rows, 512, 16);
    qwen3::cpu::check_product(n_rows, 640, 16);  // leaves of 80: half a tile is left over
    qwen3::cpu::check_product(n_rows, 1024, 128);
    qwen3::cpu::check_product(n_rows, 30, 2);
    qwen3::cpu::check_product(n_rows, 33, 33);
  }
  std::printf("%s\n", qwen3::cpu::g_failures == 0 ? "passed" : "FAILED");
  return qwen3::cpu::g_failures == 0 ? 0 : 1;
}
