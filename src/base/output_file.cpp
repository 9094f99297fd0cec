#include "base/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace qwen3 {

OutputFile::OutputFile(const std::filesystem::path& path)
    : path_(path.string()), target_(path.string()) {
  struct stat info {};
  if (::stat(path_.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      fail(ErrorKind::device, "{}: is a directory; expected the name of a file", path_);
    }
    if (!S_ISREG(info.st_mode)) {
      fd_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
      if (fd_ < 0) fail_with_errno("cannot open");
      return;
    }
    std::error_code error;  // a link that cannot be followed is replaced
    const std::filesystem::path real = std::filesystem::canonical(path, error);
    if (!error) target_ = real.string();
  }
  static std::atomic<uint64_t> counter{0};
  temporary_ = fmt::format("{}.partial-{}-{}", target_, ::getpid(), counter.fetch_add(1));
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_with_errno("cannot create");
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail_with_errno("cannot write");
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void OutputFile::sync() {
  if (::fsync(fd_) != 0) fail_with_errno("cannot bring to disk");
}

void OutputFile::commit() {
  if (::close(std::exchange(fd_, -1)) != 0) fail_with_errno("cannot write");
  if (temporary_.empty()) return;
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail_with_errno("cannot rename to");
  temporary_.clear();
}

void OutputFile::fail_with_errno(std::string_view what) const {
  fail(ErrorKind::device, "{}: {}: {}", path_, what, std::strerror(errno));
}

void check_writable(const std::filesystem::path& path) {
  if (path.empty()) return;
  std::error_code error;
  if (std::filesystem::is_fifo(path, error)) return;  // its reader would see an end
  const OutputFile probe(path);
}

}  // namespace qwen3
