#include "kernels/cpu/paged_attention.h"

#include <algorithm>
#include <cassert>

#include "base/checked.h"
#include "base/error.h"

namespace qwen3::cpu {
namespace {

// Keys with a softmax of their own. Long enough that merging (0.1 µs a row) is nothing, short
// enough that a context of 8,192 gives 8 tasks a head. A multiple of kAttentionChunk.
constexpr int64_t kPartition = 1024;
// Rows times keys times head_dim below which the caller does it all: waking the team costs more.
constexpr int64_t kSerialProducts = 32 * 1024;

}  // namespace

KvArgs kv_args(const KvLayer& kv) {
  const DType type = kv.k.dtype();
  QWEN3_CHECK(
      (type == DType::f32 || type == DType::bf16 || type == DType::q8) && kv.v.dtype() == type,
      ErrorKind::unsupported,
      "cpu: kv cache; expected float32, bfloat16 or q8; got {}",
      dtype_name(type));
  QWEN3_CHECK(kv.k.dim(1) % kPanel == 0,
              ErrorKind::unsupported,
              "cpu: block_size; expected a multiple of 16; got {}",
              kv.k.dim(1));
  return {kv.k.data(), kv.v.data(), kv.k.dim(1), kv.k.dim(2), kv.k.dim(3)};
}

struct PagedAttention::Call {
  const Tensor& out;
  const Tensor& q;
  const Batch& batch;
  const AttentionOptions& options;
  KvArgs kv;
  AttendKernel kernel;
  int64_t group_size;  // query heads of a kv head
  bool rotated;        // the values are, so the sums must be turned back

