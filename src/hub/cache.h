// The cache of the public hub client (huggingface_hub, transformers), as files:
//
//   <root>/models--Qwen--Qwen3-0.6B/blobs/<hash>                  contents, by the hash their hub gives them
//                                  /snapshots/<commit>/<path>     links to them: ../../blobs/<hash>
//                                  /refs/<branch or tag>          a commit
//   <root>/.locks/models--Qwen--Qwen3-0.6B/<hash>.lock
//
// What is read here may have been written by anybody. Below the root nothing is written through links to folders.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hub/repo.h"

namespace qwen3::hub {

struct Snapshot {
  std::string commit;
  std::filesystem::path path;
  std::vector<std::string> refs;  // that point to it
};

struct CachedFile {
  std::string path;  // in the snapshot
  int64_t size = 0;
  std::filesystem::path blob;  // where its link leads; the file itself where there is no link
};

class Cache {
 public:
  explicit Cache(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path repo_folder(const std::string& repo) const;
  std::filesystem::path lock_folder(const std::string& repo) const;

  // The repositories that are there, in order of their names.
  std::vector<std::string> repos() const;
  std::vector<Snapshot> snapshots(const std::string& repo) const;

  // Of the revision; without one of main, else of ModelScope's default, else the only one.
  // Nothing when it is not there; Error{not_found} when several could be meant.
  std::optional<Snapshot> find(const ModelRef& ref) const;

  // In order of their paths; what leads nowhere is left out.
  std::vector<CachedFile> files(const Snapshot& snapshot) const;

  // Paths of the snapshot that lead nowhere: a link to a blob that is gone.
  std::vector<std::string> broken_files(const Snapshot& snapshot) const;

  // Bytes on the disk of a repository's blobs, and of these of downloads that have not ended.
  struct Usage {
    int64_t bytes = 0, incomplete_bytes = 0;
    int n_incomplete = 0;
  };
  Usage usage(const std::string& repo) const;

  // Makes <root>/models--…/ and its parts, and the folder of locks. Throws Error{io}; where a folder is a link, too.
  void make_repo_folders(const std::string& repo) const;
  // snapshots/<commit>/<path> → blobs/<hash>: at once, whatever was there. Throws Error{io}.
  void link_file(const std::string& repo,
                 const std::string& commit,
                 const std::string& path,
                 const std::string& hash) const;
  // refs/<ref> says `commit`. Throws Error{io}.
  void write_ref(const std::string& repo, const std::string& ref, const std::string& commit) const;

  // True when a download for it is under way, here or elsewhere.
  bool is_busy(const std::string& repo) const;
  // All of it. Throws Error: busy, io.
  void remove(const std::string& repo) const;
  // These files of a snapshot, and their blobs unless another snapshot has them. Throws Error: busy, io.
  void remove_files(const std::string& repo,
                    const Snapshot& snapshot,
                    const std::vector<CachedFile>& files) const;

 private:
  void make_folder_below(const std::filesystem::path& relative) const;
  std::filesystem::path root_;
};

// Bytes that a file of this user may still take on the disk of `path`, or of the next folder above that is there.
int64_t free_bytes(const std::filesystem::path& path);

}  // namespace qwen3::hub
