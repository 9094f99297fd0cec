#include "base/input_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "base/embedded_files.h"
#include "base/error.h"
#include "base/sha256.h"

namespace qwen3 {
namespace {

constexpr int64_t kHashedBytes = 1 << 20;  // at once

// O_NONBLOCK: opening a FIFO must not wait for a writer; it is refused soon after.
int open_to_read(const std::string& name) {
  int fd = -1;
  do {
    fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

[[noreturn]] void fail_to_open(const std::string& name, int error) {
  struct stat link {};
  const bool leads_nowhere =
      error == ENOENT && ::lstat(name.c_str(), &link) == 0 && S_ISLNK(link.st_mode);
  fail(ErrorKind::not_found,
       "{}: cannot open: {}{}; is the path right and readable?",
       name,
       std::strerror(error),
       leads_nowhere ? " (a broken symbolic link)" : "");
}

// A pipe between programs has an end: its writer's. A FIFO with a name may wait for ever for one.
bool is_nameless_pipe(int fd, const struct stat& info) {
  struct statfs system {};
  return S_ISFIFO(info.st_mode) && ::fstatfs(fd, &system) == 0 && system.f_type == PIPEFS_MAGIC;
}

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  if (S_ISSOCK(mode)) return "a socket";
  return "something else";
}

bool same_time(const struct timespec& a, const struct timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace

InputFile::InputFile(const std::filesystem::path& path, Accept accept) : name_(path.string()) {
  if (const auto embedded = find_embedded_file(name_)) {
    embedded_ = *embedded;
    size_ = static_cast<int64_t>(embedded_.size());
    return;
  }
  fd_ = open_to_read(name_);
  if (fd_ < 0) fail_to_open(name_, errno);
  if (::fstat(fd_, &opened_) != 0) {
    const int error = errno;
    ::close(fd_);
    fail_to_open(name_, error);
  }
  const bool pipe = accept == Accept::files_and_pipes && is_nameless_pipe(fd_, opened_);
  if (!pipe && !S_ISREG(opened_.st_mode)) {
    ::close(fd_);
    fail(ErrorKind::not_found,
         "{}: expected a regular file; got {}; give the path of a file",
         name_,
         kind_of(opened_.st_mode));
  }
  if (!pipe) size_ = int64_t{opened_.st_size};
}

std::optional<InputFile> InputFile::open_if_there(const std::filesystem::path& path) {
  if (!file_exists(path)) return std::nullopt;
  return InputFile(path);
}

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : name_(std::move(other.name_)),
      size_(std::exchange(other.size_, 0)),
      fd_(std::exchange(other.fd_, -1)),
      opened_(other.opened_),
      embedded_(std::exchange(other.embedded_, {})) {}

void InputFile::read(int64_t offset, std::span<std::byte> out) const {
  if (fd_ < 0) {
    std::copy_n(embedded_.data() + offset, out.size(), out.data());
    return;
  }
  for (size_t done = 0; done < out.size();) {
    const ssize_t n = ::pread(fd_,
                              out.data() + done,
                              out.size() - done,
                              static_cast<off_t>(offset) + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(ErrorKind::io, "{}: cannot read: {}", name_, std::strerror(errno));
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

void InputFile::check_unchanged() const {
  if (fd_ < 0) return;
  struct stat now {};
  if (::fstat(fd_, &now) != 0) {
    fail(ErrorKind::io, "{}: cannot read: {}", name_, std::strerror(errno));
  }
  QWEN3_CHECK(int64_t{now.st_size} == size_,
              ErrorKind::corrupt_file,
              "{}: changed while it was read; expected {} bytes, got {}; wait until it is whole, "
              "and try again",
              name_,
              size_,
              int64_t{now.st_size});
  QWEN3_CHECK(same_time(now.st_mtim, opened_.st_mtim),
              ErrorKind::corrupt_file,
              "{}: written to while it was read; wait until it is whole, and try again",
              name_);
}

std::string InputFile::sha256() const {
  Sha256 hash;
  std::vector<std::byte> piece(static_cast<size_t>(std::min(size_, kHashedBytes)));
  for (int64_t at = 0; at < size_; at += kHashedBytes) {
    const auto part =
        std::span(piece).first(static_cast<size_t>(std::min(kHashedBytes, size_ - at)));
    read(at, part);
    hash.add(part);
  }
  return hash.hex();
}

std::string InputFile::read_all(size_t max_bytes) const {
  const auto n = static_cast<size_t>(size_);
  QWEN3_CHECK(n <= max_bytes,
              ErrorKind::corrupt_file,
              "{}: expected at most {} bytes, got {}",
              name_,
              max_bytes,
              n);
  std::string text(n, '\0');
  read(0, std::as_writable_bytes(std::span(text)));
  check_unchanged();
  return text;
}

std::string read_text_file(const std::filesystem::path& path, size_t max_bytes) {
  return InputFile(path).read_all(max_bytes);
}

std::optional<std::string> read_text_file_if_there(const std::filesystem::path& path,
                                                   size_t max_bytes) {
  const std::optional<InputFile> file = InputFile::open_if_there(path);
  if (!file) return std::nullopt;
  return file->read_all(max_bytes);
}

}  // namespace qwen3
