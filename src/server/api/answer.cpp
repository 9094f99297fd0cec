#include "server/api/answer.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "server/api/json_writer.h"
#include "server/api/tool_choice.h"

namespace qwen3::server {
Answer::Answer(const Text& text, AnswerPlan plan)
    : plan_(std::move(plan)),
      stream_(text.answer(plan_.text)),
      tools_(plan_.tools ? make_tool_call_stream(*plan_.tools, plan_.tool_schemas) : nullptr),
      guard_(plan_.loop_guard) {}

AnswerDelta Answer::push(const Event& event) {
  AnswerDelta out;
  if (ended() || event.token_id < 0) return out;
  ++n_tokens_;
  if (event.is_end_token) {
    stop_token_ = event.token_id;
  } else {
    take(out, stream_.push(event.token_id));
    if (stream_.stopped() && !ended()) ending_ = Ending::stop_string;
    if (guard_.push(event.token_id) && !ended()) ending_ = Ending::repetition;
  }
  // A thought lasts until the first text of the answer.
  if (any_reasoning_ && !any_content_) n_reasoning_tokens_ = n_tokens_;
  return out;
}

AnswerDelta Answer::finish(FinishReason reason) {
  AnswerDelta out;
  reason_ = reason;
  if (ending_ != Ending::one_call) {
    take(out, stream_.finish());
    if (tools_ != nullptr) take_tools(out, tools_->finish(cut()));
  }
  if (n_calls_ == 0) show(out, std::exchange(held_space_, {}));
  return out;
}

void Answer::take(AnswerDelta& out, const std::vector<AnswerPiece>& pieces) {
  for (const AnswerPiece& piece : pieces) {
    if (piece.kind == AnswerPiece::Kind::reasoning) {
      take_reasoning(out, piece.text);
    } else {
      take_content(out, piece.text);
    }
  }
}

void Answer::take_reasoning(AnswerDelta& out, const std::string& text) {
  const bool first = !std::exchange(any_reasoning_, true);
  if (plan_.drop_reasoning) return;
  if (!plan_.tags_in_content) {
    out.reasoning += text;
    return;
  }
  if (first) out.content += "<think>";
  out.content += text;
  show_reasoning(out);
}

// With its tags: all of the text so far.
void Answer::show_reasoning(AnswerDelta& out) {
  out.ranges.push_back({n_tagged_, stream_.content_begin()});
  n_tagged_ = stream_.content_begin();
}

void Answer::show(AnswerDelta& out, const ToolDelta& delta) const {
  out.content += delta.content;
  const size_t begin = stream_.content_begin();
  for (const TextRange& range : delta.ranges) {
    out.ranges.push_back({begin + range.begin, begin + range.end});
  }
}

void Answer::take_content(AnswerDelta& out, const std::string& text) {
  const bool first = !std::exchange(any_content_, true);
  if (first && any_reasoning_ && plan_.tags_in_content && !plan_.drop_reasoning) {
    out.content += "</think>";
    show_reasoning(out);
  }
  const size_t at = std::exchange(n_content_, n_content_ + text.size());
  if (tools_ == nullptr) {
    ToolDelta all;
    all.add_content(text, at);
    show(out, all);
  } else if (ending_ != Ending::one_call) {
    take_tools(out, tools_->push(text));
  }
}

// White space that only leads to a call is not content.
void Answer::take_tools(AnswerDelta& out, ToolDelta delta) {
  if (delta.cut_call) held_space_ = {};
  std::vector<ToolCall> calls = std::exchange(delta.calls, {});
  if (!any_shown_) {
    held_space_.append(std::move(delta));
    const std::string& text = held_space_.content;
    any_shown_ = text.find_first_not_of(" \t\r\n") != text.npos;
    if (any_shown_) show(out, std::exchange(held_space_, {}));
  } else {
    show(out, delta);
  }
  for (ToolCall& call : calls) {
    if (ending_ == Ending::one_call) return;
    ++n_calls_;
    out.calls.push_back(std::move(call));
    if (plan_.first_call_only) ending_ = Ending::one_call;
  }
}

bool Answer::cut() const {
  if (ended()) return ending_ == Ending::repetition;
  return reason_ == FinishReason::length;
}

std::string_view Answer::finish_reason() const {
  if (cut()) return "length";
  return n_calls_ > 0 ? "tool_calls" : "stop";
}

std::string_view Answer::finish_detail() const {
  if (ending_ == Ending::repetition) return "repetition";
  if (plan_.closed && *plan_.closed && !ended()) return "closed_on_length";
  return plan_.must_call && n_calls_ == 0 && !cut() ? "tool_call_invalid" : "";
}

std::string Answer::stop_reason() const {
  std::string out;
  if (ending_ == Ending::stop_string) {
    append_json_string(out, plan_.text.stop[static_cast<size_t>(stream_.matched_stop())]);
  } else if (!ended() && stop_token_ &&
             std::ranges::find(plan_.stop_token_ids, *stop_token_) != plan_.stop_token_ids.end()) {
    append_json_number(out, *stop_token_);
  } else {
    out = "null";
  }
  return out;
}

}  // namespace qwen3::server
