// Paged attention of the CPU backend against a double-precision softmax over the same keys, and its
// promise that a row's bits do not depend on chunks, company or threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kernels/cpu_testing.h"
#include "kernels/reference/reference_backend.h"

namespace qwen3::testing {
namespace {

// One sequence of n tokens with all its q, k, v; blocks are scattered in the cache.
struct Sequence {
  int64_t n_tokens;
  std::vector<float> q, k, v;
  std::vector<int32_t> blocks;
};

struct Geometry {
  DType type = DType::bf16;
  int64_t n_heads = 4, n_kv_heads = 2, head_dim = 32, block_size = 16;
  int64_t sliding_window = 0;
};

class Cache {
 public:
  Cache(Backend& backend, const Geometry& g, const std::vector<int64_t>& lengths) : g_(g) {
    int64_t n_blocks = 1;
    for (const int64_t n : lengths) n_blocks += (n + g.block_size - 1) / g.block_size;
    const int64_t bytes =
        backend.kv_bytes(g.type, n_blocks, g.block_size, g.n_kv_heads, g.head_dim);
    k_ = Storage(bytes);
    v_ = Storage(bytes);
    // NaN everywhere: whatever a row does not see must not reach it.
    std::memset(k_.data(), 0xFF, static_cast<size_t>(bytes));
    std::memset(v_.data(), 0xFF, static_cast<size_t>(bytes));
    const Shape shape = {n_blocks, g.block_size, g.n_kv_heads, g.head_dim};
    kv = {Tensor(k_.data(), g.type, shape), Tensor(v_.data(), g.type, shape)};

    std::vector<int32_t> order(static_cast<size_t>(n_blocks));
    std::iota(order.begin(), order.end(), 0);
    std::mt19937 generator(9);
    std::shuffle(order.begin(), order.end(), generator);
    size_t next = 0;
    uint32_t seed = 20;
    for (const int64_t n : lengths) {
      Sequence s;
      s.n_tokens = n;
      s.q = random_floats(n * g.n_heads * g.head_dim, seed++);
      s.k = random_floats(n * g.n_kv_heads * g.head_dim, seed++);
      s.v = random_floats(n * g.n_kv_heads * g.head_dim, seed++);
      for (int64_t i = 0; i < n; i += g.block_size) s.blocks.push_back(order[next++]);
      sequences.push_back(std::move(s));
    }
  }

  // Stores and attends tokens [begin, end) of the listed sequences in one batch; returns the rows.
  struct Chunk {
    size_t sequence;
    int64_t begin, end;
  };
  std::vector<float> run(Backend& backend, const std::vector<Chunk>& chunks) {
    const int64_t q_size = g_.n_heads * g_.head_dim;
    const int64_t kv_size = g_.n_kv_heads * g_.head_dim;
    std::vector<float> q, k, v;
    std::vector<int32_t> ids, positions, cu = {0}, kv_lens, tables;
    std::vector<int64_t> slots;
    size_t max_blocks = 0;
    for (const Chunk& c : chunks)
      max_blocks = std::max(max_blocks, sequences[c.sequence].blocks.size());
    for (const Chunk& c : chunks) {
      const Sequence& s = sequences[c.sequence];
      const auto append =
          [&](std::vector<float>& to, const std::vector<float>& from, int64_t size) {
            to.insert(to.end(), from.begin() + c.begin * size, from.begin() + c.end * size);
          };
      append(q, s.q, q_size);
      append(k, s.k, kv_size);
      append(v, s.v, kv_size);
      for (int64_t t = c.begin; t < c.end; ++t) {
        ids.push_back(0);
        positions.push_back(static_cast<int32_t>(t));
        slots.push_back(int64_t{s.blocks[static_cast<size_t>(t / g_.block_size)]} * g_.block_size +
                        t % g_.block_size);
      }
      cu.push_back(static_cast<int32_t>(ids.size()));
      kv_lens.push_back(static_cast<int32_t>(c.end));
      for (size_t i = 0; i < max_blocks; ++i)
        tables.push_back(i < s.blocks.size() ? s.blocks[i] : -1);
    }
    Batch batch;
    batch.token_ids = ids;
    batch.positions = positions;
    batch.slot_mapping = slots;
    batch.cu_seqlens_q = cu;
    batch.kv_lens = kv_lens;
    batch.block_tables = tables;
    batch.max_blocks_per_seq = static_cast<int64_t>(max_blocks);
    const int64_t n = batch.n_tokens();
    const BoundBatch bound = backend.bind(batch, Backend::Watched::no);
    backend.kv_store(kv,
                     Tensor::view(k, {n, g_.n_kv_heads, g_.head_dim}),
                     Tensor::view(v, {n, g_.n_kv_heads, g_.head_dim}),
                     bound);
    std::vector<float> out(q.size(), NAN);
    const Shape shape = {n, g_.n_heads, g_.head_dim};
    backend.attention(
        Tensor::view(out, shape), Tensor::view(q, shape), kv, bound, {scale(), g_.sliding_window});
    return out;
  }

