// What a step of a model costs on the card, operation by operation: each fused operation of all layers in
// one recorded step by itself, then the whole step. Weights are random, each layer has its own.
//
//   cuda_bench CONFIG_DIR [rows] [context] [TYPE]   rows: sequences that decode, each with that context
//   cuda_bench CONFIG_DIR tokens prefill [TYPE]     one sequence that begins
//
// TYPE of all matrices but the router: bfloat16 (the default), Q4_K, Q6_K, Q8_0, int4, float8_e4m3, …
// With pieces=N last of all, the sums of o_proj and down_proj are cut into N, and not as ranks need it.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.h"
#include "formats/hf_config.h"
#include "formats/open_source.h"
#include "kernels/cuda/cuda_backend.h"
#include "support/random_blocks.h"

namespace qwen3 {
namespace {

using Clock = std::chrono::steady_clock;

class Bench {
 public:
  Bench(const HfConfig& config,
        int64_t n_rows,
        int64_t context,
        bool prefill,
        WeightType type,
        int32_t n_pieces)
      : c_(config),
        n_(n_rows),
        context_(context),
        type_(type),
        n_pieces_(n_pieces),
        backend_(make_cuda_backend()) {
    std::mt19937 random(1);
    bits_.resize(size_t{1} << 24);
    for (uint16_t& b : bits_) b = f32_to_bf16(static_cast<float>(random() % 2000) * 1e-5f - 0.01f);
    if (!is_plain(type)) blocks_ = test::random_blocks(type, int64_t{1} << 22, 1);
    backend_->reserve({.n_tokens = n_,
                       .n_logit_rows = n_,
                       .n_features = c_.intermediate_size,
                       .kv_len = context_});
    const int64_t q = c_.num_attention_heads * c_.head_dim,
                  kv = c_.num_key_value_heads * c_.head_dim;
    for (int64_t i = 0; i < c_.num_hidden_layers; ++i) {
      Layer l;
      l.q = weight(q, c_.hidden_size);
      l.k = weight(kv, c_.hidden_size);
      l.v = weight(kv, c_.hidden_size);
      l.o = summed(c_.hidden_size, q);
      if (c_.num_experts > 0) {
        l.router = {matrices({c_.num_experts, c_.hidden_size}, WeightType::bf16), {}};
        weight_bytes_ += l.router.weight.bytes();
        l.experts = {stack(c_.moe_intermediate_size, c_.hidden_size),
                     stack(c_.moe_intermediate_size, c_.hidden_size),
                     stack(c_.hidden_size, c_.moe_intermediate_size)};
      } else {
        l.gate = weight(c_.intermediate_size, c_.hidden_size);
        l.up = weight(c_.intermediate_size, c_.hidden_size);
        l.down = summed(c_.hidden_size, c_.intermediate_size);
      }
      const int64_t blocks = (prefill ? 1 : n_) * n_blocks();
      const int64_t bytes =
          backend_->kv_bytes(DType::bf16, blocks, kBlock, c_.num_key_value_heads, c_.head_dim);
      const Shape shape = {blocks, kBlock, c_.num_key_value_heads, c_.head_dim};
      l.kv = {Tensor(take(bytes), DType::bf16, shape, Place::device),
              Tensor(take(bytes), DType::bf16, shape, Place::device)};
      kv_bytes_ += 2 * bytes;
      layers_.push_back(l);
    }
    head_ = weight(c_.vocab_size, c_.hidden_size);
    x_ = tensor(c_.hidden_size, DType::f32);
    h_ = tensor(c_.hidden_size, DType::bf16);
    q_ = tensor(q, DType::bf16);
    mix_ = tensor(q, DType::bf16);
    k_ = tensor(kv, DType::bf16);
    v_ = tensor(kv, DType::bf16);
    cos_ = tensor(c_.head_dim / 2, DType::f32);
    sin_ = tensor(c_.head_dim / 2, DType::f32);
    gate_ = tensor(c_.intermediate_size, DType::bf16);
    up_ = tensor(c_.intermediate_size, DType::bf16);
    normed_ = tensor(c_.hidden_size, DType::f32);
    logits_ = tensor(c_.vocab_size, DType::f32);
    if (c_.num_experts > 0) {
      router_logits_ = tensor(c_.num_experts, DType::f32);
      routing_ = {tensor(c_.num_experts_per_tok, DType::f32),
                  tensor(c_.num_experts_per_tok, DType::i32)};
      spread_ = {tensor(c_.num_experts_per_tok, DType::f32),
                 tensor(c_.num_experts_per_tok, DType::i32)};
      draw_experts(random);
    }
    norm_ = {vector(c_.hidden_size), 1e-6f};
    head_norm_ = vector(c_.head_dim);
    std::vector<float> numbers(static_cast<size_t>(n_ * c_.hidden_size));
    for (float& v : numbers) v = static_cast<float>(random() % 2000) * 1e-3f - 1.0f;
    backend_->upload(x_, numbers.data());

    for (int64_t s = 0; s < n_; ++s) {
      ids_.push_back(static_cast<int32_t>(s));
      positions_.push_back(static_cast<int32_t>(prefill ? s : context_ - 1));
      slots_.push_back(prefill ? s : s * n_blocks() * kBlock + context_ - 1);
      if (!prefill || s == 0) {
        starts_.push_back(static_cast<int32_t>(s));
        lens_.push_back(static_cast<int32_t>(context_));
        for (int64_t b = 0; b < n_blocks(); ++b)
          tables_.push_back(static_cast<int32_t>(s * n_blocks() + b));
      }
    }
    starts_.push_back(static_cast<int32_t>(n_));
    logit_rows_ = ids_;
    if (prefill) logit_rows_ = {static_cast<int32_t>(n_ - 1)};
  }

