// A file of lines that survives a kill at any moment, a full disk and a power loss.
//
//   append(line)   one write(2) of the line and its end
//   commit()       fdatasync: only now the lines appended since the last commit count
//
// What can be on disk after an accident is therefore: the committed lines, whole, then a tail of
// uncommitted bytes, cut or filled with zeros anywhere. Opening repairs that: good lines of the
// tail are kept (and synced, so that they count from now on), bytes after the last good line are
// cut. A bad line with a good one after it is not our doing: somebody changed the file, and
// opening refuses; a line longer than any that is written is refused likewise, wherever it stands.
//
// After a failed write or sync the journal takes the file back to its last whole or committed line
// and takes no more: a sync that failed is never tried again, because the kernel may have dropped
// the pages and would report success without writing them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "eval/run/append_file.h"
#include "eval/run/line_scanner.h"

namespace qwen3::eval {

enum class BadLines {
  refuse,  // in the middle: Error{corrupt_file}; at the end: cut
  skip,    // as the official scripts do: kept and passed over, but a torn last line is cut
};

class Journal {
 public:
  // Told every line of the file in order, without its end; whether it is a good one. `number`
  // counts from 1.
  using Visit = std::function<bool(std::string_view line, int64_t number)>;

  // Reads the whole file through `visit` in constant memory and repairs its end. Throws
  // Error{corrupt_file} as above and Error{io} when the disk fails.
  Journal(std::unique_ptr<AppendFile> file, BadLines bad_lines, const Visit& visit);

  // `line` has no '\n'. Throws Error{io} when the line could not be written whole; the file
  // then ends at the last whole line.
  void append(std::string_view line);
  // Throws Error{io} when the disk did not take it; the file then ends at the last committed
  // line.
  void commit();

  int64_t cut_bytes() const { return cut_bytes_; }  // what opening removed
  const std::string& name() const { return file_->name(); }

 private:
  void recover(BadLines bad_lines, const Visit& visit);
  void repair(int64_t good_end, int64_t size, bool unterminated);
  void check_usable() const;
  [[noreturn]] void fail_write(int error, std::string_view what, int64_t keep);

  std::unique_ptr<AppendFile> file_;
  int64_t end_ = 0;        // of the last whole line
  int64_t committed_ = 0;  // of the last committed line
  int64_t cut_bytes_ = 0;
  bool failed_ = false;
  std::string buffer_;
};

}  // namespace qwen3::eval
