#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <numeric>
#include <random>

#include "base/error.h"

namespace qwen3 {
namespace {

Sequence make_sequence(uint64_t id, std::vector<int32_t> tokens) {
  Sequence s;
  s.id = id;
  s.tokens = std::move(tokens);
  s.n_prompt = static_cast<int64_t>(s.tokens.size());
  return s;
}

std::vector<int32_t> iota_tokens(int64_t n, int32_t first = 0) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n; ++i) tokens.push_back(first + static_cast<int32_t>(i));
  return tokens;
}

struct Expected {
  uint64_t id;
  int64_t begin, count;
};

// Schedules one step, compares, commits, and appends a token where one was to be sampled.
void expect_step(Scheduler& scheduler, const std::vector<Expected>& expected, int32_t token = 9) {
  const auto slices = scheduler.schedule();
  ASSERT_EQ(slices.size(), expected.size());
  std::vector<Sequence*> sampling;
  for (size_t i = 0; i < slices.size(); ++i) {
    EXPECT_EQ(slices[i].sequence->id, expected[i].id) << i;
    EXPECT_EQ(slices[i].begin, expected[i].begin) << i;
    EXPECT_EQ(slices[i].count, expected[i].count) << i;
    if (slices[i].samples()) sampling.push_back(slices[i].sequence);
  }
  scheduler.commit();
  for (Sequence* s : sampling) s->tokens.push_back(token);
  ASSERT_NO_THROW(scheduler.check_conservation());
}

SchedulerOptions options(int64_t n_blocks, int64_t max_batch_tokens, int64_t max_sequences = 4) {
  return {.n_blocks = n_blocks,
          .block_size = 4,
          .max_batch_tokens = max_batch_tokens,
          .max_sequences = max_sequences};
}

TEST(Scheduler, CutsPrefillIntoChunksAndLetsDecodesGoFirst) {
  Scheduler scheduler(options(100, 8));
  Sequence a = make_sequence(1, iota_tokens(3)), b = make_sequence(2, iota_tokens(20, 50));
  scheduler.add(a);
  expect_step(scheduler, {{1, 0, 3}});
  scheduler.add(b);
  expect_step(scheduler, {{1, 3, 1}, {2, 0, 7}});
  expect_step(scheduler, {{1, 4, 1}, {2, 7, 7}});
  expect_step(scheduler, {{1, 5, 1}, {2, 14, 6}});
  expect_step(scheduler, {{1, 6, 1}, {2, 20, 1}});
}

TEST(Scheduler, SharesAStepAmongShortPromptsInOrderOfArrival) {
  Scheduler scheduler(options(100, 8));
  Sequence a = make_sequence(1, iota_tokens(3)), b = make_sequence(2, iota_tokens(4, 50)),
           c = make_sequence(3, iota_tokens(5, 90));
  for (Sequence* s : {&a, &b, &c}) scheduler.add(*s);
  expect_step(scheduler, {{1, 0, 3}, {2, 0, 4}, {3, 0, 1}});
  expect_step(scheduler, {{1, 3, 1}, {2, 4, 1}, {3, 1, 4}});
}

TEST(Scheduler, AdmitsAtMostMaxSequences) {
  Scheduler scheduler(options(100, 8, 2));
  Sequence a = make_sequence(1, {1}), b = make_sequence(2, {2}), c = make_sequence(3, {3});
  for (Sequence* s : {&a, &b, &c}) scheduler.add(*s);
  expect_step(scheduler, {{1, 0, 1}, {2, 0, 1}});
  scheduler.finish(a);
  expect_step(scheduler, {{2, 1, 1}, {3, 0, 1}});
}

TEST(Scheduler, PreemptsTheNewestAndResumesItFromTheCache) {
  Scheduler scheduler(options(5, 16));
  Sequence a = make_sequence(1, iota_tokens(7)), b = make_sequence(2, iota_tokens(7, 50));
  scheduler.add(a);
  scheduler.add(b);
  expect_step(scheduler, {{1, 0, 7}, {2, 0, 7}});  // 2 blocks each, 1 free
  expect_step(scheduler, {{1, 7, 1}, {2, 7, 1}});
  expect_step(scheduler, {{1, 8, 1}});  // a takes the last block; b finds none and goes
  EXPECT_EQ(scheduler.n_preemptions(), 1);
  EXPECT_EQ(b.state, Sequence::State::waiting);
  EXPECT_TRUE(b.blocks.empty());
  expect_step(scheduler, {{1, 9, 1}});
  scheduler.finish(a);
  expect_step(scheduler, {{2, 8, 1}});  // both full blocks of b were still there
  EXPECT_EQ(b.usage.cached_tokens, 0);  // of the prompt, at the first admission
}

