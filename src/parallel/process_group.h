// ProcessGroup: the ranks that run one model, as whoever started them knows them: how many there are,
// what they are called, on which hosts they are, memory that a host's ranks can see, and messages between
// hosts. Communicator builds on it what a step needs. There are two: threads of one process
// (thread_group.h), and processes that MPI started, by a plugin (mpi_plugin.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace qwen3 {

// Memory that the ranks of a host read and write: each rank of the group has a part. That of a rank on
// another host is a copy, for what comes from there.
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
  // Which host a rank runs on: numbered from 0 in the order of the hosts' first ranks.
  virtual int host_of(int rank) const {
    static_cast<void>(rank);
    return 0;
  }

  // The following two are called by all ranks, in the same order, by one thread at a time.

  // One text from each rank, by rank.
  virtual std::vector<std::string> all_gather(const std::string& mine) = 0;
  // `bytes` of memory of mine, which stay at least as long as the window. Throws Error{out_of_memory}.
  virtual SharedWindow allocate_shared(int64_t bytes) = 0;

  // Messages between ranks, which come in the order they were sent, of one tag and pair of ranks. No call
  // waits. Any thread. Of two ranks of one host none is needed; a group on one host need not have them.
  struct Transfer {
    int number = -1;  // none
    bool under_way() const { return number >= 0; }
  };
  // `bytes` stay until the transfer has ended.
  virtual Transfer send(int to, int tag, std::span<const std::byte> bytes);
  virtual Transfer receive(int from, int tag, std::span<std::byte> bytes);
  // Whether it has ended, and then forgets it. Throws Error{device} if it failed.
  virtual bool ended(Transfer& transfer);
};

}  // namespace qwen3
