// Scheduler: which tokens of which sequences the next step computes, and who owns the KV blocks.
//
// Every step is one mixed batch. Running sequences stand in order of priority, then of admission.
// Those that decode come first, one token each, so that a long prompt never stalls them; the rest
// of max_batch_tokens goes to prefill chunks. Waiting sequences are admitted in the order of
// FairQueue, without overtaking, and only when all blocks of their known tokens are free, so a
// prefill never stops half-way for memory. A decode that finds no block preempts the last running
// sequence: the lowest priority, of these the newest admission. Its blocks are freed, it waits
// before all new ones of its priority and is computed again, from the prefix cache as far as that
// still has it. Priority decides who goes next, it takes no blocks from who runs.
//
// Why nobody starves, among sequences of one priority while none of a better one keeps coming (a
// stream of those may hold the others up for ever: that is what priority means). (1) Every step
// gives the first running sequence a token or a chunk, and alone it always fits, so it ends. (2) A
// newcomer comes after all that run, and nobody new is admitted while a preempted one waits, so the
// order of first admissions is kept: those before a given sequence only become fewer, and it ends.
// (3) The sequence that is next stays next until there is room or FairQueue's bounded turns say
// otherwise, and room comes by (2); so everybody is admitted.
//
// The same arrivals give the same steps.
//
// Not thread safe: the engine thread owns it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/block_pool.h"
#include "engine/fair_queue.h"
#include "engine/prefix_cache.h"
#include "engine/sequence.h"

namespace qwen3 {

// Prompt rows scored per step, when all sequences run: 20 MB of logits for Qwen3's vocabulary.
inline constexpr int64_t kScoreRows = 32;

struct SchedulerOptions {
  int64_t n_blocks = 0;
  int64_t block_size = 32;
  int64_t max_batch_tokens = 512;  // >= max_sequences
  int64_t max_sequences = 64;
  // Rows that may want logits in one step: one for each sequence, the others score prompts.
  // > max_sequences; 0: max_sequences + kScoreRows.
  int64_t max_logit_rows = 0;
  bool prefix_cache = true;
  PrefixCache::Hash hash = nullptr;  // for tests
};

// Tokens [begin, begin + count) of a sequence. The last one's logits are wanted when it is the
// newest token of the sequence.
struct Slice {
  Sequence* sequence = nullptr;
  int64_t begin = 0, count = 0;
  bool samples() const { return begin + count == static_cast<int64_t>(sequence->tokens.size()); }
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);

  // Sequences are borrowed until finish(). Throws std::bad_alloc, having borrowed nothing.
  // REQUIRES: 1 <= tokens.size() <= n_blocks * block_size and the same for its later growth.
  void add(Sequence& sequence);

  // The next step's work, empty when there is none. Valid until the next call of schedule, commit
  // or finish. Throws std::bad_alloc, and then blocks are conserved and every running sequence, or
  // if there is none next_waiting(), is to be finished.
  std::span<const Slice> schedule();
  // The step's keys and values are stored. Full blocks become findable. Called before the sampled
  // tokens are appended.
  void commit();

  // The sequence ends, in whatever state it is: its blocks are free when this returns. Not between
  // schedule() and commit(), except when the step failed and every running sequence is finished.
  void finish(Sequence& sequence);

  int64_t n_running() const { return static_cast<int64_t>(running_.size()); }
  int64_t n_waiting() const { return queue_.size(); }
  Sequence* next_waiting() const { return queue_.empty() ? nullptr : &queue_.front(); }
  std::span<Sequence* const> running() const { return running_; }
  int64_t n_preemptions() const { return n_preemptions_; }
  const BlockPool& pool() const { return pool_; }
  int64_t block_size() const { return options_.block_size; }

  // Throws Error{internal} unless blocks are conserved (every reference belongs to a running
  // sequence, and every other block is free) and the order is kept that lets everyone end.
  void check_conservation() const;

 private:
  void check_order() const;
  void schedule_decodes();
  void schedule_prefills();
  int64_t n_score_rows() const { return max_logit_rows_ - n_running(); }
  void admit_waiting();
  bool admit_if_memory(Sequence& sequence);
  bool admit(Sequence& sequence);
  int64_t n_to_prefill(int32_t priority) const;
  // Leading blocks of the sequence that the prefix cache knows: takes a reference of each.
  void adopt_cached_blocks(Sequence& sequence);
  void append_block(Sequence& sequence);
  void preempt_last();
  void release_blocks(Sequence& sequence);
  void remember_full_blocks(Sequence& sequence);

  SchedulerOptions options_;
  int64_t max_logit_rows_;
  BlockPool pool_;
  PrefixCache cache_;
  FairQueue queue_;
  std::vector<Sequence*> running_;  // best priority first, then in order of admission
  std::vector<Slice> slices_;
  int64_t budget_ = 0;  // tokens left in the step being made
  int64_t n_preemptions_ = 0;
};

}  // namespace qwen3
