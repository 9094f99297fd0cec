#include "tokenizer/decode_stream.h"

#include <utility>

#include "base/utf8.h"

namespace qwen3 {

std::string DecodeStream::push(int32_t id) {
  if (special_ == SpecialTokens::skip && tokenizer_.is_special(id)) return {};
  std::string bytes = std::move(waiting_);
  bytes += tokenizer_.token_bytes(id);
  size_t tail = 0;
  if (!utf8_incomplete_tail(bytes, &tail)) tail = 0;
  waiting_ = bytes.substr(bytes.size() - tail);
  bytes.resize(bytes.size() - tail);
  return utf8_lossy(bytes);
}

std::string DecodeStream::finish() {
  const std::string rest = std::move(waiting_);
  waiting_.clear();
  return utf8_lossy(rest);
}

}  // namespace qwen3
