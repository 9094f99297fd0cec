// The NEON kernels against double precision, as a program of its own: it is cross-compiled with
// only the kernel files and run under emulation (neon_check.cmake), where the test library is not
// at hand. On AArch64 itself the ordinary tests cover the same kernels through the backend.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/cpu/block_panels.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/kv_cache.h"
#include "support/random_blocks.h"
#include "tensor/dtype.h"

namespace qwen3::cpu {
namespace {

int g_failures = 0;

void check(const char* what, double got, double expected, double bound) {
  if (std::abs(got - expected) <= bound) return;
  if (++g_failures <= 20)
    std::printf("%s: got %.9g, expected %.9g, bound %.3g\n", what, got, expected, bound);
}

std::vector<float> random_floats(int64_t n, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = normal(generator);
  return values;
}

constexpr double kEps = 1.1920929e-7;

// Weights [n_out, n_in] in panels; type 0: f32, 1: bf16, 2: f16 (of values that f16 has exactly).
void check_linear(const KernelTable& table, int type, int64_t m, int64_t n_out, int64_t n_in) {
  const int64_t panels = (n_out + 15) / 16;
  const int64_t padded = (n_in + 1) / 2 * 2;
  const auto x = random_floats(m * n_in, 1);
  auto values = random_floats(n_out * n_in, 2);
  std::vector<float> packed_f32(static_cast<size_t>(panels * 16 * n_in));
  std::vector<uint16_t> packed_16(static_cast<size_t>(panels * 16 * padded));
  for (int64_t o = 0; o < n_out; ++o) {
    for (int64_t i = 0; i < n_in; ++i) {
      float& value = values[static_cast<size_t>(o * n_in + i)];
      const auto at16 =
          static_cast<size_t>((o / 16 * padded / 2 + i / 2) * 32 + o % 16 * 2 + i % 2);
      if (type == 0) packed_f32[static_cast<size_t>((o / 16 * n_in + i) * 16 + o % 16)] = value;
      if (type == 1) packed_16[at16] = f32_to_bf16(value);
      if (type == 1) value = bf16_to_f32(packed_16[at16]);
      if (type == 2) packed_16[at16] = static_cast<uint16_t>(0x2000 + (o * 131 + i * 977) % 0x2000);
      if (type == 2) value = f16_to_f32(packed_16[at16]);
    }
  }
  std::vector<float> out(static_cast<size_t>(m * n_out), NAN);
  LinearArgs args;
  args.x = x.data();
  args.x_stride = n_in;
  args.w = type == 0 ? static_cast<const void*>(packed_f32.data()) : packed_16.data();
  args.n_in = n_in;
  args.n_out = n_out;
  args.out = out.data();
  args.out_stride = n_out;
  const LinearKernel kernels[] = {table.linear_f32, table.linear_bf16, table.linear_f16};
  kernels[type](args, 0, m, 0, panels);
  for (int64_t t = 0; t < m; ++t) {
    for (int64_t o = 0; o < n_out; ++o) {
      double sum = 0, size = 0;
      for (int64_t i = 0; i < n_in; ++i) {
        const double product = double{x[static_cast<size_t>(t * n_in + i)]} *
                               values[static_cast<size_t>(o * n_in + i)];
        sum += product;
        size += std::abs(product);
      }
      check("linear",
            out[static_cast<size_t>(t * n_out + o)],
            sum,
            static_cast<double>(n_in) * kEps * size);
    }
  }
}

// Quantised weights, packed, and what they are worth.
struct BlockWeights {
  std::vector<std::byte> panels;
  std::vector<float> values;  // [n_out, n_in]
};
BlockWeights random_block_weights(WeightType type, int64_t n_out, int64_t n_in) {
  const std::vector<std::byte> file = test::random_blocks(type, n_out * n_in, 8);
  const WeightFormat format = block_format(type, n_out, n_in);
  BlockWeights weights;
  weights.panels.resize(static_cast<size_t>(format.bytes));
  const Weight packed(weights.panels.data(), type, {n_out, n_in}, format);
  pack_blocks(packed, {type, file.data(), n_out, n_in}, 0);
  weights.values.resize(static_cast<size_t>(n_out * n_in));
  for (int64_t o = 0; o < n_out; ++o) read_block_row(weights.values.data() + o * n_in, packed, o);
  return weights;
}

std::vector<float> block_product(const KernelTable& table,
                                 WeightType type,
                                 const BlockWeights& weights,
                                 const std::vector<uint8_t>& x,
                                 int64_t m,
                                 int64_t n_out,
                                 int64_t n_in) {
  std::vector<float> out(static_cast<size_t>(m * n_out), NAN);
  LinearArgs args;
  args.x = x.data();
  args.x_stride = activation_row_bytes(n_in);
  args.w = weights.panels.data();
  args.n_in = n_in;
  args.n_out = n_out;
  args.out = out.data();
  args.out_stride = n_out;
  table.linear_blocks[static_cast<int>(*blocks_of(type))](args, 0, m, 0, (n_out + 15) / 16);
  return out;
}

// Against double precision; and any number of rows, on every instruction set, gives each row's bits.
void check_blocks(WeightType type) {
  constexpr int64_t kRows = 7, kOut = 33, kIn = 512;
  const BlockWeights weights = random_block_weights(type, kOut, kIn);
  const auto rows = random_floats(kRows * kIn, 9);
  const KernelTable& first = *kernel_table(CpuIsa::neon);
  const int64_t stride = activation_row_bytes(kIn);
  std::vector<uint8_t> x(static_cast<size_t>(kRows * stride));
  for (int64_t t = 0; t < kRows; ++t) {
    first.quantise_row(x.data() + t * stride, rows.data() + t * kIn, kIn);
  }
  const std::vector<float> expected = block_product(first, type, weights, x, kRows, kOut, kIn);
  for (int64_t t = 0; t < kRows; ++t) {
    const auto* codes = reinterpret_cast<const int8_t*>(x.data() + t * stride);
    const auto* groups = reinterpret_cast<const ActivationGroup*>(codes + kIn);
    for (int64_t o = 0; o < kOut; ++o) {
      double sum = 0, size = 0;
      for (int64_t i = 0; i < kIn; ++i) {
        const double product = double{groups[i / 32].scale} * codes[i] *
                               weights.values[static_cast<size_t>(o * kIn + i)];
        sum += product;
        size += std::abs(product);
      }
      check(weight_type_name(type).data(),
            expected[static_cast<size_t>(t * kOut + o)],
            sum,
            8 * (kIn / 16 + 8) * kEps * size);
    }
  }
  for (const CpuIsa isa :
       {CpuIsa::baseline, CpuIsa::neon, CpuIsa::neon_dotprod, CpuIsa::neon_i8mm}) {
    for (int64_t m = 1; m <= kRows; ++m) {
      const std::vector<float> got =
          block_product(*kernel_table(isa), type, weights, x, m, kOut, kIn);
      if (std::memcmp(got.data(), expected.data(), got.size() * 4) == 0) continue;
      if (++g_failures <= 20) {
        std::printf("%s: instruction set %d gives other bits with %d rows\n",
                    weight_type_name(type).data(),
                    static_cast<int>(isa),
                    static_cast<int>(m));
      }
    }
  }
}

template <typename T>
void check_attention(const KernelTable& table, int64_t head_dim, int64_t n_keys) {
  constexpr bool kBf16 = sizeof(T) == 2;
  const int64_t n_groups = (n_keys + 15) / 16;
  std::vector<T> k_cache(static_cast<size_t>(n_groups * kv_group_size(head_dim)));
  std::vector<T> v_cache(k_cache.size());
  std::memset(k_cache.data(), 0xFF, k_cache.size() * sizeof(T));  // NaN where nothing is stored
  std::memset(v_cache.data(), 0xFF, v_cache.size() * sizeof(T));
  AttentionArgs args;
  args.kv = {k_cache.data(), v_cache.data(), 16, 1, head_dim};
  std::vector<int32_t> blocks;
  for (int64_t g = 0; g < n_groups; ++g) blocks.push_back(static_cast<int32_t>(n_groups - 1 - g));
  args.block_table = blocks.data();
  args.scale = 0.2f;
  const auto q = random_floats(head_dim, 3);
  auto k = random_floats(n_keys * head_dim, 4);
  auto v = random_floats(n_keys * head_dim, 5);
  for (int64_t j = 0; j < n_keys; ++j) {
    (kBf16 ? table.kv_store_bf16 : table.kv_store_f32)(
        args.kv,
        blocks[static_cast<size_t>(j / 16)] * 16 + j % 16,
        0,
        k.data() + j * head_dim,
        v.data() + j * head_dim);
  }
  if (kBf16) {
    for (float& x : k) x = bf16_to_f32(f32_to_bf16(x));
    for (float& x : v) x = bf16_to_f32(f32_to_bf16(x));
  }
  std::vector<float> state(static_cast<size_t>(attention_state_size(head_dim)));
  std::vector<float> scratch(static_cast<size_t>(attention_scratch_bytes(head_dim) / 4));
  args.states = state.data();
  args.scratch = scratch.data();
  args.n_rows = 1;
  args.rows[0] = {q.data(), 0, n_keys};
  (kBf16 ? table.attend_bf16 : table.attend_f32)(args, 0, 1024);
  std::vector<float> out(static_cast<size_t>(head_dim));
  table.finish_state(out.data(), state.data(), head_dim);

  std::vector<double> p;
  double total = 0;
  for (int64_t j = 0; j < n_keys; ++j) {
    double score = 0;
    for (int64_t d = 0; d < head_dim; ++d) {
      score += double{q[static_cast<size_t>(d)]} * k[static_cast<size_t>(j * head_dim + d)];
    }
    p.push_back(std::exp(score * double{0.2f}));
    total += p.back();
  }
  for (int64_t d = 0; d < head_dim; ++d) {
    double sum = 0, size = 0;
    for (int64_t j = 0; j < n_keys; ++j) {
      const double term =
          p[static_cast<size_t>(j)] / total * v[static_cast<size_t>(j * head_dim + d)];
      sum += term;
      size += std::abs(term);
    }
    check("attention",
          out[static_cast<size_t>(d)],
          sum,
          static_cast<double>(head_dim * 8 + n_keys) * kEps * size);
  }
}

void check_rows(const KernelTable& table) {
  const int64_t n = 77;
  const auto x = random_floats(n, 6);
  const auto y = random_floats(n, 7);
  std::vector<float> out(static_cast<size_t>(n));
  table.rms_norm_row(out.data(), x.data(), y.data(), n, 1e-6f);
  double squares = 0;
  for (const float value : x) squares += double{value} * value;
  const double factor = 1 / std::sqrt(squares / static_cast<double>(n) + 1e-6);
  for (size_t i = 0; i < out.size(); ++i) {
    check("rms_norm", out[i], x[i] * factor * y[i], 50 * kEps * std::abs(x[i] * factor * y[i]));
  }
  table.silu_mul(out.data(), x.data(), y.data(), n);
  for (size_t i = 0; i < out.size(); ++i) {
    const double truth = x[i] / (1 + std::exp(-double{x[i]})) * y[i];
    check("silu_mul", out[i], truth, 8 * kEps * std::abs(truth));
  }
  std::vector<uint16_t> rounded(80);
  table.round_row(rounded.data(), x.data(), n);
  for (size_t i = 0; i < x.size(); ++i) check("round_row", rounded[i], f32_to_bf16(x[i]), 0);
}

}  // namespace
}  // namespace qwen3::cpu

