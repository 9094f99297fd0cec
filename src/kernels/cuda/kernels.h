// The launches of the device code, as the host sees them. Pointers are the card's. Nothing here waits.
#pragma once

#include <cstdint>

#include "kernels/cuda/layout.h"

struct CUstream_st;

namespace qwen3::cuda {

using Stream = CUstream_st*;

int multiprocessors();

// Elements of activations.
enum class Element : int32_t { f32, bf16 };

struct Rows {
  void* data = nullptr;
  Element type = Element::f32;
  int64_t stride = 0;  // in elements
};

// One matrix in tiles (layout.h), and where its product goes.
struct LinearPart {
  const void* weight = nullptr;
  const float* bias = nullptr;
  int n_out = 0;
  int n_segments = 1;
  Coding coding = Coding::none;
  int64_t matrix_bytes = 0;  // between experts of a stack
  Rows out;
};

enum class Epilogue : int32_t {
  store,     // out = y
  add,       // out += y, float32
  silu_mul,  // out of part 0 = silu(y0) * y1, each rounded to bfloat16 before; of two parts alike
};

// Which experts of the model are at hand, and how a sum over them goes (tensor/leaves.h): leaf i has the experts
// [bounds[i], bounds[i + 1]).
struct ExpertLeaves {
  int bounds[9] = {};
  int begin = 0, end = 8;  // at hand
};
// Routing [n_tokens, top_k], as route_top_k() leaves it.
struct Routed {
  const float* weights = nullptr;
  const int32_t* experts = nullptr;
  ExpertLeaves leaves;
  int n_tokens = 0, top_k = 0;
};
// Its pairs of a token and an expert at hand, sorted by expert, then token.
struct PairLists {
  int32_t* offsets = nullptr;  // [n_experts + 1] into pairs
  int32_t* active = nullptr;   // [0]: how many experts have pairs; then their numbers, ascending
  int32_t* tokens = nullptr;   // [n_pairs]
  int32_t* pair_of =
      nullptr;  // [n_tokens, top_k] place of the token's k-th expert in ascending order
  int32_t* leaf_of = nullptr;  // [n_tokens, top_k] its leaf; -1: the expert is not at hand
  float* weights = nullptr;    // [n_tokens, top_k] in that order
};

// What a product of experts has besides. Its results lie in the order of pairs.
struct ExpertRows {
  PairLists lists;        // unless sorts_by_the_way()
  Routed routed;          // if it does
  bool gathered = false;  // rows of x are those of pairs, not of tokens
  int n_experts = 0;      // at hand
  int n_pairs = 0;        // 0: no product of experts
};

struct LinearArgs {
  LinearPart parts[3];
  int n_parts = 1;
  int n_rows = 0;
  int n_in = 0;
  Rows x;  // bfloat16, or float32 with a norm
  Epilogue epilogue = Epilogue::store;
  // h = rms_norm(x) first, of a single row (norms_by_the_way()); `h`, if given, takes it.
  const float* norm_weight = nullptr;
  float norm_eps = 0;
  Rows h;
  ExpertRows experts;
  // scratch_of() of it
  float* waiting = nullptr;
  int32_t* arrivals = nullptr;
};
// What a product, of no experts, needs besides: bytes for sums that wait for others, and counters, which are zero before
// and after.
struct LinearScratch {
  int64_t waiting_bytes = 0, n_arrivals = 0;
};

// Whether experts have few rows each, which are taken where they lie.
QWEN3_HD constexpr bool experts_have_few_rows(int n_tokens, int n_pairs, int n_experts) {
  return n_tokens <= 8 || n_pairs <= 4 * n_experts;
}
// Whether pairs are so few that each block of a product sorts them for itself, and expert_sums() takes the last one.
constexpr int kFewPairs = 64;
QWEN3_HD constexpr bool sorts_by_the_way(int n_tokens, int n_pairs, int n_experts) {
  return n_pairs <= kFewPairs && experts_have_few_rows(n_tokens, n_pairs, n_experts);
}
bool norms_by_the_way(int n_rows, int n_in);

LinearScratch scratch_of(const LinearArgs& args);
void linear(const LinearArgs& args, Stream stream);

// Rows of float32 or bfloat16 as files have them; x bfloat16 or float32.
void linear_rows(const Rows& out,
                 const Rows& x,
                 const void* weight,
                 Element weight_type,
                 const float* bias,
                 int n_rows,
                 int n_out,
                 int n_in,
                 bool add,
                 Stream stream);

// Rearranges whole tiles of rows; `from` is dense, bfloat16. Missing rows of the last tile are zero.
void pack_fragments(void* to, const void* from, int64_t n_rows, int64_t n_in, Stream stream);
// float32 rows of a matrix in tiles.
void unpack_tiles(float* to,
                  const void* from,
                  Coding coding,
                  int64_t row,
                  int64_t n_rows,
                  int64_t n_in,
                  Stream stream);

// Of a table that has the rows [first, first + n_own): zeros for other ids.
struct TableRows {
  int first = 0, n_own = 0;
};
void embed_tiles(float* out,
                 const int32_t* ids,
                 const void* table,
                 Coding coding,
                 TableRows own,
                 int n_rows,
                 int n_in,
                 Stream stream);
void embed_rows(float* out,
                const int32_t* ids,
                const void* table,
                Element type,
                TableRows own,
                int n_rows,
                int n_in,
                Stream stream);

void round_rows(void* to, const float* from, int64_t n, Stream stream);
void fill(void* x, Element type, float value, int64_t n, Stream stream);
// Of `n_rows` rows of n numbers, dense.
void rms_norm(void* out,
              Element out_type,
              const void* x,
              Element x_type,
              const float* w,
              float eps,
              int64_t n_rows,
              int n,
              Stream stream);
void rope(void* x,
          Element type,
          const float* cos,
          const float* sin,
          int n_tokens,
          int n_heads,
          int head_dim,
          Stream stream);
void silu_mul(void* out, const void* gate, const void* up, Element type, int64_t n, Stream stream);
void add(float* x, const float* y, int64_t n, Stream stream);
void gather_rows(
    void* out, const void* x, Element type, const int32_t* rows, int n_rows, int n, Stream stream);
void scatter_add_rows(float* x,
                      const float* y,
                      const int32_t* rows,
                      const float* scales,
                      int n_rows,
                      int n,
                      Stream stream);

// ---- ranks
constexpr int kMaxPeers = 8, kMaxPeerInputs = 16, kMaxPeerBlocks = 128;
// Where ranks meet: each has flags [kMaxPeers, kMaxPeerBlocks] that the others raise, and a counter for each
// of its blocks.
struct PeerMeeting {
  uint32_t* flags[kMaxPeers] = {};
  uint32_t* counters = nullptr;
  int n_ranks = 1, rank = 0;
};
struct PeerSumArgs {
  PeerMeeting meeting;
  float* x = nullptr;
  int64_t n = 0;
  bool add = false;
  const float* inputs[kMaxPeerInputs] = {};
  int n_inputs = 0;
  // In reverse Polish notation, from the lowest bit on: 1 takes the next input, 0 adds the two latest results.
  uint32_t takes = 0;
  int n_steps = 0;
};
void peer_meet(const PeerMeeting& meeting, Stream stream);
// x = or += the sum
void peer_sum(const PeerSumArgs& args, Stream stream);
// x = bitwise or of all inputs
void peer_merge(const PeerSumArgs& args, Stream stream);
// *sum += a hash of the words and their places
void checksum(uint64_t* sum, const void* words, int64_t n_words, Stream stream);

// ---- attention
struct KvArgs {
  void* k = nullptr;
  void* v = nullptr;
  int block_size = 0, n_kv_heads = 0, head_dim = 0;
};

// A batch in the card's memory.
struct BatchArgs {
  const int32_t* slots = nullptr;         // [n_tokens], -1: none
  const int32_t* cu_seqlens_q = nullptr;  // [n_seqs + 1]
  const int32_t* kv_lens = nullptr;       // [n_seqs]
  const int32_t* block_tables = nullptr;  // [n_seqs, table_stride]
  int table_stride = 0;
  int n_tokens = 0, n_seqs = 0;
  const int32_t* singles = nullptr;  // the sequences with one row
  const int32_t* slices = nullptr;   // those with more
  int n_singles = 0, n_slices = 0;
  int max_units = 0;  // of keys, of a sequence with one row
};

struct QkNormRopeArgs {
  const float *q_norm = nullptr, *k_norm = nullptr, *cos = nullptr, *sin = nullptr;
  float eps = 0;
  bool rope_first = false;
};

// Dense bfloat16 rows: q, out [n_tokens, n_heads, head_dim]; k, v [n_tokens, n_kv_heads, head_dim].
struct AttentionArgs {
  void* out = nullptr;
  void* q = nullptr;
  void* k = nullptr;
  const void* v = nullptr;
  int n_heads = 0;
  float scale = 1;
  int64_t window = 0;
  KvArgs kv;
  BatchArgs batch;
  void* partials = nullptr;     // partial_bytes(), of the units of the singles
  int32_t* counters = nullptr;  // [n_singles, n_kv_heads], zero, and zero again afterwards
  int n_tiles = 0;              // Σ attention_tiles() of the slices
};

int64_t partial_bytes(int n_singles, int max_units, int n_heads, int head_dim);

void qk_norm_rope(void* q,
                  void* k,
                  const QkNormRopeArgs& args,
                  int n_tokens,
                  int n_heads,
                  int n_kv_heads,
                  int head_dim,
                  Stream stream);
void kv_store(
    const KvArgs& kv, const void* k, const void* v, const BatchArgs& batch, Stream stream);
// Over stored keys. With `fused` (only with singles) q is normed and turned, k too, and k and v are
// stored, all by the way.
void attention(const AttentionArgs& args, const QkNormRopeArgs* fused, Stream stream);
// Of one sequence [n_heads, n_rows, kv_len], for those who look.
void attention_probs(
    float* probs, const AttentionArgs& args, int sequence, int n_rows, int kv_len, Stream stream);

// Bytes per second that are read of `buffer`, which should be far larger than the caches.
double read_bandwidth(void* buffer, int64_t bytes, Stream stream);

// ---- sampling
constexpr int kMaxListed = 512;
struct ScanResult {
  int32_t finite, n_listed;  // more than kMaxListed: not listed
  float threshold;
  int32_t unused;
  float values[kMaxListed];
  int32_t ids[kMaxListed];
};
// `column_max` takes scan_columns() floats a row.
int64_t scan_columns(int64_t n_real);
void scan_rows(ScanResult* results,
               float* column_max,
               const float* logits,
               int n_rows,
               int vocab_size,
               int n_real,
               int k,
               Stream stream);

// ---- experts
void route_top_k(float* weights,
                 int32_t* experts,
                 const float* logits,
                 int n_tokens,
                 int n_experts,
                 int top_k,
                 bool renormalise,
                 Stream stream);
constexpr int kMaxExperts = 1024;
void sort_pairs(const PairLists& lists, const Routed& routed, Stream stream);
// out[pair] = x[tokens[pair]] of all pairs: [n_pairs, n] bfloat16.
void gather_pairs(void* out,
                  const Rows& x,
                  const PairLists& lists,
                  int n_experts,
                  int n_pairs,
                  int n,
                  Stream stream);
// x[t] = or += the tree over the leaves of Σ weights[t, i] * y[pair_of[t, i]], i ascending, from zero
void sum_experts(float* x,
                 bool add,
                 const float* y,
                 const PairLists& lists,
                 const Routed& routed,
                 int n,
                 Stream stream);
// The same where pairs are few (sorts_by_the_way()), with y the product of args, of one part, whose `out` is x, right behind
// the product of experts that its rows come from.
void expert_sums(const LinearArgs& args, Stream stream);
// linear(gate_up) and expert_sums(down) of one token. False, and nothing launched, where a block would have more of it than
// it looks at ahead, or rows are too long to be held.
bool token_experts(const LinearArgs& gate_up, const LinearArgs& down, Stream stream);

}  // namespace qwen3::cuda
