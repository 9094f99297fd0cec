#include "parallel/communicator.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <new>

#include "base/error.h"

namespace qwen3 {
namespace {

constexpr std::chrono::milliseconds kBeat{50};
// Whoever sleeps looks this often whether the group has ended.
constexpr int kSleepMilliseconds = 50;
// Whoever waits for a message looks again after so long, the longer the less is going on.
constexpr std::chrono::microseconds kShortNap{20}, kLongNap{1000};
constexpr int kYields = 200, kShortNaps = 100;
constexpr double kPatience = 20;  // times peer_seconds
constexpr size_t kReasonBytes = 1024;

}  // namespace

// Of each rank, in memory that all see. Others write only `end_claimed`, `end_told` and `reason` of
// rank 0's.
struct Communicator::Block {
  Flag plan, report;  // numbers, cut to 32 bits
  alignas(64) std::atomic<uint32_t> heartbeat{0};
  alignas(64) std::atomic<uint32_t> end_claimed{0};
  std::atomic<uint32_t> end_told{0};
  char reason[kReasonBytes] = {};
  uint32_t plan_place = kSmall;
  alignas(64) std::byte small_plan[kSmallPlanBytes] = {};
  std::byte report_bytes[kReportBytes] = {};
};

Communicator::Block& Communicator::block(int rank) const {
  return *reinterpret_cast<Block*>(window_.parts[static_cast<size_t>(rank)]);
}

Communicator::Hosts Communicator::hosts_of(const ProcessGroup& group) {
  Hosts hosts;
  for (int r = 0; r < group.size(); ++r) {
    const int number = group.host_of(r);
    hosts.numbers.push_back(number);
    hosts.ranks.resize(std::max(hosts.ranks.size(), static_cast<size_t>(number) + 1));
    hosts.ranks[static_cast<size_t>(number)].push_back(r);
  }
  return hosts;
}

Communicator::Communicator(std::unique_ptr<ProcessGroup> group, CommunicatorOptions options)
    : group_(std::move(group)), options_(std::move(options)), hosts_(hosts_of(*group_)) {
  QWEN3_CHECK(size() <= kLeaves,
              ErrorKind::unsupported,
              "ranks: expected at most {}, got {}; a model is split over {} at most",
              kLeaves,
              size(),
              kLeaves);
  window_ = group_->allocate_shared(sizeof(Block));
  for (int r = 0; r < size(); ++r) {
    if (r == rank() || (speaks() && !is_here(r))) {
      new (window_.parts[static_cast<size_t>(r)]) Block();
    }
  }
  for (const std::vector<int>& ranks : hosts()) {
    if (speaks() && ranks.front() != rank()) beats_.push_back({.rank = ranks.front()});
  }
  names_ = group_->all_gather(group_->name());
  for (int r = 0; r < size(); ++r) {
    std::string& name = names_[static_cast<size_t>(r)];
    name = name.empty() ? fmt::format("rank {}", r) : fmt::format("rank {} ({})", r, name);
  }
  if (options_.peer_seconds > 0) watchdog_ = std::thread([this] { watch(); });
}

Communicator::~Communicator() { stop_watching(); }

void Communicator::stop_watching() {
  over_ = true;
  if (watchdog_.joinable()) watchdog_.join();
}

std::span<std::byte> Communicator::small_plan() { return block(0).small_plan; }

void Communicator::publish(uint32_t runner_or_small, std::span<const std::byte> plan) {
  block(0).plan_place = runner_or_small;
  block(0).plan.raise(static_cast<uint32_t>(++plan_number_));
  if (hosts().size() > 1) send_plan(plan);
}

void Communicator::send_plan(std::span<const std::byte> plan) {
  // What was sent before has arrived: its reports are in.
  for (auto& [to, sent] : plans_sent_) wait(sent, to);
  plans_sent_.clear();
  notice_ = {block(0).plan_place, static_cast<uint32_t>(plan.size())};
  for (const std::vector<int>& ranks : hosts()) {
    const int to = ranks.front();
    if (is_here(to)) continue;
    plans_sent_.emplace_back(to,
                             send(to, Tag::plan, std::as_bytes(std::span(&notice_, size_t{1}))));
    plans_sent_.emplace_back(to, send(to, Tag::plan_bytes, plan));
  }
}

uint32_t Communicator::await_plan(const PlanWindow& window_of) {
  const auto next = static_cast<uint32_t>(++plan_number_);
  // Nobody is waited for: rank 0 may have nothing to do for hours, and its heartbeat is watched.
  if (speaks()) receive_plan(window_of, next);
  if (!block(0).plan.reached(next)) wait_and_watch(block(0).plan, next);
  return block(0).plan_place;
}

// For all ranks of this host.
void Communicator::receive_plan(const PlanWindow& window_of, uint32_t number) {
  PlanNotice notice = {};
  Transfer announced = receive(0, Tag::plan, std::as_writable_bytes(std::span(&notice, size_t{1})));
  wait_and_watch(announced);
  const std::span<std::byte> room = notice.place == kSmall ? small_plan() : window_of(notice.place);
  QWEN3_CHECK(notice.n_bytes <= room.size(),
              ErrorKind::internal,
              "plan of a step: {} bytes in a window of {}",
              notice.n_bytes,
              room.size());
  Transfer received = receive(0, Tag::plan_bytes, room.first(notice.n_bytes));
  wait_and_watch(received);
  block(0).plan_place = notice.place;
  block(0).plan.raise(number);
}

void Communicator::report(const RankReport& mine) {
  encode_report(block(rank()).report_bytes, mine);
  block(rank()).report.raise(static_cast<uint32_t>(mine.number));
  if (is_here(0)) return;
  Transfer sent = send(0, Tag::report, block(rank()).report_bytes);
  wait(sent, 0);
}

void Communicator::collect(const RankReport& mine) {
  place.what = "the report of the step";
  for (int r = 1; r < size(); ++r) {
    Block& other = block(r);
    if (is_here(r)) {
      wait(other.report, static_cast<uint32_t>(mine.number), r);
    } else {
      Transfer received = receive(r, Tag::report, other.report_bytes);
      wait(received, r);
    }
    const RankReport theirs = decode_report(other.report_bytes);
    QWEN3_CHECK(theirs.problem.empty(), ErrorKind::device, "{}: {}", name(r), theirs.problem);
    if (theirs.number == mine.number && theirs.hidden_hash == mine.hidden_hash) continue;
    end_group(fmt::format(
        "{}: the hidden state of step {} differs from rank 0's ({:016x} against {:016x}); "
        "a file, a processor or memory is not the same or damaged; the group ends",
        name(r),
        mine.number,
        theirs.hidden_hash,
        mine.hidden_hash));
    throw_if_ended();
  }
}

void Communicator::wait_long(const Flag& flag, uint32_t target, int rank) {
  n_waits_.fetch_add(1, std::memory_order_relaxed);
  waiting_for_.store(rank, std::memory_order_relaxed);
  wait_and_watch(flag, target);
  waiting_for_.store(-1, std::memory_order_relaxed);
}

void Communicator::wait_and_watch(const Flag& flag, uint32_t target) {
  if (spin(flag, target, options_.spinning)) return;
  while (!flag.reached(target)) {
    throw_if_ended();
    sleep(flag, target, kSleepMilliseconds);
  }
}

void Communicator::wait(Transfer& transfer, int rank) {
  if (group_->ended(transfer)) return;
  n_waits_.fetch_add(1, std::memory_order_relaxed);
  waiting_for_.store(rank, std::memory_order_relaxed);
  wait_and_watch(transfer);
  waiting_for_.store(-1, std::memory_order_relaxed);
}

void Communicator::wait_and_watch(Transfer& transfer) {
  for (int round = 0; !group_->ended(transfer); ++round) {
    throw_if_ended();
    if (round < kYields) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(round < kYields + kShortNaps ? kShortNap : kLongNap);
    }
  }
}

