// A group of threads: sums, plans, reports, and how it ends when a rank is lost.
#include "parallel/communicator.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <mutex>
#include <thread>
#include <utility>

#include "base/error.h"
#include "parallel/handshake.h"
#include "parallel/host_windows.h"
#include "parallel/thread_group.h"
#include "support/expect_error.h"

namespace qwen3::test {
namespace {

const CommunicatorOptions kNoWatchdog{.peer_seconds = 0, .spinning = Spinning::no};

float value_of(int64_t leaf, int64_t i) {
  return std::sin(static_cast<float>(leaf * 1000 + i)) * 3;
}

// Ranks, and the hosts that they are spread over: unevenly, too.
constexpr std::pair<int, int> kGroups[] = {
    {1, 1}, {2, 1}, {3, 1}, {5, 1}, {8, 1}, {2, 2}, {3, 2}, {5, 2}, {8, 3}, {8, 8}};

// One-shot and two-shot sums, and the reuse of windows: enough rounds that a missing alternation would
// be seen by a fast rank that overwrites what a slow one reads.
TEST(Communicator, SumsAreTheSameOnEveryRankAndForEveryNumberOfRanks) {
  constexpr int64_t kHidden = 1000;
  for (const int64_t n_tokens : {1, 7, 70}) {
    const int64_t n = n_tokens * kHidden;
    const auto leaf_sum = [](Range r, int64_t i) {
      std::vector<float> level;
      for (int64_t leaf = r.begin; leaf < r.end; ++leaf) level.push_back(value_of(leaf, i));
      while (level.size() > 1) {
        for (size_t k = 0; k < level.size() / 2; ++k) level[k] = level[2 * k] + level[2 * k + 1];
        level.resize(level.size() / 2);
      }
      return level[0];
    };
    for (const auto& [size, n_hosts] : kGroups) {
      const auto body = [&, size = size](Communicator& group) {
        ThreadPool threads(1);
        HostWindows windows(group, threads, {.max_tokens = 70, .hidden_size = kHidden});
        const SumTree tree(size, {.size = 8});
        const auto nodes = nodes_of(group.shard().leaves());
        for (int round = 0; round < 4; ++round) {
          for (size_t k = 0; k < nodes.size(); ++k) {
            const Tensor node = windows.node(static_cast<int>(k), n_tokens);
            for (int64_t i = 0; i < n; ++i) node.f32()[i] = leaf_sum(nodes[k], i + round);
          }
          std::vector<float> x(static_cast<size_t>(n), 1.0f);
          const Tensor view = Tensor::view(x, {n_tokens, kHidden});
          windows.sum(view, SumTree::Into::add, tree);
          for (int64_t i = 0; i < n; ++i) {
            ASSERT_EQ(x[static_cast<size_t>(i)], 1.0f + leaf_sum({0, 8}, i + round));
          }
        }
      };
      run_thread_ranks(size, kNoWatchdog, body, n_hosts);
    }
  }
}

TEST(Communicator, BitsAreMerged) {
  const auto body = [](Communicator& group) {
    ThreadPool threads(1);
    HostWindows windows(group, threads, {.max_tokens = 3, .hidden_size = 8});
    for (int round = 0; round < 5; ++round) {
      std::vector<float> x(24, 0.0f);
      for (int i = 0; i < 8; ++i)
        x[static_cast<size_t>(group.rank() * 8 + i)] = i == 3 ? -0.0f : 7.25f + i;
      std::ranges::copy(x, windows.node(0, 3).f32());
      windows.merge_bits(Tensor::view(x, {3, 8}));
      for (size_t i = 0; i < 24; ++i) {
        const float expected = i % 8 == 3 ? -0.0f : 7.25f + static_cast<float>(i % 8);
        ASSERT_EQ(std::signbit(x[i]), std::signbit(expected));
        ASSERT_EQ(x[i], expected);
      }
    }
  };
  for (const int n_hosts : {1, 2, 3}) run_thread_ranks(3, kNoWatchdog, body, n_hosts);
}

// Each rank's columns of rows that rank 0 has in the end.
TEST(Communicator, LogitsComeFromAllHosts) {
  constexpr int64_t kVocabulary = 10 * kVocabularyUnit, kRows = 5;
  const auto body = [](Communicator& group) {
    ThreadPool threads(1);
    HostWindows windows(
        group,
        threads,
        {.max_tokens = 1, .hidden_size = 8, .max_logit_rows = kRows, .vocab_size = kVocabulary});
    const Range own = vocabulary_share(kVocabulary, group.shard());
    for (int round = 0; round < 3; ++round) {
      const Tensor logits = windows.logits(kRows);
      for (int64_t row = 0; row < kRows; ++row) {
        for (int64_t id = own.begin; id < own.end; ++id) {
          logits.f32_row(row)[id] = static_cast<float>(id * kRows + row + round);
        }
      }
      windows.gather_logits(kRows);
      group.all_gather({});  // as reports do
      for (int64_t i = 0; group.rank() == 0 && i < kRows * kVocabulary; ++i) {
        const int64_t row = i / kVocabulary, id = i % kVocabulary;
        ASSERT_EQ(logits.f32()[i], static_cast<float>(id * kRows + row + round));
      }
      group.all_gather({});
    }
  };
  for (const auto& [size, n_hosts] : kGroups) run_thread_ranks(size, kNoWatchdog, body, n_hosts);
}

const Communicator::PlanWindow kNoWindows = [](uint32_t) { return std::span<std::byte>(); };

// Rank 0 tells, the others report.
void run_plans(Communicator& group, int n_plans, uint64_t (*hash)(int rank)) {
  for (int i = 0; i < n_plans; ++i) {
    if (group.rank() == 0) {
      const uint64_t number = group.next_plan();
      const int64_t n_bytes = encode_end(group.small_plan(), PlanKind::close, 4, number);
      group.publish(Communicator::kSmall, group.small_plan().first(static_cast<size_t>(n_bytes)));
      group.collect({.number = number, .hidden_hash = hash(0)});
    } else {
      EXPECT_EQ(group.await_plan(kNoWindows), Communicator::kSmall);
      const PlanHead head = decode_plan_head(group.small_plan());
      EXPECT_EQ(head.number, static_cast<uint64_t>(i + 1));
      group.report({.number = head.number, .hidden_hash = hash(group.rank())});
    }
  }
}

TEST(Communicator, PlansReachEverybodyAndReportsComeBack) {
  for (const int n_hosts : {1, 2, 4}) {
    run_thread_ranks(
        4,
        kNoWatchdog,
        [](Communicator& group) { run_plans(group, 200, [](int) { return uint64_t{5}; }); },
        n_hosts);
  }
}

TEST(Communicator, AnotherHiddenStateEndsTheGroup) {
  EXPECT_ERROR(run_thread_ranks(3,
                                kNoWatchdog,
                                [](Communicator& group) {
                                  run_plans(
                                      group, 2, [](int rank) { return uint64_t{5} + (rank == 2); });
                                }),
               ErrorKind::device,
               "rank 2: the hidden state of step 1 differs from rank 0's");
}

TEST(Communicator, AProblemOfARankIsRank0s) {
  EXPECT_ERROR(run_thread_ranks(2,
                                kNoWatchdog,
                                [](Communicator& group) {
                                  if (group.rank() == 0) {
                                    const uint64_t number = group.next_plan();
                                    group.publish(Communicator::kSmall, {});
                                    group.collect({.number = number});
                                  } else {
                                    group.await_plan(kNoWindows);
                                    group.report({.number = 1, .problem = "out of memory"});
                                  }
                                }),
               ErrorKind::device,
               "rank 1: out of memory");
}

// What `on_end` was told, by whichever ranks.
struct Told {
  std::mutex mutex;
  std::vector<std::string> reasons;
  CommunicatorOptions options(double peer_seconds, double hang_seconds = 0) {
    return {.peer_seconds = peer_seconds,
            .hang_seconds = hang_seconds,
            .spinning = Spinning::no,
            .on_end = [this](std::string_view reason) {
              const std::lock_guard lock(mutex);
              if (!reason.empty()) reasons.emplace_back(reason);
            }};
  }
};

TEST(Communicator, AFailingRankEndsTheGroupForThoseWhoWait) {
  Told told;
  EXPECT_ERROR(run_thread_ranks(3,
                                told.options(0),
                                [](Communicator& group) {
                                  if (group.rank() == 1) fail(ErrorKind::internal, "it broke");
                                  ThreadPool threads(1);
                                  group.wait(Flag(), 1, 1);
                                }),
               ErrorKind::internal,
               "it broke");
  EXPECT_EQ(told.reasons, std::vector<std::string>{"it broke"});
}

// Rank 0 waits for what never comes from rank 1, which does `meanwhile`.
std::vector<std::string> reasons_of_waiting(Told& told,
                                            const CommunicatorOptions& options,
                                            const std::function<void(Communicator&)>& meanwhile,
                                            int n_hosts = 1) {
  const auto body = [&](Communicator& group) {
    group.place.layer = 17;
    group.place.what = "after o_proj";
    const Flag never;
    if (group.rank() == 0) group.wait(never, 1, 1);
    meanwhile(group);
    // On a host of its own it hears nothing of the end.
    while (n_hosts == 1 && !group.ended()) std::this_thread::yield();
  };
  EXPECT_THROW(run_thread_ranks(2, options, body, n_hosts), Error);
  return told.reasons;
}

// It goes on beating.
TEST(Communicator, ARankThatHangsIsNamed) {
  Told told;
  const auto reasons = reasons_of_waiting(told, told.options(60, 0.3), [](Communicator&) {});
  ASSERT_EQ(reasons.size(), 1u);
  EXPECT_NE(reasons[0].find("rank 1 has not answered for 0."), std::string::npos) << reasons[0];
  EXPECT_NE(reasons[0].find("layer 17, after o_proj"), std::string::npos) << reasons[0];
}

TEST(Communicator, ARankWithoutAHeartbeatIsNamed) {
  for (const int n_hosts : {1, 2}) {
    Told told;
    const auto reasons = reasons_of_waiting(
        told, told.options(2), [](Communicator& group) { group.stop_watching(); }, n_hosts);
    ASSERT_EQ(reasons.size(), 1u);
    EXPECT_NE(reasons[0].find("rank 1 has not answered for 2."), std::string::npos) << reasons[0];
  }
}

// Heartbeats come from other hosts, too: who has nothing to do for longer than peer_seconds is not lost.
TEST(Communicator, ARankThatWaitsIsNotLost) {
  for (const int n_hosts : {1, 2, 3}) {
    Told told;
    run_thread_ranks(
        3,
        told.options(0.5),
        [](Communicator& group) {
          std::this_thread::sleep_for(std::chrono::milliseconds(1500));
          EXPECT_FALSE(group.ended());
          group.all_gather({});
        },
        n_hosts);
    EXPECT_TRUE(told.reasons.empty());
  }
}

TEST(Communicator, FactsThatDifferAreNamed) {
  for (const int n_hosts : {1, 3}) {
    run_thread_ranks(
        3,
        kNoWatchdog,
        [](Communicator& group) {
          const std::vector<Fact> mine{{"config.json", "a5", "same path?"},
                                       {"--dtype", group.rank() == 2 ? "auto" : "float32", "why?"}};
          const std::vector<std::string> expected{
              "rank 2: --dtype auto is not rank 0's float32; why?"};
          EXPECT_EQ(differences(group, mine), expected);
          EXPECT_TRUE(differences(group, {{"config.json", "a5", "same path?"}}).empty());
        },
        n_hosts);
  }
}

TEST(Communicator, NineRanksAreRefused) {
  EXPECT_ERROR(run_thread_ranks(9, kNoWatchdog, [](Communicator&) {}),
               ErrorKind::unsupported,
               "expected at most 8, got 9");
}

}  // namespace
}  // namespace qwen3::test
