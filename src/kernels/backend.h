// Backend: the operations a Qwen3 model is made of, with their shapes and contracts.
//
// Conventions
//   * Output first, then inputs, then weights, then scalars.
//   * Tensors lie in memory that the backend gave (allocate): on a device the host may not touch it,
//     and moves numbers by upload() and to_host() alone.
//   * Activations are activation_dtype(), row-major, [n_tokens, features]; the last dimension is
//     contiguous. The residual stream, cosines, routing, normed rows of the head and logits are float32
//     everywhere.
//   * A Weight carries its own type and layout (as made by pack_weight); an operation looks at the
//     weight, never at a model-wide setting. Norm weights and biases are float32 vectors.
//   * Outputs do not alias inputs unless a contract says so.
//   * n_tokens may be 0: then an operation does nothing.
//   * Shapes are the caller's duty (model/ checks them once, at load); operations assert them.
//   * A result row depends on its own row (and its own keys) only, and on a given machine, thread
//     count and instruction set it is bit-identical in whatever batch the row appears.
//
// Fused operations are virtual with a body: backend.cpp spells them in primitive ones. That body is
// at once the definition, the fallback, and what runs while an observer listens: every intermediate
// exists then. An override of an operation that shows some must begin with
// `if (observer()) return Backend::op(...)`. From norm_qkv on they are the blocks of a layer, cut where
// a device must have all of a row before it can go on.
//
// Thread safety: one thread calls a backend at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/batch.h"
#include "kernels/peer_window.h"
#include "tensor/leaves.h"
#include "tensor/storage.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace qwen3 {

class ThreadPool;

// A linear layer: y = x · weightᵀ + bias. (What is added to a layer later, adapters, belongs here.)
struct Linear {
  Weight weight;       // [out, in]
  Tensor bias;         // [out] float32, or empty
  Leaves leaves = {};  // of its inputs; with some, a product is added up as their tree
};

// One layer's keys and values in paged blocks. Logical shape of both: [n_blocks, block_size,
// n_kv_heads, head_dim]; how a block is arranged inside is the backend's business.
struct KvLayer {
  Tensor k, v;
};

// Which experts each token goes to. experts ascend by rank: column 0 has the largest weight.
struct Routing {
  Tensor weights;  // [n_tokens, top_k] float32
  Tensor experts;  // [n_tokens, top_k] int32
};

struct ExpertWeights {
  Weight gate_proj;  // [n_experts, moe_intermediate_size, hidden_size]
  Weight up_proj;    // [n_experts, moe_intermediate_size, hidden_size]
  Weight down_proj;  // [n_experts, hidden_size, moe_intermediate_size]
  // Of the model's experts. The weights above are those of experts leaves.first() to leaves.first() +
  // n_experts; Routing names the model's, and what it says of others adds nothing. Without leaves the
  // weights are all experts, and their sum is one chain.
  Leaves leaves = {};
};

// Root-mean-square normalisation with a weight.
struct Norm {
  Tensor weight;  // [features] float32
  float eps = 1e-6f;
};

struct QkNormRope {
  enum class Order { norm_then_rope, rope_then_norm };
  Tensor q_norm, k_norm;  // [head_dim]
  float eps = 1e-6f;
  Tensor cos, sin;  // [n_tokens, head_dim / 2] float32, attention scaling included
  Order order = Order::norm_then_rope;
};

struct AttentionOptions {
  float scale = 1.0f;  // applied to q·kᵀ
  // 0: none; else key j is visible to position i iff i - window < j <= i
  int64_t sliding_window = 0;
};

struct BackendInfo {
  std::string name;      // "reference", "cpu", "cuda"
  std::string hardware;  // instruction set and processor, for people
  int n_threads = 1;
};

// Listens to intermediates of fused operations; see trace/tap.h.
using Observer = std::function<void(std::string_view name, const Tensor& value)>;

// Whether anybody can listen. Only a build made to measure what that costs (QWEN3_TAPS=OFF,
// bench/tracing_cost.py) says no.
#ifdef QWEN3_WITHOUT_TAPS
inline constexpr bool kTaps = false;
#else
inline constexpr bool kTaps = true;
#endif

