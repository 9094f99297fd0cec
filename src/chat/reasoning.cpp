#include "chat/reasoning.h"

#include <algorithm>
#include <utility>

#include "chat/partial_match.h"

namespace qwen3 {
namespace {

constexpr std::string_view kOpen = "<think>";
constexpr std::string_view kClose = "</think>";
constexpr std::string_view kTurn = "<|im_start|>";
// After more white space than this a <think> is ordinary text; bounds what is held back.
constexpr size_t kMaxLeadingSpace = 64;

}  // namespace

PromptState prompt_state(const std::vector<Segment>& prompt) {
  std::string turn;
  for (const Segment& segment : prompt) {
    const size_t start = segment.trusted ? segment.text.rfind(kTurn) : std::string::npos;
    if (start == std::string::npos)
      turn += segment.text;
    else
      turn = segment.text.substr(start);
  }
  const size_t open = turn.rfind(kOpen);
  const size_t close = turn.rfind(kClose);
  if (open == turn.npos && close == turn.npos) return PromptState::plain;
  if (close == turn.npos || (open != turn.npos && open > close))
    return PromptState::inside_thinking;
  return PromptState::thinking_is_over;
}

ReasoningSplitter::ReasoningSplitter(ReasoningMode mode,
                                     PromptState prompt,
                                     bool trim_newlines,
                                     int max_newlines)
    : without_tag_(State::content),
      trim_newlines_(trim_newlines),
      newlines_left_(max_newlines < 0 ? std::string::npos : static_cast<size_t>(max_newlines)) {
  if (mode == ReasoningMode::never || prompt == PromptState::thinking_is_over) {
    state_ = State::content;
  } else if (mode == ReasoningMode::always || prompt == PromptState::inside_thinking) {
    without_tag_ = State::reasoning;
  }
}

ReasoningDelta ReasoningSplitter::push(std::string_view text) {
  ReasoningDelta out;
  pending_ += text;
  n_read_ += text.size();
  if (state_ == State::undecided) decide(false);
  if (state_ != State::undecided) split(out, false);
  return out;
}

ReasoningDelta ReasoningSplitter::finish() {
  ReasoningDelta out;
  if (state_ == State::undecided) decide(true);
  split(out, true);
  return out;
}

// A <think> that only white space precedes is dropped together with that white space.
void ReasoningSplitter::decide(bool at_end) {
  const size_t start = std::min(pending_.find_first_not_of(" \t\r\n"), pending_.size());
  if (start > kMaxLeadingSpace) {
    state_ = without_tag_;
    return;
  }
  const std::string_view rest = std::string_view(pending_).substr(start);
  if (rest.starts_with(kOpen)) {
    pending_.erase(0, start + kOpen.size());
    state_ = State::reasoning;
  } else if (at_end || !kOpen.starts_with(rest)) {
    state_ = without_tag_;
  }
}

void ReasoningSplitter::split(ReasoningDelta& out, bool at_end) {
  if (state_ == State::reasoning) {
    const size_t close = pending_.find(kClose);
    if (close == pending_.npos) {
      const size_t held = at_end ? 0 : partial_suffix(pending_, kClose);
      add_reasoning(out, std::string_view(pending_).substr(0, pending_.size() - held));
      pending_.erase(0, pending_.size() - held);
      return;
    }
    add_reasoning(out, std::string_view(pending_).substr(0, close));
    pending_.erase(0, close + kClose.size());
    state_ = State::content;
    closed_ = true;
  }
  add_content(out, pending_);
  pending_.clear();
}

void ReasoningSplitter::add_reasoning(ReasoningDelta& out, std::string_view text) {
  if (!trim_newlines_) {
    out.reasoning += text;
    return;
  }
  if (!any_reasoning_) text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
  if (text.empty()) return;
  any_reasoning_ = true;
  const size_t last = text.find_last_not_of('\n');
  if (last == text.npos) {
    newlines_ += text.size();
    return;
  }
  out.reasoning.append(std::exchange(newlines_, text.size() - last - 1), '\n');
  out.reasoning += text.substr(0, last + 1);
}

void ReasoningSplitter::add_content(ReasoningDelta& out, std::string_view text) {
  if (trim_newlines_ && closed_ && !any_content_) {
    const size_t n = std::min({text.find_first_not_of('\n'), text.size(), newlines_left_});
    text.remove_prefix(n);
    newlines_left_ -= n;
  }
  if (!text.empty() && !std::exchange(any_content_, true)) content_begin_ = n_read_ - text.size();
  out.content += text;
}

}  // namespace qwen3
