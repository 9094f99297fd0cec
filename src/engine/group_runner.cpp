#include "engine/group_runner.h"

#include <exception>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "engine/model_impl.h"
#include "engine/qwen3_runner.h"
#include "parallel/step_plan.h"
#include "parallel/step_windows.h"

namespace qwen3 {
namespace {

RunnerShape shape_of(const RunnerOptions& o, int64_t vocab_size) {
  return {.kv_dtype = o.kv.dtype,
          .n_blocks = o.kv.n_blocks,
          .block_size = o.kv.block_size,
          .max_batch_tokens = o.max_batch_tokens,
          .max_sequences = o.max_sequences,
          .max_logit_rows = o.max_logit_rows,
          .max_model_len = o.max_model_len,
          .vocab_size = vocab_size};
}

RunnerOptions options_of(const RunnerShape& s) {
  return {.kv = {.dtype = s.kv_dtype, .n_blocks = s.n_blocks, .block_size = s.block_size},
          .max_batch_tokens = s.max_batch_tokens,
          .max_sequences = s.max_sequences,
          .max_logit_rows = s.max_logit_rows,
          .max_model_len = s.max_model_len};
}

// A rank's runner with its windows, which go after it.
struct RankRunner {
  RankRunner(const std::shared_ptr<Model>& model,
             const RunnerShape& s,
             const RunnerOptions& options)
      : shape(s), windows(windows_of(*model, s)), runner(model, options, windows.get()) {}

  static std::unique_ptr<StepWindows> windows_of(Model& model, const RunnerShape& s) {
    Model::Impl& impl = impl_of(model);
    const auto peers = [&](int64_t bytes, int rank) {
      return impl.backend->make_peer_window(bytes, rank);
    };
    return make_step_windows(*impl.group,
                             *impl.threads,
                             peers,
                             {.max_tokens = s.max_batch_tokens,
                              .hidden_size = impl.config.hidden_size,
                              .max_logit_rows = s.max_logit_rows,
                              .vocab_size = s.vocab_size,
                              .plan_bytes = max_plan_bytes(s)});
  }

  const RunnerShape shape;
  const std::unique_ptr<StepWindows> windows;
  Qwen3Runner runner;
};

void publish_small(Communicator& group, int64_t n_bytes) {
  group.publish(Communicator::kSmall, group.small_plan().first(static_cast<size_t>(n_bytes)));
}

class GroupRunner final : public ModelRunner {
 public:
  GroupRunner(std::shared_ptr<Model> model, const RunnerOptions& options)
      : model_(std::move(model)), impl_(impl_of(*model_)), group_(*impl_.group) {
    const std::lock_guard lock(impl_.group_mutex);
    id_ = impl_.n_runners++;
    const RunnerShape shape = shape_of(options, impl_.config.vocab_size);
    const uint64_t number = group_.next_plan();
    publish_small(group_, encode_open(group_.small_plan(), id_, number, shape));
    own_.emplace(model_, shape, options);
    group_.collect({.number = number});
  }

  ~GroupRunner() override {
    const std::lock_guard lock(impl_.group_mutex);
    if (group_.ended()) return;
    try {
      const uint64_t number = group_.next_plan();
      publish_small(group_, encode_end(group_.small_plan(), PlanKind::close, id_, number));
      own_.reset();
      group_.collect({.number = number});
    } catch (const std::exception& error) {
      group_.end_group(error.what());
    }
  }

  int64_t vocab_size() const override { return own_->runner.vocab_size(); }

  Tensor run(const Batch& batch, Tap* tap) override {
    const std::lock_guard lock(impl_.group_mutex);
    try {
      const uint64_t number = group_.next_plan();
      const std::span<std::byte> room = own_->windows->plan();
      const int64_t n_bytes = encode_step(room, id_, number, batch);
      group_.publish(id_, room.first(static_cast<size_t>(n_bytes)));
      const Tensor logits = own_->runner.run(batch, tap);
      group_.collect({.number = number, .hidden_hash = own_->runner.residual_hash()});
      return logits;
    } catch (const std::exception& error) {
      // Half a step cannot be gone back on: the others wait in the middle of it.
      group_.end_group(error.what());
      throw Error(ErrorKind::device, error.what());
    }
  }