// A batch where its backend can read it, for one step (Backend::bind).
struct BoundBatch {
  Batch batch;  // as the host has it: the true sizes
  // int32, padding rows included: a backend that replays recorded steps makes batches alike. What
  // comes out of padding rows means nothing.
  Tensor token_ids, positions;  // [n_tokens]
  Tensor logit_rows;            // [n_logit_rows]
  Tensor hidden_rows;           // [n_hidden_rows]

  int64_t n_tokens() const { return token_ids.dim(0); }
};

// Bounds of all batches to come.
struct BatchLimits {
  int64_t n_tokens = 0, n_logit_rows = 0;
  int64_t n_features = 0;  // of the widest activation
  int64_t kv_len = 0;
};

// The largest numbers of a row of logits: those that nearly every choice of a token is among.
struct RowScan {
  bool finite = true;   // no NaN or infinity in the whole row
  bool listed = false;  // whether the rest is known; a row with very many equals is not listed
  // All of the first n_real numbers that are >= threshold, at least kListed of them (or all), by
  // ascending place.
  float threshold = 0;
  std::span<const float> values;
  std::span<const int32_t> ids;
};

// Host memory that to_host() may fill, of a kind that the backend likes; grows.
using HostBuffer = Storage;

class Backend {
 public:
  virtual ~Backend() = default;
  virtual BackendInfo info() const = 0;

  // ---- memory -------------------------------------------------------------------------------
  // As defined in backend.cpp, all of this is the host's. Zeroed bytes, 64-byte aligned at least.
  // Throws Error{out_of_memory}.
  virtual Storage allocate(int64_t bytes) const;
  // What allocate() can give now.
  virtual int64_t available_bytes() const;
  // Whether that is the host's, which all its processes share; else each has a device of its own.
  virtual bool shares_memory() const { return true; }
  // Rows of a step with which prompts are fast, and other sequences do not wait for long.
  virtual int64_t step_rows() const { return 512; }
  // Bytes per second that memory of the backend's own is read with, measured now; 0: it is the host's.
  virtual double measure_read_bandwidth() { return 0; }
  // What activations between operations are kept in.
  virtual DType activation_dtype() const { return DType::f32; }
  // The most exact type that keys and values can be kept in.
  virtual DType widest_kv_dtype() const { return DType::f32; }
  // Copies the dense elements of `to` from host memory. May run in parallel with others.
  virtual void upload(const Tensor& to, const void* from) const;
  // The same numbers where the host may read and write them, bfloat16 as float32: the tensor itself, or
  // a dense copy in `buffer`, valid until its next use. Waits for the operations before it.
  virtual Tensor to_host(const Tensor& from, HostBuffer& buffer) const;
  // Waits until all operations are done.
  virtual void synchronize() {}
  // A 64-bit hash of the bytes of a dense tensor: the same on all backends of one kind. Waits.
  virtual uint64_t checksum(const Tensor& x) const;
  // Memory that ranks on this kind of device reach together: a part of `bytes` of mine, zeroed, of the rank
  // given. Null where memory is the host's, as defined in backend.cpp. Borrows the backend. Throws
  // Error{out_of_memory}.
  virtual std::unique_ptr<PeerWindow> make_peer_window(int64_t bytes, int rank);

  // ---- steps --------------------------------------------------------------------------------
  // Once for each user of the backend, before its first step. Later only scratch() allocates.
  virtual void reserve(const BatchLimits& limits) = 0;
  // Brings a step's inputs to where operations read them. The batch's spans are borrowed until the
  // step is over. Watched: the host will look at tensors half-way, so nothing is padded or replayed.
  enum class Watched { no, yes };
  virtual BoundBatch bind(const Batch& batch, Watched watched);
  // Runs `forward`, which calls operations on `batch`, looks at no result and moves nothing between host
  // and device. A backend may record the operations and replay the record for later batches of the same
  // sizes and `places`: the addresses that decide all others that `forward` hands to operations.
  virtual void step(const BoundBatch& batch,
                    std::initializer_list<const void*> places,
                    const std::function<void()>& forward);

