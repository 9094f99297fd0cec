// The file under a journal, behind an interface so that tests can put a failing disk, or one that
// loses power, in its place. Appends only; a lock on the file keeps a second writer out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace qwen3::eval {

// Every call reports the system's errno instead of throwing: what a failure means is the journal's
// to decide. Not thread safe.
class AppendFile {
 public:
  virtual ~AppendFile() = default;

  virtual const std::string& name() const = 0;  // for messages
  virtual int64_t size() = 0;                   // bytes, or -errno
  // Bytes read from `offset` on, 0 at the end, or -errno.
  virtual int64_t read(int64_t offset, std::span<char> out) = 0;
  // One write(2) at the end of the file: bytes taken (possibly fewer than given), or -errno.
  virtual int64_t append(std::string_view bytes) = 0;
  // 0 when all that was appended is on the disk, else errno.
  virtual int sync() = 0;
  virtual int truncate(int64_t size) = 0;  // 0 or errno
};

// Opens or creates a regular file and locks it until the object goes. Throws Error{busy} when
// another process has it, Error{io} when it cannot be opened. A file that had to be created is
// known to its directory on disk when this returns.
std::unique_ptr<AppendFile> open_append_file(const std::filesystem::path& path);

// fsync of the directory that holds `path`, so that a new or renamed name survives a power loss.
// Throws Error{io}.
void sync_directory_of(const std::filesystem::path& path);

}  // namespace qwen3::eval
