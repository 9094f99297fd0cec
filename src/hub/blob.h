// One file of a repository into the cache: blobs/<hash>.incomplete grows, is hashed while it does, and becomes
// blobs/<hash> when length and hash are what the hub has promised. What a run that was killed has left is hashed and
// continued. One process at a time works on a blob (.locks/<repository>/<hash>.lock, the public client's).
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>

#include "hub/http.h"
#include "hub/listing.h"

namespace qwen3::hub {

// All must outlive the download.
struct BlobJob {
  const RemoteFile& file;
  const std::string& commit;                     // that the file is of; "": the hub does not say
  std::filesystem::path blob, incomplete, lock;  // their folders are there
  std::string what;                              // for messages: "Qwen/Qwen3-0.6B: config.json"
};

// How far all downloads together are. Any thread.
struct PullCounters {
  std::atomic<int64_t> bytes_there = 0;     // of the files wanted, on this disk
  std::atomic<int64_t> bytes_received = 0;  // over the network
  std::atomic<int> files_done = 0;
  std::atomic<int> waiting = 0;  // for a lock that another process holds
};

// Whether the blob is there, with this length.
bool has_blob(const std::filesystem::path& blob, int64_t size);

// Returns when the blob is there. Throws Error: io (network, disk), not_found, busy, corrupt_file when the content is
// not what was promised; what is there of the file stays for the next time, unless it is wrong.
void download_blob(HttpSession& session,
                   const RetryPolicy& policy,
                   const BlobJob& job,
                   PullCounters& counters);

}  // namespace qwen3::hub