int main() {
  using namespace qwen3;
  for (const CpuIsa isa :
       {CpuIsa::baseline, CpuIsa::neon, CpuIsa::neon_dotprod, CpuIsa::neon_i8mm}) {
    const cpu::KernelTable* table = cpu::kernel_table(isa);
    if (table == nullptr) {
      std::printf("no kernels for instruction set %d\n", static_cast<int>(isa));
      return 1;
    }
    for (const int type : {0, 1, 2}) {
      cpu::check_linear(*table, type, 1, 16, 1);
      cpu::check_linear(*table, type, 7, 33, 31);
      cpu::check_linear(*table, type, 13, 100, 129);
    }
    for (const int64_t n_keys : {1, 31, 64, 257}) {
      cpu::check_attention<float>(*table, 20, n_keys);
      cpu::check_attention<uint16_t>(*table, 64, n_keys);
    }
    cpu::check_rows(*table);
  }
  for (int i = 0; i < kWeightTypes; ++i) {
    const auto type = static_cast<WeightType>(i);
    if (cpu::blocks_of(type) && !is_fp8(type)) cpu::check_blocks(type);
  }
  std::printf("%s\n", cpu::g_failures == 0 ? "passed" : "FAILED");
  return cpu::g_failures == 0 ? 0 : 1;
}
