// The processes that MPI started: who they are, windows of memory that those of one host share, and
// messages between hosts. MPI moves bytes and never adds a float: sums are the group's own, in its own
// order (parallel/sum_tree.h).
//
// No call of MPI waits for others for long: what all do together is begun and then looked at, so that the
// watchdog's thread may send its heartbeats meanwhile. One lock makes the calls of all threads one after
// the other, which MPI_THREAD_SERIALIZED asks for. MPI reports none of the losses that end a group; the
// watchdog does.
#include <fmt/format.h>
#include <mpi.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/checked.h"
#include "base/error.h"
#include "parallel/mpi_plugin.h"

namespace qwen3 {
namespace {

// An orderly end waits for all ranks. One that freezes just then would hold up the others: they end by this
// alarm.
constexpr unsigned kFinalizeSeconds = 10;
constexpr int kYields = 200;
constexpr std::chrono::microseconds kNap{200};
// Where Open MPI keeps windows.
constexpr const char* kSharedMemory = "/dev/shm";

void check(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int n = 0;
  MPI_Error_string(code, text, &n);
  fail(ErrorKind::device, "MPI: {}: {}", what, text);
}

std::string host_name() {
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) != 0) return "unknown host";
  return name;
}

class MpiGroup final : public ProcessGroup {
 public:
  MpiGroup() {
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
    QWEN3_CHECK(provided >= MPI_THREAD_SERIALIZED,
                ErrorKind::unsupported,
                "MPI: expected a library that several threads may call, one at a time "
                "(MPI_THREAD_SERIALIZED); got level {}",
                provided);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
    check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &host_),
          "MPI_Comm_split_type");
    MPI_Comm_set_errhandler(host_, MPI_ERRORS_RETURN);
    find_hosts();
  }

  ~MpiGroup() override {
    alarm(kFinalizeSeconds);
    together("MPI_Ibarrier",
             [](MPI_Request* request) { return MPI_Ibarrier(MPI_COMM_WORLD, request); });
    // What nobody waits for any more: the last heartbeats.
    for (MPI_Request& request : requests_) {
      if (request == MPI_REQUEST_NULL) continue;
      MPI_Cancel(&request);
      MPI_Request_free(&request);
    }
    for (auto window = windows_.rbegin(); window != windows_.rend(); ++window) {
      MPI_Win_free(&*window);
    }
    MPI_Comm_free(&host_);
    MPI_Finalize();
    alarm(0);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string name() const override { return fmt::format("{}, pid {}", host_name(), getpid()); }
  int host_of(int rank) const override { return hosts_[static_cast<size_t>(rank)]; }

  std::vector<std::string> all_gather(const std::string& mine) override {
    QWEN3_CHECK(mine.size() <= (1 << 20), ErrorKind::internal, "ranks: a text of {}", mine.size());
    const int n_mine = static_cast<int>(mine.size());
    std::vector<int> sizes(static_cast<size_t>(size_)), begins(static_cast<size_t>(size_));
    together("MPI_Iallgather", [&](MPI_Request* request) {
      return MPI_Iallgather(&n_mine, 1, MPI_INT, sizes.data(), 1, MPI_INT, MPI_COMM_WORLD, request);
    });
    int n = 0;
    for (size_t r = 0; r < sizes.size(); ++r) {
      begins[r] = n;
      n += sizes[r];
    }
    std::string all(static_cast<size_t>(n), '\0');
    together("MPI_Iallgatherv", [&](MPI_Request* request) {
      return MPI_Iallgatherv(mine.data(),
                             n_mine,
                             MPI_BYTE,
                             all.data(),
                             sizes.data(),
                             begins.data(),
                             MPI_BYTE,
                             MPI_COMM_WORLD,
                             request);
    });
    std::vector<std::string> texts;
    for (size_t r = 0; r < sizes.size(); ++r) {
      texts.push_back(all.substr(static_cast<size_t>(begins[r]), static_cast<size_t>(sizes[r])));
    }
    return texts;
  }

  SharedWindow allocate_shared(int64_t bytes) override {
    const std::vector<int64_t> sizes = sizes_of_all(bytes);
    check_room(sizes);
    const std::vector<MPI_Aint> offsets = offsets_of(sizes);
    MPI_Win window = MPI_WIN_NULL;
    void* base = nullptr;
    {
      // Everybody of the host has come by (sizes_of_all), so this waits for nobody for long.
      const std::lock_guard lock(mutex_);
      const MPI_Aint mine = is_first() ? offsets.back() : 0;
      check(MPI_Win_allocate_shared(mine, 1, MPI_INFO_NULL, host_, &base, &window),
            "MPI_Win_allocate_shared");
      windows_.push_back(window);
      MPI_Aint n_bytes = 0;
      int unit = 0;
      check(MPI_Win_shared_query(window, 0, &n_bytes, &unit, &base), "MPI_Win_shared_query");
    }
    SharedWindow shared;
    auto* const begin = reinterpret_cast<std::byte*>(
        round_up(static_cast<int64_t>(reinterpret_cast<intptr_t>(base)), kAlignment));
    for (size_t r = 0; r < sizes.size(); ++r) shared.parts.push_back(begin + offsets[r]);
    // Each rank touches its own part first, which so lies in the memory next to it.
    for (int r = 0; r < size_; ++r) {
      const auto i = static_cast<size_t>(r);
      if (r != rank_ && !(is_first() && hosts_[i] != host_of(rank_))) continue;
      std::memset(shared.parts[i], 0, static_cast<size_t>(sizes[i]));
    }
    all_gather({});  // nobody reads before all is zero
    return shared;
  }

  Transfer send(int to, int tag, std::span<const std::byte> bytes) override {
    return begin(bytes.size(), "MPI_Isend", [&](MPI_Request* request) {
      const int n = static_cast<int>(bytes.size());
      return MPI_Isend(bytes.data(), n, MPI_BYTE, to, tag, MPI_COMM_WORLD, request);
    });
  }

  Transfer receive(int from, int tag, std::span<std::byte> bytes) override {
    return begin(bytes.size(), "MPI_Irecv", [&](MPI_Request* request) {
      const int n = static_cast<int>(bytes.size());
      return MPI_Irecv(bytes.data(), n, MPI_BYTE, from, tag, MPI_COMM_WORLD, request);
    });
  }

  bool ended(Transfer& transfer) override {
    if (!transfer.under_way()) return true;
    const std::lock_guard lock(mutex_);
    MPI_Request& request = requests_[static_cast<size_t>(transfer.number)];
    int is_done = 0;
    check(MPI_Test(&request, &is_done, MPI_STATUS_IGNORE), "MPI_Test");
    if (is_done == 0) return false;
    free_.push_back(transfer.number);
    transfer = {};
    return true;
  }

 private:
  static constexpr int64_t kAlignment = 64;

  bool is_first() const {
    return std::find(hosts_.begin(), hosts_.end(), host_of(rank_)) - hosts_.begin() == rank_;
  }

  void find_hosts() {
    int first = rank_;
    check(MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, host_), "MPI_Allreduce");
    std::vector<int> firsts(static_cast<size_t>(size_));
    check(MPI_Allgather(&first, 1, MPI_INT, firsts.data(), 1, MPI_INT, MPI_COMM_WORLD),
          "MPI_Allgather");
    int n_hosts = 0;
    for (int r = 0; r < size_; ++r) {
      const auto i = static_cast<size_t>(r);
      hosts_.push_back(firsts[i] == r ? n_hosts++ : hosts_[static_cast<size_t>(firsts[i])]);
    }
  }

  std::vector<int64_t> sizes_of_all(int64_t mine) {
    std::vector<int64_t> sizes(static_cast<size_t>(size_));
    together("MPI_Iallgather", [&](MPI_Request* request) {
      return MPI_Iallgather(
          &mine, 1, MPI_INT64_T, sizes.data(), 1, MPI_INT64_T, MPI_COMM_WORLD, request);
    });
    return sizes;
  }

  // Where each rank's part begins, and at the end the size of all.
  static std::vector<MPI_Aint> offsets_of(const std::vector<int64_t>& sizes) {
    constexpr int64_t kPage = 4096;  // parts of one page have one owner
    std::vector<MPI_Aint> offsets;
    int64_t at = 0;
    for (const int64_t size : sizes) {
      offsets.push_back(static_cast<MPI_Aint>(at));
      at += round_up(size, kPage);
    }
    offsets.push_back(static_cast<MPI_Aint>(at + kAlignment));
    return offsets;
  }

  // Memory that is not there would be noticed by SIGBUS. All ranks come to the same result.
  void check_room(const std::vector<int64_t>& sizes) {
    int64_t needed = 0;
    for (const int64_t size : sizes) needed += size;
    struct statvfs room = {};
    int64_t here = INT64_MAX;
    if (statvfs(kSharedMemory, &room) == 0) {
      here = static_cast<int64_t>(room.f_bavail) * static_cast<int64_t>(room.f_frsize);
    }
    for (const int64_t free : sizes_of_all(is_first() ? here : INT64_MAX)) {
      QWEN3_CHECK(needed <= free,
                  ErrorKind::out_of_memory,
                  "{}: expected room for {} MiB that the ranks of a host share, got {} MiB; in a "
                  "container give more (--shm-size), or lower --max-batch-tokens or "
                  "--max-sequences",
                  kSharedMemory,
                  ceil_div(needed, int64_t{1} << 20),
                  free >> 20);
    }
  }

  template <typename Begin>
  void together(const char* what, const Begin& begin_it) {
    MPI_Request request = MPI_REQUEST_NULL;
    {
      const std::lock_guard lock(mutex_);
      check(begin_it(&request), what);
    }
    for (int round = 0;; ++round) {
      {
        const std::lock_guard lock(mutex_);
        int is_done = 0;
        check(MPI_Test(&request, &is_done, MPI_STATUS_IGNORE), what);
        if (is_done != 0) return;
      }
      if (round < kYields) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(kNap);
      }
    }
  }

  template <typename Begin>
  Transfer begin(size_t n_bytes, const char* what, const Begin& begin_it) {
    QWEN3_CHECK(n_bytes <= INT_MAX, ErrorKind::internal, "ranks: a message of {}", n_bytes);
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
      free_.push_back(static_cast<int>(requests_.size()));
      requests_.push_back(MPI_REQUEST_NULL);
    }
    const int number = free_.back();
    check(begin_it(&requests_[static_cast<size_t>(number)]), what);
    free_.pop_back();
    return {number};
  }

  int rank_ = 0, size_ = 1;
  MPI_Comm host_ = MPI_COMM_NULL;
  std::vector<int> hosts_;  // by rank
  std::mutex mutex_;        // of every call of MPI from here on
  std::vector<MPI_Win> windows_;
  std::vector<MPI_Request> requests_;
  std::vector<int> free_;  // of them
};

}  // namespace
}  // namespace qwen3

extern "C" __attribute__((visibility("default"))) const qwen3::MpiPlugin* qwen3_mpi_plugin() {
  static constexpr qwen3::MpiPlugin plugin{
      qwen3::kMpiPluginBuild, []() -> qwen3::ProcessGroup* { return new qwen3::MpiGroup(); }};
  return &plugin;
}
