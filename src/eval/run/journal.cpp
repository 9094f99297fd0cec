#include "eval/run/journal.h"

#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "base/error.h"

namespace qwen3::eval {
namespace {

[[noreturn]] void fail_read(const std::string& name, int64_t negative_errno) {
  fail(
      ErrorKind::io, "{}: cannot read: {}", name, std::strerror(static_cast<int>(-negative_errno)));
}

LineScanner lines_of(AppendFile& file) {
  const auto read = [&file](int64_t offset, std::span<char> out) {
    const int64_t n = file.read(offset, out);
    if (n < 0) fail_read(file.name(), n);
    return n;
  };
  return {file.name(), read, kMaxLineBytes};
}

}  // namespace

Journal::Journal(std::unique_ptr<AppendFile> file, BadLines bad_lines, const Visit& visit)
    : file_(std::move(file)) {
  recover(bad_lines, visit);
}

void Journal::recover(BadLines bad_lines, const Visit& visit) {
  LineScanner lines = lines_of(*file_);
  LineScanner::Line line;
  int64_t good_end = 0;
  int64_t size = 0;
  int64_t first_bad = 0;  // its number; 0: none yet
  bool unterminated = false;
  while (lines.next(line)) {
    size = line.end;
    const bool good = visit(line.text, line.number);
    QWEN3_CHECK(!good || first_bad == 0,
                ErrorKind::corrupt_file,
                "{}: line {}: damaged, with good lines after it, so this is not the trace of an "
                "interrupted run; expected a line as it was written; restore the file, or delete "
                "that line to have its sample generated again",
                file_->name(),
                first_bad);
    if (good || (bad_lines == BadLines::skip && line.terminated)) {
      good_end = line.end;
      unterminated = !line.terminated;
    } else if (first_bad == 0) {
      first_bad = line.number;
    }
  }
  repair(good_end, size, unterminated);
}

// What was read may never have been synced by the process that wrote it: it counts only after a
// sync of ours.
void Journal::repair(int64_t good_end, int64_t size, bool unterminated) {
  end_ = good_end;
  committed_ = good_end;
  cut_bytes_ = size - good_end;
  if (cut_bytes_ > 0) {
    const int error = file_->truncate(good_end);
    if (error != 0) fail_write(error, "cannot cut off the incomplete last line", size);
  }
  if (unterminated) {
    const int64_t n = file_->append("\n");
    if (n != 1) fail_write(n < 0 ? static_cast<int>(-n) : ENOSPC, "cannot write", good_end);
    ++end_;
  }
  if (size == 0) return;
  const int error = file_->sync();
  if (error != 0) fail_write(error, "cannot sync the file to disk", good_end);
  committed_ = end_;
}

void Journal::append(std::string_view line) {
  check_usable();
  QWEN3_CHECK(line.find('\n') == line.npos && static_cast<int64_t>(line.size()) < kMaxLineBytes,
              ErrorKind::invalid_argument,
              "{}: expected a line of less than {} bytes; got {} bytes",
              file_->name(),
              kMaxLineBytes,
              line.size());
  buffer_.assign(line);
  buffer_ += '\n';
  std::string_view rest = buffer_;
  // One write takes it all, but for a disk that is nearly full: the next one then says why.
  while (!rest.empty()) {
    const int64_t n = file_->append(rest);
    if (n <= 0) fail_write(n < 0 ? static_cast<int>(-n) : ENOSPC, "cannot write", end_);
    rest.remove_prefix(static_cast<size_t>(n));
  }
  end_ += static_cast<int64_t>(buffer_.size());
}

void Journal::commit() {
  check_usable();
  if (committed_ == end_) return;
  const int error = file_->sync();
  if (error != 0) fail_write(error, "cannot sync the file to disk", committed_);
  committed_ = end_;
}

void Journal::check_usable() const {
  QWEN3_CHECK(!failed_,
              ErrorKind::io,
              "{}: an earlier write failed; nothing more will be written",
              file_->name());
}

void Journal::fail_write(int error, std::string_view what, int64_t keep) {
  failed_ = true;
  // If this fails too, the next start repairs the file.
  const bool whole = file_->truncate(keep) == 0;
  fail(ErrorKind::io,
       "{}: {}: {}; {}; fix the problem and run the same command again to resume",
       file_->name(),
       what,
       std::strerror(error),
       whole ? "the file holds complete lines only" : "its last line may be incomplete");
}

}  // namespace qwen3::eval
