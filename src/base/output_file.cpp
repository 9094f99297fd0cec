#include "base/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace qwen3 {

OutputFile::OutputFile(const std::filesystem::path& path) : path_(path.string()) {
  static std::atomic<uint64_t> counter{0};
  temporary_ = fmt::format("{}.partial-{}-{}", path_, ::getpid(), counter.fetch_add(1));
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

void OutputFile::commit() {
  if (::close(std::exchange(fd_, -1)) != 0) fail_with_errno("cannot write");
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail_with_errno("cannot rename to");
  temporary_.clear();
}

void OutputFile::fail_with_errno(std::string_view what) const {
  fail(ErrorKind::device, "{}: {}: {}", path_, what, std::strerror(errno));
}

}  // namespace qwen3
