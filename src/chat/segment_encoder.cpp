#include "chat/segment_encoder.h"

#include <string>

namespace qwen3 {
namespace {

std::vector<AddedToken> copy_of(std::span<const AddedToken> tokens) {
  return {tokens.begin(), tokens.end()};
}

}  // namespace

SegmentEncoder::SegmentEncoder(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer), matcher_(copy_of(tokenizer.added_tokens())) {}

std::vector<int32_t> SegmentEncoder::encode(std::span<const Segment> segments) const {
  std::vector<int32_t> ids;
  std::string ordinary;
  const auto flush = [&] {
    const std::vector<int32_t> part = tokenizer_.encode(ordinary, ControlTokens::as_text);
    ids.insert(ids.end(), part.begin(), part.end());
    ordinary.clear();
  };
  std::vector<TextPart> parts;
  for (const Segment& segment : segments) {
    if (!segment.trusted) {
      ordinary += segment.text;
      continue;
    }
    parts.clear();
    matcher_.split(segment.text, parts);
    for (const TextPart& part : parts) {
      if (part.id < 0) {
        ordinary += part.text;
        continue;
      }
      flush();
      ids.push_back(part.id);
    }
  }
  flush();
  return ids;
}

}  // namespace qwen3
