// MessageWriter: an answer as a message of content blocks, whole or by events.
//
//   message_start │ content_block_start, content_block_delta …, content_block_stop │ … │
//   message_delta message_stop
//
// One block is open at a time, and its index rises. Every event has its `event:` line. A stream
// that is silent for five seconds gets a ping that clients see: they give up a stream of comments.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/api/single_answer.h"

namespace qwen3::server {

struct MessageSetup {
  std::string id;          // msg_…
  std::string model;       // as the answer names it
  std::string request_id;  // of errors
  int64_t prompt_tokens = 0;
  bool stream = false;
  bool omit_thinking = false;
  std::function<std::string(std::string_view prefix)> new_id = {};
};

class MessageWriter final : public AnswerWriter {
 public:
  explicit MessageWriter(MessageSetup setup) : setup_(std::move(setup)) {}

  StreamForm stream_form() override;
  void begin(std::string& out) override;
  void reasoning(std::string& out, const std::string& text) override;
  void content(std::string& out, const std::string& text, const std::string& logprobs) override;
  void call(std::string& out, const ToolCall& call) override;
  void finish(std::string& out, const AnswerEnd& end) override;
  void fail(std::string& out, const ApiError& error) override;
  HttpResponse whole() override;
  HttpResponse refusal(const ApiError& error) override;
  int64_t gathered_bytes() const override;

 private:
  enum class Open { none, thinking, text };

  void open(std::string& out, Open kind);
  void close(std::string& out);
  void add_block(std::string block);
  void delta(std::string& out,
             std::string_view type,
             std::string_view field,
             std::string_view text);
  void start_block(std::string& out, std::string_view block);
  void stop_block(std::string& out);

  const MessageSetup setup_;
  Open open_ = Open::none;
  std::string text_;  // of the open block
  int64_t n_blocks_ = 0;
  std::string blocks_;  // finished, as JSON, comma separated; of a whole answer
  std::string body_;
};

}  // namespace qwen3::server