  // Keys visible to a row of a sequence.
  void visible(const Task& task, int64_t row, int64_t* begin, int64_t* end) const {
    const auto s = static_cast<size_t>(task.sequence);
    const int64_t n_tokens = batch.cu_seqlens_q[s + 1] - batch.cu_seqlens_q[s];
    *end = batch.kv_lens[s] - n_tokens + row / group_size + 1;
    *begin = options.sliding_window > 0 ? std::max<int64_t>(0, *end - options.sliding_window) : 0;
  }
  // Offset of a row's head in q and out.
  int64_t token(const Task& task, int64_t row) const {
    return batch.cu_seqlens_q[static_cast<size_t>(task.sequence)] + row / group_size;
  }
  int64_t head_offset(const Task& task, int64_t row) const {
    return (task.kv_head * group_size + row % group_size) * kv.head_dim;
  }
};

// Longest first: the rows that come last in a prefill see the most keys.
void PagedAttention::list_tasks(const Call& call) {
  tasks_.clear();
  const Batch& batch = call.batch;
  for (int64_t s = 0; s < batch.n_seqs(); ++s) {
    const auto i = static_cast<size_t>(s);
    const int64_t n_rows = (batch.cu_seqlens_q[i + 1] - batch.cu_seqlens_q[i]) * call.group_size;
    for (int64_t tile = ceil_div(n_rows, kMaxAttentionRows) - 1; tile >= 0; --tile) {
      const int64_t first = tile * kMaxAttentionRows;
      const int64_t count = std::min(kMaxAttentionRows, n_rows - first);
      for (int64_t head = 0; head < call.kv.n_kv_heads; ++head) {
        Task task = {static_cast<int32_t>(s),
                     static_cast<int32_t>(head),
                     static_cast<int32_t>(first),
                     static_cast<int32_t>(count),
                     0,
                     0};
        int64_t unused = 0;
        call.visible(task, first, &task.key_begin, &unused);
        call.visible(task, first + count - 1, &unused, &task.key_end);
        tasks_.push_back(task);
      }
    }
  }
}

void PagedAttention::attend(
    const Call& call, const Task& task, int64_t partition, float* states, int thread) {
  AttentionArgs args;
  args.kv = call.kv;
  args.block_table = call.batch.block_tables.data() + task.sequence * call.batch.max_blocks_per_seq;
  args.kv_head = task.kv_head;
  args.scale = call.options.scale;
  args.n_rows = task.n_rows;
  args.states = states;
  args.scratch = thread_scratch(call.kv.head_dim, thread);
  for (int64_t r = 0; r < task.n_rows; ++r) {
    AttentionRow& row = args.rows[r];
    const int64_t number = task.first_row + r;
    row.q = call.q.f32_row(call.token(task, number)) + call.head_offset(task, number);
    call.visible(task, number, &row.key_begin, &row.key_end);
  }
  call.kernel(args, partition * kPartition, (partition + 1) * kPartition);
}

void PagedAttention::finish(const Call& call, const Task& task, const float* states) const {
  const int64_t size = attention_state_size(call.kv.head_dim);
  for (int64_t r = 0; r < task.n_rows; ++r) {
    const int64_t number = task.first_row + r;
    float* out = call.out.f32_row(call.token(task, number)) + call.head_offset(task, number);
    kernels_.finish_state(out, states + r * size, call.kv.head_dim);
    if (call.rotated) kernels_.rotate_head(out, call.kv.head_dim);
  }
}

// Scratch of a thread: converted queries, the states of a task and those of one more partition.
float* PagedAttention::thread_scratch(int64_t head_dim, int thread) {
  const int64_t tile = kMaxAttentionRows * attention_state_size(head_dim);
  return thread_scratch_.get<float>(3 * tile * pool_.size()) + 3 * tile * thread;
}

void PagedAttention::run_whole(const Call& call, bool serial) {
  const int64_t size = attention_state_size(call.kv.head_dim);
  const int64_t tile = kMaxAttentionRows * size;
  const auto body = [&](int64_t number, int thread) {
    const Task& task = tasks_[static_cast<size_t>(number)];
    float* total = thread_scratch(call.kv.head_dim, thread) + tile;
    float* part = total + tile;
    const int64_t first = task.key_begin / kPartition;
    attend(call, task, first, total, thread);
    for (int64_t p = first + 1; p * kPartition < task.key_end; ++p) {
      attend(call, task, p, part, thread);
      for (int64_t r = 0; r < task.n_rows; ++r) {
        kernels_.merge_states(total + r * size, part + r * size, call.kv.head_dim);
      }
    }
    finish(call, task, total);
  };
  const auto n_tasks = static_cast<int64_t>(tasks_.size());
  if (serial) {
    for (int64_t i = 0; i < n_tasks; ++i) body(i, 0);
  } else {
    pool_.parallel_for(n_tasks, body);
  }
}

void PagedAttention::run_split(const Call& call) {
  const int64_t size = attention_state_size(call.kv.head_dim);
  const int64_t tile = kMaxAttentionRows * size;
  pieces_.clear();
  first_piece_.clear();
  for (size_t i = 0; i < tasks_.size(); ++i) {
    first_piece_.push_back(static_cast<int64_t>(pieces_.size()));
    for (int64_t p = tasks_[i].key_begin / kPartition; p * kPartition < tasks_[i].key_end; ++p) {
      pieces_.push_back({static_cast<int32_t>(i), p});
    }
  }
  const auto n_pieces = static_cast<int64_t>(pieces_.size());
  first_piece_.push_back(n_pieces);
  float* states = piece_states_.get<float>(n_pieces * tile);

  pool_.parallel_for(n_pieces, [&](int64_t i, int thread) {
    const Piece& piece = pieces_[static_cast<size_t>(i)];
    const Task& task = tasks_[static_cast<size_t>(piece.task)];
    attend(call, task, piece.partition, states + i * tile, thread);
  });
  for (size_t i = 0; i < tasks_.size(); ++i) {
    float* total = states + first_piece_[i] * tile;
    for (int64_t p = first_piece_[i] + 1; p < first_piece_[i + 1]; ++p) {
      for (int64_t r = 0; r < tasks_[i].n_rows; ++r) {
        kernels_.merge_states(total + r * size, states + p * tile + r * size, call.kv.head_dim);
      }
    }
    finish(call, tasks_[i], total);
  }
}

void PagedAttention::run(const Tensor& out,
                         const Tensor& q,
                         const KvLayer& kv,
                         const Batch& batch,
                         const AttentionOptions& options) {
  if (batch.n_tokens() == 0) return;
  const KvArgs args = kv_args(kv);
  assert(q.dim(1) % args.n_kv_heads == 0 && q.dim(2) == args.head_dim);
  const DType type = kv.k.dtype();
  const AttendKernel kernel = type == DType::q8     ? kernels_.attend_q8
                              : type == DType::bf16 ? kernels_.attend_bf16
                                                    : kernels_.attend_f32;
  const Call call = {
      out, q, batch, options, args, kernel, q.dim(1) / args.n_kv_heads, type == DType::q8};
  list_tasks(call);

  thread_scratch(args.head_dim, 0);  // grows here, not inside the loops
  int64_t n_products = 0;
  int64_t n_pieces = 0;
  for (const Task& task : tasks_) {
    n_products += task.n_rows * (task.key_end - task.key_begin) * args.head_dim;
    n_pieces += ceil_div(task.key_end, kPartition) - task.key_begin / kPartition;
  }
  const auto n_tasks = static_cast<int64_t>(tasks_.size());
  const bool serial = n_products < kSerialProducts || pool_.size() == 1;
  if (!serial && n_tasks < 4 * pool_.size() && n_pieces > n_tasks) {
    run_split(call);
  } else {
    run_whole(call, serial);
  }
}

}  // namespace qwen3::cpu