TEST(Scheduler, SequenceThatIsItselfTheNewestPreemptsItself) {
  Scheduler scheduler(options(9, 32));
  Sequence a = make_sequence(1, iota_tokens(5)), b = make_sequence(2, iota_tokens(5, 50)),
           c = make_sequence(3, iota_tokens(8, 90));
  for (Sequence* s : {&a, &b, &c}) scheduler.add(*s);
  expect_step(scheduler, {{1, 0, 5}, {2, 0, 5}, {3, 0, 8}});
  for (int64_t i = 0; i < 4; ++i)
    expect_step(scheduler, {{1, 5 + i, 1}, {2, 5 + i, 1}, {3, 8 + i, 1}});
  EXPECT_EQ(scheduler.pool().n_free(), 0);         // each has grown by one block
  expect_step(scheduler, {{1, 9, 1}, {2, 9, 1}});  // c needs a fourth
  EXPECT_EQ(c.state, Sequence::State::waiting);
}

Sequence with_priority(uint64_t id, std::vector<int32_t> tokens, int32_t priority) {
  Sequence s = make_sequence(id, std::move(tokens));
  s.priority = priority;
  return s;
}

TEST(Scheduler, LowerPriorityValuesGoFirstAndTheirPrefillToo) {
  Scheduler scheduler(options(100, 8, 3));
  Sequence a = with_priority(1, iota_tokens(20), 1), b = with_priority(2, iota_tokens(3, 30), 1),
           c = with_priority(3, iota_tokens(10, 50), -5), d = with_priority(4, {7}, 0);
  scheduler.add(a);
  expect_step(scheduler, {{1, 0, 8}});
  for (Sequence* s : {&b, &c, &d}) scheduler.add(*s);
  expect_step(scheduler, {{3, 0, 8}});  // b: no slot, though a is not half done
  expect_step(scheduler, {{3, 8, 2}, {4, 0, 1}, {1, 8, 5}});
  expect_step(scheduler, {{3, 10, 1}, {4, 1, 1}, {1, 13, 6}});
  scheduler.finish(c);
  expect_step(scheduler, {{4, 2, 1}, {1, 19, 1}, {2, 0, 3}});
}

TEST(Scheduler, PreemptsTheLowestPriorityEvenIfItIsOlder) {
  Scheduler scheduler(options(5, 16));
  Sequence low = with_priority(1, iota_tokens(7), 1),
           high = with_priority(2, iota_tokens(7, 50), 0), later = with_priority(3, {8}, 1);
  scheduler.add(low);
  expect_step(scheduler, {{1, 0, 7}});
  scheduler.add(high);
  expect_step(scheduler, {{1, 7, 1}, {2, 0, 7}});
  expect_step(scheduler, {{2, 7, 1}, {1, 8, 1}});  // low takes the last block
  expect_step(scheduler, {{2, 8, 1}});             // high needs one
  EXPECT_EQ(low.state, Sequence::State::waiting);
  scheduler.add(later);
  for (int64_t i = 9; i < 12; ++i) expect_step(scheduler, {{2, i, 1}});  // no one overtakes low
  scheduler.finish(high);
  expect_step(scheduler, {{1, 8, 2}, {3, 0, 1}});
}

TEST(Scheduler, LongWaitingPromptIsNotOvertaken) {
  Scheduler scheduler(options(6, 64));
  Sequence a = make_sequence(1, iota_tokens(12)), big = make_sequence(2, iota_tokens(20, 50)),
           small = make_sequence(3, {5});
  for (Sequence* s : {&a, &big, &small}) scheduler.add(*s);
  expect_step(scheduler, {{1, 0, 12}});
  expect_step(scheduler, {{1, 12, 1}});
  scheduler.finish(a);
  // big takes 5 of 6 blocks; small needs one and one must stay for big.
  expect_step(scheduler, {{2, 0, 20}});
}

