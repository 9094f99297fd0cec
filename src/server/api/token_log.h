// TokenLog: the log probabilities of an answer's tokens, until it is certain which of them spell
// content. Those of a thought, of its tags and of tool calls are dropped.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "chat/tool_calls.h"
#include "qwen3/engine.h"
#include "server/api/logprobs.h"
#include "tokenizer/tokenizer.h"

namespace qwen3::server {

class TokenLog {
 public:
  // The event's token, whose text is this part of the text of all tokens.
  void add(const Tokenizer& tokenizer, const Event& event, TextRange text, LogprobIds ids);
  // Appends the entries of the tokens that spell these parts, comma separated. What stands before
  // `content_begin` will never be asked for.
  void take(std::string& entries, const std::vector<TextRange>& parts, size_t content_begin);

  size_t n_bytes() const { return n_bytes_; }

 private:
  struct Entry {
    TextRange text;
    std::string json;
  };
  Entry take_first();

  std::deque<Entry> entries_;
  size_t n_bytes_ = 0;
};

}  // namespace qwen3::server
