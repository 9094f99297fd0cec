// EngineCore: the engine without a checkpoint: a thread that schedules sequences over any
// ModelRunner, samples, and tells what happened. Engine is this over a Model.
//
// Threads: submit, cancel and stats from any thread; everything else runs on the engine thread,
// which alone touches scheduler, runner and sampler (and waits while the sampler borrows the
// runner's threads). One step: take commands, end what is past its deadline, schedule, run the
// batch, commit, sample, free what ended, publish the statistics, deliver the events. So whoever
// sees a finishing event finds the blocks already free in stats().
//
// Out of memory ends a request with that error: the one that needed it where that is known, else
// those of the step. What ending one takes (room in the outbox, a place among the cancelled) is
// allocated when it is taken in, so that the end of a sequence cannot fail.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/batch_builder.h"
#include "engine/inbox.h"
#include "engine/model_runner.h"
#include "engine/row_sampler.h"
#include "engine/scheduler.h"
#include "engine/tapped_passes.h"
#include "engine/validate.h"
#include "qwen3/engine.h"

namespace qwen3 {

struct CoreOptions {
  SchedulerOptions scheduler;
  RequestLimits limits;  // max_model_len <= n_blocks * block_size
  int64_t max_waiting = 256;
  int64_t max_waiting_tokens = 0;  // 0: no limit
  std::vector<int32_t> eos_token_ids;
  std::function<void(const StepReport&)> on_step = {};  // as EngineOptions::on_step
  // After every step check that blocks are conserved (O(blocks)); a breach ends the engine. For
  // tests.
  bool check_every_step = false;
  // For simulations: another clock (called from every thread), and no engine thread: whoever owns
  // the engine calls run_once().
  std::function<Clock::time_point()> now = Clock::now;
  bool own_thread = true;
};

class EngineCore {
 public:
  EngineCore(std::unique_ptr<ModelRunner> runner, CoreOptions options);
  ~EngineCore();

  // As Engine's.
  EventStream submit(Request request);
  uint64_t submit(Request request, Engine::OnEvent on_event);
  void cancel(uint64_t id) noexcept { inbox_->cancel(id); }
  EngineStats stats() const;
  // One turn of the engine's loop. REQUIRES: no thread of its own.
  void run_once();
  int64_t max_model_len() const { return options_.limits.max_model_len; }

 private:
  struct Delivery {
    Sequence* sequence;
    Event event;
  };

  std::unique_ptr<Sequence> make_sequence(Request request);
  std::shared_ptr<ConstrainedAnswer> constrain(const Sequence& sequence,
                                               std::shared_ptr<TokenConstraint> constraint) const;
  void loop();
  void shut_down();
  void turn();
  bool idle() const { return scheduler_.n_running() + scheduler_.n_waiting() == 0; }
  void take();
  void reserve_experts(Sequence& sequence, int64_t n_rows) const;
  void take_in(std::unique_ptr<Sequence> submitted);
  void make_room();
  void refuse(Sequence& sequence) noexcept;
  void end_expired();
  void step();
  void run_batch();
  void finish_tapped();
  void note_admissions();
  void note_left_queue(const Sequence& sequence);
  void tell_progress(std::span<const Slice> slices);
  void take_logits(std::span<const BatchBuilder::LogitRow> rows, const Tensor& logits);
  void take_hidden(std::span<Sequence* const> owners, const Tensor& hidden);
  void take_row(const BatchBuilder::LogitRow& row, size_t i);
  void take_embedding(Sequence& sequence, std::span<const float> row);
  void take_score(const BatchBuilder::LogitRow& row, const Sampled& scored);
  const Sampled* sampled_or_end(Sequence& sequence, size_t row);
  void take_token(Sequence& sequence, const Sampled& sampled);
  void note_first_output(Sequence& sequence, Event& event);
  void end_damaged(Sequence& sequence, int64_t position);
  void fail_request(Sequence& sequence, std::string error, ErrorKind kind = ErrorKind::internal);
  void fail_for_memory(Sequence& sequence);
  void end(Sequence& sequence, Event event, FinishReason reason);
  void end_running(ErrorKind kind, std::string_view error);
  void end_all(FinishReason reason, ErrorKind kind, std::string_view error);
  void note_computed(std::span<const Slice> slices);
  void report_step(Clock::time_point begin);
  void publish();
  void deliver();
  void drop_deliveries(const Sequence& sequence);
  void forget(const Sequence& sequence);

  const CoreOptions options_;
  const std::unique_ptr<ModelRunner> runner_;
  const std::shared_ptr<Inbox> inbox_;
  const uint64_t seed_base_;
  std::atomic<uint64_t> last_id_ = 0;

  // Of the engine thread.
  Scheduler scheduler_;
  BatchBuilder builder_;
  ConstraintWorkers constraint_workers_;
  std::unique_ptr<RowSampler> sampler_;
  std::unordered_map<uint64_t, std::unique_ptr<Sequence>> sequences_;
  std::set<std::pair<Clock::time_point, uint64_t>> deadlines_;  // and ids, soonest first
  Commands commands_;
  std::vector<Delivery> outbox_;
  TappedPasses tapped_;
  StepReport report_;  // of the running step, when somebody wants it
  int64_t n_left_queue_ = 0, n_tokens_left_queue_ = 0;  // since the last publish()
  EngineStats counters_;

  mutable std::mutex stats_mutex_;
  EngineStats stats_;  // under stats_mutex_
  // When the running turn began, as Clock's count; kNoTurn between turns.
  static constexpr Clock::rep kNoTurn = std::numeric_limits<Clock::rep>::min();
  std::atomic<Clock::rep> turn_began_ = kNoTurn;

  std::thread thread_;  // last: it starts when everything else exists
};

}  // namespace qwen3
