// What a repository holds at a commit, as its hub says. The hub is not trusted: names that could leave their folder,
// sizes below zero and hashes that are none are refused here, before anything is written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hub/content_hash.h"
#include "hub/http.h"
#include "hub/repo.h"
#include "hub/retry.h"

namespace qwen3::hub {

enum class Source { hugging_face, model_scope };

struct RemoteFile {
  std::string path;  // checked by check_repo_path
  int64_t size = 0;
  HashKind kind = HashKind::sha256;
  std::string hash;  // hash_digits(kind) digits
  std::string url;
};

struct Listing {
  std::string commit;  // of ModelScope, whose listing names none: made of the names and hashes
  std::string ref;     // what points to it in the cache: "main", "modelscope"; "" for a commit
  std::vector<RemoteFile> files;
};

// Throws Error: not_found, io, busy, corrupt_file.
Listing list_files(Source source,
                   HttpSession& session,
                   const RetryPolicy& policy,
                   const ModelRef& ref);

// The name under refs/ of a revision ("": the default) of a source; "" for a commit.
std::string ref_name(Source source, const std::string& revision);

}  // namespace qwen3::hub
