#include "chat/steering.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "chat/partial_match.h"
#include "chat/text.h"

namespace qwen3 {
namespace {

constexpr std::string_view kThinkClose = "</think>";

class Steering final : public TokenConstraint {
 public:
  explicit Steering(SteeringPlan plan) : plan_(std::move(plan)) {
    if (plan_.grammar != nullptr) {
      grammar_ = start_grammar(plan_.grammar, plan_.trie);
      for (const int32_t id : plan_.begun) grammar_->accept(id);
      if (closes()) shortest_ = grammar_->bytes_to_end();
    }
    if (plan_.state == PromptState::inside_thinking) {
      enter(Phase::thought);
    } else if (plan_.state == PromptState::thinking_is_over || plan_.think_open < 0) {
      enter(first_of_answer());
    } else {
      enter(Phase::start);
    }
  }

  void accept(int32_t id) override {
    spelled_.push_back(phase() == Phase::thought ? spelled_behind(id) : 0);
    step(id);
    if (closed_at_ < 0 && is_closed()) note_closed(n_);
  }

  void rollback(int64_t n) override {
    const int64_t n_of_grammar = n_accepted_by_grammar();
    n_ -= n;
    spelled_.resize(static_cast<size_t>(n_));
    while (phases_.back().entered > n_) phases_.pop_back();
    const int64_t n_left = n_accepted_by_grammar();
    if (n_of_grammar > n_left) grammar_->rollback(n_of_grammar - n_left);
    if (closed_at_ > n_) note_closed(-1);
  }

  Fill fill(std::span<uint64_t> allowed, int32_t& one) override {
    if (phase() == Phase::thought && thought_is_to_end()) close(plan_.ending);
    switch (phase()) {
      case Phase::thought:
        return n_spelled() > 0 ? all_but_the_rest_of_the_tag(allowed) : Fill::everything;
      case Phase::free:
        return closes() && n_left() <= shortest_ ? all_but_the_trigger(allowed) : Fill::everything;
      case Phase::closing:
        one = (*closing_)[static_cast<size_t>(n_in_phase())];
        return Fill::one;
      case Phase::start:
        if (!rules()) return Fill::everything;
        if (n_left() <= n_behind_thought() + 1 && closes()) return fill_answer(0, allowed, one);
        return grammar_or({&plan_.think_open, 1}, allowed, one);
      case Phase::behind_thought:
        return grammar_or(plan_.newlines, allowed, one);
      case Phase::behind_newline:
        return grammar_or(std::span(plan_.newlines).first(1), allowed, one);
      case Phase::answer:
        return grammar_ != nullptr ? fill_answer(0, allowed, one) : Fill::everything;
    }
    return Fill::everything;
  }

  bool may_end() const override {
    switch (phase()) {
      case Phase::thought:
        return !rules();
      case Phase::closing:
        return false;
      case Phase::free:
        return true;
      default:
        return (phase() != Phase::answer && !rules()) || grammar_ == nullptr || grammar_->may_end();
    }
  }
  bool exhausted() const override {
    return phase() == Phase::answer && grammar_ != nullptr &&
           (grammar_->exhausted() || (is_closed() && n_left() == 0));
  }

 private:
  enum class Phase { start, thought, closing, behind_thought, behind_newline, free, answer };
  struct Entry {
    Phase phase;
    int64_t entered;  // after so many tokens
    int64_t begin;    // its first token
  };

  void step(int32_t id) {
    if (phase() == Phase::start && id == plan_.think_open) return step_to(Phase::thought);
    if (phase() == Phase::start) change(first_of_answer());
    if (phase() == Phase::behind_thought || phase() == Phase::behind_newline) {
      if (const int n = newlines_of(id); n > 0) return step_over_newlines(n);
      change(Phase::answer);
    }
    if (phase() == Phase::answer && grammar_ != nullptr) grammar_->accept(id);
    ++n_;
    if (phase() == Phase::free && id == plan_.trigger) return enter(Phase::answer);
    if (phase() == Phase::closing && n_in_phase() == std::ssize(*closing_)) {
      return enter(first_of_answer());
    }
    if (phase() != Phase::thought) return;
    const bool spelled_out =
        spelled_.back() == kThinkClose.size();  // by one token that holds it all
    if (id == plan_.think_close || spelled_out) return enter(behind_thought());
    close_if_used_up();
  }

