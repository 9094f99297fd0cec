// A file to read: the one way in which commands open what a person or another program gave them.
// Nothing waits (a FIFO without a writer), nothing but a file is read (a directory, a device,
// a socket), and nothing is parsed from memory that another process can take away: bytes are read
// into the caller's, never mapped, so that a file that shrinks is an error and no SIGBUS. Paths
// "embedded:…" name the files inside the program (base/embedded_files.h).
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

namespace qwen3 {

class InputFile {
 public:
  enum class Accept {
    files,            // regular files
    files_and_pipes,  // also what `<(…)` of a shell and /dev/stdin name; never a FIFO on the disk
  };

  // Throws Error{not_found} when the path names nothing, or something that is not accepted or not
  // readable (a symbolic link to a file is fine, one that leads nowhere or in a circle is not).
  explicit InputFile(const std::filesystem::path& path, Accept accept = Accept::files);
  // For files that may be absent: nothing when there is no such name. All else as above.
  static std::optional<InputFile> open_if_there(const std::filesystem::path& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;
  InputFile(const InputFile&) = delete;

  const std::string& name() const { return name_; }  // the path as given, for messages
  int64_t size() const { return size_; }             // when it was opened; of a pipe 0
  bool is_pipe() const { return S_ISFIFO(opened_.st_mode); }
  // For questions about the file that was opened (its owner, its mode), and for reading a pipe,
  // which does not block. -1 inside the program.
  int descriptor() const { return fd_; }

  // Fills `out` with the bytes from `offset` on. A file that is now shorter gives
  // Error{corrupt_file}, a disk that fails Error{io}. Thread-safe.
  void read(int64_t offset, std::span<std::byte> out) const;
  // Throws Error{corrupt_file} when the file has another size, or was written to, since it was
  // opened: what was read may be half of the old and half of the new.
  void check_unchanged() const;
  std::string sha256() const;  // of the whole file, piece by piece; throws as read()
  // The whole file, unchanged while it was read. Error{corrupt_file} beyond `max_bytes`, before
  // anything is allocated.
  std::string read_all(size_t max_bytes) const;

 private:
  std::string name_;
  int64_t size_ = 0;
  int fd_ = -1;
  struct stat opened_ {};
  std::span<const std::byte> embedded_;
};

// The whole of a file; `max_bytes` guards against a huge file where a small one belongs.
std::string read_text_file(const std::filesystem::path& path, size_t max_bytes);
// Nothing when there is no such name.
std::optional<std::string> read_text_file_if_there(const std::filesystem::path& path,
                                                   size_t max_bytes);

}  // namespace qwen3
