// Paged attention of the CPU backend against a double-precision softmax over the same keys, and its
// promise that a row's bits do not depend on chunks, company or threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kernels/cpu_testing.h"

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

// Bound: a score errs by delta <= (head_dim + 2)·eps·scale·Σ|q·k|, a probability relatively by
// 2·delta and, where it is rounded to bfloat16, by 2^-8; the sum over n keys adds n·eps. The
// rounded probabilities are divided by their own sum: what is left is Σ p·2^-8·|v - out|.
void compare(const Cache& cache, const Geometry& g, CpuIsa isa, const std::vector<float>& out) {
  const Sequence& s = cache.sequences[0];
  const bool dots = rounds_activations(isa, weight_type_of(g.type));
  const auto stored = [&](float x) {
    return g.type == DType::bf16 ? bf16_to_f32(f32_to_bf16(x)) : x;
  };
  Comparison comparison;
  for (int64_t t = 0; t < s.n_tokens; ++t) {
    const int64_t first = g.sliding_window > 0 ? std::max<int64_t>(0, t + 1 - g.sliding_window) : 0;
    for (int64_t head = 0; head < g.n_heads; ++head) {
      const int64_t kv_head = head / (g.n_heads / g.n_kv_heads);
      const float* q = s.q.data() + (t * g.n_heads + head) * g.head_dim;
      std::vector<double> scores;
      double delta = 0;
      for (int64_t j = first; j <= t; ++j) {
        const float* k = s.k.data() + (j * g.n_kv_heads + kv_head) * g.head_dim;
        double score = 0, size = 0;
        for (int64_t d = 0; d < g.head_dim; ++d) {
          const float qd = dots ? bf16_to_f32(f32_to_bf16(q[d])) : q[d];
          score += double{qd} * stored(k[d]);
          size += std::abs(double{qd} * stored(k[d]));
        }
        scores.push_back(score * cache.scale());
        delta = std::max(delta, static_cast<double>(g.head_dim + 2) * kEps * cache.scale() * size);
      }
      const double top = *std::max_element(scores.begin(), scores.end());
      double total = 0;
      for (double& score : scores) total += score = std::exp(score - top);
      for (int64_t d = 0; d < g.head_dim; ++d) {
        double sum = 0, size = 0;
        for (int64_t j = first; j <= t; ++j) {
          const float v =
              stored(s.v[static_cast<size_t>((j * g.n_kv_heads + kv_head) * g.head_dim + d)]);
          sum += scores[static_cast<size_t>(j - first)] / total * v;
          size += scores[static_cast<size_t>(j - first)] / total * std::abs(v);
        }
        double spread = 0;
        for (int64_t j = first; j <= t; ++j) {
          const float v =
              stored(s.v[static_cast<size_t>((j * g.n_kv_heads + kv_head) * g.head_dim + d)]);
          spread += 1.01 * scores[static_cast<size_t>(j - first)] / total * std::abs(v - sum);
        }
        const double relative = 2 * delta + static_cast<double>(t - first + 16) * kEps;
        const auto at = static_cast<size_t>((t * g.n_heads + head) * g.head_dim + d);
        comparison.look(at, out[at], sum, relative * size + (dots ? kEpsBf16 * spread : 0));
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

TEST(CpuAttention, LongContextsAcrossPartitions) {
  Geometry g;
  g.n_heads = 2;
  g.n_kv_heads = 1;
  const int64_t n = 2100;
  for (const CpuIsa isa : isas_here()) {
    const auto backend = make_cpu_backend(2, isa);
    Cache cache(*backend, g, {n});
    const auto all = cache.run(*backend, {{0, 0, n}});
    compare(cache, g, isa, all);
    // One token at the end: its partitions become tasks of their own (split).
    const auto last = cache.run(*backend, {{0, n - 1, n}});
    const auto size = g.n_heads * g.head_dim;
    EXPECT_TRUE(same_bits(last.data(), all.data() + (n - 1) * size, size)) << isa_name(isa);
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

TEST(CpuAttention, RefusesBlockSizesItCannotArrange) {
  const auto backend = make_cpu_backend(1, CpuIsa::baseline);
  EXPECT_THROW(backend->kv_bytes(DType::bf16, 4, 24, 2, 64), Error);
  EXPECT_EQ(backend->kv_bytes(DType::bf16, 4, 32, 2, 64), 4 * 32 * 2 * 64 * 2);
  EXPECT_EQ(backend->kv_bytes(DType::f32, 1, 16, 1, 20), 16 * 32 * 4);  // padded to 32
}

}  // namespace
}  // namespace qwen3::testing