  // Whether the grammar holds all of the answer.
  bool rules() const { return grammar_ != nullptr && plan_.trigger < 0; }
  Phase phase() const { return phases_.back().phase; }
  int64_t n_in_phase() const { return n_ - phases_.back().begin; }
  Phase first_of_answer() const {
    return grammar_ != nullptr && plan_.trigger >= 0 ? Phase::free : Phase::answer;
  }
  Phase behind_thought() const {
    return rules() && !plan_.newlines.empty() ? Phase::behind_thought : first_of_answer();
  }

  void enter(Phase next) {
    phases_.push_back({next, n_, n_});
    if (next == Phase::thought) close_if_used_up();
  }
  // Before the token that is being accepted, which belongs to the phase.
  void change(Phase next) { phases_.push_back({next, n_ + 1, n_}); }
  void step_to(Phase next) {
    ++n_;
    enter(next);
  }
  void close_if_used_up() {
    if (plan_.thought_budget && n_in_phase() >= *plan_.thought_budget) {
      close(plan_.closing);
    }
  }
  void close(const TokenIds& with) {
    closing_ = &with;
    phases_.push_back({Phase::closing, n_, n_});
  }

  // An answer that is to be whole in time: how many tokens it has left, and what a thought must leave of them.
  bool closes() const { return plan_.close_within >= 0 && grammar_ != nullptr; }
  int64_t n_left() const { return plan_.close_within - n_; }
  int64_t n_behind_thought() const {
    const int64_t n_ending = std::max(std::ssize(plan_.ending), std::ssize(plan_.closing));
    return n_ending + std::ssize(plan_.newlines) + shortest_;
  }
  bool thought_is_to_end() const {
    if (plan_.end_thought && *plan_.end_thought) return true;
    return closes() && rules() && !plan_.ending.empty() && n_left() <= n_behind_thought() &&
           n_left() >= std::ssize(plan_.ending) + shortest_;
  }
  // `n_before`: tokens that may still come before the answer, at most.
  Fill fill_answer(int64_t n_before, std::span<uint64_t> allowed, int32_t& one) {
    if (closes()) grammar_->close_within(std::max<int64_t>(n_left() - n_before, 0));
    return grammar_->fill(allowed, one);
  }
  // Nothing but the shortest end fits any more. What may be nothing at all, as free text beside calls, is never closed.
  bool is_closed() const {
    return closes() && phase() == Phase::answer && shortest_ > 0 && !grammar_->exhausted() &&
           grammar_->bytes_to_end() == n_left();
  }
  void note_closed(int64_t at) {
    closed_at_ = at;
    if (plan_.closed) *plan_.closed = at >= 0;
  }
  Fill all_but_the_trigger(std::span<uint64_t> allowed) const {
    std::ranges::fill(allowed, ~uint64_t{0});
    const auto id = static_cast<size_t>(plan_.trigger);
    allowed[id / 64] &= ~(uint64_t{1} << (id % 64));
    return Fill::mask;
  }

  // How much of </think> the thought ends with, in ordinary tokens.
  size_t n_spelled() const { return spelled_.empty() ? 0 : spelled_.back(); }
  uint8_t spelled_behind(int32_t id) const {
    if (plan_.tokenizer == nullptr || plan_.tokenizer->is_added(id)) return 0;
    std::string text(kThinkClose.substr(0, n_spelled()));
    text += plan_.tokenizer->token_bytes(id);
    const bool whole = text.find(kThinkClose) != text.npos;
    return static_cast<uint8_t>(whole ? kThinkClose.size() : partial_suffix(text, kThinkClose));
  }
  Fill all_but_the_rest_of_the_tag(std::span<uint64_t> allowed) const {
    const std::string_view rest = kThinkClose.substr(n_spelled());
    std::ranges::fill(allowed, ~uint64_t{0});
    for (int32_t id = 0; id < plan_.tokenizer->size(); ++id) {
      if (!plan_.tokenizer->token_bytes(id).starts_with(rest)) continue;
      allowed[static_cast<size_t>(id) / 64] &= ~(uint64_t{1} << (static_cast<size_t>(id) % 64));
    }
    return Fill::mask;
  }