bool Communicator::ended() const { return block(0).end_claimed.load() != 0; }

void Communicator::throw_if_ended() {
  if (!ended()) return;
  note_end();
  fail(ErrorKind::device,
       "{}",
       block(0).end_told ? block(0).reason : "the group of ranks has ended");
}

void Communicator::end_group(std::string_view reason) {
  Block& first = block(0);
  uint32_t nobody = 0;
  if (!first.end_claimed.compare_exchange_strong(nobody, 1)) return note_end();
  const size_t n = std::min(reason.size(), kReasonBytes - 1);
  std::memcpy(first.reason, reason.data(), n);
  first.end_told = 1;
  if (!told_.exchange(true) && options_.on_end) options_.on_end(reason);
}

// Somebody else has ended the group, and says why.
void Communicator::note_end() {
  if (!told_.exchange(true) && options_.on_end) options_.on_end({});
}

std::string Communicator::where() const {
  const int layer = place.layer;
  return layer < 0 ? std::string(place.what.load())
                   : fmt::format("layer {}, {}", layer, place.what.load());
}

// Time is counted in looks that this thread was awake for: a machine that was suspended wakes up with a
// clock that went on, and must not take that for a rank's silence.
void Communicator::watch() {
  std::vector<uint32_t> beats(static_cast<size_t>(size()));
  std::vector<int> still(static_cast<size_t>(size()));
  int waited = 0;
  uint32_t wait_seen = 0;
  while (!over_) {
    std::this_thread::sleep_for(kBeat);
    block(rank()).heartbeat.fetch_add(1);
    if (ended()) return note_end();
    try {
      exchange_beats();
    } catch (const std::exception& error) {
      return end_group(fmt::format("{}: {}; the group ends", name(rank()), error.what()));
    }
    const uint32_t wait_now = n_waits_;
    if (wait_now != wait_seen || waiting_for_ < 0) waited = 0;
    wait_seen = wait_now;
    if (!look(beats, still, waited)) return;
  }
}

