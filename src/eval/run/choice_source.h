// Chooses instead of generating: each choice of a question is scored as the continuation of its
// prompt, and the answer is the letter of the best (eval/run/choices.h). Sits in front of another
// source, which does all the talking, with its retries and failures:
//
//   one question with n choices  ->  n texts whose tokens are scored   (Want::logprobs)
//                                    and the context alone             (Want::tokens)
//
// The context's tokens say where those of a choice begin, as the definition has it; offsets of
// characters, which servers count in different ways, say nothing here. They must also be the first
// tokens of each text: where a choice changes the end of the context, it has no log-likelihood
// given that context, and the question fails. (lm-evaluation-harness goes on with tokens of neither
// text.)
//
// The answer's text is the letter, as the task multiple_choice reads it; its finish_reason is
// "chosen"; its prompt_tokens are those of all n + 1 texts. One that fails makes the question fail.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "eval/run/answer_source.h"
#include "eval/run/choices.h"
#include "eval/run/config.h"

namespace qwen3::eval {

class ChoiceSource final : public AnswerSource {
 public:
  // At most config.max_workers texts are under way in `inner`.
  ChoiceSource(std::unique_ptr<AnswerSource> inner, const EvalConfig& config);

  void ask(Question question) override;  // REQUIRES: choices as read_choices gives them
  std::vector<Reply> wait(std::chrono::milliseconds patience) override;
  Json served() const override { return inner_->served(); }
  std::string condition() const override { return inner_->condition(); }

 private:
  // A question whose parts are not all there. Part i is the text with choice i; the last part is
  // the context alone.
  struct Open {
    std::vector<std::string> choices;
    std::vector<Answer> parts;
    size_t n_there = 0;
    int attempts = 0;  // the most of any part
    Clock::time_point asked;
  };
  struct Part {
    uint64_t question;  // its tag
    size_t index;
  };

  void feed();
  void take(Reply&& part, std::vector<Reply>& replies);
  std::variant<Answer, Failure> decide(const Open& question) const;

  std::unique_ptr<AnswerSource> inner_;
  EvalConfig config_;
  uint64_t next_tag_ = 0;
  std::deque<Question> ready_;      // parts that wait for their turn, with tags of ours
  std::map<uint64_t, Part> parts_;  // by those tags; waiting and under way
  std::map<uint64_t, Open> open_;   // by the question's tag
  size_t n_under_way_ = 0;
};

}  // namespace qwen3::eval