  std::span<const RowScan> scans(int64_t n_real) override { return own_->runner.scans(n_real); }
  Tensor host_rows(const Tensor& logits, int64_t first, int64_t n) override {
    return own_->runner.host_rows(logits, first, n);
  }
  Tensor hidden() override { return own_->runner.hidden(); }
  Tensor experts() override { return own_->runner.experts(); }
  void for_each_row(int64_t n_rows, const RowBody& body) override {
    own_->runner.for_each_row(n_rows, body);
  }
  int n_threads() const override { return own_->runner.n_threads(); }

 private:
  const std::shared_ptr<Model> model_;
  Model::Impl& impl_;
  Communicator& group_;
  uint32_t id_ = 0;
  std::optional<RankRunner> own_;
};

// A rank that is not the first.
class Worker {
 public:
  explicit Worker(const std::shared_ptr<Model>& model)
      : model_(model), group_(*impl_of(*model).group) {}

  // False: it was told to stop.
  bool turn() {
    const uint32_t place =
        group_.await_plan([this](uint32_t id) { return runner_of(id).windows->plan(); });
    RankRunner* const runner = place == Communicator::kSmall ? nullptr : &runner_of(place);
    const std::span<const std::byte> room = runner == nullptr
                                                ? std::span<const std::byte>(group_.small_plan())
                                                : runner->windows->plan();
    const PlanHead head = decode_plan_head(room);
    QWEN3_CHECK(head.n_bytes <= static_cast<int64_t>(room.size()),
                ErrorKind::internal,
                "plan of a step: {} bytes in a window of {}",
                head.n_bytes,
                room.size());
    decode_plan(plan_,
                room.first(static_cast<size_t>(head.n_bytes)),
                runner == nullptr ? RunnerShape{} : runner->shape);
    RankReport report{.number = plan_.number};
    switch (plan_.kind) {
      case PlanKind::open:
        open(report);
        break;
      case PlanKind::step:
        QWEN3_CHECK(runner != nullptr, ErrorKind::internal, "plan of a step: it has no window");
        runner->runner.run(plan_.batch(), nullptr);
        report.hidden_hash = runner->runner.residual_hash();
        break;
      case PlanKind::close:
        runners_.erase(plan_.runner);
        break;
      case PlanKind::stop:
        return false;
    }
    group_.report(report);
    return true;
  }

 private:
  RankRunner& runner_of(uint32_t id) {
    const auto found = runners_.find(id);
    QWEN3_CHECK(
        found != runners_.end(), ErrorKind::internal, "plan of a step: runner {} is not open", id);
    return found->second;
  }

  void open(RankReport& report) {
    try {
      runners_.try_emplace(plan_.runner, model_, plan_.shape, options_of(plan_.shape));
    } catch (const std::exception& error) {
      report.problem = error.what();
    }
  }

  const std::shared_ptr<Model>& model_;
  Communicator& group_;
  std::map<uint32_t, RankRunner> runners_;
  StepPlan plan_;
};

}  // namespace

std::unique_ptr<ModelRunner> make_group_runner(std::shared_ptr<Model> model,
                                               const RunnerOptions& options) {
  return std::make_unique<GroupRunner>(std::move(model), options);
}

void run_group_worker(const std::shared_ptr<Model>& model) {
  Communicator& group = *impl_of(*model).group;
  Worker worker(model);
  try {
    while (worker.turn()) {
    }
  } catch (const std::exception& error) {
    group.end_group(fmt::format("{}: {}; the group ends", group.name(group.rank()), error.what()));
    throw;
  }
}

void stop_group_workers(Communicator& group) {
  if (group.ended()) return;
  publish_small(group, encode_end(group.small_plan(), PlanKind::stop, 0, group.next_plan()));
}

}  // namespace qwen3
