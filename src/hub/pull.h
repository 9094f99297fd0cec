// A model from a hub into the cache. What a reader of the cache sees is whole: the links of a snapshot are made when
// all contents are there and verified, config.json's last, and refs/ after them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "hub/cache.h"
#include "hub/choose.h"
#include "hub/listing.h"

namespace qwen3::hub {

struct PullProgress {
  int files_done = 0, files = 0;
  int64_t bytes_there = 0, bytes = 0;  // of all files; what was there before counts
  int64_t bytes_received = 0;          // by this run
  bool waiting = false;                // for another process that downloads the same
};

struct PullOptions {
  ModelRef ref;
  Source source = Source::hugging_face;
  HubServer server;
  Wanted wanted;  // .gguf is taken from ref.file
  int connections = 4;
  RetryPolicy retry;
  // About ten times a second, on the caller's thread, from the beginning; false ends the pull.
  std::function<bool(const PullProgress&)> progress;
  // On the caller's thread too: a request failed and will be made again; why, and when. May be empty.
  std::function<void(const std::string& why)> on_retry = {};
};

struct Pulled {
  std::string commit;
  std::filesystem::path snapshot;
  std::vector<std::string> files;
  int64_t bytes = 0, bytes_received = 0;
  bool stopped =
      false;  // by `progress`: nothing else is valid, and what has come stays for the next time
};

// Throws Error: not_found, io, busy, corrupt_file, unsupported, invalid_argument.
Pulled pull(const Cache& cache, const PullOptions& options);

}  // namespace qwen3::hub
