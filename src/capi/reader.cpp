#include "capi/reader.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace qwen3::capi {
namespace {

void add(const std::vector<AnswerPiece>& pieces, Step& step) {
  for (const AnswerPiece& piece : pieces) {
    (piece.kind == AnswerPiece::Kind::content ? step.text : step.reasoning) += piece.text;
  }
}

}  // namespace

Reader::Reader(Engine& engine, ReadRequest request)
    : answer_(std::move(request.answer)), stream_(engine.submit(std::move(request.request))) {}

std::optional<Step> Reader::next(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!ended_) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    std::optional<Event> event = stream_.next_for(std::max(left, std::chrono::milliseconds(0)));
    if (!event) return std::nullopt;
    Step step{.event = *std::move(event), .text = {}, .reasoning = {}};
    if (take(step)) return step;
  }
  return std::nullopt;
}

bool Reader::take(Step& step) {
  Event& event = step.event;
  const bool had_stopped = stopped_;
  if (answer_ && event.token_id >= 0 && !event.is_end_token && !stopped_) {
    add(answer_->push(event.token_id), step);
    stopped_ = answer_->stopped();
    if (stopped_ && !event.finish) stream_.cancel();
  }
  if (event.finish) {
    ended_ = true;
    if (answer_) add(answer_->finish(), step);
    // A stop string may end with the last token.
    if (answer_ && answer_->stopped()) stopped_ = true;
    if (stopped_ && *event.finish != FinishReason::error) event.finish = FinishReason::stop;
    if (had_stopped) event.token_id = -1;
  }
  if (answer_ && stopped_) step.matched_stop = answer_->matched_stop();
  return event.finish || !had_stopped;
}

}  // namespace qwen3::capi
