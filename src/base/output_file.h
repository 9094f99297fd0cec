// A file written aside and put in its place when complete: readers see the old file or the whole
// new one, never a part. Until then it has no name where the system can do that (O_TMPFILE), so
// that a process that is killed leaves nothing; elsewhere it has the name ".partial-…" beside its
// place. (This guards against a process that dies; against power loss only with sync().) What is
// there and no regular file (a device, a pipe) cannot be replaced without harm and is written
// straight away; a link stays a link, and what it points to is replaced.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace qwen3 {

class OutputFile {
 public:
  // Throws Error{io} naming the path and the system's reason.
  explicit OutputFile(const std::filesystem::path& path);
  ~OutputFile();  // nothing is left unless committed
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);  // throws Error{io}
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void sync();    // waits until what was written is on the disk; throws Error{io}
  void commit();  // throws Error{io}; call once, last

 private:
  void close_or_fail();
  [[noreturn]] void fail_with_errno(std::string_view what) const;

  std::string path_;       // as given, for messages
  std::string target_;     // where the links of path_ lead
  std::string temporary_;  // a name beside target_
  bool temporary_exists_ = false;
  bool straight_ = false;  // written to path_ itself: a device, a pipe
  int fd_ = -1;
};

// All of `text` as an OutputFile.
void write_file(const std::filesystem::path& path, std::string_view text);

// Makes a folder, or the folder of a file, and those above it that are missing; an empty path needs
// none. Throws Error{io} naming the folder and the system's reason.
void make_folder(const std::filesystem::path& folder);
void make_folder_of(const std::filesystem::path& file);

// Throws what OutputFile(path) would, and leaves nothing: for commands that work long before they
// write. Pipes are not opened; an empty path (no output wanted) is well.
void check_writable(const std::filesystem::path& path);

}  // namespace qwen3
