// A lock between processes, as the public client takes it: flock(2) on a file that stays. The system frees it
// when its holder dies.
#pragma once

#include <filesystem>
#include <optional>

#include "base/unique_fd.h"

namespace qwen3::hub {

class FileLock {
 public:
  // Nothing when somebody else holds it now (another thread of this process too). Makes the file, but not its
  // folder. Throws Error{io} where files cannot be locked.
  static std::optional<FileLock> try_lock(const std::filesystem::path& path);

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace qwen3::hub