// Of a host whose messages do not come, the copies of the heartbeats stand still.
void Communicator::exchange_beats() {
  for (BeatExchange& with : beats_) {
    if (group_->ended(with.sent)) {
      for (const int r : local_ranks()) {
        with.mine.counts[static_cast<size_t>(r)] = block(r).heartbeat;
      }
      with.sent = send(with.rank, Tag::beat, std::as_bytes(std::span(&with.mine, size_t{1})));
    }
    if (!with.received.under_way()) {
      with.received =
          receive(with.rank, Tag::beat, std::as_writable_bytes(std::span(&with.theirs, size_t{1})));
    }
    while (group_->ended(with.received)) {
      for (const int r : hosts()[static_cast<size_t>(host_of(with.rank))]) {
        block(r).heartbeat = with.theirs.counts[static_cast<size_t>(r)];
      }
      with.received =
          receive(with.rank, Tag::beat, std::as_writable_bytes(std::span(&with.theirs, size_t{1})));
    }
  }
}

// False: somebody is lost, and the group has ended.
bool Communicator::look(std::vector<uint32_t>& beats, std::vector<int>& still, int& waited) {
  const auto lost = [&](int r, double seconds) {
    end_group(fmt::format("{} has not answered for {:.1f} s, {}, step {}; the group ends",
                          name(r),
                          seconds,
                          where(),
                          plan_number_));
    return false;
  };
  const double beat = std::chrono::duration<double>(kBeat).count();
  const double patience =
      options_.hang_seconds > 0 ? options_.hang_seconds : kPatience * options_.peer_seconds;
  for (int r = 0; r < size(); ++r) {
    const auto i = static_cast<size_t>(r);
    const uint32_t now = block(r).heartbeat;
    still[i] = now == beats[i] ? still[i] + 1 : 0;
    beats[i] = now;
  }
  for (int r = 0; r < size(); ++r) {
    if (r == rank()) continue;
    const auto i = static_cast<size_t>(r);
    // What is heard of another host comes through this host's first rank: where that is silent, too, it is
    // the one who is lost.
    const int first = local_ranks().front();
    const bool is_judged =
        is_here(r) || first == rank() || still[static_cast<size_t>(first)] * 2 < still[i];
    if (is_judged && still[i] * beat > options_.peer_seconds) return lost(r, still[i] * beat);
  }
  const int rank = waiting_for_;
  if (rank >= 0 && ++waited * beat > patience) return lost(rank, waited * beat);
  return true;
}

}  // namespace qwen3
