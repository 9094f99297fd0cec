// Reading the cache; cache_write.cpp changes it.
#include "hub/cache.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <map>
#include <system_error>

#include "base/checked.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/text.h"
#include "hub/listing.h"

namespace qwen3::hub {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxDepth = 8;
constexpr size_t kMaxEntries = 100'000;  // of a folder that somebody else has filled

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (names.size() == kMaxEntries) break;
    names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The paths of the files below a folder, links to folders not followed.
void collect(const fs::path& folder,
             const std::string& prefix,
             int depth,
             std::vector<std::string>& out) {
  for (const std::string& name : names_in(folder)) {
    std::error_code error;
    const fs::path path = folder / name;
    if (fs::is_directory(fs::symlink_status(path, error))) {
      if (depth < kMaxDepth) collect(path, prefix + name + "/", depth + 1, out);
    } else if (out.size() < kMaxEntries) {
      out.push_back(prefix + name);
    }
  }
}

// The commit in a file of refs/; "" when it holds none.
std::string commit_in(const fs::path& path) {
  try {
    const std::string text = read_text_file(path, 1024);
    const std::string commit(trim(text, " \t\r\n"));
    return is_commit(commit) ? commit : "";
  } catch (const Error&) {
    return {};
  }
}

int64_t size_of(const fs::path& path) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  return error ? -1 : static_cast<int64_t>(size);
}

}  // namespace

fs::path Cache::repo_folder(const std::string& repo) const {
  return root_ / repo_folder_name(repo);
}

fs::path Cache::lock_folder(const std::string& repo) const {
  return root_ / ".locks" / repo_folder_name(repo);
}

std::vector<std::string> Cache::repos() const {
  std::vector<std::string> repos;
  for (const std::string& name : names_in(root_)) {
    if (const auto repo = repo_of_folder(name)) repos.push_back(*repo);
  }
  return repos;
}

std::vector<Snapshot> Cache::snapshots(const std::string& repo) const {
  const fs::path folder = repo_folder(repo);
  std::vector<std::string> refs;
  collect(folder / "refs", "", 0, refs);
  std::map<std::string, std::vector<std::string>> by_commit;
  for (const std::string& ref : refs) by_commit[commit_in(folder / "refs" / ref)].push_back(ref);
  std::vector<Snapshot> snapshots;
  for (const std::string& commit : names_in(folder / "snapshots")) {
    std::error_code error;
    const fs::path path = folder / "snapshots" / commit;
    if (!is_commit(commit) || !fs::is_directory(path, error)) continue;
    snapshots.push_back({commit, path, by_commit[commit]});
  }
  return snapshots;
}

std::optional<Snapshot> Cache::find(const ModelRef& ref) const {
  std::vector<Snapshot> all = snapshots(ref.repo);
  const auto of_ref = [&](const std::string& name) -> std::optional<Snapshot> {
    for (const Snapshot& snapshot : all) {
      const auto& refs = snapshot.refs;
      if (snapshot.commit == name || std::find(refs.begin(), refs.end(), name) != refs.end()) {
        return snapshot;
      }
    }
    return std::nullopt;
  };
  if (!ref.revision.empty()) {
    const auto found = of_ref(ref.revision);
    return found ? found : of_ref(ref_name(Source::model_scope, ref.revision));
  }
  for (const Source source : {Source::hugging_face, Source::model_scope}) {
    if (auto found = of_ref(ref_name(source, ""))) return found;
  }
  if (all.empty()) return std::nullopt;
  QWEN3_CHECK(all.size() == 1,
              ErrorKind::not_found,
              "{}: the cache has {} revisions of it, and none is main; name one, as {}@{}",
              ref.repo,
              all.size(),
              ref.repo,
              all.front().refs.empty() ? all.front().commit : all.front().refs.front());
  return all.front();
}

std::vector<CachedFile> Cache::files(const Snapshot& snapshot) const {
  std::vector<std::string> paths;
  collect(snapshot.path, "", 0, paths);
  std::sort(paths.begin(), paths.end());
  std::vector<CachedFile> files;
  for (std::string& path : paths) {
    std::error_code error;
    const fs::path blob = fs::canonical(snapshot.path / path, error);
    if (error || !fs::is_regular_file(blob, error)) continue;
    const int64_t size = size_of(blob);
    if (size >= 0) files.push_back({std::move(path), size, blob});
  }
  return files;
}

std::vector<std::string> Cache::broken_files(const Snapshot& snapshot) const {
  std::vector<std::string> paths, broken;
  collect(snapshot.path, "", 0, paths);
  std::sort(paths.begin(), paths.end());
  for (std::string& path : paths) {
    std::error_code error;
    if (!fs::exists(snapshot.path / path, error)) broken.push_back(std::move(path));
  }
  return broken;
}

namespace {

// Of files that are no links: of a cache that was copied, or made where there are none.
int64_t bytes_without_blobs(const fs::path& snapshots) {
  int64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(snapshots, error), end; !error && at != end;
       at.increment(error)) {
    if (at->is_symlink(error) || !at->is_regular_file(error)) continue;
    bytes += std::max<int64_t>(0, size_of(at->path()));
  }
  return bytes;
}

}  // namespace

Cache::Usage Cache::usage(const std::string& repo) const {
  const fs::path blobs = repo_folder(repo) / "blobs";
  Usage usage;
  for (const std::string& name : names_in(blobs)) {
    const int64_t size = std::max<int64_t>(0, size_of(blobs / name));
    if (name.ends_with(".incomplete")) {
      usage.incomplete_bytes += size;
      ++usage.n_incomplete;
    }
    usage.bytes += size;
  }
  usage.bytes += bytes_without_blobs(repo_folder(repo) / "snapshots");
  return usage;
}

int64_t free_bytes(const fs::path& path) {
  for (fs::path at = fs::absolute(path);; at = at.parent_path()) {
    struct statvfs disk {};
    if (::statvfs(at.c_str(), &disk) == 0) {
      return checked_mul(static_cast<int64_t>(disk.f_bavail), static_cast<int64_t>(disk.f_frsize))
          .value_or(INT64_MAX);
    }
    if (at == at.parent_path()) return INT64_MAX;  // unknown: writing will tell
  }
}

}  // namespace qwen3::hub
