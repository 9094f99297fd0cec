// Strings of the template language. Each byte remembers whether it came from the template
// (trusted) or from the context; see chat/template.h.
//
//   buffer   < | i m _ s t a r t | > u s e r \n H i
//   runs     [----- trusted, end 12 -----][no, 16][yes, 17][no, 19]
//
// A Text is a window on a shared buffer, so slicing, splitting and stripping copy nothing. Buffers
// only ever grow at the end: concat() appends in place when its left side is the buffer's tail,
// which makes `ns.text = ns.text + piece` in a loop linear.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qwen3::jinja {

struct TextBuffer {
  struct Run {
    size_t end;
    bool trusted;
  };
  std::string bytes;
  std::vector<Run> runs;  // ascending ends; the last one equals bytes.size()
  bool may_grow = false;  // false for constants and context strings, which renders share

  void append(std::string_view text, bool trusted);
};

class Text {
 public:
  Text() = default;
  Text(std::string bytes, bool trusted);
  explicit Text(std::shared_ptr<TextBuffer> buffer)
      : buffer_(std::move(buffer)), size_(buffer_->bytes.size()) {}

  // Valid until the buffer grows: do not keep it across a concat().
  std::string_view view() const {
    return buffer_ ? std::string_view(buffer_->bytes).substr(begin_, size_) : std::string_view();
  }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Markup of markupsafe: what is added to it is escaped. Stays with slices and sums.
  bool is_markup() const { return markup_; }
  Text as_markup() const {
    Text marked = *this;
    marked.markup_ = true;
    return marked;
  }

  // Markup if `other` is.
  Text marked_as(const Text& other) const {
    Text copy = *this;
    copy.markup_ = other.markup_;
    return copy;
  }
  Text as_plain() const {
    Text plain = *this;
    plain.markup_ = false;
    return plain;
  }

  // REQUIRES: begin + size <= this->size().
  Text slice(size_t begin, size_t size) const;

  // Calls f(std::string_view, bool trusted) for each stretch of one origin.
  template <typename F>
  void for_each_run(F&& f) const {
    if (size_ == 0) return;
    const auto& runs = buffer_->runs;
    auto run =
        std::upper_bound(runs.begin(), runs.end(), begin_, [](size_t at, const TextBuffer::Run& r) {
          return at < r.end;
        });
    const std::string_view all = buffer_->bytes;
    const size_t end = begin_ + size_;
    for (size_t at = begin_; at < end; ++run) {
      const size_t stop = std::min(run->end, end);
      f(all.substr(at, stop - at), run->trusted);
      at = stop;
    }
  }

  friend Text concat(const Text& left, const Text& right);

 private:
  std::shared_ptr<TextBuffer> buffer_;
  size_t begin_ = 0;
  size_t size_ = 0;
  bool markup_ = false;
};

Text concat(const Text& left, const Text& right);

// Builds a text piece by piece.
class TextBuilder {
 public:
  TextBuilder() : buffer_(std::make_shared<TextBuffer>()) {}
  void append(std::string_view text, bool trusted) { buffer_->append(text, trusted); }
  void append(const Text& text) {
    text.for_each_run([this](std::string_view piece, bool trusted) { append(piece, trusted); });
  }
  size_t size() const { return buffer_->bytes.size(); }
  // The builder must not be used afterwards.
  Text finish() {
    buffer_->may_grow = true;
    return Text(std::move(buffer_));
  }

 private:
  std::shared_ptr<TextBuffer> buffer_;
};

}  // namespace qwen3::jinja
