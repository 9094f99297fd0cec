// The serial kernels of one instruction set, as function pointers: what isa/*.cpp provide and the
// rest of kernels/cpu calls. Arguments are plain pointers and sizes, because these files must not
// share inline functions with the rest of the program (see isa/simd.h). Strides count elements.
#pragma once

#include <cstdint>

#include "hardware/cpu_info.h"
#include "kernels/cpu/block_layout.h"

namespace qwen3::cpu {

// Outputs in a panel, keys in a group: the lanes of one AVX-512 register.
constexpr int64_t kPanel = 16;

// What is done with a product y = x · wᵀ.
enum class Write : uint8_t {
  store,       // out[row] = y + bias
  add,         // out[row] += y
  add_scaled,  // out[out_rows[row]] += scales[row] * y
  silu_mul,    // out[row] = silu(y) * (x · w_upᵀ), in the type that x has
};

// Inputs [begin, end) of a product are one chain from zero, after which the two last sums become one
// n_merges times (tensor/leaves.h): what Leaves are to a kernel.
struct Leaf {
  int64_t begin, end;
  int64_t n_merges;
};
constexpr int64_t kMaxLeaves = 8;
constexpr int64_t kMaxSums = 4;  // of a product, at a time

struct LinearArgs {
  const void* x = nullptr;  // bfloat16 where the table says so, else float32
  int64_t x_stride = 0;
  // Row i of the product reads row x_rows[i]; nullptr, and always for bfloat16: row i.
  const int32_t* x_rows = nullptr;
  const void* w = nullptr;     // one matrix in panels
  const void* w_up = nullptr;  // silu_mul only; same shape
  int64_t n_in = 0;
  int64_t n_out = 0;
  const Leaf* leaves = nullptr;  // they begin at even inputs, of blocks at whole heads
  int64_t n_leaves = 0;          // 0, and always for silu_mul: all inputs are one chain
  void* out = nullptr;           // float32, except for silu_mul
  int64_t out_stride = 0;
  const int32_t* out_rows = nullptr;  // add_scaled only
  const float* scales = nullptr;      // add_scaled only
  const float* bias = nullptr;        // store only; may be nullptr
  Write write = Write::store;
};
// Computes rows [row_begin, row_end) of the panels [panel_begin, panel_end) of the product.
using LinearKernel = void (*)(const LinearArgs& args,
                              int64_t row_begin,
                              int64_t row_end,
                              int64_t panel_begin,
                              int64_t panel_end);

// Keys and values of one layer; see kv_cache.h for the arrangement.
struct KvArgs {
  void* k = nullptr;
  void* v = nullptr;
  int64_t block_size = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
};
using KvStoreKernel =
    void (*)(const KvArgs& kv, int64_t slot, int64_t kv_head, const float* k, const float* v);

// One row of attention, that is one head of one token, while its keys stream by.
//   state = [ output so far : head_dim padded to 16 | sums of 16 lanes | maximum, 15 unused ]
static constexpr int64_t attention_state_size(int64_t head_dim) {
  return (head_dim + kPanel - 1) / kPanel * kPanel + 2 * kPanel;
}
struct AttentionRow {
  const float* q = nullptr;  // [head_dim]
  int64_t key_begin = 0;     // visible keys
  int64_t key_end = 0;
};
constexpr int64_t kMaxAttentionRows = 24;  // a multiple of every kTileRows (isa/dot_tile.h)
struct AttentionArgs {
  KvArgs kv;
  const int32_t* block_table = nullptr;
  int64_t kv_head = 0;
  float scale = 1.0f;
  AttentionRow rows[kMaxAttentionRows];
  int64_t n_rows = 0;
  float* states = nullptr;  // [n_rows, attention_state_size]
  void* scratch = nullptr;  // attention_scratch_bytes
};
static constexpr int64_t attention_scratch_bytes(int64_t head_dim) {
  return kMaxAttentionRows * attention_state_size(head_dim) * 4;  // the queries, converted
}
// Starts the states of all rows and takes in the keys of [partition_begin, partition_end) that a
// row sees. partition_begin is a multiple of kAttentionChunk.
constexpr int64_t kAttentionChunk = 64;
using AttendKernel = void (*)(const AttentionArgs& args,
                              int64_t partition_begin,
                              int64_t partition_end);

struct RouteArgs {
  const float* logits = nullptr;
  int64_t n_experts = 0;
  int64_t top_k = 0;
  bool renormalise = false;
  float* weights = nullptr;
  int32_t* experts = nullptr;
  float* scratch = nullptr;  // [n_experts]
};

struct KernelTable {
  // Matrix products by weight type; linear_bf16 takes activations in bfloat16 if bf16_dot.
  bool bf16_dot;
  LinearKernel linear_f32, linear_bf16, linear_f16;
  // Products with quantised weights, by Blocks. x is rows of activation_row_bytes, x_stride bytes
  // apart; silu_mul writes floats.
  LinearKernel linear_blocks[kBlocks];
  // Up to so many rows panels are taken one after the other; more rows want several abreast.
  int64_t stream_rows, stream_rows_bf16;

  KvStoreKernel kv_store_f32, kv_store_bf16;
  AttendKernel attend_f32, attend_bf16;
  // total takes in `part`, the state of the next partition of keys.
  void (*merge_states)(float* total, const float* part, int64_t head_dim);
  // out [head_dim] = the finished softmax-weighted sum.
  void (*finish_state)(float* out, const float* state, int64_t head_dim);

  // out = round(x): n floats to bfloat16, then zeros up to a multiple of 16.
  void (*round_row)(uint16_t* out, const float* x, int64_t n);
  // out = x as int8 in groups of 32 (block_layout.h). n is a multiple of 32.
  void (*quantise_row)(uint8_t* out, const float* x, int64_t n);
  void (*rms_norm_row)(float* out, const float* x, const float* w, int64_t n, float eps);
  // One head: x [2 * half] in place, cos and sin [half].
  void (*rope_head)(float* x, const float* cos, const float* sin, int64_t half);
  void (*silu_mul)(float* out, const float* gate, const float* up, int64_t n);
  void (*add)(float* x, const float* y, int64_t n);
  void (*add_scaled)(float* x, const float* y, float scale, int64_t n);
  void (*route)(const RouteArgs& args);
};

// The kernels for `isa`, or nullptr if this build has none.
const KernelTable* kernel_table(CpuIsa isa);

}  // namespace qwen3::cpu
