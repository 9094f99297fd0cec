// Communicator: how the ranks of a group go through a step together: plans from rank 0, reports back to
// it, waiting for each other, and the end of all when one is lost. The sums of a step are made in
// windows of memory (step_windows.h) on top of it.
//
// Ranks of one host meet in memory. Between hosts there are messages, which one of a host's ranks takes in
// and lays down where the sender's part of a window is copied, raising its flag there: so whoever waits,
// waits for a flag.
//
// A group is never elastic: a rank that fails, or does not answer, ends the group, and nothing is tried
// again. Alone there is no communicator, and nothing of this is called.
//
// Threads: one that runs the model; the watchdog is a thread of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "parallel/flag.h"
#include "parallel/process_group.h"
#include "parallel/rank_report.h"
#include "parallel/shard.h"
#include "parallel/step_plan.h"

namespace qwen3 {

struct CommunicatorOptions {
  // A rank whose heartbeat stands still for so long is lost; 0: no watchdog.
  double peer_seconds = 3;
  // A rank that beats but keeps others waiting for so long hangs: it would compute, even on a core that it
  // must share. 0: twenty times peer_seconds.
  double hang_seconds = 0;
  // Threads of all ranks on this host, against its cores.
  Spinning spinning = Spinning::yes;
  // Called once, on any thread, when the group has ended: with the reason on the rank that ended it, with
  // nothing on the others. May end the process. By itself, whoever waits throws Error{device}.
  std::function<void(std::string_view reason)> on_end = {};
};

// Where a rank is in a step, for messages. Layer -1: outside the layers.
struct StepPlace {
  std::atomic<int> layer{-1};
  std::atomic<const char*> what{"the start"};
};

class Communicator {
 public:
  enum class Tag { plan, plan_bytes, report, nodes, logits, beat };
  using Transfer = ProcessGroup::Transfer;

  // Called by all ranks. `group` may have 1 to kLeaves ranks; Error{unsupported} for more.
  Communicator(std::unique_ptr<ProcessGroup> group, CommunicatorOptions options);
  ~Communicator();
  Communicator(const Communicator&) = delete;

  int rank() const { return group_->rank(); }
  int size() const { return group_->size(); }
  Shard shard() const { return {rank(), size(), static_cast<int>(local_ranks().size())}; }
  const std::string& name(int rank) const { return names_[static_cast<size_t>(rank)]; }
  Spinning spinning() const { return options_.spinning; }

  int host_of(int rank) const { return group_->host_of(rank); }
  bool is_here(int rank) const { return hosts_.of(rank) == hosts_.of(this->rank()); }
  // The ranks of each host, ascending. Its first one speaks for it.
  const std::vector<std::vector<int>>& hosts() const { return hosts_.ranks; }
  const std::vector<int>& local_ranks() const {
    return hosts_.ranks[static_cast<size_t>(hosts_.of(rank()))];
  }

  // Called by all ranks in the same order.
  std::vector<std::string> all_gather(const std::string& mine) { return group_->all_gather(mine); }
  SharedWindow allocate_shared(int64_t bytes) { return group_->allocate_shared(bytes); }

  // ---- rank 0 ---------------------------------------------------------------------------------
  // The number of the next plan.
  uint64_t next_plan() const { return plan_number_ + 1; }
  // Where a plan of at most kSmallPlanBytes is written before it is published.
  std::span<std::byte> small_plan();
  // Tells the others: plan next_plan() lies in small_plan(), or, of an open runner, in its window, of which
  // these are the bytes.
  void publish(uint32_t runner_or_small, std::span<const std::byte> plan);
  static constexpr uint32_t kSmall = ~uint32_t{0};
  // Waits for everybody's report of the latest plan, which must be like mine. Throws
  // Error{out_of_memory, …} with the rank's words for a problem reported; an unequal hash ends the group.
  void collect(const RankReport& mine);

  // ---- the others -----------------------------------------------------------------------------
  // Waits for the next plan. Returns where it lies, as publish() said. `window_of` is asked where a plan
  // from another host may be put.
  using PlanWindow = std::function<std::span<std::byte>(uint32_t runner)>;
  uint32_t await_plan(const PlanWindow& window_of);
  void report(const RankReport& mine);

  // ---- all ------------------------------------------------------------------------------------
  // Until `rank`'s flag reaches `target`. Throws Error{device} when the group has ended.
  void wait(const Flag& flag, uint32_t target, int rank) {
    if (!flag.reached(target)) wait_long(flag, target, rank);
  }
  // Messages to and from ranks of other hosts; the latter as with wait().
  Transfer send(int to, Tag tag, std::span<const std::byte> bytes) {
    return group_->send(to, static_cast<int>(tag), bytes);
  }
  Transfer receive(int from, Tag tag, std::span<std::byte> bytes) {
    return group_->receive(from, static_cast<int>(tag), bytes);
  }
  void wait(Transfer& transfer, int rank);
  // Ends the group for a reason that is told once, by whoever is first. Returns if on_end does.
  void end_group(std::string_view reason);
  bool ended() const;
  // Before an orderly end, when other ranks' heartbeats may stop.
  void stop_watching();
  StepPlace place;

 private:
  struct Block;
  struct Hosts {
    std::vector<int> numbers;             // by rank
    std::vector<std::vector<int>> ranks;  // by host
    int of(int rank) const { return numbers[static_cast<size_t>(rank)]; }
  };
  // What the first ranks of two hosts tell each other in every beat.
  struct Beat {
    uint32_t counts[kLeaves];  // of the sender's ranks
  };
  struct BeatExchange {
    int rank = 0;  // the other host's first
    Beat mine = {}, theirs = {};
    Transfer sent = {}, received = {};
  };
  // How a plan is announced to another host.
  struct PlanNotice {
    uint32_t place;
    uint32_t n_bytes;
  };

  Block& block(int rank) const;
  static Hosts hosts_of(const ProcessGroup& group);
  bool speaks() const { return local_ranks().front() == rank(); }
  void send_plan(std::span<const std::byte> plan);
  void receive_plan(const PlanWindow& window_of, uint32_t number);
  void exchange_beats();
  void wait_long(const Flag& flag, uint32_t target, int rank);
  void wait_and_watch(const Flag& flag, uint32_t target);
  void wait_and_watch(Transfer& transfer);
  void throw_if_ended();
  void watch();
  bool look(std::vector<uint32_t>& beats, std::vector<int>& still, int& waited);
  std::string where() const;
  void note_end();

  const std::unique_ptr<ProcessGroup> group_;
  const CommunicatorOptions options_;
  const Hosts hosts_;
  std::vector<std::string> names_;
  SharedWindow window_;
  std::vector<BeatExchange> beats_;  // of a rank that speaks for its host, the watchdog's
  PlanNotice notice_ = {};
  std::vector<std::pair<int, Transfer>> plans_sent_;  // and to whom
  uint64_t plan_number_ = 0;
  std::atomic<int> waiting_for_{-1};
  std::atomic<uint32_t> n_waits_{0};  // tells one wait from the next
  std::atomic<bool> told_{false};
  std::atomic<bool> over_{false};
  std::thread watchdog_;
};

}  // namespace qwen3