  // Scans the first n_real numbers of each row of `logits`, where that costs less than bringing the rows to
  // the host; else false, as defined in backend.cpp. `scans` borrow from `buffer`. Waits.
  static constexpr int64_t kListed = 128;
  virtual bool scan(const Tensor& logits,
                    int64_t n_real,
                    HostBuffer& buffer,
                    std::vector<RowScan>& scans);

  // ---- weights ------------------------------------------------------------------------------
  // The type in which this backend keeps a matrix that a file stores in `stored`, unless told
  // otherwise: the same where an operation can compute with it, and else one that holds every number
  // of it, or as the products round them. As defined in backend.cpp plain numbers stay and blocks become float32.
  virtual WeightType kept_type(WeightType stored, int64_t n_in) const;
  // To what a product rounds its inputs before it multiplies them with a weight of this kept type;
  // int8 shares a scale among 32 of a row. As defined in backend.cpp: the type of activations.
  enum class InputRounding : uint8_t { none, bfloat16, int8 };
  virtual InputRounding input_rounding(WeightType kept) const;
  // What pack_weight makes of a matrix [out, in] of that type. REQUIRES: kept_type(type) is `type`.
  virtual WeightFormat weight_format(WeightType type, int64_t n_out, int64_t n_in) const = 0;
  // A matrix of which this process may hold a part: [n_out, n_in] is the whole of it, `leaves` are those of
  // the part, if its inputs are shared out.
  struct WholeMatrix {
    int64_t n_out = 0, n_in = 0;
    Leaves leaves = {};
  };
  // WeightFormat::n_pieces of that part, for which it has the bits of the whole; none if there is no such
  // number. As defined in backend.cpp 0: sums go by leaves.
  virtual std::optional<int32_t> sum_pieces(WeightType type, const WholeMatrix& whole) const;
  // Rearranges `rows` (of the weight's type) into rows [row_begin, row_begin + n_rows) of matrix
  // number `index` of `to`. row_begin is a multiple of the format's row_step, and so is n_rows but for
  // the last rows. Padding is zeroed by the call that packs the last row. Unlike everything else
  // here, calls on disjoint rows may run in parallel.
  virtual void pack_weight(const Weight& to,
                           int64_t index,
                           const WeightRows& rows,
                           int64_t row_begin) const = 0;
  // A float32 row-major copy of rows of a packed weight: for tests, tracing and quantisers.
  virtual void unpack_rows(const Tensor& out,
                           const Weight& from,
                           int64_t index,
                           int64_t row_begin) const = 0;
  // Bytes of one layer's K or of its V for n_blocks blocks. Throws Error{unsupported} for a type or a
  // shape that keys and values are not kept in. q8: each head of a token times a Hadamard matrix, in
  // integers of 8 bits and one scale (reference_backend.cpp defines it).
  virtual int64_t kv_bytes(DType type,
                           int64_t n_blocks,
                           int64_t block_size,
                           int64_t n_kv_heads,
                           int64_t head_dim) const = 0;

  // ---- primitive operations -----------------------------------------------------------------
  // out[i] = table[ids[i]]
  //   out [n_tokens, hidden_size]   ids [n_tokens] int32   table [vocab_size, hidden_size]
  virtual void embed(const Tensor& out, const Tensor& ids, const Weight& table) = 0;

  // The same of a table of which this process has rows [first, first + own.n_out()): zeros for other ids.
  // As defined in backend.cpp, of the host's memory.
  //   own: may be empty
  virtual void embed_own(const Tensor& out, const Tensor& ids, const Weight& own, int64_t first);

  // x = value, everywhere
  virtual void fill(const Tensor& x, float value) = 0;

  // out = x / sqrt(mean(x², last) + eps) * w, in float32 (transformers Qwen3RMSNorm)
  //   out, x [n_tokens, features] with w [features],
  //   or     [n_tokens, n_heads, head_dim] with w [head_dim]; out may be x
  virtual void rms_norm(const Tensor& out, const Tensor& x, const Tensor& w, float eps) = 0;

