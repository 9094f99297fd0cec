// ops_bench: every operation of the CPU backend beside the ceilings of this machine.
//
//   ops_bench [--filter TEXT] [--threads N] [--isa NAME] [--weights TYPE] [--repeat N] [--json]
//
// With --weights Q4_K, or another quantised type, it measures what has such weights, and against the peak
// of products of int8.
//
// It measures first what the machine gives today with the same threads: read bandwidth over 1 GiB,
// the peak of the instruction set's BF16 products and float32 multiply-adds. Then each operation,
// at the shapes of Qwen3-0.6B (and, for experts, Qwen3-30B-A3B), in microseconds, GB/s, GFLOP/s and
// the share of the ceiling that binds it. Weights rotate through enough copies that no cache holds
// them between runs. Times are the best of several runs: on a shared machine the others are
// measurements of the neighbours. The ceilings are measured again before each operation for the
// same reason, and with --threads 1 processor time is taken instead of wall time.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "ceilings.h"
#include "hardware/cpu_info.h"
#include "kernels/backend.h"
#include "kernels/cpu/cpu_backend.h"
#include "tensor/storage.h"

namespace qwen3::bench {
namespace {

struct Options {
  std::string filter;
  std::string isa;
  WeightType weights = WeightType::bf16;
  int n_threads = 0;
  int repeat = 15;
  bool json = false;
};

// ---- one line of the report --------------------------------------------------------------------

class Report {
 public:
  Report(const Options& options, Machine& machine) : options_(options), machine_(machine) {}

  bool wanted(const std::string& name) const {
    return name.find(options_.filter) != std::string::npos;
  }

  // `flops` and `bytes` of one call; share is of the ceiling that allows less.
  void add(const std::string& name, double flops, double bytes, const std::function<void()>& run) {
    run();
    double best = 1e30;
    Ceilings c;
    // In rounds, each beside its own ceilings: the neighbours' load changes by the second.
    constexpr int kRounds = 3;
    for (int round = 0; round < kRounds; ++round) {
      const Ceilings now = machine_.measure();
      c.bytes_per_s = std::max(c.bytes_per_s, now.bytes_per_s);
      c.bf16_flops = std::max(c.bf16_flops, now.bf16_flops);
      c.f32_flops = std::max(c.f32_flops, now.f32_flops);
      c.int8_flops = std::max(c.int8_flops, now.int8_flops);
      best = std::min(best, machine_.best_of(options_.repeat, run));
    }
    const double peak = !is_plain(options_.weights) ? c.int8_flops
                        : c.bf16_flops > 0          ? c.bf16_flops
                                                    : c.f32_flops;
    const double by_memory = bytes / c.bytes_per_s;
    const double by_arithmetic = peak > 0 ? flops / peak : 0;
    const bool memory_binds = by_memory >= by_arithmetic;
    const double share = std::max(by_memory, by_arithmetic) / best;
    if (options_.json) {
      lines_.push_back({{"op", name},
                        {"us", best * 1e6},
                        {"gb_per_s", bytes / best / 1e9},
                        {"gflop_per_s", flops / best / 1e9},
                        {"ceiling", memory_binds ? "bandwidth" : "arithmetic"},
                        {"share", share},
                        {"machine_gb_per_s", c.bytes_per_s / 1e9},
                        {"machine_bf16_gflop_per_s", c.bf16_flops / 1e9},
                        {"machine_int8_gop_per_s", c.int8_flops / 1e9}});
      return;
    }
    fmt::print("{:<34}{:>11.1f} us{:>9.1f} GB/s{:>9.1f} GFLOP/s   {:>5.1f} % of {} {:.0f}\n",
               name,
               best * 1e6,
               bytes / best / 1e9,
               flops / best / 1e9,
               share * 100,
               memory_binds ? "GB/s" : "GFLOP/s",
               (memory_binds ? c.bytes_per_s : peak) / 1e9);
  }

  void finish(const nlohmann::json& header) const {
    if (!options_.json) return;
    nlohmann::json all = header;
    all["ops"] = lines_;
    fmt::print("{}\n", all.dump(2));
  }

