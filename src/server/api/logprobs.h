// Log probabilities in the three shapes that clients know.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "qwen3/engine.h"
#include "tokenizer/tokenizer.h"

namespace qwen3::server {

// The text of one token: its characters, or bytes:\xe2\x82 when they are not whole characters, so
// that different tokens have different texts.
std::string token_text(const Tokenizer& tokenizer, int32_t id);

enum class LogprobIds { absent, shown };

// One entry of logprobs.content of a chat answer:
// {"token":…,"logprob":…,"bytes":[…],"top_logprobs":[…]}; with ids, "id" comes first, as
// llama.cpp's server has it.
void append_chat_logprob(std::string& out,
                         const Tokenizer& tokenizer,
                         const TokenLogprob& token,
                         std::span<const TokenLogprob> top,
                         LogprobIds ids);

// The old shape of completions: four lists of equal length.
class CompletionLogprobs {
 public:
  explicit CompletionLogprobs(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // `token` without value: the first token of a prompt, which has no probability.
  void add(int32_t id, const std::optional<TokenLogprob>& token, std::span<const TokenLogprob> top);
  // {"tokens":…,"token_logprobs":…,"top_logprobs":…,"text_offset":…}; empties the lists. Offsets
  // go on, in characters of the whole text.
  std::string take();
  bool empty() const { return tokens_.empty(); }
  size_t n_bytes() const {
    return tokens_.size() + logprobs_.size() + top_.size() + offsets_.size();
  }

 private:
  void add_top(const TokenLogprob& token, std::span<const TokenLogprob> top);

  const Tokenizer& tokenizer_;
  int64_t offset_ = 0;
  std::string partial_;  // bytes of a character that is not complete
  std::string tokens_, logprobs_, top_, offsets_;
};

// vLLM's prompt_logprobs: [null, {"123":{"logprob":…,"rank":1,"decoded_token":…}}, …]
std::string prompt_logprobs_json(const Tokenizer& tokenizer,
                                 const std::vector<PromptLogprobs>& logprobs);

}  // namespace qwen3::server
