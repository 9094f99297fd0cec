// ResponseWriter: an answer as a response object, whole or by events.
//
//   created in_progress │ item added, part added, delta …, part done, item done │ … │ completed
//
// What clients hold us to: sequence_number counts from 0; an item is added once before its deltas,
// and finished; its id, type and call_id are the same in added, done and the response; one item is
// open at a time, and output_index rises.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/api/single_answer.h"
#include "server/responses/request.h"

namespace qwen3::server {

// An item of the output: its id and its JSON.
using OutputItem = std::pair<std::string, std::string>;

struct ResponseSetup {
  std::string id;
  std::string echo = {};  // members of the response that repeat the request: ,"model":…,"tools":…
  std::map<std::string, CalledTool, std::less<>> tools = {};
  bool stream = false;
  bool summary = false;
  bool encrypted = false;
  std::function<std::string(std::string_view prefix)> new_id = {};
  int64_t items_bytes = 0;  // of what `keep` holds
  // Told the response when it is there; null: nobody keeps it.
  std::function<void(const std::string& response, std::vector<OutputItem> output)> keep = {};
};

class ResponseWriter final : public AnswerWriter {
 public:
  explicit ResponseWriter(ResponseSetup setup);

  StreamForm stream_form() override;
  void begin(std::string& out) override;
  void reasoning(std::string& out, const std::string& text) override;
  void content(std::string& out, const std::string& text, const std::string& logprobs) override;
  void call(std::string& out, const ToolCall& call) override;
  void finish(std::string& out, const AnswerEnd& end) override;
  void fail(std::string& out, const ApiError& error) override;
  HttpResponse whole() override;
  HttpResponse refusal(const ApiError& error) override;
  int64_t kept_bytes() const override;
  int64_t gathered_bytes() const override;

 private:
  enum class Open { none, reasoning, message };

  void open(std::string& out, Open kind);
  void close(std::string& out, std::string_view status);
  std::string item(std::string_view status, bool whole) const;
  std::string part(bool whole) const;
  std::string response(std::string_view status, std::string_view error, bool whole) const;
  void respond(std::string& out, std::string_view type, const std::string& response);

  // An event up to its own members, and those of the open item.
  void event(std::string& out, std::string_view type);
  void item_event(std::string& out, std::string_view type, const std::string& item);
  void part_event(std::string& out, std::string_view type);

  const ResponseSetup setup_;
  const int64_t created_;
  // Shared with the last event that the front may have to write.
  const std::shared_ptr<std::atomic<int64_t>> sequence_;

  std::vector<OutputItem> output_;  // finished
  size_t output_bytes_ = 0;
  Open open_ = Open::none;
  std::string item_id_;
  std::string text_;      // of the open item
  std::string logprobs_;  // of the open message
  AnswerEnd end_ = {};
  std::string body_;  // the whole response
};

}  // namespace qwen3::server