 private:
  const Options& options_;
  Machine& machine_;
  nlohmann::json lines_ = nlohmann::json::array();
};

// ---- data --------------------------------------------------------------------------------------

// Small numbers of any type; the same 64 KiB over and over, which is as good as noise for timing.
void fill(const Storage& storage, DType type) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0.0f, 0.05f);
  constexpr int64_t kPattern = 64 << 10;
  const int64_t bytes = std::min(kPattern, storage.bytes());
  for (int64_t i = 0; i < bytes / dtype_size(type); ++i) {
    const float value = normal(generator);
    if (type == DType::f32) {
      reinterpret_cast<float*>(storage.data())[i] = value;
    } else {
      reinterpret_cast<uint16_t*>(storage.data())[i] = f32_to_bf16(value);
    }
  }
  for (int64_t at = bytes; at < storage.bytes(); at += bytes) {
    std::memcpy(storage.data() + at,
                storage.data(),
                static_cast<size_t>(std::min(bytes, storage.bytes() - at)));
  }
}

// Panels of blocks: codes of all kinds, and scales that are small positive numbers as halves and floats.
void fill_blocks(const Storage& storage) {
  std::mt19937 generator(1);
  for (int64_t i = 0; i < storage.bytes(); ++i) {
    storage.data()[i] = i < (64 << 10) ? static_cast<std::byte>(generator() & 0x2F)
                                       : storage.data()[i - (64 << 10)];
  }
}

struct Floats {
  explicit Floats(Shape shape)
      : storage(shape.numel() * 4), tensor(storage.data(), DType::f32, shape) {
    fill(storage, DType::f32);
  }
  Storage storage;
  Tensor tensor;
};

// As many copies of packed weights as it takes to leave every cache; next() rotates.
class Weights {
 public:
  Weights(const Backend& backend, WeightType type, Shape shape) {
    const WeightFormat format =
        backend.weight_format(type, shape[shape.rank() - 2], shape[shape.rank() - 1]);
    const int64_t bytes = (shape.rank() == 3 ? shape[0] : 1) * format.bytes;
    constexpr int64_t kCold = 384 << 20;  // beyond any L3 here
    const int64_t copies = std::clamp<int64_t>(kCold / bytes, 1, 64);
    storage_ = Storage(copies * bytes);
    if (is_plain(type)) {
      fill(storage_, dtype_of(type));
    } else {
      fill_blocks(storage_);
    }
    for (int64_t i = 0; i < copies; ++i) {
      weights_.push_back({Weight(storage_.data() + i * bytes, type, shape, format), {}});
    }
  }
  // Of one matrix or stack as it lies in memory.
  double bytes() const { return static_cast<double>(weights_[0].weight.format().bytes); }
  const Linear& next() { return weights_[at_++ % weights_.size()]; }

 private:
  Storage storage_;
  std::vector<Linear> weights_;
  size_t at_ = 0;
};

double product_flops(int64_t m, int64_t n, int64_t k) {
  return 2.0 * static_cast<double>(m * n * k);
}

// ---- operations --------------------------------------------------------------------------------

void bench_linears(Backend& backend, Report& report, WeightType type) {
  struct Case {
    const char* name;
    std::vector<int64_t> outs;
    int64_t in;
  };
  const Case cases[] = {{"qkv 1024 -> 2048+1024+1024", {2048, 1024, 1024}, 1024},
                        {"o 2048 -> 1024", {1024}, 2048},
                        {"gate+up 1024 -> 2 x 3072", {3072, 3072}, 1024},
                        {"down 3072 -> 1024", {1024}, 3072},
                        {"lm_head 1024 -> 151936", {151936}, 1024}};
  for (const int64_t m : {1, 2, 4, 8, 16, 64, 512}) {
    for (const Case& c : cases) {
      if (c.outs[0] > 100000 && m > 16) continue;  // prefill wants the last row only
      const std::string name = fmt::format("linear m={} {}", m, c.name);
      if (!report.wanted(name)) continue;
      const Floats x({m, c.in});
      std::vector<std::unique_ptr<Weights>> weights;
      std::vector<std::unique_ptr<Floats>> outs;
      int64_t n_out = 0;
      double bytes = 0;
      for (const int64_t out : c.outs) {
        weights.push_back(std::make_unique<Weights>(backend, type, Shape{out, c.in}));
        bytes += weights.back()->bytes();
        outs.push_back(std::make_unique<Floats>(Shape{m, out}));
        n_out += out;
      }
      const auto run = [&] {
        if (outs.size() == 1) {
          backend.linear(outs[0]->tensor, x.tensor, weights[0]->next());
        } else if (outs.size() == 2) {
          backend.linears({outs[0]->tensor, outs[1]->tensor},
                          x.tensor,
                          {&weights[0]->next(), &weights[1]->next()});
        } else {
          backend.linears({outs[0]->tensor, outs[1]->tensor, outs[2]->tensor},
                          x.tensor,
                          {&weights[0]->next(), &weights[1]->next(), &weights[2]->next()});
        }
      };
      report.add(name, product_flops(m, n_out, c.in), bytes, run);
    }
  }
}

