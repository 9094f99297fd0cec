// Around attention: heads normed and turned, keys and values stored, probabilities for those who look.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/launch.cuh"

namespace qwen3::cuda {
namespace {

__global__ void qk_norm_rope_kernel(
    bf16* q, bf16* k, QkNormRopeArgs a, int n_heads, int n_kv_heads, int head_dim) {
  __shared__ bf16 spare[8][kMaxHeadDim];
  pdl_trigger();
  pdl_wait();
  const int token = blockIdx.x, warp = threadIdx.x / 32;
  const float* const cos = a.cos + token * (head_dim / 2);
  const float* const sin = a.sin + token * (head_dim / 2);
  for (int head = warp; head < n_heads + n_kv_heads; head += 8) {
    const bool is_q = head < n_heads;
    bf16* const x =
        is_q ? q + (static_cast<int64_t>(token) * n_heads + head) * head_dim
             : k + (static_cast<int64_t>(token) * n_kv_heads + head - n_heads) * head_dim;
    const float* const w = is_q ? a.q_norm : a.k_norm;
    if (a.rope_first) {
      norm_rope_head<true>(x, x, w, a.eps, cos, sin, head_dim, spare[warp]);
    } else {
      norm_rope_head<false>(x, x, w, a.eps, cos, sin, head_dim, spare[warp]);
    }
  }
}

__global__ void kv_store_kernel(KvArgs kv, const bf16* k, const bf16* v, const int32_t* slots) {
  pdl_trigger();
  pdl_wait();
  const int token = blockIdx.x;
  const int64_t slot = slots[token];
  if (slot < 0) return;
  for (int head = threadIdx.x / 32; head < kv.n_kv_heads; head += 4) {
    const int64_t at = (static_cast<int64_t>(token) * kv.n_kv_heads + head) * kv.head_dim;
    store_key(kv, slot, head, k + at, v + at);
  }
}

// Softmax over the keys, plainly: a block for each row and head.
__global__ void probs_kernel(float* probs,
                             const __grid_constant__ AttentionArgs args,
                             int sequence,
                             int n_rows,
                             int kv_len) {
  __shared__ float sums[8];
  pdl_trigger();
  pdl_wait();
  const int row = blockIdx.x, head = blockIdx.y;
  const KvArgs& kv = args.kv;
  const int padded = static_cast<int>(padded_head_dim(kv.head_dim));
  const int kv_head = head / (args.n_heads / kv.n_kv_heads);
  const int position = kv_len - n_rows + row;
  const int first_key =
      args.window > 0 ? static_cast<int>(max(int64_t{0}, position - args.window + 1)) : 0;
  const int token = args.batch.cu_seqlens_q[sequence] + row;
  const bf16* const q = static_cast<const bf16*>(args.q) +
                        (static_cast<int64_t>(token) * args.n_heads + head) * kv.head_dim;
  const int32_t* const table =
      args.batch.block_tables + static_cast<int64_t>(sequence) * args.batch.table_stride;
  float* const out = probs + (static_cast<int64_t>(head) * n_rows + row) * kv_len;
  float most = kNone;
  for (int key = threadIdx.x; key < kv_len; key += 256) {
    float score = kNone;
    if (key >= first_key && key <= position) {
      const int64_t slot =
          static_cast<int64_t>(table[key / kv.block_size]) * kv.block_size + key % kv.block_size;
      const bf16* const k = static_cast<const bf16*>(kv.k) + group_offset(kv, slot, kv_head);
      score = 0;
      for (int d = 0; d < kv.head_dim; ++d) {
        score = fmaf(to_float(q[d]), to_float(k[k_index(key % kKeyGroup, d, padded)]), score);
      }
      score *= args.scale;
    }
    out[key] = score;
    most = fmaxf(most, score);
  }
  for (int lane = 16; lane > 0; lane /= 2)
    most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, lane));
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = most;
  __syncthreads();
  for (int w = 0; w < 8; ++w) most = fmaxf(most, sums[w]);
  __syncthreads();
  float sum = 0;
  for (int key = threadIdx.x; key < kv_len; key += 256) sum += out[key] = expf(out[key] - most);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
  for (int w = 0; w < 8; ++w) sum += sums[w];
  for (int key = threadIdx.x; key < kv_len; key += 256) out[key] /= sum;
}

}  // namespace

void qk_norm_rope(void* q,
                  void* k,
                  const QkNormRopeArgs& args,
                  int n_tokens,
                  int n_heads,
                  int n_kv_heads,
                  int head_dim,
                  Stream stream) {
  launch(qk_norm_rope_kernel,
         dim3(static_cast<unsigned>(n_tokens)),
         256,
         0,
         stream,
         static_cast<bf16*>(q),
         static_cast<bf16*>(k),
         args,
         n_heads,
         n_kv_heads,
         head_dim);
}

void kv_store(
    const KvArgs& kv, const void* k, const void* v, const BatchArgs& batch, Stream stream) {
  launch(kv_store_kernel,
         dim3(static_cast<unsigned>(batch.n_tokens)),
         128,
         0,
         stream,
         kv,
         static_cast<const bf16*>(k),
         static_cast<const bf16*>(v),
         batch.slots);
}

void attention(const AttentionArgs& args, const QkNormRopeArgs* fused, Stream stream) {
  if (args.batch.n_singles > 0) attend_singles(args, fused, stream);
  if (args.n_tiles > 0) attend_slices(args, stream);
}

void attention_probs(
    float* probs, const AttentionArgs& args, int sequence, int n_rows, int kv_len, Stream stream) {
  launch(probs_kernel,
         dim3(static_cast<unsigned>(n_rows), static_cast<unsigned>(args.n_heads)),
         256,
         0,
         stream,
         probs,
         args,
         sequence,
         n_rows,
         kv_len);
}

}  // namespace qwen3::cuda
