#include "eval/run/line_scanner.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace qwen3::eval {
namespace {

constexpr size_t kWindowBytes = size_t{1} << 20;

LineScanner::Read reader_of(const InputFile& file) {
  return [&file](int64_t offset, std::span<char> out) {
    const int64_t n = std::clamp<int64_t>(file.size() - offset, 0, std::ssize(out));
    file.read(offset, std::as_writable_bytes(out.first(static_cast<size_t>(n))));
    return n;
  };
}

}  // namespace

LineScanner::LineScanner(std::string name, Read read, int64_t max_line_bytes, Ends ends)
    : name_(std::move(name)),
      read_(std::move(read)),
      max_line_bytes_(max_line_bytes),
      ends_(ends),
      window_(kWindowBytes) {}

LineScanner::LineScanner(const InputFile& file, int64_t max_line_bytes, Ends ends)
    : LineScanner(file.name(), reader_of(file), max_line_bytes, ends) {}

// The bytes from `offset` on become the window; false when there are none.
bool LineScanner::fill(int64_t offset) {
  window_begin_ = offset;
  pos_ = 0;
  filled_ = static_cast<size_t>(read_(offset, window_));
  return filled_ > 0;
}

// Where the window has the end of a line; filled_ when it has none.
size_t LineScanner::find_end(size_t from) const {
  const std::string_view text(window_.data(), filled_);
  const size_t end =
      ends_ == Ends::newline ? text.find('\n', from) : text.find_first_of("\r\n", from);
  return std::min(end, filled_);
}

bool LineScanner::next(Line& line) {
  line = {.text = {}, .number = ++number_, .begin = window_begin_ + static_cast<int64_t>(pos_)};
  for (size_t from = pos_;; from = 0) {
    const size_t end = find_end(from);
    const int64_t n_bytes = window_begin_ + static_cast<int64_t>(end) - line.begin;
    QWEN3_CHECK(n_bytes <= max_line_bytes_,
                ErrorKind::corrupt_file,
                "{}: line {}: expected at most {} bytes, got more; is it a file of lines?",
                name_,
                number_,
                max_line_bytes_);
    if (end < filled_) {
      finish(line, end);
      take_text(line, n_bytes);
      return true;
    }
    if (!fill(window_begin_ + static_cast<int64_t>(filled_))) break;
  }
  line.end = window_begin_;
  line.terminated = false;
  if (line.end > line.begin) take_text(line, line.end - line.begin);
  return line.end > line.begin;
}

// The line's end stands at `at` of the window: one byte, or two.
void LineScanner::finish(Line& line, size_t at) {
  pos_ = at + 1;
  line.end = window_begin_ + static_cast<int64_t>(pos_);
  if (window_[at] != '\r') return;
  char following = 0;
  if (pos_ < filled_) {
    following = window_[pos_];
  } else if (read_(line.end, std::span(&following, 1)) == 0) {
    return;
  }
  if (following != '\n') return;
  ++line.end;
  // At the edge of the window, the next one begins after the '\n'.
  if (pos_ < filled_) {
    ++pos_;
  } else {
    fill(line.end);
  }
}

void LineScanner::take_text(Line& line, int64_t n_bytes) {
  const int64_t in_window = line.begin - window_begin_;
  if (in_window >= 0 && in_window + n_bytes <= static_cast<int64_t>(filled_)) {
    line.text = {window_.data() + in_window, static_cast<size_t>(n_bytes)};
    return;
  }
  long_line_.resize(static_cast<size_t>(n_bytes));
  int64_t done = 0;
  while (done < n_bytes) {
    const int64_t n =
        read_(line.begin + done, std::span(long_line_).subspan(static_cast<size_t>(done)));
    QWEN3_CHECK(n > 0,
                ErrorKind::corrupt_file,
                "{}: line {}: the file shrank while it was read; wait until it is whole, and try "
                "again",
                name_,
                number_);
    done += n;
  }
  line.text = long_line_;
}

}  // namespace qwen3::eval
