// PagedAttention: cuts the attention of a batch into tasks for the thread team.
//
// A task is up to 24 rows (heads of one kv group, tokens of one sequence) against all their keys;
// the keys are taken in partitions of 1,024, each with a softmax of its own, merged in order. When
// there are too few such tasks for the team (a long context, few heads, many threads), every
// partition becomes a task and the merge follows. Both ways do the same arithmetic, so a row's bits
// do not depend on which was taken.
#pragma once

#include <cstdint>
#include <vector>

#include "hardware/thread_pool.h"
#include "kernels/backend.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/scratch.h"

namespace qwen3::cpu {

// The layer's cache as the kernels see it. Throws Error{unsupported} for a dtype other than float32,
// bfloat16 and q8 and for a block_size that is not a multiple of 16.
KvArgs kv_args(const KvLayer& kv);

class PagedAttention {
 public:
  PagedAttention(const KernelTable& kernels, ThreadPool& pool) : kernels_(kernels), pool_(pool) {}

  void run(const Tensor& out,
           const Tensor& q,
           const KvLayer& kv,
           const Batch& batch,
           const AttentionOptions& options);

 private:
  // Rows are numbered through a (sequence, kv head): row = token * group_size + head in group.
  struct Task {
    int32_t sequence, kv_head, first_row, n_rows;
    int64_t key_begin, key_end;  // seen by any of its rows
  };
  // One partition of one task; the order of `pieces_` is that of the tasks, partitions ascending.
  struct Piece {
    int32_t task;
    int64_t partition;
  };
  struct Call;  // the arguments of run()

  void list_tasks(const Call& call);
  void attend(const Call& call, const Task& task, int64_t partition, float* states, int thread);
  void finish(const Call& call, const Task& task, const float* states) const;
  void run_whole(const Call& call, bool serial);
  void run_split(const Call& call);
  float* thread_scratch(int64_t head_dim, int thread);

  const KernelTable& kernels_;
  ThreadPool& pool_;
  std::vector<Task> tasks_;
  std::vector<Piece> pieces_;
  std::vector<int64_t> first_piece_;  // of each task, and one past the last
  Scratch thread_scratch_, piece_states_;
};

}  // namespace qwen3::cpu