  float scale() const { return 1.0f / std::sqrt(static_cast<float>(g_.head_dim)); }

  KvLayer kv;
  std::vector<Sequence> sequences;

 private:
  Geometry g_;
  Storage k_, v_;
};

std::string label(CpuIsa isa, const Geometry& g, int64_t n) {
  return std::string(isa_name(isa)) + " " + std::string(dtype_name(g.type)) + " heads " +
         std::to_string(g.n_heads) + "/" + std::to_string(g.n_kv_heads) + " dim " +
         std::to_string(g.head_dim) + " block " + std::to_string(g.block_size) + " window " +
         std::to_string(g.sliding_window) + " tokens " + std::to_string(n);
}

// What the cache makes of heads of head_dim numbers. Of 8 bits also: the sum of the scales of those
// rotated numbers that lie so near the middle between two integers that either is right, and the
// largest rotated magnitude.
struct StoredHeads {
  std::vector<float> values;
  std::vector<double> ties, largest;  // of each head
};

void rotate(std::vector<float>& x) {
  const size_t block = x.size() & -x.size();
  for (size_t distance = 1; distance < block; distance *= 2) {
    for (size_t i = 0; i < x.size(); ++i) {
      if ((i & distance) != 0) continue;
      const float a = x[i], b = x[i + distance];
      x[i] = a + b;
      x[i + distance] = a - b;
    }
  }
  for (float& value : x) value *= 1.0f / std::sqrt(static_cast<float>(block));
}

StoredHeads stored(const std::vector<float>& x, const Geometry& g) {
  StoredHeads out{x, {}, {}};
  for (float& value : out.values) {
    if (g.type == DType::bf16) value = bf16_to_f32(f32_to_bf16(value));
  }
  const auto size = static_cast<size_t>(g.head_dim);
  for (size_t at = 0; at < x.size(); at += size) {
    std::vector<float> head(x.begin() + static_cast<int64_t>(at),
                            x.begin() + static_cast<int64_t>(at + size));
    rotate(head);
    float largest = 0;
    for (const float value : head) largest = std::max(largest, std::abs(value));
    const float scale = largest / 127.0f;
    double ties = 0;
    for (float& value : head) {
      const double exact = double{value} / double{scale}, integer = std::nearbyint(exact);
      if (std::abs(std::abs(exact - integer) - 0.5) < 1e-4) ties += double{scale};
      value = scale * static_cast<float>(integer);
    }
    rotate(head);
    const bool q8 = g.type == DType::q8;
    if (q8) std::copy(head.begin(), head.end(), out.values.begin() + static_cast<int64_t>(at));
    out.ties.push_back(q8 ? ties : 0);
    out.largest.push_back(q8 ? double{largest} : 0);
  }
  return out;
}

// Bound: a score errs by delta <= (head_dim + 2)·eps·scale·Σ|q·k|, a probability relatively by
// 2·delta and, where it is rounded to bfloat16, by 2^-8; the sum over n keys adds n·eps. The
// rounded probabilities are divided by their own sum: what is left is Σ p·2^-8·|v - out|. Of 8 bits a
// query is rounded to 32767ths of its largest number, and so are the probabilities of 64 keys times the
// scales of their values; turning the sum back adds up the errors of head_dim numbers, divided by the
// root of that.
void compare(const Cache& cache, const Geometry& g, CpuIsa isa, const std::vector<float>& out) {
  const Sequence& s = cache.sequences[0];
  const bool dots = g.type == DType::bf16 && rounds_activations(isa, WeightType::bf16);
  const StoredHeads keys = stored(s.k, g), all_values = stored(s.v, g);
  const double root = std::sqrt(static_cast<double>(g.head_dim));
  Comparison comparison;
  for (int64_t t = 0; t < s.n_tokens; ++t) {
    const int64_t first = g.sliding_window > 0 ? std::max<int64_t>(0, t + 1 - g.sliding_window) : 0;
    for (int64_t head = 0; head < g.n_heads; ++head) {
      const int64_t kv_head = head / (g.n_heads / g.n_kv_heads);
      const float* q = s.q.data() + (t * g.n_heads + head) * g.head_dim;
      std::vector<double> scores;
      double delta = 0, q_largest = 0;
      if (g.type == DType::q8) {
        std::vector<float> rotated(q, q + g.head_dim);
        rotate(rotated);
        for (const float x : rotated) q_largest = std::max(q_largest, std::abs(double{x}));
      }
      for (int64_t j = first; j <= t; ++j) {
        const auto number = static_cast<size_t>(j * g.n_kv_heads + kv_head);
        const float* k = keys.values.data() + number * static_cast<size_t>(g.head_dim);
        double score = 0, size = 0;
        for (int64_t d = 0; d < g.head_dim; ++d) {
          const float qd = dots ? bf16_to_f32(f32_to_bf16(q[d])) : q[d];
          score += double{qd} * k[d];
          size += std::abs(double{qd} * k[d]);
        }
        scores.push_back(score * cache.scale());
        const double rounding = q_largest / 65534 * keys.largest[number] * root * root;
        delta = std::max(delta,
                         cache.scale() * (static_cast<double>(g.head_dim + 2) * kEps * size +
                                          keys.ties[number] * q_largest + rounding));
      }
      const double top = *std::max_element(scores.begin(), scores.end());
      double total = 0;
      for (double& score : scores) total += score = std::exp(score - top);
      // Of 8 bits: what rounding does to the sum of the values.
      double rounding = 0;
      for (int64_t j = first; j <= t && g.type == DType::q8;) {
        const int64_t end = std::min(t + 1, (j / 64 + 1) * 64), count = end - j;
        double largest = 0;
        for (; j < end; ++j) {
          const auto number = static_cast<size_t>(j * g.n_kv_heads + kv_head);
          const double p = scores[static_cast<size_t>(j - first)] / total;
          largest = std::max(largest, p * all_values.largest[number]);
          rounding += p * all_values.ties[number] / root;
        }
        rounding += static_cast<double>(count) * largest / 65534 * root;
      }
      for (int64_t d = 0; d < g.head_dim; ++d) {
        double sum = 0, size = 0;
        for (int64_t j = first; j <= t; ++j) {
          const float v =
              all_values.values[static_cast<size_t>((j * g.n_kv_heads + kv_head) * g.head_dim + d)];
          sum += scores[static_cast<size_t>(j - first)] / total * v;
          size += scores[static_cast<size_t>(j - first)] / total * std::abs(v);
        }
        double spread = 0;
        for (int64_t j = first; j <= t; ++j) {
          const float v =
              all_values.values[static_cast<size_t>((j * g.n_kv_heads + kv_head) * g.head_dim + d)];
          spread += 1.01 * scores[static_cast<size_t>(j - first)] / total * std::abs(v - sum);
        }
        const double relative = 2 * delta + static_cast<double>(t - first + 16) * kEps;
        const auto at = static_cast<size_t>((t * g.n_heads + head) * g.head_dim + d);
        const double of_turning = g.type == DType::q8 ? 16 * kEps * size * root : 0;
        comparison.look(at,
                        out[at],
                        sum,
                        relative * size + (dots ? kEpsBf16 * spread : 0) + rounding + of_turning);
      }
    }
  }
  comparison.expect("attention " + label(isa, g, s.n_tokens));
}

const std::vector<Geometry> kGeometries = {
    {DType::bf16, 4, 2, 32, 16, 0},
    {DType::f32, 4, 2, 32, 16, 0},
    {DType::bf16, 16, 8, 128, 32, 0},
    {DType::bf16, 7, 1, 64, 48, 0},   // an odd group
    {DType::f32, 3, 3, 20, 16, 0},    // no grouping, padded head_dim
    {DType::bf16, 30, 1, 16, 16, 0},  // a group larger than a tile
    {DType::bf16, 4, 2, 32, 16, 7},
    {DType::f32, 4, 4, 32, 32, 70},
    {DType::q8, 4, 2, 32, 16, 0},
    {DType::q8, 16, 8, 128, 32, 0},
    {DType::q8, 7, 1, 64, 48, 0},
    {DType::q8, 3, 3, 20, 16, 0},  // blocks of four
    {DType::q8, 30, 1, 16, 16, 70},
    {DType::q8, 5, 1, 96, 16, 7},  // blocks of 32
};

TEST(CpuAttention, MatchesDoublePrecision) {
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    for (const Geometry& g : kGeometries) {
      for (const int64_t n : {1, 7, 16, 33, 130}) {
        Cache cache(*backend, g, {n});
        compare(cache, g, isa, cache.run(*backend, {{0, 0, n}}));
      }
    }
  }
}

void check_long_context(CpuIsa isa, DType type) {
  Geometry g;
  g.type = type;
  g.n_heads = 2;
  g.n_kv_heads = 1;
  const int64_t n = 2100;
  const auto backend = make_cpu_backend(2, isa);
  Cache cache(*backend, g, {n});
  const auto all = cache.run(*backend, {{0, 0, n}});
  compare(cache, g, isa, all);
  // One token at the end: its partitions become tasks of their own (split).
  const auto last = cache.run(*backend, {{0, n - 1, n}});
  const auto size = g.n_heads * g.head_dim;
  EXPECT_TRUE(same_bits(last.data(), all.data() + (n - 1) * size, size)) << isa_name(isa);
}

TEST(CpuAttention, LongContextsAcrossPartitions) {
  for (const CpuIsa isa : isas_here()) {
    check_long_context(isa, DType::bf16);
    check_long_context(isa, DType::q8);
  }
}

TEST(CpuAttention, RowsAreBitIdenticalInAnyChunkAndCompany) {
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    const auto other = make_cpu_backend(5, isa);
    for (const Geometry& g : kGeometries) {
      const int64_t n = 150;
      const auto size = g.n_heads * g.head_dim;
      std::vector<float> whole;
      {
        Cache cache(*backend, g, {n, 90, 40});
        whole = cache.run(*backend, {{0, 0, n}});
      }
      // Token by token, beside other sequences at other places.
      Cache cache(*other, g, {n, 90, 40});
      for (int64_t t = 0; t < n; ++t) {
        std::vector<Cache::Chunk> chunks;
        if (t < 90) chunks.push_back({1, t, t + 1});
        chunks.push_back({0, t, t + 1});
        if (t < 40) chunks.push_back({2, t, t + 1});
        const auto rows = cache.run(*other, chunks);
        const int64_t row = t < 90 ? 1 : 0;
        ASSERT_TRUE(same_bits(rows.data() + row * size, whole.data() + t * size, size))
            << label(isa, g, n) << " token " << t;
      }
      // In uneven chunks.
      Cache chunked(*backend, g, {n, 90, 40});
      int64_t begin = 0;
      for (const int64_t end : {1, 3, 50, 64, 113, 150}) {
        const auto rows = chunked.run(*backend, {{0, begin, end}});
        ASSERT_TRUE(same_bits(rows.data(), whole.data() + begin * size, (end - begin) * size))
            << label(isa, g, n) << " chunk " << begin << " to " << end;
        begin = end;
      }
    }
  }
}

