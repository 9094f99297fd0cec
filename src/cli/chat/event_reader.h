// The stream of an answer: server-sent events with OpenAI's chunks, cut anywhere, and what they say put together.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "chat/reasoning.h"
#include "qwen3/request.h"
#include "qwen3/text.h"

namespace qwen3::cli {

class EventReader {
 public:
  explicit EventReader(std::function<void(const AnswerPiece&)> on_piece)
      : on_piece_(std::move(on_piece)) {}

  // Bytes of the body. Throws Error{device} for what is no such stream, and for an error that the server reports in it.
  void add(std::string_view bytes);
  // The end of the body. Throws Error{device} when no chunk said why the answer ended: it broke off.
  void finish();
  // Ends without more: what was held back goes out.
  void flush();

  const Usage& usage() const { return usage_; }
  FinishReason finish_reason() const { return finish_.value_or(FinishReason::stop); }
  bool any_text() const { return any_text_; }

 private:
  void line(std::string_view text);
  void chunk(const Json& json);
  void deliver(const ReasoningDelta& delta);
  void deliver(AnswerPiece::Kind kind, std::string text);

  std::function<void(const AnswerPiece&)> on_piece_;
  // For servers that leave thoughts in the content, between tags.
  ReasoningSplitter splitter_{ReasoningMode::automatic, PromptState::plain, true};
  std::string pending_;         // of a line
  bool reasons_apart_ = false;  // a field of its own had reasoning: tags in the content are content
  bool any_text_ = false, flushed_ = false;
  std::optional<FinishReason> finish_;
  Usage usage_;
};

}  // namespace qwen3::cli
