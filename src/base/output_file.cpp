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

namespace {

std::string name_of(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

// A file in `directory` that has no name until link_to gives it one, so that whatever ends the
// process leaves nothing behind. -1 where the file system or a missing /proc does not allow it.
int open_nameless(const std::filesystem::path& directory) {
  const int fd = ::open(directory.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  if (fd < 0 || ::access(name_of(fd).c_str(), F_OK) == 0) return fd;
  ::close(fd);
  return -1;
}

bool link_to(int fd, const std::string& name) {
  return ::linkat(AT_FDCWD, name_of(fd).c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

}  // namespace

OutputFile::OutputFile(const std::filesystem::path& path)
    : path_(path.string()), target_(path.string()) {
  struct stat info {};
  if (::stat(path_.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      fail(ErrorKind::io, "{}: is a directory; expected the name of a file", path_);
    }
    if (!S_ISREG(info.st_mode)) {
      fd_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
      if (fd_ < 0) fail_with_errno("cannot open");
      straight_ = true;
      return;
    }
    std::error_code error;  // a link that cannot be followed is replaced
    const std::filesystem::path real = std::filesystem::canonical(path, error);
    if (!error) target_ = real.string();
  } else if (errno == ENAMETOOLONG) {
    fail_with_errno("cannot create");
  }
  std::filesystem::path directory = std::filesystem::path(target_).parent_path();
  if (directory.empty()) directory = ".";
  static std::atomic<uint64_t> counter{0};
  temporary_ =
      (directory / fmt::format(".partial-{}-{}", ::getpid(), counter.fetch_add(1))).string();
  fd_ = open_nameless(directory);
  if (fd_ >= 0) return;
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_with_errno("cannot create");
  temporary_exists_ = true;
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (temporary_exists_) ::unlink(temporary_.c_str());
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
  if (::fsync(fd_) != 0) fail_with_errno("cannot sync to disk");
}

void OutputFile::commit() {
  if (!straight_ && !temporary_exists_) {
    if (link_to(fd_, target_)) return close_or_fail();
    // A link cannot replace what is there; a rename can. Between the two the whole file exists
    // under its temporary name.
    if (errno != EEXIST || !link_to(fd_, temporary_)) fail_with_errno("cannot create");
    temporary_exists_ = true;
  }
  close_or_fail();
  if (straight_) return;
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail_with_errno("cannot rename to");
  temporary_exists_ = false;
}

void OutputFile::close_or_fail() {
  if (::close(std::exchange(fd_, -1)) != 0) fail_with_errno("cannot write");
}

void OutputFile::fail_with_errno(std::string_view what) const {
  fail(ErrorKind::io, "{}: {}: {}", path_, what, std::strerror(errno));
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  OutputFile file(path);
  file.write(text);
  file.commit();
}

void make_folder(const std::filesystem::path& folder) {
  if (folder.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  QWEN3_CHECK(
      !error, ErrorKind::io, "{}: cannot make the folder: {}", folder.string(), error.message());
}

void make_folder_of(const std::filesystem::path& file) { make_folder(file.parent_path()); }

void check_writable(const std::filesystem::path& path) {
  if (path.empty()) return;
  std::error_code error;
  if (std::filesystem::is_fifo(path, error)) return;  // its reader would see an end
  const OutputFile probe(path);
}

}  // namespace qwen3
