// StepPlan: what rank 0 tells the others to do, as bytes. Block ids are the whole truth about a cache,
// so that workers know no requests: cancelling, preemption and prefix hits need no message.
//
//   header 64 bytes: magic, version, kind, runner, number, counts, n_bytes, checksum of all
//   open:  runner's shape, 8 x 8 bytes
//   step:  token ids 4 · n_tokens | rows, kv_len 8 · n_seqs | tables 4 · n_seqs · width | logit rows 4 · n
//
// Positions and slots follow from these, and every rank derives them by the same function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/batch.h"
#include "tensor/dtype.h"

namespace qwen3 {

enum class PlanKind : uint32_t { open, step, close, stop };
inline constexpr uint32_t kPlanVersion = 1;

// The sizes of a runner, and the bounds of its steps.
struct RunnerShape {
  DType kv_dtype = DType::f32;
  int64_t n_blocks = 0, block_size = 0;
  int64_t max_batch_tokens = 0, max_sequences = 0, max_logit_rows = 0, max_model_len = 0;
  int64_t vocab_size = 0;

  bool operator==(const RunnerShape&) const = default;
};

struct StepPlan {
  PlanKind kind = PlanKind::stop;
  uint32_t runner = 0;  // which of the open ones
  uint64_t number = 0;  // of all plans, counted up
  RunnerShape shape;    // kind open

  // kind step; as in kernels/batch.h
  std::vector<int32_t> token_ids, positions, cu_seqlens_q, kv_lens, block_tables, logit_rows;
  std::vector<int64_t> slot_mapping;
  int64_t max_blocks_per_seq = 0;

  // Points into this plan.
  Batch batch() const;
};

// The head of a plan alone: which bytes belong to it and for whom.
struct PlanHead {
  PlanKind kind;
  uint32_t runner;
  uint64_t number;
  int64_t n_bytes;  // of the whole plan
};
inline constexpr int64_t kPlanHeadBytes = 64;
// Plans other than steps take no more than this.
inline constexpr int64_t kSmallPlanBytes = 128;

// The most that a step of such a runner takes.
int64_t max_plan_bytes(const RunnerShape& shape);

// Write a plan to `to` and return its bytes. REQUIRES: room for it.
int64_t encode_step(std::span<std::byte> to, uint32_t runner, uint64_t number, const Batch& batch);
int64_t encode_open(std::span<std::byte> to,
                    uint32_t runner,
                    uint64_t number,
                    const RunnerShape& shape);
// close or stop
int64_t encode_end(std::span<std::byte> to, PlanKind kind, uint32_t runner, uint64_t number);

// Throw Error{internal} naming what is wrong: every count, id and index is checked before it is used.
PlanHead decode_plan_head(std::span<const std::byte> bytes);
// `shape`: that of the plan's runner, for a step.
void decode_plan(StepPlan& plan, std::span<const std::byte> bytes, const RunnerShape& shape);

}  // namespace qwen3
