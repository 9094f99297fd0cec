// TextGeneration: what chat and plain completions have in common as answers made of tokens: the
// stream's chunks on their way out, the count of tokens, the metrics at the end, and the trace of a
// request that asked for one.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/api/answer_json.h"
#include "server/api/generation.h"
#include "server/api/progress.h"
#include "server/api/traces.h"

namespace qwen3::server {

class TextGeneration : public Generation {
 public:
  // Has the first request recorded, to be fetched by the id of this answer. Before start().
  // Throws ApiError{429}.
  void trace(const std::string& id, const Client& client, Request& first);

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
  // Whether the event only tells of progress; it is written then.
  bool took_progress(size_t index, const Event& event);
  // To be called for each event, before anything else.
  void note_event(size_t index, const Event& event);
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
  ProgressChunks progress_;
  std::unique_ptr<TraceRecording> recording_;  // null: nobody asked
};

}  // namespace qwen3::server
