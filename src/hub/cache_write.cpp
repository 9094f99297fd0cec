// Changing the cache; cache.cpp reads it.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <system_error>

#include "base/error.h"
#include "base/output_file.h"
#include "hub/cache.h"
#include "hub/file_lock.h"

namespace qwen3::hub {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_with(const fs::path& path, std::string_view verb, int error) {
  fail(ErrorKind::io,
       "{}: cannot {}: {}{}",
       path.string(),
       verb,
       strerror(error),
       error == EACCES || error == EROFS || error == EPERM
           ? "; HF_HUB_CACHE names another place for the cache"
           : "");
}

// A folder of this name, and no link to one.
void make_real_folder(const fs::path& path) {
  if (::mkdir(path.c_str(), 0777) == 0) return;  // less the umask, as the public client does
  const int error = errno;
  struct stat status {};
  if (error != EEXIST || ::lstat(path.c_str(), &status) != 0) fail_with(path, "make", error);
  QWEN3_CHECK(S_ISDIR(status.st_mode),
              ErrorKind::io,
              "{}: expected a folder of the cache; got {}",
              path.string(),
              S_ISLNK(status.st_mode) ? "a link" : "something else");
}

void write_tag(const fs::path& root) {
  const fs::path tag = root / "CACHEDIR.TAG";
  std::error_code error;
  if (fs::exists(tag, error)) return;
  try {
    write_file(tag,
               "Signature: 8a477f597d28d172789f06886806bc55\n"
               "# This is a cache: backups may leave it out (https://bford.info/cachedir/).\n");
  } catch (const Error&) {
    // Backups will be larger.
  }
}

}  // namespace

void Cache::make_folder_below(const fs::path& relative) const {
  fs::path at = root_;
  for (const fs::path& part : relative) make_real_folder(at /= part);
}

void Cache::make_repo_folders(const std::string& repo) const {
  std::error_code error;
  fs::create_directories(root_, error);
  if (error) fail_with(root_, "make", error.value());
  const fs::path name = repo_folder_name(repo);
  for (const char* part : {"blobs", "refs", "snapshots"}) make_folder_below(name / part);
  make_folder_below(fs::path(".locks") / name);
  write_tag(root_);
}

void Cache::link_file(const std::string& repo,
                      const std::string& commit,
                      const std::string& path,
                      const std::string& hash) const {
  check_repo_path(path);
  const fs::path relative = fs::path("snapshots") / commit / path;
  make_folder_below(repo_folder_name(repo) / relative.parent_path());
  fs::path target;
  for (const fs::path& part : relative.parent_path()) target /= part.empty() ? "" : "..";
  target /= fs::path("blobs") / hash;
  const fs::path link = repo_folder(repo) / relative;
  std::error_code error;
  if (fs::read_symlink(link, error) == target && !error) return;
  if (::symlink(target.c_str(), link.c_str()) == 0) return;
  // Beside its place and then over what is there: a reader sees the old file or the new one.
  const fs::path aside =
      repo_folder(repo) / "snapshots" / fmt::format(".{}-{}.tmp", hash, ::getpid());
  ::unlink(aside.c_str());
  if (::symlink(target.c_str(), aside.c_str()) != 0) fail_with(link, "link", errno);
  if (::rename(aside.c_str(), link.c_str()) == 0) return;
  const int why = errno;
  ::unlink(aside.c_str());
  fail_with(link, "link", why);
}

void Cache::write_ref(const std::string& repo,
                      const std::string& ref,
                      const std::string& commit) const {
  QWEN3_CHECK(is_revision(ref) && is_commit(commit), ErrorKind::internal, "no ref: {}", ref);
  const fs::path relative = fs::path("refs") / ref;
  make_folder_below(repo_folder_name(repo) / relative.parent_path());
  write_file(repo_folder(repo) / relative, commit);
}

bool Cache::is_busy(const std::string& repo) const {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(lock_folder(repo), error)) {
    if (entry.is_regular_file(error) && !FileLock::try_lock(entry.path())) return true;
  }
  return false;
}

void Cache::remove(const std::string& repo) const {
  QWEN3_CHECK(!is_busy(repo), ErrorKind::busy, "{}: a download of it is under way", repo);
  std::error_code error;
  fs::remove_all(repo_folder(repo), error);  // a link itself, not what it leads to
  if (error) fail_with(repo_folder(repo), "remove", error.value());
  fs::remove_all(lock_folder(repo), error);
}

void Cache::remove_files(const std::string& repo,
                         const Snapshot& snapshot,
                         const std::vector<CachedFile>& gone) const {
  QWEN3_CHECK(!is_busy(repo), ErrorKind::busy, "{}: a download of it is under way", repo);
  const auto unlink_or_fail = [](const fs::path& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail_with(path, "remove", errno);
  };
  for (const CachedFile& file : gone) {
    unlink_or_fail(snapshot.path / file.path);
    std::error_code error;  // folders that are empty now
    fs::path folder = fs::path(file.path).parent_path();
    for (; !folder.empty() && ::rmdir((snapshot.path / folder).c_str()) == 0;
         folder = folder.parent_path()) {
    }
  }
  std::set<fs::path> needed;
  for (const Snapshot& other : snapshots(repo)) {
    for (const CachedFile& file : files(other)) needed.insert(file.blob);
  }
  std::error_code error;
  const fs::path blobs = fs::canonical(repo_folder(repo) / "blobs", error);
  for (const CachedFile& file : gone) {
    if (!error && file.blob.parent_path() == blobs && !needed.contains(file.blob)) {
      unlink_or_fail(file.blob);
    }
  }
}

}  // namespace qwen3::hub
