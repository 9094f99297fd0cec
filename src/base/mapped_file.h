// A read-only memory mapping of a whole file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace qwen3 {

class MappedFile {
 public:
  // Throws Error{not_found} when the path is not a readable regular file (a symlink to one is
  // fine), Error{device} when the mapping fails. An empty file maps to an empty span.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  MappedFile(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  const std::string& name() const { return name_; }  // the path as given, for messages

  // Throws Error{corrupt_file} if the file on disk is now shorter than it was when mapped (reading
  // the missing pages would raise SIGBUS).
  void check_not_truncated() const;

  // Fills `out` with the bytes from `offset` on by read(2), not through the mapping: a file that
  // shrank gives Error{corrupt_file} instead of SIGBUS, and nothing becomes resident but `out`.
  // Throws Error{device} when the disk fails. Thread-safe.
  void read(int64_t offset, std::span<std::byte> out) const;

 private:
  std::string name_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int fd_ = -1;
};

// The whole file as a string. `max_bytes` guards against a huge file where a small one belongs.
std::string read_text_file(const std::filesystem::path& path, size_t max_bytes);

}  // namespace qwen3
