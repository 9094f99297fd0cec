// Answer: the tokens of one choice become what a client sees: reasoning, content, tool calls.
//
//   token ─ text, stop strings ─┬─ reasoning ──────────────────────────> reasoning
//                               └─ content ── tool calls, if asked ─┬──> content
//                                                                   └──> calls
//
// Tool calls are looked for in the content only: what a thought says of <tool_call> is a thought.
// The concatenated deltas do not depend on who looks at them when. Belongs to one thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/tool_calls.h"
#include "qwen3/engine.h"
#include "qwen3/text.h"
#include "server/api/loop_guard.h"

namespace qwen3::server {

struct AnswerDelta {
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> calls;
  std::vector<TextRange> ranges;  // where the content stands, in bytes of the text of all tokens

  bool empty() const { return reasoning.empty() && content.empty() && calls.empty(); }
};

struct AnswerPlan {
  AnswerOptions text = {};                        // state, stop strings, whether to split at all
  std::optional<ToolFormat> tools = {};           // absent: tool calls are text
  std::shared_ptr<const Json> tool_schemas = {};  // one for all choices of a request; null: none
  bool first_call_only = false;                   // the answer ends with its first call
  bool must_call = false;                         // an answer without a call says so
  std::shared_ptr<const std::atomic<bool>> closed = {};  // set: closed for its length; null: never
  std::vector<int32_t> stop_token_ids = {};              // of the request
  bool drop_reasoning = false;                           // it is made, and nobody sees it
  bool tags_in_content = false;  // reasoning goes into the content, between <think> and </think>
  LoopGuardOptions loop_guard = {};
};

class Answer {
 public:
  // Throws Error{invalid_argument} for stop strings that are refused.
  Answer(const Text& text, AnswerPlan plan);

  // What this event's token makes certain. After ended() nothing more comes.
  AnswerDelta push(const Event& event);
  // What was held back. Call once, after the last token. `reason` as the engine gave it; ignored
  // when the answer had ended by itself.
  AnswerDelta finish(FinishReason reason);

  // A stop string, a loop, or the only call that was wanted: cancel the request.
  bool ended() const { return ending_ != Ending::none; }

  // After finish().
  std::string_view finish_reason() const;  // "stop", "length", "tool_calls"
  // "" or why more exactly: "repetition"; "closed_on_length": it is whole, and cut short for that; "tool_call_invalid": a call was asked for, and what the
  // model made is none, so it is in the content.
  std::string_view finish_detail() const;
  // JSON: the request's stop string or stop id that ended the answer, else null.
  std::string stop_reason() const;

  // The text of all tokens so far, and what of it no later delta's ranges will touch.
  size_t text_bytes() const { return stream_.text_bytes(); }
  size_t text_before_content() const {
    return plan_.tags_in_content ? n_tagged_ : stream_.content_begin();
  }

  int64_t n_tokens() const { return n_tokens_; }
  int64_t n_reasoning_tokens() const { return n_reasoning_tokens_; }
  int64_t n_calls() const { return n_calls_; }

 private:
  enum class Ending { none, stop_string, repetition, one_call };

  bool cut() const;  // by a limit, not by the model or a stop
  void take(AnswerDelta& out, const std::vector<AnswerPiece>& pieces);
  void take_reasoning(AnswerDelta& out, const std::string& text);
  void take_content(AnswerDelta& out, const std::string& text);
  void take_tools(AnswerDelta& out, ToolDelta delta);
  void show(AnswerDelta& out, const ToolDelta& delta) const;
  void show_reasoning(AnswerDelta& out);

  AnswerPlan plan_;
  AnswerStream stream_;
  std::unique_ptr<ToolCallStream> tools_;  // null: tool calls are text
  LoopGuard guard_;

  Ending ending_ = Ending::none;
  FinishReason reason_ = FinishReason::stop;
  std::optional<int32_t> stop_token_;
  int64_t n_tokens_ = 0;
  int64_t n_reasoning_tokens_ = 0;
  int64_t n_calls_ = 0;
  bool any_reasoning_ = false;
  bool any_content_ = false;
  bool any_shown_ = false;  // content that is not white space went out
  ToolDelta held_space_;    // white space before a possible call
  size_t n_content_ = 0;    // bytes of content that came from stream_
  size_t n_tagged_ = 0;     // of the text, reasoning that went into the content
};

}  // namespace qwen3::server