  void run() {
    double sum = 0;
    const auto line = [&](const char* name,
                          int64_t bytes,
                          const std::function<void(const BoundBatch&, const Layer&)>& op) {
      const double us = time([&](const BoundBatch& b) {
        for (const Layer& l : layers_) op(b, l);
      });
      const auto n_layers = static_cast<double>(layers_.size());
      sum += us;
      std::printf("%-12s %9.2f us a layer  %7.1f GB/s\n",
                  name,
                  us / n_layers,
                  static_cast<double>(bytes) / us * 1e-3);
    };
    const Weight& wq = layers_[0].q.weight;
    const auto n_layers = static_cast<int64_t>(layers_.size());
    line("norm_qkv",
         n_layers * (wq.bytes() + 2 * layers_[0].k.weight.bytes()),
         [&](const BoundBatch&, const Layer& l) { norm_qkv(l); });
    line("attend", kv_bytes_, [&](const BoundBatch& b, const Layer& l) { attend(b, l); });
    line("o_proj", n_layers * layers_[0].o.weight.bytes(), [&](const BoundBatch&, const Layer& l) {
      backend_->linear_add(x_, mix_, l.o);
    });
    if (c_.num_experts > 0) {
      line("norm_route",
           n_layers * layers_[0].router.weight.bytes(),
           [&](const BoundBatch&, const Layer& l) { route(l); });
      line("experts",
           n_layers * n_drawn_ * 3 * layers_[0].experts.gate_proj.format().bytes,
           [&](const BoundBatch&, const Layer& l) {
             backend_->experts_add(x_, h_, l.experts, spread_);
           });
    } else {
      line("norm_mlp",
           n_layers * 2 * layers_[0].gate.weight.bytes(),
           [&](const BoundBatch&, const Layer& l) { mlp(l); });
      line("down_proj",
           n_layers * layers_[0].down.weight.bytes(),
           [&](const BoundBatch&, const Layer& l) { backend_->linear_add(x_, gate_, l.down); });
    }
    const double head = time([&](const BoundBatch& b) {
      backend_->head(logits_.rows(0, b.logit_rows.dim(0)),
                     normed_.rows(0, b.logit_rows.dim(0)),
                     x_,
                     b,
                     norm_,
                     head_);
    });
    std::printf("%-12s %9.2f us         %7.1f GB/s\n",
                "head",
                head,
                static_cast<double>(head_.weight.bytes()) / head * 1e-3);
    const double step = time([&](const BoundBatch& b) {
      for (const Layer& l : layers_) {
        norm_qkv(l);
        attend(b, l);
        backend_->linear_add(x_, mix_, l.o);
        if (c_.num_experts > 0) {
          route(l);
          backend_->experts_add(x_, h_, l.experts, spread_);
        } else {
          mlp(l);
          backend_->linear_add(x_, gate_, l.down);
        }
      }
      backend_->head(logits_.rows(0, b.logit_rows.dim(0)),
                     normed_.rows(0, b.logit_rows.dim(0)),
                     x_,
                     b,
                     norm_,
                     head_);
    });
    std::printf(
        "sum          %9.2f us\nstep         %9.2f us         %7.1f GB/s of weights and keys\n",
        sum + head,
        step,
        static_cast<double>(weight_bytes_ + kv_bytes_) / step * 1e-3);
    if (c_.num_experts == 0) {
      const auto pair = [&](const char* name,
                            const std::function<void(const BoundBatch&, const Layer&)>& op) {
        const double us = time([&](const BoundBatch& b) {
          for (const Layer& l : layers_) op(b, l);
        });
        std::printf("  %-24s %8.2f us a layer\n", name, us / static_cast<double>(n_layers));
      };
      pair("norm_qkv, attend", [&](const BoundBatch& b, const Layer& l) {
        norm_qkv(l);
        attend(b, l);
      });
      pair("attend, o_proj", [&](const BoundBatch& b, const Layer& l) {
        attend(b, l);
        backend_->linear_add(x_, mix_, l.o);
      });
      pair("o_proj, norm_mlp", [&](const BoundBatch&, const Layer& l) {
        backend_->linear_add(x_, mix_, l.o);
        mlp(l);
      });
      pair("norm_mlp, down_proj", [&](const BoundBatch&, const Layer& l) {
        mlp(l);
        backend_->linear_add(x_, gate_, l.down);
      });
      pair("down_proj, norm_qkv", [&](const BoundBatch&, const Layer& l) {
        backend_->linear_add(x_, gate_, l.down);
        norm_qkv(l);
      });
    }
    HostBuffer buffer;
    const auto begin = Clock::now();
    for (int i = 0; i < 20; ++i)
      backend_->to_host(logits_.rows(0, static_cast<int64_t>(logit_rows_.size())), buffer);
    std::printf("logits to the host %.1f us\n",
                std::chrono::duration<double, std::micro>(Clock::now() - begin).count() / 20);
  }

