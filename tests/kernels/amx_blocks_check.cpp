// The walk of block_amx.h through tiles, stages, leaves and rests, on processors without AMX
// (amx_model.h): bit for bit what registers give for each row alone. On a processor that has it,
// kernels_tests compares the same.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/amx_model.h"
#include "kernels/cpu/block_panels.h"
#include "support/random_blocks.h"
#include "tensor/leaves.h"
// After the model, whose functions it calls.
#include "kernels/cpu/isa/block_amx.h"

namespace qwen3::cpu {
namespace {

constexpr int64_t kOut = 70;  // two pairs of panels and one that is not full
int g_failures = 0;

struct Kernels {
  WeightType type;
  LinearKernel tiles, registers;
};
template <Blocks kBlocks>
constexpr Kernels kernels_of(WeightType type) {
  return {type, block_linear_amx<kBlocks>, block_linear<kBlocks>};
}
constexpr Kernels kFormats[] = {kernels_of<Blocks::q4_0>(WeightType::q4_0),
                                kernels_of<Blocks::q4_1>(WeightType::q4_1),
                                kernels_of<Blocks::q5_0>(WeightType::q5_0),
                                kernels_of<Blocks::q5_1>(WeightType::q5_1),
                                kernels_of<Blocks::q8_0>(WeightType::q8_0),
                                kernels_of<Blocks::q2_k>(WeightType::q2_k),
                                kernels_of<Blocks::q3_k>(WeightType::q3_k),
                                kernels_of<Blocks::q4_k>(WeightType::q4_k),
                                kernels_of<Blocks::q5_k>(WeightType::q5_k),
                                kernels_of<Blocks::q6_k>(WeightType::q6_k),
                                kernels_of<Blocks::iq4_nl>(WeightType::iq4_nl),
                                kernels_of<Blocks::iq4_xs>(WeightType::iq4_xs),
                                kernels_of<Blocks::mxfp4>(WeightType::mxfp4),
                                kernels_of<Blocks::affine4>(WeightType::affine4),
                                kernels_of<Blocks::affine8>(WeightType::affine8)};

// A packed matrix and rows for it.
struct Operands {
  std::vector<std::byte> panels;
  std::vector<uint8_t> x;
  int64_t n_in, x_stride;
};

std::vector<std::byte> random_panels(WeightType type, int64_t n_in, uint32_t seed) {
  const std::vector<std::byte> file = test::random_blocks(type, kOut * n_in, seed);
  const WeightFormat format = block_format(type, kOut, n_in);
  std::vector<std::byte> panels(static_cast<size_t>(format.bytes));
  pack_blocks(
      Weight(panels.data(), type, {kOut, n_in}, format), {type, file.data(), kOut, n_in}, 0);
  return panels;
}

Operands random_operands(WeightType type, int64_t n_rows, int64_t n_in) {
  Operands operands{random_panels(type, n_in, 1), {}, n_in, activation_row_bytes(n_in) + 64};
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  operands.x.resize(static_cast<size_t>(n_rows * operands.x_stride));
  std::vector<float> row(static_cast<size_t>(n_in));
  for (int64_t t = 0; t < n_rows; ++t) {
    for (float& value : row) value = normal(random);
    quantise_row(operands.x.data() + t * operands.x_stride, row.data(), n_in);
  }
  return operands;
}

// Rows [begin, end) of the product, by tiles or by registers.
std::vector<float> run(
    LinearKernel kernel, LinearArgs args, const Operands& o, int64_t begin, int64_t end) {
  std::vector<float> out(static_cast<size_t>((end - begin) * kOut), 0.25f);
  args.x = o.x.data() + begin * o.x_stride;
  args.x_stride = o.x_stride;
  args.w = o.panels.data();
  args.n_in = o.n_in;
  args.n_out = kOut;
  args.out = out.data();
  args.out_stride = kOut;
  kernel(args, 0, end - begin, 0, (kOut + kPanel - 1) / kPanel);
  return out;
}

void check(const char* what, const Kernels& format, const LinearArgs& args, const Operands& o) {
  const auto n_rows = static_cast<int64_t>(o.x.size()) / o.x_stride;
  const std::vector<float> together = run(format.tiles, args, o, 0, n_rows);
  for (int64_t t = 0; t < n_rows; ++t) {
    LinearArgs own = args;
    if (args.scales != nullptr) own.scales = args.scales + t;
    const std::vector<float> alone = run(format.registers, own, o, t, t + 1);
    for (int64_t i = 0; i < kOut; ++i) {
      const float got = together[static_cast<size_t>(t * kOut + i)];
      if (std::memcmp(&got, &alone[static_cast<size_t>(i)], 4) == 0) continue;
      if (++g_failures > 20) return;
      std::printf("%s, %s: row %d of %d, output %d, %d inputs: got %.9g, expected %.9g\n",
                  weight_type_name(format.type).data(),
                  what,
                  static_cast<int>(t),
                  static_cast<int>(n_rows),
                  static_cast<int>(i),
                  static_cast<int>(o.n_in),
                  static_cast<double>(got),
                  static_cast<double>(alone[static_cast<size_t>(i)]));
    }
  }
}

void check_format(const Kernels& format) {
  // The inputs of K blocks are whole 256s; others also end within a stage.
  const int64_t unit = block_of(format.type).elements;
  for (const int64_t n_rows : {7, 8, 13, 16, 20, 31, 33, 135, 150}) {
    check("store", format, {}, random_operands(format.type, n_rows, n_rows > 100 ? 256 : 768));
  }
  check("store", format, {}, random_operands(format.type, 16, unit));
  check("store", format, {}, random_operands(format.type, 24, 9 * unit));
  for (const int64_t n_in : {8 * unit, 11 * unit}) {
    const LeafSteps steps = leaf_steps(Leaves{n_in, unit}, n_in);
    std::vector<Leaf> leaves;
    for (const LeafSteps::Step& step : steps.steps()) {
      leaves.push_back({step.begin, step.end, step.n_merges});
    }
    LinearArgs args;
    args.leaves = leaves.data();
    args.n_leaves = static_cast<int64_t>(leaves.size());
    check("leaves", format, args, random_operands(format.type, 12, n_in));
    check("leaves", format, args, random_operands(format.type, 41, n_in));
  }
  const Operands o = random_operands(format.type, 27, 256);
  LinearArgs args;
  args.write = Write::add;
  check("add", format, args, o);
  const std::vector<float> scales(27, 0.3f);
  args.write = Write::add_scaled;
  args.scales = scales.data();
  check("add_scaled", format, args, o);
  const std::vector<std::byte> up = random_panels(format.type, 256, 3);
  args = {};
  args.write = Write::silu_mul;
  args.w_up = up.data();
  check("silu_mul", format, args, o);
}

}  // namespace
}  // namespace qwen3::cpu

int main() {
  using namespace qwen3::cpu;
  for (const Kernels& format : kFormats) check_format(format);
  std::printf("%s\n", g_failures == 0 ? "passed" : "FAILED");
  return g_failures == 0 ? 0 : 1;
}
