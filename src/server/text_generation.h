// TextGeneration: what chat and plain completions have in common as answers made of tokens: the
// stream's chunks on their way out, the count of tokens, and the metrics at the end.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/answer_json.h"
#include "server/generation.h"

namespace qwen3::server {

class TextGeneration : public Generation {
 protected:
  enum class Mode { whole, streamed };

  // `head` begins every chunk, and the whole answer.
  TextGeneration(Service& service,
                 const ServedModel& model,
                 const HttpRequest& http,
                 std::shared_ptr<Exchange> exchange,
                 std::string head,
                 Mode mode);

  bool streaming() const { return mode_ == Mode::streamed; }
  void note_event();  // to be called for each event, before anything else
  // The metrics and the log's notes of a complete answer.
  void record(std::string_view finish_reason);
  // The last chunk and the end of the stream.
  void end_stream(const std::string& last);

  std::string head_;
  std::string out_;  // chunks that are not written yet
  TokenUsage usage_;
  double queue_seconds_ = 0;

 private:
  void begun() override;
  void settle() override;
  void failed(const ApiError& error) override;

  const Mode mode_;
  double first_token_ = 0;
};

}  // namespace qwen3::server