TEST(CpuAttention, LargeScoresDoNotOverflow) {
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(1, isa);
    Geometry g;
    Cache cache(*backend, g, {40});
    for (float& q : cache.sequences[0].q) q *= 1e4f;
    for (const float x : cache.run(*backend, {{0, 0, 40}})) ASSERT_TRUE(std::isfinite(x));
  }
}

// Numbers rounded to 127ths of the largest of their 32: what a cache without rotation would hold.
void round_groups(std::vector<float>& x) {
  for (size_t at = 0; at < x.size(); at += 32) {
    float largest = 0;
    for (size_t i = at; i < at + 32; ++i) largest = std::max(largest, std::abs(x[i]));
    const float scale = largest / 127.0f;
    for (size_t i = at; i < at + 32; ++i) x[i] = scale * std::nearbyint(x[i] / scale);
  }
}

double relative_error(const std::vector<float>& got, const std::vector<float>& exact) {
  double error = 0, size = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    error += std::pow(double{got[i]} - double{exact[i]}, 2);
    size += std::pow(double{exact[i]}, 2);
  }
  return std::sqrt(error / size);
}

// One channel of the keys is thirty times the others, as models have them. Spread over the head it
// costs less than it costs the 32 numbers around it if it stays where it is.
TEST(CpuAttention, EightBitsSurviveAnOutlier) {
  const auto backend = make_cpu_backend(1, isas_here().back());
  const auto run = [&](DType type, bool in_groups) {
    const Geometry g{type, 2, 1, 128, 16, 0};
    Cache cache(*backend, g, {200});
    Sequence& s = cache.sequences[0];
    for (size_t i = 37; i < s.k.size(); i += 128) s.k[i] += 30;
    if (in_groups) {
      round_groups(s.k);
      round_groups(s.v);
    }
    return cache.run(*backend, {{0, 0, 200}});
  };
  const std::vector<float> exact = run(DType::f32, false);
  const double rotated = relative_error(run(DType::q8, false), exact);
  const double groups = relative_error(run(DType::f32, true), exact);
  std::printf("relative error: rotated %.4f, in groups of 32 %.4f\n", rotated, groups);
  EXPECT_GT(rotated, 0);
  EXPECT_LT(rotated, 0.75 * groups);
}

