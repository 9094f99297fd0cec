// The JSON of chat answers, whole and in chunks.
//
// Rules that clients hold us to: id, created and model are the same in every chunk; the role comes
// once; a tool call's id, type and name come once; choices is always a list; the usage comes in one
// chunk without choices, unless every chunk was asked to carry it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/api/answer.h"
#include "server/api/options.h"

namespace qwen3::server {

// A call as clients see it.
struct NamedCall {
  std::string id;
  ToolCall call;
};

// What rides along with a chunk or a choice; "" for nothing.
struct ChoiceExtras {
  std::string logprobs;   // entries of logprobs.content, without brackets
  std::string token_ids;  // [1,2,3]
  std::string experts;    // ,"routed_experts":…
};

struct ChoiceEnd {
  std::string_view finish_reason;
  std::string stop_reason;
  std::string_view finish_detail;
};

// One choice of a whole answer.
struct ChatChoice {
  int64_t index = 0;
  std::string reasoning;
  std::string content;
  std::vector<NamedCall> calls;
  ChoiceExtras extras;
  bool with_logprobs = false;
  ChoiceEnd end;
};

void append_choice(std::string& out, const ChatChoice& choice, ReasoningField field);

class ChatChunks {
 public:
  // `head` is answer_head() of the stream.
  ChatChunks(std::string_view head, ReasoningField field);

  // The usage that the chunks from now on carry; "" for none.
  void set_usage(std::string usage) { usage_ = std::move(usage); }

  // Each appends one event to `out`.
  // `prompt_ids`: a JSON list of the prompt's tokens, or "" when nobody asked.
  void role(std::string& out, int64_t choice, std::string_view prompt_ids) const;
  void reasoning(std::string& out,
                 int64_t choice,
                 std::string_view text,
                 const ChoiceExtras& extras) const;
  void content(std::string& out,
               int64_t choice,
               std::string_view text,
               const ChoiceExtras& extras) const;
  void call(std::string& out,
            int64_t choice,
            int64_t index,
            const NamedCall& call,
            const ChoiceExtras& extras) const;
  void finish(std::string& out,
              int64_t choice,
              const ChoiceEnd& end,
              const ChoiceExtras& extras) const;
  void usage_only(std::string& out, std::string_view usage) const;

 private:
  void open(std::string& out, int64_t choice) const;
  void close(std::string& out, const ChoiceExtras& extras, std::string_view prompt_ids = {}) const;
  void end_event(std::string& out, std::string_view prompt_ids = {}) const;

  std::string prefix_;  // data: {…"choices":[
  ReasoningField field_;
  std::string usage_;
};

}  // namespace qwen3::server
