// SingleAnswer: one choice, for APIs other than chat completions. What the answer consists of goes
// to an AnswerWriter piece by piece; how it looks is the writer's business.
//
//   events ── Answer ── begin, reasoning, content, call …, finish ──> AnswerWriter ──> text
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "server/api/answer.h"
#include "server/api/answer_json.h"
#include "server/api/chat_request.h"
#include "server/api/handlers.h"
#include "server/api/text_generation.h"
#include "server/api/token_log.h"

namespace qwen3::server {

struct AnswerEnd {
  std::string_view finish_reason;  // as Answer has it, all of these
  std::string_view finish_detail;
  std::string stop_reason;
  TokenUsage usage;
  bool context_is_full = false;  // what cut the answer
};

// Belongs to the connection's thread. Each call but the last three appends to `out` the events that
// say what has come; of an answer that is not streamed nobody reads them.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;

  virtual StreamForm stream_form() = 0;
  virtual void begin(std::string& out) = 0;
  virtual void reasoning(std::string& out, const std::string& text) = 0;
  // `logprobs`: the entries of the tokens that spell it, without brackets; "" when nobody asked.
  virtual void content(std::string& out, const std::string& text, const std::string& logprobs) = 0;
  virtual void call(std::string& out, const ToolCall& call) = 0;
  virtual void finish(std::string& out, const AnswerEnd& end) = 0;
  // In place of finish(): the stream ends with this error.
  virtual void fail(std::string& out, const ApiError& error) = 0;

  // The whole answer, after finish(). Once.
  virtual HttpResponse whole() = 0;
  // The answer to a request that cannot be answered.
  virtual HttpResponse refusal(const ApiError& error) = 0;
  // What it holds from the beginning, and what of the answer has gathered.
  virtual int64_t kept_bytes() const { return 0; }
  virtual int64_t gathered_bytes() const = 0;
};

// What the chat request makes of itself: its prompt, the plan of its answer, the engine's request.
struct PreparedChat {
  ChatRequest request;
  EncodedChat prompt;
};

// Puts into `chat` what of `fields` means the same in a chat request: OpenAI's sampling, what extra_body adds, and
// `more`.
void take_chat_fields(Json& chat, Fields& fields, std::initializer_list<const char*> more = {});

// Reads and encodes a body of /v1/chat/completions. Fields that nobody reads are noted.
PreparedChat prepare_chat(const Json& body,
                          const ServedModel& model,
                          const ServiceOptions& options,
                          Exchange& exchange);

class SingleAnswer final : public TextGeneration {
 public:
  SingleAnswer(Service& service,
               const ServedModel& model,
               const HttpRequest& http,
               ExchangePtr exchange,
               const PreparedChat& chat,
               std::unique_ptr<AnswerWriter> writer);

  // Starts the one that is made of `chat`. `id` names its trace, if it asked for one. Throws
  // ApiError as Generation::start, and the context error of chat_requests().
  static void start(std::shared_ptr<SingleAnswer> answer,
                    const PreparedChat& chat,
                    const HttpRequest& http,
                    const ServiceOptions& options,
                    const std::string& id);

 private:
  void begun() override;
  void on_event(size_t index, const Event& event) override;
  void settle() override;
  void complete() override;
  void failed(const ApiError& error) override;
  int64_t gathered_bytes() const override;

  void show(AnswerDelta delta);
  void finish(const Event& event);

  Answer answer_;
  const std::unique_ptr<AnswerWriter> writer_;
  TokenLog log_;
  std::string logprobs_;  // of content that is not shown yet
  const bool with_logprobs_;
};

}  // namespace qwen3::server
