#include "eval/run/choice_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace qwen3::eval {
namespace {

std::string letter(size_t choice) { return std::string(1, static_cast<char>('A' + choice)); }

std::string no_border(size_t choice) {
  return fmt::format(
      "choice {} and the end of its prompt share a token; set choose_delimiter or choose_prompt so "
      "that a choice begins with a token of its own",
      letter(choice));
}

}  // namespace

ChoiceSource::ChoiceSource(std::unique_ptr<AnswerSource> inner, const EvalConfig& config)
    : inner_(std::move(inner)), config_(config) {}

void ChoiceSource::ask(Question question) {
  ChoiceTexts texts = choice_texts(config_, question.prompt, question.choices);
  const size_t n_parts = texts.whole.size() + 1;
  const auto add = [&](size_t index, std::string text, Want want) {
    parts_.emplace(next_tag_, Part{question.tag, index});
    ready_.push_back({.tag = next_tag_++, .prompt = std::move(text), .want = want});
  };
  for (size_t i = 0; i + 1 < n_parts; ++i) add(i, std::move(texts.whole[i]), Want::logprobs);
  add(n_parts - 1, std::move(texts.context), Want::tokens);
  open_.emplace(question.tag,
                Open{.choices = std::move(question.choices),
                     .parts = std::vector<Answer>(n_parts),
                     .asked = Clock::now()});
}

void ChoiceSource::feed() {
  while (!ready_.empty() && n_under_way_ < static_cast<size_t>(config_.max_workers)) {
    Question part = std::move(ready_.front());
    ready_.pop_front();
    const auto known = parts_.find(part.tag);
    if (!open_.contains(known->second.question)) {  // it failed in the meantime
      parts_.erase(known);
      continue;
    }
    inner_->ask(std::move(part));
    ++n_under_way_;
  }
}

std::vector<Reply> ChoiceSource::wait(std::chrono::milliseconds patience) {
  const auto until = Clock::now() + patience;
  std::vector<Reply> replies;
  while (true) {
    feed();
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    for (Reply& part : inner_->wait(std::max(left, std::chrono::milliseconds(0)))) {
      take(std::move(part), replies);
    }
    if (!replies.empty() || Clock::now() >= until) return replies;
  }
}

void ChoiceSource::take(Reply&& part, std::vector<Reply>& replies) {
  const auto known = parts_.find(part.tag);
  QWEN3_CHECK(
      known != parts_.end(), ErrorKind::internal, "choices: a reply to nothing that was asked");
  const Part here = known->second;
  parts_.erase(known);
  --n_under_way_;
  const auto found = open_.find(here.question);
  if (found == open_.end()) return;  // another part of it has failed
  Open& question = found->second;
  question.attempts = std::max(question.attempts, part.attempts);
  Failure* failure = std::get_if<Failure>(&part.result);
  if (failure == nullptr) {
    question.parts[here.index] = std::move(std::get<Answer>(part.result));
    if (++question.n_there < question.parts.size()) return;
  }
  Reply reply;
  reply.tag = here.question;
  reply.attempts = question.attempts;
  reply.seconds = std::chrono::duration<double>(Clock::now() - question.asked).count();
  reply.server = std::move(part.server);
  if (failure != nullptr) {
    reply.result = std::move(*failure);
  } else {
    reply.result = decide(question);
  }
  open_.erase(found);
  replies.push_back(std::move(reply));
}

std::variant<Answer, Failure> ChoiceSource::decide(const Open& question) const {
  const std::vector<std::string>& context = question.parts.back().token_names;
  Answer answer{.finish_reason = std::string(kChosen),
                .prompt_tokens = question.parts.back().prompt_tokens,
                .completion_tokens = 0};
  for (size_t i = 0; i < question.choices.size(); ++i) {
    const Answer& part = question.parts[i];
    const auto [own, rest] = std::mismatch(
        part.token_names.begin(), part.token_names.end(), context.begin(), context.end());
    if (rest != context.end() || own == part.token_names.end()) {
      return Failure{FailureKind::rejected, 0, no_border(i)};
    }
    const auto first = part.token_logprobs.begin() + static_cast<std::ptrdiff_t>(context.size());
    const double sum = std::accumulate(first, part.token_logprobs.end(), 0.0);
    if (!std::isfinite(sum)) {
      return Failure{
          FailureKind::model,
          0,
          fmt::format("the log-likelihood of choice {} is not a finite number", letter(i))};
    }
    answer.loglikelihoods.push_back(sum);
    answer.prompt_tokens += part.prompt_tokens;
  }
  answer.text = letter(*choose(config_.choose_by, question.choices, answer.loglikelihoods));
  return answer;
}

}  // namespace qwen3::eval
