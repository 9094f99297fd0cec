#include "chat/jinja/text.h"

namespace qwen3::jinja {

void TextBuffer::append(std::string_view text, bool trusted) {
  if (text.empty()) return;
  bytes.append(text);
  if (!runs.empty() && runs.back().trusted == trusted) {
    runs.back().end = bytes.size();
  } else {
    runs.push_back({bytes.size(), trusted});
  }
}

Text::Text(std::string bytes, bool trusted) {
  if (bytes.empty()) return;
  buffer_ = std::make_shared<TextBuffer>();
  size_ = bytes.size();
  buffer_->bytes = std::move(bytes);
  buffer_->runs.push_back({size_, trusted});
}

Text Text::slice(size_t begin, size_t size) const {
  Text part;
  part.markup_ = markup_;
  if (size == 0) return part;
  part.buffer_ = buffer_;
  part.begin_ = begin_ + begin;
  part.size_ = size;
  return part;
}

Text concat(const Text& left, const Text& right) {
  const bool markup = left.markup_ || right.markup_;
  if (left.empty() || right.empty()) {
    Text one = left.empty() ? right : left;
    one.markup_ = markup;
    return one;
  }
  Text joined = left;
  const size_t left_end = left.begin_ + left.size_;
  if (!left.buffer_->may_grow || left_end != left.buffer_->bytes.size()) {
    TextBuilder builder;
    builder.append(left);
    joined = builder.finish();
  }
  if (right.buffer_ == joined.buffer_) {
    // Growing moves the bytes that `right` looks at.
    TextBuilder copy;
    copy.append(right);
    const Text stable = copy.finish();
    stable.for_each_run(
        [&](std::string_view piece, bool trusted) { joined.buffer_->append(piece, trusted); });
  } else {
    right.for_each_run(
        [&](std::string_view piece, bool trusted) { joined.buffer_->append(piece, trusted); });
  }
  joined.size_ += right.size_;
  joined.markup_ = markup;
  return joined;
}

}  // namespace qwen3::jinja
