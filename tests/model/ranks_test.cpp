// A model that ranks share, against the same model alone: every tensor of every rank is, bit for bit, the
// part of the whole one that its shard says, and together the ranks have all of it.
#include <gtest/gtest.h>

#include <bit>
#include <mutex>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/reference/reference_backend.h"
#include "model/test_model.h"
#include "parallel/thread_group.h"
#include "support/far_backend.h"
#include "support/quantized_twins.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

const std::filesystem::path kModels =
    std::filesystem::path(QWEN3_SOURCE_DIR) / "tests" / "data" / "models";
constexpr int kRankCounts[] = {2, 3, 4, 5, 8};
constexpr int64_t kBlockSize = 16;  // the least that every backend takes

std::vector<std::filesystem::path> all_models() {
  std::vector<std::filesystem::path> all{
      std::filesystem::path(QWEN3_SOURCE_DIR) / "models" / "nano",
      std::filesystem::path(QWEN3_SOURCE_DIR) / "models" / "nano-moe"};
  for (const auto& entry : std::filesystem::directory_iterator(kModels)) {
    if (std::filesystem::exists(entry.path() / "config.json")) all.push_back(entry.path());
  }
  std::ranges::sort(all);
  return all;
}

// What a model showed, in three batches: a prompt, another beside the first one's next token, and a step
// of both.
struct Shown {
  std::vector<std::map<std::string, Array>> steps;
  std::vector<Array> logits;
};

std::vector<int32_t> some_ids(size_t n, size_t first, int64_t vocab_size) {
  std::vector<int32_t> ids(n);
  for (size_t i = 0; i < n; ++i) {
    ids[i] = static_cast<int32_t>((first + i * 37) % static_cast<size_t>(vocab_size));
  }
  return ids;
}

enum class Listening { yes, no };

Shown run(TestModel& model, Listening listening) {
  const int64_t vocab_size = model.config().vocab_size;
  TestSequence a, b;
  Shown shown;
  const auto step = [&](std::span<const TestModel::Chunk> chunks) {
    TapCollector taps;
    shown.logits.push_back(model.forward(chunks, listening == Listening::yes ? &taps : nullptr));
    shown.steps.push_back(std::move(taps.arrays));
  };
  const auto prompt = some_ids(19, 1, vocab_size), other = some_ids(7, 5, vocab_size);
  const std::vector<int32_t> one{3}, two{4};
  step(std::vector<TestModel::Chunk>{{&a, prompt}});
  step(std::vector<TestModel::Chunk>{{&a, one}, {&b, other}});
  step(std::vector<TestModel::Chunk>{{&b, two}, {&a, two}});
  return shown;
}

// Which columns of the whole tensor of that name a rank has, as its weights were cut; of heads
// ("probs") which rows. Empty: not split.
std::vector<int64_t> part_of(const std::string& name,
                             const HfConfig& c,
                             const Shard& shard,
                             const Weights& whole) {
  std::vector<int64_t> columns;
  const auto add = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) columns.push_back(i);
  };
  const size_t dot = name.rfind('.');
  const std::string last = name.substr(dot + 1);
  const auto is_one_of = [&](std::initializer_list<const char*> names) {
    return std::ranges::find(names, last) != names.end();
  };
  if (last == "logits") {
    const Range rows = vocabulary_share(c.vocab_size, shard);
    add(rows.begin, rows.end);
    return columns;
  }
  if (!name.starts_with("layers.")) return columns;
  const LayerWeights& layer = whole.layers[std::stoul(name.substr(7))];
  const Range query = share(layer.self_attn.o_proj.leaves, shard.leaves());
  const Range heads{query.begin / c.head_dim, query.end / c.head_dim};
  if (is_one_of({"q_proj", "q_norm", "q_rope", "mix"})) {
    add(query.begin, query.end);
  } else if (last == "probs") {
    add(heads.begin, heads.end);
  } else if (is_one_of({"k_proj", "v_proj", "k_norm", "k_rope"}) && !heads.empty()) {
    for (const int64_t head :
         head_share(c.num_attention_heads, c.num_key_value_heads, heads).kv_heads) {
      add(head * c.head_dim, (head + 1) * c.head_dim);
    }
  } else if (const auto* mlp = std::get_if<MlpWeights>(&layer.mlp)) {
    const Range inner = share(mlp->down_proj.leaves, shard.leaves());
    if (is_one_of({"gate_proj", "up_proj", "act"})) add(inner.begin, inner.end);
  }
  return columns;
}