 private:
  static constexpr int64_t kBlock = 32;
  struct Layer {
    Linear q, k, v, o, gate, up, down, router;
    ExpertWeights experts;
    KvLayer kv;
  };

  int64_t n_blocks() const { return (context_ + kBlock - 1) / kBlock; }
  std::byte* take(int64_t bytes) {
    storages_.push_back(backend_->allocate(bytes));
    return storages_.back().data();
  }
  Tensor tensor(int64_t features, DType type) {
    return {take(n_ * features * 4), type, {n_, features}, Place::device};
  }
  Tensor vector(int64_t n) {
    const Tensor t(take(n * 4), DType::f32, {n}, Place::device);
    backend_->upload(t, std::vector<float>(static_cast<size_t>(n), 1.0f).data());
    return t;
  }
  Weight matrices(Shape shape, WeightType type, int32_t n_pieces = 0) {
    const int64_t n_in = shape[shape.rank() - 1], n_out = shape[shape.rank() - 2];
    WeightFormat format = backend_->weight_format(type, n_out, n_in);
    format.n_pieces = n_pieces;
    const int64_t n = shape.rank() == 3 ? shape[0] : 1;
    const Weight w(take(n * format.bytes), type, shape, format);
    const auto* const data =
        is_plain(type) ? reinterpret_cast<const std::byte*>(bits_.data()) : blocks_.data();
    const int64_t size = is_plain(type) ? static_cast<int64_t>(bits_.size()) : int64_t{1} << 22;
    const int64_t step = size / n_in / 16 * 16;
    for (int64_t m = 0; m < n; ++m) {
      for (int64_t r = 0; r < n_out; r += step) {
        backend_->pack_weight(w, m, {type, data, std::min(step, n_out - r), n_in}, r);
      }
    }
    return w;
  }
  Linear weight(int64_t n_out, int64_t n_in) {
    Linear l{matrices({n_out, n_in}, type_), {}};
    weight_bytes_ += l.weight.bytes();
    return l;
  }
  // Of o_proj and down_proj, in pieces that ranks can share.
  Linear summed(int64_t n_out, int64_t n_in) {
    const Leaves leaves{n_in, 16};
    const int32_t pieces =
        n_pieces_ > 0 ? n_pieces_ : backend_->sum_pieces(type_, {n_out, n_in, leaves}).value_or(0);
    Linear l{matrices({n_out, n_in}, type_, pieces), {}, leaves};
    weight_bytes_ += l.weight.bytes();
    return l;
  }
  Weight stack(int64_t n_out, int64_t n_in) {
    return matrices({c_.num_experts, n_out, n_in}, type_);
  }

  // Random rows through random routers soon choose alike, rows of text do not: each token's experts are drawn.
  void draw_experts(std::mt19937& random) {
    const auto k = static_cast<size_t>(c_.num_experts_per_tok);
    std::vector<int32_t> all(static_cast<size_t>(c_.num_experts)), drawn;
    for (size_t e = 0; e < all.size(); ++e) all[e] = static_cast<int32_t>(e);
    for (int64_t t = 0; t < n_; ++t) {
      std::ranges::shuffle(all, random);
      drawn.insert(drawn.end(), all.begin(), all.begin() + static_cast<std::ptrdiff_t>(k));
    }
    const std::vector<float> weights(drawn.size(), 1.0f / static_cast<float>(k));
    backend_->upload(spread_.experts, drawn.data());
    backend_->upload(spread_.weights, weights.data());
    n_drawn_ = static_cast<int64_t>(std::set<int32_t>(drawn.begin(), drawn.end()).size());
    std::printf("%lld experts have rows\n", static_cast<long long>(n_drawn_));
  }