// Sequences with kv_len keys each, n_rows of them new; blocks in order, layers rotate as in a
// model.
void bench_attention(Backend& backend,
                     Report& report,
                     const std::string& name,
                     int64_t n_seqs,
                     int64_t n_rows,
                     int64_t kv_len) {
  if (!report.wanted(name)) return;
  constexpr int64_t kHeads = 16, kKvHeads = 8, kHeadDim = 128, kBlock = 16;
  const int64_t blocks_per_seq = (kv_len + kBlock - 1) / kBlock;
  const int64_t n_blocks = n_seqs * blocks_per_seq;
  const int64_t bytes = backend.kv_bytes(DType::bf16, n_blocks, kBlock, kKvHeads, kHeadDim);
  const int64_t n_layers = std::clamp<int64_t>((256 << 20) / (2 * bytes), 2, 64);
  Storage k(n_layers * bytes);
  Storage v(n_layers * bytes);
  fill(k, DType::bf16);
  fill(v, DType::bf16);

  std::vector<int32_t> ids(static_cast<size_t>(n_seqs * n_rows)), cu, kv_lens, tables;
  for (int64_t s = 0; s <= n_seqs; ++s) cu.push_back(static_cast<int32_t>(s * n_rows));
  for (int64_t b = 0; b < n_blocks; ++b) tables.push_back(static_cast<int32_t>(b));
  kv_lens.assign(static_cast<size_t>(n_seqs), static_cast<int32_t>(kv_len));
  Batch batch;
  batch.token_ids = ids;
  batch.positions = ids;
  batch.cu_seqlens_q = cu;
  batch.kv_lens = kv_lens;
  batch.block_tables = tables;
  batch.max_blocks_per_seq = blocks_per_seq;
  const BoundBatch bound = backend.bind(batch, Backend::Watched::no);

  const Floats q({n_seqs * n_rows, kHeads, kHeadDim});
  const Floats out({n_seqs * n_rows, kHeads, kHeadDim});
  int64_t layer = 0;
  const Shape shape = {n_blocks, kBlock, kKvHeads, kHeadDim};
  const double keys_seen = static_cast<double>(n_rows) *
                           (static_cast<double>(kv_len) - static_cast<double>(n_rows - 1) / 2);
  report.add(name,
             4.0 * static_cast<double>(n_seqs * kHeads * kHeadDim) * keys_seen,
             2.0 * static_cast<double>(bytes),
             [&] {
               const int64_t at = layer++ % n_layers * bytes;
               const KvLayer kv = {Tensor(k.data() + at, DType::bf16, shape),
                                   Tensor(v.data() + at, DType::bf16, shape)};
               backend.attention(out.tensor, q.tensor, kv, bound, {0.088f, 0});
             });
}

void bench_kv_store(Backend& backend, Report& report, int64_t n_tokens) {
  const std::string name = fmt::format("kv_store m={}", n_tokens);
  if (!report.wanted(name)) return;
  constexpr int64_t kKvHeads = 8, kHeadDim = 128, kBlock = 16, kBlocks = 8192;
  const int64_t bytes = backend.kv_bytes(DType::bf16, kBlocks, kBlock, kKvHeads, kHeadDim);
  Storage k(bytes);
  Storage v(bytes);
  fill(k, DType::bf16);
  fill(v, DType::bf16);
  const Shape shape = {kBlocks, kBlock, kKvHeads, kHeadDim};
  const Floats rows({n_tokens, kKvHeads, kHeadDim});
  std::vector<int64_t> slots(static_cast<size_t>(n_tokens));
  int64_t next = 0;
  Batch batch;
  batch.slot_mapping = slots;
  const BoundBatch bound = backend.bind(batch, Backend::Watched::no);
  report.add(name, 0, static_cast<double>(n_tokens * kKvHeads * kHeadDim) * 4, [&] {
    for (int64_t i = 0; i < n_tokens; ++i) {
      slots[static_cast<size_t>(i)] = (next + i) % (kBlocks * kBlock);
    }
    next += std::max<int64_t>(n_tokens, 2000) + 1;  // a cold place each time
    backend.kv_store({Tensor(k.data(), DType::bf16, shape), Tensor(v.data(), DType::bf16, shape)},
                     rows.tensor,
                     rows.tensor,
                     bound);
  });
}