bool same_bits(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

// Of one tensor: that the part is what it should be. Marks in `seen` which numbers of the whole it has.
void expect_part(const Array& part,
                 const Array& whole,
                 const std::vector<int64_t>& columns,
                 bool by_rows,
                 std::vector<bool>& seen) {
  const auto n_rows = static_cast<size_t>(whole.shape[0]);
  const size_t width = whole.values.size() / std::max<size_t>(1, n_rows);
  seen.resize(whole.values.size());
  size_t n_different = 0;
  const auto compare = [&](size_t at_part, size_t at_whole) {
    if (!same_bits(part.values[at_part], whole.values[at_whole])) ++n_different;
    seen[at_whole] = true;
  };
  if (columns.empty()) {
    ASSERT_EQ(part.shape, whole.shape);
    for (size_t i = 0; i < whole.values.size(); ++i) compare(i, i);
  } else if (by_rows) {
    ASSERT_EQ(part.values.size(), columns.size() * width);
    for (size_t r = 0; r < columns.size(); ++r) {
      for (size_t i = 0; i < width; ++i)
        compare(r * width + i, static_cast<size_t>(columns[r]) * width + i);
    }
  } else {
    ASSERT_EQ(part.values.size(), n_rows * columns.size());
    for (size_t r = 0; r < n_rows; ++r) {
      for (size_t i = 0; i < columns.size(); ++i) {
        compare(r * columns.size() + i, r * width + static_cast<size_t>(columns[i]));
      }
    }
  }
  EXPECT_EQ(n_different, 0u) << "of " << part.values.size();
}

struct Case {
  std::filesystem::path path;
  WeightsDType dtype = WeightsDType::as_stored;
  std::function<std::unique_ptr<Backend>()> backend;
};

// Everything that all ranks show makes up everything that one process shows.
void expect_equal(const Case& c, int n_ranks) {
  SCOPED_TRACE(fmt::format("{} on {} ranks", c.path.filename().string(), n_ranks));
  const auto backend = c.backend();
  TestModel alone(c.path, *backend, c.dtype, kBlockSize);
  const Shown whole = run(alone, Listening::yes), unheard = run(alone, Listening::no);
  std::mutex mutex;
  std::vector<std::map<std::string, std::vector<bool>>> seen(whole.steps.size());
  run_thread_ranks(
      n_ranks, {.peer_seconds = 0, .spinning = Spinning::no}, [&](Communicator& group) {
        const auto own = c.backend();
        TestModel model(c.path, *own, c.dtype, kBlockSize, &group);
        const Shown shown = run(model, Listening::yes);
        const Shown silent = run(model, Listening::no);
        const std::lock_guard lock(mutex);
        for (size_t step = 0; step < whole.steps.size(); ++step) {
          EXPECT_EQ(shown.logits[step].values, whole.logits[step].values);
          EXPECT_EQ(silent.logits[step].values, whole.logits[step].values);
        }
        for (size_t step = 0; step < whole.steps.size(); ++step) {
          for (const auto& [name, part] : shown.steps[step]) {
            SCOPED_TRACE(fmt::format("rank {}, step {}, {}", group.rank(), step, name));
            ASSERT_TRUE(whole.steps[step].contains(name));
            const auto columns = part_of(name, model.config(), group.shard(), alone.weights());
            if (columns.empty() && part.values.empty()) continue;
            expect_part(part,
                        whole.steps[step].at(name),
                        columns,
                        name.ends_with(".probs"),
                        seen[step][name]);
          }
        }
      });
  for (size_t step = 0; step < whole.steps.size(); ++step) {
    for (const auto& [name, array] : whole.steps[step]) {
      EXPECT_TRUE(seen[step].contains(name)) << name;
      const std::vector<bool>& of_name = seen[step][name];
      EXPECT_EQ(std::ranges::count(of_name, true), static_cast<int64_t>(array.values.size()))
          << name;
    }
  }
  for (size_t step = 0; step < whole.logits.size(); ++step) {
    EXPECT_EQ(whole.logits[step].values, unheard.logits[step].values);
  }
}

std::function<std::unique_ptr<Backend>()> cpu(CpuIsa isa) {
  return [isa] { return make_cpu_backend(1, isa); };
}

TEST(Ranks, ShowWhatOneProcessShows) {
  for (const std::filesystem::path& path : all_models()) {
    for (const int n_ranks : kRankCounts) {
      expect_equal({path, WeightsDType::as_stored, cpu(cpu_info().best_isa)}, n_ranks);
    }
  }
}

TEST(Ranks, OnTheReferenceBackendToo) {
  for (const char* name :
       {"dense", "dense_bias", "dense_tied", "dense_sliding", "moe", "moe_small"}) {
    for (const int n_ranks : {2, 3, 8}) {
      expect_equal(
          {kModels / name, WeightsDType::as_stored, [] { return make_reference_backend(); }},
          n_ranks);
    }
  }
}

TEST(Ranks, InEveryTypeAndOnEveryInstructionSet) {
  for (const CpuIsa isa : {CpuIsa::baseline, CpuIsa::avx2, CpuIsa::avx512, cpu_info().best_isa}) {
    if (!processor_has(isa)) continue;
    for (const WeightsDType dtype : {WeightsDType::f32, WeightsDType::bf16}) {
      for (const char* name : {"dense", "moe"}) {
        for (const int n_ranks : {3, 4}) expect_equal({kModels / name, dtype, cpu(isa)}, n_ranks);
      }
    }
  }
}

// Every quantised format: blocks stay whole, and scales with their rows and columns.
TEST(Ranks, LoadTheirPartOfQuantisedCheckpoints) {
  for (const Scheme& scheme : every_scheme()) {
    for (const Kind kind : {Kind::dense, Kind::moe}) {
      const Twins twins(scheme, kind);
      for (const int n_ranks : {2, 3}) {
        expect_equal({twins.dir.path(), WeightsDType::as_stored, cpu(cpu_info().best_isa)},
                     n_ranks);
      }
    }
  }
}

// Windows are of the devices, and whoever looks at one from the host dies.
TEST(Ranks, OnDevicesToo) {
  for (const char* name :
       {"dense", "dense_bias", "dense_tied", "dense_sliding", "moe", "moe_small"}) {
    for (const int n_ranks : {2, 3, 8}) {
      expect_equal(
          {kModels / name, WeightsDType::as_stored, [] { return std::make_unique<FarBackend>(); }},
          n_ranks);
    }
  }
}

// Numbers of unpacked rows, so that layouts do not matter.
std::vector<float> rows_of(const Backend& backend, const Weight& w, int64_t index) {
  std::vector<float> values(static_cast<size_t>(w.n_out() * w.n_in()));
  if (!values.empty())
    backend.unpack_rows(Tensor::view(values, {w.n_out(), w.n_in()}), w, index, 0);
  return values;
}

TEST(Ranks, DrawTheSameRandomWeights) {
  const auto backend = make_cpu_backend(1, cpu_info().best_isa);
  for (const char* name : {"dense_bias", "moe", "moe_sparse_step"}) {
    const HfConfig config = open_config(kModels / name);
    for (const WeightType type : {WeightType::f32, WeightType::bf16}) {
      const Weights whole = random_weights(config, *backend, type, 5, 1);
      for (const int n_ranks : kRankCounts) {
        for (int rank = 0; rank < n_ranks; ++rank) {
          const Shard shard{rank, n_ranks};
          const Weights part = random_weights(config, *backend, type, 5, 2, shard);
          EXPECT_LE(part.n_bytes(), random_weights_in_memory(config, *backend, type, shard).bytes);
          const AttentionWeights& a = whole.layers[0].self_attn;
          const AttentionWeights& b = part.layers[0].self_attn;
          const Range rows = share(a.o_proj.leaves, shard.leaves());
          if (!rows.empty()) {
            const auto all = rows_of(*backend, a.q_proj.weight, 0);
            const int64_t n_in = config.hidden_size;
            EXPECT_EQ(
                rows_of(*backend, b.q_proj.weight, 0),
                std::vector<float>(all.begin() + rows.begin * n_in, all.begin() + rows.end * n_in));
          }
          const auto& last = whole.layers.back().mlp;
          if (const auto* moe = std::get_if<MoeWeights>(&last)) {
            const Range experts = share(moe->experts.leaves, shard.leaves());
            const auto& own = std::get<MoeWeights>(part.layers.back().mlp).experts;
            for (int64_t e = experts.begin; e < experts.end; ++e) {
              EXPECT_EQ(rows_of(*backend, own.down_proj, e - experts.begin),
                        rows_of(*backend, moe->experts.down_proj, e));
            }
          } else {
            const auto& down = std::get<MlpWeights>(last).down_proj;
            const auto& own = std::get<MlpWeights>(part.layers.back().mlp).down_proj;
            const Range columns = share(down.leaves, nodes_of(shard.leaves())[0]);
            if (columns.empty()) continue;
            const auto all = rows_of(*backend, down.weight, 0);
            const auto mine = rows_of(*backend, own.weight, 0);
            for (int64_t r = 0; r < config.hidden_size; ++r) {
              for (int64_t i = 0; i < columns.size(); ++i) {
                ASSERT_EQ(
                    mine[static_cast<size_t>(r * columns.size() + i)],
                    all[static_cast<size_t>(r * config.intermediate_size + columns.begin + i)]);
              }
            }
          }
        }
      }
    }
  }
}

// What ranks hold together is what one process holds: nothing but norms, routers and repeated kv heads
// is held twice.
TEST(Ranks, HoldTheirShareOnly) {
  const auto backend = make_cpu_backend(1, cpu_info().best_isa);
  HfConfig c = open_config(std::filesystem::path(QWEN3_SOURCE_DIR) / "models" / "nano");
  c.num_attention_heads = 32;
  c.num_key_value_heads = 8;
  c.head_dim = 64;
  c.hidden_size = 512;
  c.intermediate_size = 2048;
  c.vocab_size = 32768;
  const auto bytes = [&](const Shard& shard) {
    return random_weights_in_memory(c, *backend, WeightType::bf16, shard).bytes;
  };
  for (const int n_ranks : {2, 4, 8}) {
    for (int rank = 0; rank < n_ranks; ++rank) {
      EXPECT_LE(bytes({rank, n_ranks}), bytes({}) / n_ranks * 1.02);
    }
  }
}

}  // namespace
}  // namespace qwen3::test