// The kernels and the definition agree on every byte of meaning: what differs is float arithmetic.
TEST(CpuAttention, EightBitsAreThoseOfTheReference) {
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    const auto reference = make_reference_backend();
    const Geometry g{DType::q8, 4, 2, 64, 16, 0};
    Cache ours(*backend, g, {90}), theirs(*reference, g, {90});
    const auto a = ours.run(*backend, {{0, 0, 90}}), b = theirs.run(*reference, {{0, 0, 90}});
    for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 2e-3) << isa_name(isa) << i;
  }
}

TEST(CpuAttention, RefusesBlockSizesItCannotArrange) {
  const auto backend = make_cpu_backend(1, CpuIsa::baseline);
  EXPECT_THROW(backend->kv_bytes(DType::bf16, 4, 24, 2, 64), Error);
  EXPECT_EQ(backend->kv_bytes(DType::bf16, 4, 32, 2, 64), 4 * 32 * 2 * 64 * 2);
  EXPECT_EQ(backend->kv_bytes(DType::f32, 1, 16, 1, 20), 16 * 32 * 4);  // padded to 32
  EXPECT_EQ(backend->kv_bytes(DType::q8, 4, 32, 2, 64), 4 * 32 * 2 * (64 + 4));
  EXPECT_THROW(backend->kv_bytes(DType::q8, 1, 16, 1, 2048), Error);
}

}  // namespace
}  // namespace qwen3::testing
