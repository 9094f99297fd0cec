#include "hub/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace qwen3::hub {

std::optional<FileLock> FileLock::try_lock(const std::filesystem::path& path) {
  // Writable by the group, as the public client makes it: a cache may be shared.
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0664));
  QWEN3_CHECK(bool(fd), ErrorKind::io, "{}: cannot open: {}", path.string(), strerror(errno));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK || errno == EACCES || errno == EINTR) return std::nullopt;
    fail(ErrorKind::io,
         "{}: cannot lock: {}; put the cache on another disk (HF_HUB_CACHE)",
         path.string(),
         strerror(errno));
  }
  // Somebody who tidies up may have removed the file meanwhile: then the lock is of no use.
  struct stat ours {
  }, there{};
  if (::fstat(fd.get(), &ours) != 0 || ::stat(path.c_str(), &there) != 0 ||
      ours.st_ino != there.st_ino || ours.st_dev != there.st_dev) {
    return std::nullopt;
  }
  return FileLock(std::move(fd));
}

}  // namespace qwen3::hub