TEST(Scheduler, SharesPrefixBlocksAndComputesTheLastTokenAlways) {
  Scheduler scheduler(options(20, 64));
  Sequence a = make_sequence(1, iota_tokens(12)), b = make_sequence(2, iota_tokens(12)),
           c = make_sequence(3, iota_tokens(13));
  scheduler.add(a);
  expect_step(scheduler, {{1, 0, 12}});
  scheduler.add(b);
  scheduler.add(c);
  expect_step(scheduler, {{1, 12, 1}, {2, 8, 4}, {3, 12, 1}});
  EXPECT_EQ(b.usage.cached_tokens, 8);
  EXPECT_EQ(c.usage.cached_tokens, 12);
  EXPECT_EQ(b.blocks[0], a.blocks[0]);
  EXPECT_EQ(b.blocks[2], a.blocks[2]);  // computed twice, then shared
  EXPECT_EQ(scheduler.pool().n_free(), 20 - 3 - 1 - 1 + 0);
}

TEST(Scheduler, SaltsSeparatePrefixes) {
  Scheduler scheduler(options(20, 64));
  Sequence a = make_sequence(1, iota_tokens(12)), b = make_sequence(2, iota_tokens(12)),
           c = make_sequence(3, iota_tokens(12));
  a.cache_salt = "alice";
  b.cache_salt = "bob";
  c.cache_salt = "alice";
  scheduler.add(a);
  expect_step(scheduler, {{1, 0, 12}});
  scheduler.add(b);
  scheduler.add(c);
  expect_step(scheduler, {{1, 12, 1}, {2, 0, 12}, {3, 8, 4}});
}

TEST(Scheduler, RejectsMoreSequencesThanBatchTokens) {
  EXPECT_THROW(Scheduler(options(4, 3, 4)), Error);
}

// 10,000 random submissions, cancellations, finishes and (through a small pool) preemptions: blocks
// are conserved after every operation, ages stay in order, and at the end every block is free.
TEST(Scheduler, ConservesBlocksUnderRandomOperations) {
  int64_t n_preemptions = 0;
  for (const uint32_t seed : {1u, 2u, 3u, 4u}) {
    std::mt19937 random(seed);
    SchedulerOptions o = options(24, 16, 6);
    o.prefix_cache = seed != 4;
    Scheduler scheduler(o);
    std::deque<std::unique_ptr<Sequence>> alive;
    uint64_t next_id = 0;
    for (int operation = 0; operation < 10'000; ++operation) {
      const auto action = random() % 8;
      if (action == 0 && alive.size() < 20) {
        const auto length = static_cast<int64_t>(1 + random() % 40);
        alive.push_back(std::make_unique<Sequence>(
            make_sequence(++next_id, iota_tokens(length, static_cast<int32_t>(random() % 3)))));
        scheduler.add(*alive.back());
      } else if (action == 1 && !alive.empty()) {
        const auto victim = alive.begin() + static_cast<int64_t>(random() % alive.size());
        scheduler.finish(**victim);
        EXPECT_TRUE((*victim)->blocks.empty());
        alive.erase(victim);
      } else {
        std::vector<Sequence*> sampling;
        int64_t n_rows = 0;
        for (const Slice& slice : scheduler.schedule()) {
          n_rows += slice.count;
          EXPECT_GE(static_cast<int64_t>(slice.sequence->blocks.size()) * 4,
                    slice.begin + slice.count);
          if (slice.samples()) sampling.push_back(slice.sequence);
        }
        EXPECT_LE(n_rows, 16);
        EXPECT_EQ(n_rows > 0, !alive.empty());  // work never waits for nothing
        scheduler.commit();
        for (Sequence* s : sampling) s->tokens.push_back(static_cast<int32_t>(random() % 2));
        std::erase_if(alive, [&](const auto& s) {
          if (s->tokens.size() < 90) return false;
          scheduler.finish(*s);
          return true;
        });
      }
      ASSERT_NO_THROW(scheduler.check_conservation());
      for (size_t i = 1; i < scheduler.running().size(); ++i) {
        ASSERT_LT(scheduler.running()[i - 1]->id, scheduler.running()[i]->id);
      }
    }
    n_preemptions += scheduler.n_preemptions();
    for (const auto& s : alive) scheduler.finish(*s);
    scheduler.check_conservation();
    EXPECT_EQ(scheduler.pool().n_free(), 24);
    EXPECT_EQ(scheduler.n_running() + scheduler.n_waiting(), 0);
  }
  EXPECT_GT(n_preemptions, 500);  // the test does what it says
}

}  // namespace
}  // namespace qwen3
