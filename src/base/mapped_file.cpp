#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/embedded_files.h"
#include "base/error.h"

namespace qwen3 {

MappedFile::MappedFile(const std::filesystem::path& path) : name_(path.string()) {
  if (const auto embedded = find_embedded_file(name_)) {
    data_ = embedded->data();
    size_ = embedded->size();
    return;
  }
  // O_NONBLOCK: opening a FIFO must not wait for a writer; it is refused right below.
  fd_ = ::open(name_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) {
    fail(ErrorKind::not_found,
         "{}: cannot open: {}; is the path right and readable?",
         name_,
         std::strerror(errno));
  }
  struct stat info {};
  if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd_);
    fail(ErrorKind::not_found, "{}: expected a regular file", name_);
  }
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  void* mapping = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd_, 0);
  if (mapping == MAP_FAILED) {
    const int error = errno;
    ::close(fd_);
    fail(ErrorKind::device, "{}: cannot map {} bytes: {}", name_, size_, std::strerror(error));
  }
  data_ = static_cast<const std::byte*>(mapping);
}

MappedFile::~MappedFile() {
  if (fd_ < 0) return;  // embedded, or moved from
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  ::close(fd_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : name_(std::move(other.name_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      fd_(std::exchange(other.fd_, -1)) {}

void MappedFile::check_not_truncated() const {
  if (fd_ < 0) return;
  struct stat info {};
  if (::fstat(fd_, &info) != 0 || static_cast<size_t>(info.st_size) < size_) {
    fail(ErrorKind::corrupt_file,
         "{}: the file shrank while it was open; expected {} bytes, got {}",
         name_,
         size_,
         static_cast<int64_t>(info.st_size));
  }
}

void MappedFile::read(int64_t offset, std::span<std::byte> out) const {
  if (fd_ < 0) {  // embedded
    std::memcpy(out.data(), data_ + offset, out.size());
    return;
  }
  for (size_t done = 0; done < out.size();) {
    const ssize_t n = ::pread(fd_,
                              out.data() + done,
                              out.size() - done,
                              static_cast<off_t>(offset) + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(ErrorKind::device, "{}: cannot read: {}", name_, std::strerror(errno));
    if (n == 0) {
      fail(ErrorKind::corrupt_file,
           "{}: ends before byte {}; expected {} bytes; did the file shrink while it was open?",
           name_,
           offset + static_cast<int64_t>(out.size()),
           size_);
    }
    done += static_cast<size_t>(n);
  }
}

std::string read_text_file(const std::filesystem::path& path, size_t max_bytes) {
  const MappedFile file(path);
  const size_t size = file.bytes().size();
  QWEN3_CHECK(size <= max_bytes,
              ErrorKind::corrupt_file,
              "{}: expected at most {} bytes, got {}",
              file.name(),
              max_bytes,
              size);
  std::string text(size, '\0');
  file.read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace qwen3