  // out = x · wᵀ (+ bias)
  //   out [n_tokens, out]   x [n_tokens, in]   w.weight [out, in]
  // With w.leaves the inputs of each leaf are a chain of their own, added up as their tree, and the bias
  // comes last: a weight of the inputs below one node, with the leaves of that node, has the bits that
  // the whole weight has there. (The cuda backend cuts a sum into fewer pieces: sum_pieces().)
  virtual void linear(const Tensor& out, const Tensor& x, const Linear& w) = 0;

  // Rotate-half RoPE in place (transformers apply_rotary_pos_emb): the pair (i, i + head_dim/2) of
  // token t is turned by cos[t, i], sin[t, i].
  //   x [n_tokens, n_heads, head_dim]   cos, sin [n_tokens, head_dim / 2]
  virtual void rope_rotate_half(const Tensor& x, const Tensor& cos, const Tensor& sin) = 0;

  // Writes row t of k and of v to slot slot_mapping[t] of the batch; padding rows have none.
  //   k, v [n_tokens, n_kv_heads, head_dim]
  virtual void kv_store(const KvLayer& kv,
                        const Tensor& k,
                        const Tensor& v,
                        const BoundBatch& batch) = 0;

  // Causal attention with grouped queries over paged keys; softmax in float32. The batch's own keys
  // are already stored.
  //   out, q [n_tokens, n_heads, head_dim]
  virtual void attention(const Tensor& out,
                         const Tensor& q,
                         const KvLayer& kv,
                         const BoundBatch& batch,
                         const AttentionOptions& options) = 0;

  // out = silu(gate) * up
  //   all [n_tokens, intermediate_size]; out may be gate
  virtual void silu_mul(const Tensor& out, const Tensor& gate, const Tensor& up) = 0;

  // x += y
  //   the same shape
  virtual void add(const Tensor& x, const Tensor& y) = 0;

  // softmax over ALL experts in float32, then the top_k largest (ties: the lower id wins), then
  // divided by their sum if renormalise
  //   logits [n_tokens, n_experts]   routing [n_tokens, top_k]
  enum class Renormalise { no, yes };
  virtual void route_top_k(const Routing& routing,
                           const Tensor& logits,
                           Renormalise renormalise) = 0;

  // out[i] = x[rows[i]]
  //   out [n_rows, features]   rows [n_rows] int32
  virtual void gather_rows(const Tensor& out, const Tensor& x, const Tensor& rows) = 0;

  // x[rows[i]] += y[i] * scales[i], i ascending
  //   y [n_rows, features]   rows [n_rows] int32   scales [n_rows]
  virtual void scatter_add_rows(const Tensor& x,
                                const Tensor& y,
                                const Tensor& rows,
                                const Tensor& scales) = 0;

  // ---- fused operations, defined in backend.cpp ---------------------------------------------
  // outs[i] = x · ws[i]ᵀ (+ bias): projections that share their input
  virtual void linears(std::initializer_list<Tensor> outs,
                       const Tensor& x,
                       std::initializer_list<const Linear*> ws);

  // x += y · wᵀ (+ bias)
  //   x [n_tokens, out] in place   y [n_tokens, in]
  virtual void linear_add(const Tensor& x, const Tensor& y, const Linear& w);

  // Per-head RMS norm of q and k and RoPE, in place, in the order asked for
  //   q [n_tokens, n_heads, head_dim]   k [n_tokens, n_kv_heads, head_dim]
  virtual void qk_norm_rope(const Tensor& q, const Tensor& k, const QkNormRope& options);

  // out[t] = Σ_k weights[t,k] · expert_{experts[t,k]}(h[t]): in each of experts.leaves the experts in
  // ascending id (transformers' order of accumulation), from zero, whether the row has one there or
  // not; the leaves as their tree
  //   out [n_tokens, hidden_size] float32   h [n_tokens, hidden_size]
  virtual void experts_sum(const Tensor& out,
                           const Tensor& h,
                           const ExpertWeights& experts,
                           const Routing& routing);

