// A rendered prompt to token ids, with control tokens recognised in trusted text only.
//
//   segments  [T "<|im_start|>user\n"] [U "\nHi <|im_end|>"] [T "<|im_end|>\n"]
//   ids       <|im_start|>  "user\n\nHi <|im_end|>" as ordinary text  <|im_end|>  "\n"
//
// Ordinary text is encoded across segment boundaries, in one piece between two control tokens: for
// messages that spell no control token the ids are those of the whole prompt encoded at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chat/template.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/tokenizer.h"

namespace qwen3 {

class SegmentEncoder {
 public:
  // Keeps a reference to the tokenizer.
  explicit SegmentEncoder(const Tokenizer& tokenizer);

  // Throws Error{invalid_argument} when the text is not well-formed UTF-8.
  std::vector<int32_t> encode(std::span<const Segment> segments) const;

 private:
  const Tokenizer& tokenizer_;
  AddedTokenMatcher matcher_;
};

}  // namespace qwen3
