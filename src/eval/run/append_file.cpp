#include "eval/run/append_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/unique_fd.h"

namespace qwen3::eval {
namespace {

// Repeats a system call that a signal interrupted.
template <typename Call>
auto without_interrupts(Call&& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class PosixAppendFile final : public AppendFile {
 public:
  PosixAppendFile(std::string name, UniqueFd fd) : name_(std::move(name)), fd_(std::move(fd)) {}

  const std::string& name() const override { return name_; }

  int64_t size() override {
    struct stat info {};
    return ::fstat(fd_.get(), &info) == 0 ? int64_t{info.st_size} : -int64_t{errno};
  }

  int64_t read(int64_t offset, std::span<char> out) override {
    const auto n = without_interrupts(
        [&] { return ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset)); });
    return n >= 0 ? int64_t{n} : -int64_t{errno};
  }

  int64_t append(std::string_view bytes) override {
    const auto n =
        without_interrupts([&] { return ::write(fd_.get(), bytes.data(), bytes.size()); });
    return n >= 0 ? int64_t{n} : -int64_t{errno};
  }

  // Not repeated on EINTR either: after any failure the pages may be gone.
  int sync() override { return ::fdatasync(fd_.get()) == 0 ? 0 : errno; }

  int truncate(int64_t size) override {
    const int result =
        without_interrupts([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size)); });
    return result == 0 ? 0 : errno;
  }

 private:
  std::string name_;
  UniqueFd fd_;
};

[[noreturn]] void fail_with_errno(const std::string& name, std::string_view what) {
  fail(ErrorKind::io, "{}: {}: {}", name, what, std::strerror(errno));
}

// A file that was renamed away between open and lock would be locked for nothing.
bool still_named(const std::string& name, const struct stat& opened) {
  struct stat named {};
  return ::stat(name.c_str(), &named) == 0 && named.st_dev == opened.st_dev &&
         named.st_ino == opened.st_ino;
}

}  // namespace

std::unique_ptr<AppendFile> open_append_file(const std::filesystem::path& path) {
  const std::string name = path.string();
  const bool existed = ::access(name.c_str(), F_OK) == 0;
  UniqueFd fd(without_interrupts([&] {
    // O_NONBLOCK: what is not a regular file is refused soon after, and must not be waited for.
    constexpr int kFlags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    return ::open(name.c_str(), kFlags, 0666);
  }));
  if (fd.get() < 0) fail_with_errno(name, "cannot open for writing");
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) fail_with_errno(name, "cannot stat");
  QWEN3_CHECK(S_ISREG(info.st_mode),
              ErrorKind::io,
              "{}: expected a regular file; got something else; name another output_file",
              name);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) fail_with_errno(name, "cannot lock");
    fail(ErrorKind::busy,
         "{}: another process is writing this file; wait for it, or end it, and try again",
         name);
  }
  QWEN3_CHECK(still_named(name, info),
              ErrorKind::busy,
              "{}: replaced by another process just now; try again",
              name);
  if (!existed) sync_directory_of(path);
  return std::make_unique<PosixAppendFile>(name, std::move(fd));
}

void sync_directory_of(const std::filesystem::path& path) {
  const std::filesystem::path parent = path.parent_path();
  const std::string name = parent.empty() ? "." : parent.string();
  const UniqueFd fd(
      without_interrupts([&] { return ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (fd.get() < 0) fail_with_errno(name, "cannot open");
  // Some file systems (FUSE, some network mounts) do not know fsync of a directory.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) fail_with_errno(name, "cannot sync");
}

}  // namespace qwen3::eval