  // x += experts_sum(h)
  //   x, h [n_tokens, hidden_size]
  virtual void experts_add(const Tensor& x,
                           const Tensor& h,
                           const ExpertWeights& experts,
                           const Routing& routing);

  // h = rms_norm(x), qkv[i] = h · ws[i]ᵀ (+ bias)
  //   x, h [n_tokens, hidden_size]   qkv [n_tokens, heads * head_dim]
  //   shows input_layernorm, q_proj, k_proj, v_proj
  virtual void norm_qkv(std::initializer_list<Tensor> qkv,
                        const Tensor& h,
                        const Tensor& x,
                        const Norm& norm,
                        std::initializer_list<const Linear*> ws);

  // qk_norm_rope(q, k), kv_store(k, v), mix = attention(q)
  //   mix, q [n_tokens, n_heads, head_dim]   k, v [n_tokens, n_kv_heads, head_dim]
  //   shows q_norm, k_norm, q_rope, k_rope, and probs where they are held
  virtual void attend(const Tensor& mix,
                      const Tensor& q,
                      const Tensor& k,
                      const Tensor& v,
                      const KvLayer& kv,
                      const BoundBatch& batch,
                      const QkNormRope& norm_rope,
                      const AttentionOptions& options);

  // h = rms_norm(x), gate = silu(h · gate_projᵀ) * (h · up_projᵀ)
  //   x, h [n_tokens, hidden_size]   gate, up [n_tokens, intermediate_size]
  //   shows post_attention_layernorm, gate_proj, up_proj, act
  virtual void norm_mlp(const Tensor& gate,
                        const Tensor& up,
                        const Tensor& h,
                        const Tensor& x,
                        const Norm& norm,
                        const Linear& gate_proj,
                        const Linear& up_proj);

  // h = rms_norm(x), routing = route_top_k(h · routerᵀ)
  //   x, h [n_tokens, hidden_size]   logits [n_tokens, n_experts]
  //   shows post_attention_layernorm, router_logits, routing_weights, selected_experts
  virtual void norm_route(const Routing& routing,
                          const Tensor& logits,
                          const Tensor& h,
                          const Tensor& x,
                          const Norm& norm,
                          const Linear& router,
                          Renormalise renormalise);

  // normed = rms_norm(x[logit_rows, then hidden_rows]), logits = normed[: n_logit_rows] · lm_headᵀ
  //   x [n_tokens, hidden_size]   normed [n_logit_rows + n_hidden_rows, hidden_size]
  //   logits [n_logit_rows, vocab_size]; without a head (an empty weight) they are left alone
  //   shows norm, logits
  virtual void head(const Tensor& logits,
                    const Tensor& normed,
                    const Tensor& x,
                    const BoundBatch& batch,
                    const Norm& norm,
                    const Linear& lm_head);

  // Installs (or, with nullptr, removes) the listener of intermediates, of the fused operations and
  // of attention ("probs", where the backend holds them). Not owned.
  void set_observer(const Observer* observer) { observer_ = observer; }

 protected:
  const Observer* observer() const { return kTaps ? observer_ : nullptr; }
  void observe(std::string_view name, const Tensor& value) const {
    if (observer() != nullptr) (*observer_)(name, value);
  }

  // Memory for a definition's intermediates, until the next call.
  Arena scratch(int64_t bytes);

 private:
  const Observer* observer_ = nullptr;
  Storage scratch_;
  Storage sum_;  // of experts_add as defined, while scratch_ serves experts_sum
};

// "reference", "cpu" (isa "" = the best this machine has), "cuda", or "auto": the fastest of this
// machine, which is "cuda" where there is a card for it and else "cpu".
// Throws Error{invalid_argument} for an unknown name or instruction set, Error{unsupported} for one
// this machine lacks.
struct BackendOptions {
  std::string name = "auto";
  int n_threads = 0;  // of a team of its own; 0: all cores
  std::string isa;
  ThreadPool* threads = nullptr;  // or a borrowed team, which must outlive the backend
};
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

}  // namespace qwen3
