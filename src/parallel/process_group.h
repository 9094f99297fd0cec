// ProcessGroup: the ranks that run one model, as whoever started them knows them: how many there are,
// what they are called, and memory that all can see. Communicator builds on it what a step needs. There
// are two: threads of one process (thread_group.h), and processes that MPI started, by a plugin
// (mpi_plugin.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace qwen3 {

// Memory that all ranks read and write: each rank has a part.
struct SharedWindow {
  std::vector<std::byte*> parts;  // by rank; 64-byte aligned, zeroed
  std::shared_ptr<void> owner;    // may give it back; null: the group does
};

class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Where this rank runs, for messages: "hostb, pid 4711"; may be empty.
  virtual std::string name() const { return {}; }

  // The following two are called by all ranks, in the same order, by one thread at a time.

  // One text from each rank, by rank.
  virtual std::vector<std::string> all_gather(const std::string& mine) = 0;
  // `bytes` of memory of mine, which stay at least as long as the window. Throws Error{out_of_memory}.
  virtual SharedWindow allocate_shared(int64_t bytes) = 0;
};

}  // namespace qwen3
