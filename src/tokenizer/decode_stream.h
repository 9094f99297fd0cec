// Decoding one token at a time, for text that is shown while it is made.
#pragma once

#include <cstdint>
#include <string>

#include "tokenizer/tokenizer.h"

namespace qwen3 {

// A token may end inside a UTF-8 character: its bytes wait here until the character is complete or
// can no longer be. All texts together are what Tokenizer::decode gives for all ids.
class DecodeStream {
 public:
  // Keeps a reference: `tokenizer` must outlive the stream.
  explicit DecodeStream(const Tokenizer& tokenizer, SpecialTokens special = SpecialTokens::keep)
      : tokenizer_(tokenizer), special_(special) {}

  // The text that is final now; often one word, sometimes empty.
  std::string push(int32_t id);

  // What still waits, as U+FFFD; the stream is empty afterwards and can be used again.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  SpecialTokens special_;
  std::string waiting_;  // the 0 to 3 first bytes of a character
};

}  // namespace qwen3