  int newlines_of(int32_t id) const {
    const auto at = std::ranges::find(plan_.newlines, id);
    const auto n = static_cast<int>(at - plan_.newlines.begin()) + 1;
    const int room = phase() == Phase::behind_thought ? 2 : 1;
    return at != plan_.newlines.end() && n <= room ? n : 0;
  }
  void step_over_newlines(int n) {
    const bool more = phase() == Phase::behind_thought && n == 1;
    step_to(more ? Phase::behind_newline : Phase::answer);
  }

  // Tokens from the answer's first on that the grammar was told.
  int64_t n_accepted_by_grammar() const {
    return grammar_ != nullptr && phase() == Phase::answer ? n_in_phase() : 0;
  }

  Fill grammar_or(std::span<const int32_t> ids, std::span<uint64_t> allowed, int32_t& one) {
    const Fill fill = fill_answer(std::ssize(ids), allowed, one);
    if (fill == Fill::everything) return fill;
    if (fill == Fill::one) {
      std::ranges::fill(allowed, uint64_t{0});
      allow(allowed, one);
    }
    if (phase() != Phase::start) forbid_newlines(allowed);
    for (const int32_t id : ids) allow(allowed, id);
    return Fill::mask;
  }
  // What begins with a newline. If the grammar does not take one, nothing does.
  void forbid_newlines(std::span<uint64_t> allowed) const {
    if (!is_allowed(allowed, plan_.newlines.front())) return;
    for (int32_t id = 0; id < plan_.trie->n_tokens(); ++id) {
      if (is_allowed(allowed, id) && plan_.trie->bytes(id).starts_with('\n')) {
        allowed[static_cast<size_t>(id) / 64] &= ~(uint64_t{1} << (static_cast<size_t>(id) % 64));
      }
    }
  }
  static bool is_allowed(std::span<const uint64_t> allowed, int32_t id) {
    return (allowed[static_cast<size_t>(id) / 64] >> (static_cast<size_t>(id) % 64) & 1) != 0;
  }
  static void allow(std::span<uint64_t> allowed, int32_t id) {
    allowed[static_cast<size_t>(id) / 64] |= uint64_t{1} << (static_cast<size_t>(id) % 64);
  }

  const SteeringPlan plan_;
  std::unique_ptr<GrammarConstraint> grammar_;  // null: none
  int64_t shortest_ = 0;               // bytes_to_end() before the answer, where it closes()
  int64_t closed_at_ = -1;             // note_closed()
  std::vector<Entry> phases_;          // the last is now
  std::vector<uint8_t> spelled_;       // by token: how much of </think> a thought ends with
  const TokenIds* closing_ = nullptr;  // of plan_, in the phase closing
  int64_t n_ = 0;                      // tokens of the answer
};

}  // namespace

SteeringPlan steering_plan(const Text& text, PromptState state) {
  const Tokenizer& tokenizer = tokenizer_of(text);
  SteeringPlan plan{.state = state,
                    .think_open = tokenizer.token_to_id("<think>").value_or(-1),
                    .think_close = tokenizer.token_to_id("</think>").value_or(-1),
                    .tokenizer = &tokenizer};
  for (const char* newlines : {"\n", "\n\n"}) {
    const std::vector<int32_t> ids = text.encode(newlines);
    if (ids.size() == 1) plan.newlines.push_back(ids.front());
  }
  return plan;
}

std::unique_ptr<TokenConstraint> make_steering(SteeringPlan plan) {
  return std::make_unique<Steering>(std::move(plan));
}

}  // namespace qwen3