// The experts of one layer of Qwen3-30B-A3B: 128 of 3 x 2048 x 768, 1.2 GB in bfloat16.
void bench_experts(Backend& backend, Report& report, WeightType type) {
  constexpr int64_t kExperts = 128, kTopK = 8, kHidden = 2048, kInter = 768;
  if (!report.wanted("experts_add")) return;
  Weights gate(backend, type, {kExperts, kInter, kHidden});
  Weights up(backend, type, {kExperts, kInter, kHidden});
  Weights down(backend, type, {kExperts, kHidden, kInter});
  const ExpertWeights weights = {gate.next().weight, up.next().weight, down.next().weight};
  std::mt19937 generator(3);
  for (const int64_t m : {1, 4, 64, 512}) {
    const Floats x({m, kHidden});
    const Floats h({m, kHidden});
    const Floats scales({m, kTopK});
    std::vector<int32_t> experts(static_cast<size_t>(m * kTopK));
    const auto route = [&] {
      std::vector<int32_t> ids(kExperts);
      for (int64_t t = 0; t < m; ++t) {
        for (size_t e = 0; e < ids.size(); ++e) ids[e] = static_cast<int32_t>(e);
        std::shuffle(ids.begin(), ids.end(), generator);
        std::copy_n(ids.begin(), kTopK, experts.begin() + t * kTopK);
      }
    };
    route();
    std::vector<bool> used(kExperts);
    for (const int32_t e : experts) used[static_cast<size_t>(e)] = true;
    const double n_used = static_cast<double>(std::count(used.begin(), used.end(), true));
    const Routing routing = {scales.tensor, Tensor(experts.data(), DType::i32, {m, kTopK})};
    report.add(fmt::format("experts_add m={} 128 x 768, top-8", m),
               3 * product_flops(m * kTopK, kInter, kHidden),
               n_used * (gate.bytes() + up.bytes() + down.bytes()),
               [&] {
                 if (m == 1) route();  // other experts each time, or L3 would hold some of them
                 backend.experts_add(x.tensor, h.tensor, weights, routing);
               });
  }
}

void bench_rows(Backend& backend, Report& report) {
  for (const int64_t m : {1, 512}) {
    const Floats x({m, 1024});
    const Floats out({m, 1024});
    const Floats w({1024});
    const auto elements = [&](int64_t n, int arrays) {
      return static_cast<double>(m * n * arrays * 4);
    };
    const std::string suffix = fmt::format(" m={}", m);
    if (report.wanted("rms_norm" + suffix)) {
      report.add("rms_norm" + suffix, 0, elements(1024, 2), [&] {
        backend.rms_norm(out.tensor, x.tensor, w.tensor, 1e-6f);
      });
    }
    if (report.wanted("qk_norm_rope" + suffix)) {
      const Floats q({m, 16, 128});
      const Floats k({m, 8, 128});
      const Floats norm({128});
      const Floats angle({m, 64});
      report.add("qk_norm_rope" + suffix, 0, elements(3072, 2), [&] {
        backend.qk_norm_rope(
            q.tensor, k.tensor, {norm.tensor, norm.tensor, 1e-6f, angle.tensor, angle.tensor});
      });
    }
    if (report.wanted("silu_mul" + suffix)) {
      const Floats gate({m, 3072});
      const Floats up({m, 3072});
      const Floats product({m, 3072});
      report.add("silu_mul" + suffix, 0, elements(3072, 3), [&] {
        backend.silu_mul(product.tensor, gate.tensor, up.tensor);
      });
    }
    if (report.wanted("add" + suffix)) {
      report.add("add" + suffix, 0, elements(1024, 3), [&] { backend.add(out.tensor, x.tensor); });
    }
    if (report.wanted("route_top_k" + suffix)) {
      const Floats logits({m, 128});
      const Floats weights({m, 8});
      std::vector<int32_t> experts(static_cast<size_t>(m * 8));
      const Routing routing = {weights.tensor, Tensor(experts.data(), DType::i32, {m, 8})};
      report.add("route_top_k" + suffix, 0, elements(128, 1), [&] {
        backend.route_top_k(routing, logits.tensor, Backend::Renormalise::yes);
      });
    }
    if (report.wanted("embed" + suffix)) {
      Weights table(backend, WeightType::bf16, {151936, 1024});
      std::mt19937 generator(5);
      std::vector<int32_t> ids(static_cast<size_t>(m));
      report.add("embed" + suffix, 0, elements(1024, 1), [&] {
        for (int32_t& id : ids) id = static_cast<int32_t>(generator() % 151936);
        backend.embed(out.tensor, Tensor::view(ids), table.next().weight);
      });
    }
  }
}