  void norm_qkv(const Layer& l) {
    backend_->norm_qkv({q_, k_, v_}, h_, x_, norm_, {&l.q, &l.k, &l.v});
  }
  void attend(const BoundBatch& b, const Layer& l) {
    const auto heads = [&](const Tensor& t) {
      return t.reshape({n_, t.dim(1) / c_.head_dim, c_.head_dim});
    };
    backend_->attend(
        heads(mix_),
        heads(q_),
        heads(k_),
        heads(v_),
        l.kv,
        b,
        {.q_norm = head_norm_, .k_norm = head_norm_, .eps = 1e-6f, .cos = cos_, .sin = sin_},
        {.scale = 0.09f});
  }
  void mlp(const Layer& l) { backend_->norm_mlp(gate_, up_, h_, x_, norm_, l.gate, l.up); }
  void route(const Layer& l) {
    backend_->norm_route(
        routing_, router_logits_, h_, x_, norm_, l.router, Backend::Renormalise::yes);
  }

  // Microseconds of a replayed step.
  double time(const std::function<void(const BoundBatch&)>& body) {
    const Batch batch{.token_ids = ids_,
                      .positions = positions_,
                      .slot_mapping = slots_,
                      .cu_seqlens_q = starts_,
                      .kv_lens = lens_,
                      .block_tables = tables_,
                      .max_blocks_per_seq = n_blocks(),
                      .logit_rows = logit_rows_};
    ++n_bodies_;
    const auto once = [&] {
      const BoundBatch bound = backend_->bind(batch, Backend::Watched::no);
      backend_->step(bound, {reinterpret_cast<const void*>(n_bodies_)}, [&] { body(bound); });
    };
    for (int i = 0; i < 5; ++i) once();
    backend_->synchronize();
    std::vector<double> times;
    for (int i = 0; i < 30; ++i) {
      const auto begin = Clock::now();
      once();
      backend_->synchronize();
      times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
    std::nth_element(times.begin(), times.begin() + 15, times.end());
    return times[15];
  }

  const HfConfig& c_;
  const int64_t n_, context_;
  const WeightType type_;
  const int32_t n_pieces_;  // of o_proj and down_proj; 0: as models have them
  std::unique_ptr<Backend> backend_;
  std::vector<uint16_t> bits_;
  std::vector<std::byte> blocks_;
  std::vector<Storage> storages_;
  std::vector<Layer> layers_;
  Linear head_;
  Tensor x_, h_, q_, k_, v_, mix_, cos_, sin_, gate_, up_, normed_, logits_, router_logits_,
      head_norm_;
  Routing routing_, spread_;
  int64_t n_drawn_ = 0;  // different experts
  Norm norm_;
  int64_t weight_bytes_ = 0, kv_bytes_ = 0;
  std::vector<int32_t> ids_, logit_rows_, positions_, starts_, lens_, tables_;
  std::vector<int64_t> slots_;
  int64_t n_bodies_ = 0;
};

}  // namespace
}  // namespace qwen3

int main(int argc, char** argv) {
  try {
    constexpr std::string_view kPieces = "pieces=";
    const std::string_view last = argc > 1 ? argv[argc - 1] : "";
    const bool cut = last.starts_with(kPieces);
    const int32_t n_pieces = cut ? std::atoi(argv[argc - 1] + kPieces.size()) : 0;
    argc -= cut ? 1 : 0;
    const qwen3::HfConfig config = qwen3::open_config(argc > 1 ? argv[1] : ".");
    const int64_t rows = argc > 2 ? std::atoi(argv[2]) : 1;
    const bool prefill = argc > 3 && std::string(argv[3]) == "prefill";
    const int64_t context = prefill ? rows : argc > 3 ? std::atoi(argv[3]) : 512;
    const std::string wanted = argc > 4 ? argv[4] : "bfloat16";
    const auto* const type = std::ranges::find(
        qwen3::kWeightTypeInfo, std::string_view(wanted), &qwen3::WeightTypeInfo::name);
    if (type == std::end(qwen3::kWeightTypeInfo))
      throw std::invalid_argument(wanted + ": no type of weights");
    qwen3::Bench(config,
                 rows,
                 context,
                 prefill,
                 static_cast<qwen3::WeightType>(type - qwen3::kWeightTypeInfo),
                 n_pieces)
        .run();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
