#include "server/steering.h"

#include <algorithm>
#include <limits>
#include <memory>

namespace qwen3::server {
namespace {

class Steering {
 public:
  explicit Steering(SteeringPlan plan) : plan_(std::move(plan)) {
    if (plan_.state == PromptState::inside_thinking) {
      phase_ = Phase::thought;
    } else if (plan_.state == PromptState::thinking_is_over || !plan_.opening.empty()) {
      begin_answer(plan_.opening);
    }
  }

  void step(std::span<const int32_t> generated, std::span<float> logits) {
    for (; n_seen_ < generated.size(); ++n_seen_) see(generated[n_seen_]);
    if (phase_ == Phase::thought && plan_.thought_budget && n_thought_ >= *plan_.thought_budget) {
      phase_ = Phase::closing;
      force(plan_.closing);
    }
    if (forced_ != nullptr) only((*forced_)[n_forced_], logits);
  }

 private:
  enum class Phase { start, thought, closing, answer };

  void force(const std::vector<int32_t>& ids) {
    forced_ = ids.empty() ? nullptr : &ids;
    n_forced_ = 0;
  }

  void begin_answer(const std::vector<int32_t>& opening) {
    phase_ = Phase::answer;
    force(opening);
  }

  void see(int32_t id) {
    if (forced_ != nullptr && ++n_forced_ == forced_->size()) {
      forced_ = nullptr;
      if (phase_ == Phase::closing) begin_answer(plan_.opening);
      return;
    }
    if (forced_ != nullptr) return;
    if (phase_ == Phase::start) {
      phase_ = id == plan_.think_open ? Phase::thought : Phase::answer;
    } else if (phase_ == Phase::thought) {
      ++n_thought_;
      if (id == plan_.think_close) begin_answer(plan_.opening_after_thought);
    }
  }

  static void only(int32_t id, std::span<float> logits) {
    std::ranges::fill(logits, -std::numeric_limits<float>::infinity());
    logits[static_cast<size_t>(id)] = 0.0f;
  }

  SteeringPlan plan_;
  Phase phase_ = Phase::start;
  const std::vector<int32_t>* forced_ = nullptr;  // being forced; null: nothing
  size_t n_forced_ = 0;
  size_t n_seen_ = 0;
  int64_t n_thought_ = 0;
};

}  // namespace

LogitsProcessor make_steering(SteeringPlan plan) {
  return [steering = std::make_shared<Steering>(std::move(plan))](
             std::span<const int32_t> generated, std::span<float> logits) {
    steering->step(generated, logits);
  };
}

}  // namespace qwen3::server