int parse_int(const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  QWEN3_CHECK(error == std::errc() && end == text.data() + text.size() && value > 0,
              ErrorKind::invalid_argument,
              "ops_bench: expected a positive number; got '{}'",
              text);
  return value;
}

WeightType parse_weights(std::string_view name) {
  for (int i = 0; i < kWeightTypes; ++i) {
    const auto type = static_cast<WeightType>(i);
    if (weight_type_name(type) == name) return type;
  }
  fail(ErrorKind::invalid_argument,
       "ops_bench: --weights: expected a type of weights, as Q4_K; got {}",
       name);
}

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--json") {
      options.json = true;
      continue;
    }
    QWEN3_CHECK(i + 1 < argc, ErrorKind::invalid_argument, "ops_bench: {} needs a value", name);
    const std::string value = argv[++i];
    if (name == "--filter") {
      options.filter = value;
    } else if (name == "--isa") {
      options.isa = value;
    } else if (name == "--weights") {
      options.weights = parse_weights(value);
    } else if (name == "--threads") {
      options.n_threads = parse_int(value);
    } else if (name == "--repeat") {
      options.repeat = parse_int(value);
    } else {
      fail(ErrorKind::invalid_argument,
           "ops_bench: unknown option; expected --filter, --isa, --threads, --weights, --repeat or "
           "--json; got {}",
           name);
    }
  }
  return options;
}

// What has no weights.
void bench_others(Backend& backend, Report& report) {
  for (const int64_t kv_len : {1, 64, 1024, 8192}) {
    bench_attention(backend, report, fmt::format("attention decode kv={}", kv_len), 1, 1, kv_len);
  }
  bench_attention(backend, report, "attention decode 16 seqs kv=1024", 16, 1, 1024);
  bench_attention(backend, report, "attention prefill 512", 1, 512, 512);
  bench_attention(backend, report, "attention prefill 2048", 1, 2048, 2048);
  bench_kv_store(backend, report, 1);
  bench_kv_store(backend, report, 512);
  bench_rows(backend, report);
}

void run(const Options& options) {
  const CpuIsa isa = options.isa.empty() ? cpu_info().best_isa : parse_isa(options.isa);
  const int n_threads = options.n_threads > 0 ? options.n_threads : cpu_info().n_cores;
  Machine machine(n_threads, isa);
  const Ceilings c = machine.measure();
  const auto backend = make_cpu_backend(n_threads, isa);
  backend->reserve({.n_tokens = 512, .n_logit_rows = 512, .n_features = 4096, .kv_len = 8192});
  if (!options.json) {
    fmt::print(
        "{}, {} threads: {:.1f} GB/s read, {:.0f} GFLOP/s BF16, {:.0f} GFLOP/s float32, {:.0f} "
        "GOP/s int8\n",
        backend->info().hardware,
        n_threads,
        c.bytes_per_s / 1e9,
        c.bf16_flops / 1e9,
        c.f32_flops / 1e9,
        c.int8_flops / 1e9);
  }
  Report report(options, machine);
  bench_linears(*backend, report, options.weights);
  bench_experts(*backend, report, options.weights);
  if (options.weights == WeightType::bf16) bench_others(*backend, report);
  report.finish({{"hardware", backend->info().hardware},
                 {"threads", n_threads},
                 {"weights", weight_type_name(options.weights)},
                 {"gb_per_s", c.bytes_per_s / 1e9},
                 {"bf16_gflop_per_s", c.bf16_flops / 1e9},
                 {"f32_gflop_per_s", c.f32_flops / 1e9},
                 {"int8_gop_per_s", c.int8_flops / 1e9}});
}

}  // namespace
}  // namespace qwen3::bench

int main(int argc, char** argv) {
  try {
    qwen3::bench::run(qwen3::bench::parse_options(argc, argv));
    return 0;
  } catch (const qwen3::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return error.kind() == qwen3::ErrorKind::invalid_argument ? 2 : 1;
  }
}
