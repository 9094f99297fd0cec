#include "server/api/steering.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

namespace qwen3::server {
namespace {

// Forbids every token but these; theirs keep the values that the model gave them.
void allow_only(std::span<const int32_t> ids, std::span<float> logits) {
  std::vector<float> kept;
  kept.reserve(ids.size());
  for (const int32_t id : ids) kept.push_back(logits[static_cast<size_t>(id)]);
  std::ranges::fill(logits, -std::numeric_limits<float>::infinity());
  for (size_t i = 0; i < ids.size(); ++i) logits[static_cast<size_t>(ids[i])] = kept[i];
}

// Sequences of which one is to be generated.
class Alternatives {
 public:
  void start(std::vector<TokenIds> ways) {
    ways_ = std::move(ways);
    n_seen_ = 0;
  }

  TokenIds next() const {
    TokenIds ids;
    for (const TokenIds& way : ways_) ids.push_back(way[n_seen_]);
    return ids;
  }

  // True when one of them is complete.
  bool see(int32_t id) {
    std::erase_if(ways_, [&](const TokenIds& way) { return way[n_seen_] != id; });
    ++n_seen_;
    return ways_.empty() || ways_.front().size() == n_seen_;
  }

 private:
  std::vector<TokenIds> ways_;  // that agree with what was seen; each is longer than n_seen_
  size_t n_seen_ = 0;
};

class Steering {
 public:
  explicit Steering(SteeringPlan plan) : plan_(std::move(plan)) {
    if (plan_.state == PromptState::inside_thinking) {
      phase_ = Phase::thought;
    } else if (plan_.state == PromptState::thinking_is_over || plan_.think_open < 0) {
      begin_answer(plan_.openings);
    }
  }

  void step(std::span<const int32_t> generated, std::span<float> logits) {
    for (; n_seen_ < generated.size(); ++n_seen_) see(generated[n_seen_]);
    if (phase_ == Phase::thought && plan_.end_thought && *plan_.end_thought) {
      close(plan_.ending);
    } else if (phase_ == Phase::thought && plan_.thought_budget &&
               n_thought_ >= *plan_.thought_budget) {
      close(plan_.closing);
    }
    restrict_to_plan(logits);
  }

 private:
  enum class Phase { start, thought, closing, opening, arguments, object, free };

  void close(const TokenIds& with) {
    phase_ = Phase::closing;
    forced_.start({with});
  }

  void begin_answer(const std::vector<TokenIds>& openings) {
    phase_ = openings.empty() ? Phase::free : Phase::opening;
    if (phase_ == Phase::opening) forced_.start(openings);
  }

  void see(int32_t id) {
    switch (phase_) {
      case Phase::start:
        return see_first(id);
      case Phase::thought:
        ++n_thought_;
        if (id == plan_.think_close) begin_answer(plan_.openings_after_thought);
        return;
      case Phase::closing:
        if (forced_.see(id)) begin_answer(plan_.openings);
        return;
      case Phase::opening:
        if (forced_.see(id)) phase_ = plan_.arguments ? Phase::arguments : Phase::free;
        return;
      case Phase::arguments: {
        const TokenIds& space = plan_.arguments->space;
        phase_ = std::ranges::find(space, id) != space.end() ? Phase::object : Phase::free;
        return;
      }
      case Phase::object:
        phase_ = Phase::free;
        return;
      case Phase::free:
        return;
    }
  }

  void see_first(int32_t id) {
    if (id == plan_.think_open) {
      phase_ = Phase::thought;
    } else {
      begin_answer(plan_.openings);
      see(id);
    }
  }

  void restrict_to_plan(std::span<float> logits) const {
    if (phase_ == Phase::closing || phase_ == Phase::opening) {
      allow_only(forced_.next(), logits);
    } else if (phase_ == Phase::arguments) {
      TokenIds ids = plan_.arguments->object;
      ids.insert(ids.end(), plan_.arguments->space.begin(), plan_.arguments->space.end());
      allow_only(ids, logits);
    } else if (phase_ == Phase::object) {
      allow_only(plan_.arguments->object, logits);
    } else if (phase_ == Phase::start && !plan_.openings.empty()) {
      TokenIds either{plan_.think_open};
      for (const TokenIds& opening : plan_.openings) either.push_back(opening.front());
      allow_only(either, logits);
    }
  }

  SteeringPlan plan_;
  Phase phase_ = Phase::start;
  Alternatives forced_;  // in the phases closing and opening
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
