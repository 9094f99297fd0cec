// The engine over MockModel: every continuation is known without an engine, and the mock checks
// every key it reads.
#include "engine/engine_core.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "engine_core_fixture.h"

namespace qwen3 {
namespace {

TEST(EngineCore, GeneratesWhatTheModelSays) {
  Mock mock({});
  Request request{.prompt_ids = {1, 2, 3}, .sampling = {.max_tokens = 40}};
  auto stream = mock.core.submit(request);
  const Outcome outcome = drain(stream);
  EXPECT_EQ(outcome.ids, mock_continuation(request, kVocab, 256));
  EXPECT_EQ(outcome.last.finish, FinishReason::length);
  EXPECT_EQ(outcome.last.usage.prompt_tokens, 3);
  EXPECT_EQ(outcome.last.usage.cached_tokens, 0);
  EXPECT_EQ(stream.next(), std::nullopt);
  EXPECT_EQ(mock.core.stats().n_free_blocks, 64);
  EXPECT_EQ(mock.core.stats().generated_tokens, 40);
}

// 2,000 requests in random company, with a pool so small that many are preempted: every token as if
// alone, with and without the prefix cache.
TEST(EngineCore, CompanyPreemptionAndCacheChangeNothing) {
  for (const bool prefix_cache : {true, false}) {
    Mock mock({.n_blocks = 20, .max_model_len = 160, .prefix_cache = prefix_cache});
    std::mt19937 random(11);
    std::vector<Request> requests;
    std::vector<EventStream> streams;
    for (int i = 0; i < 1000; ++i) {
      requests.push_back(random_request(random));
      streams.push_back(mock.core.submit(requests.back()));
    }
    int64_t cached = 0;
    for (size_t i = 0; i < streams.size(); ++i) {
      const Outcome outcome = drain(streams[i]);
      ASSERT_EQ(outcome.ids, mock_continuation(requests[i], kVocab, 160)) << i;
      cached += outcome.last.usage.cached_tokens;
    }
    const EngineStats stats = mock.core.stats();
    EXPECT_GT(stats.n_preemptions, 20);
    EXPECT_EQ(cached, stats.cached_tokens);
    EXPECT_EQ(cached > 0, prefix_cache);
    EXPECT_EQ(stats.n_free_blocks, 20);
    EXPECT_EQ(stats.n_running + stats.n_waiting, 0);
    EXPECT_LE(mock.knobs.most_rows, 32);
  }
}

TEST(EngineCore, SecondRequestTakesThePrefixFromTheCache) {
  Mock mock({});
  const Request request{.prompt_ids = prompt(50, 4), .sampling = {.max_tokens = 5}};
  Request salted = request;
  salted.cache_salt = "another user";
  auto first = mock.core.submit(request);
  const Outcome a = drain(first);
  auto second = mock.core.submit(request), third = mock.core.submit(salted);
  const Outcome b = drain(second), c = drain(third);
  EXPECT_EQ(a.last.usage.cached_tokens, 0);
  EXPECT_EQ(b.last.usage.cached_tokens, 48);
  EXPECT_EQ(c.last.usage.cached_tokens, 0);
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_EQ(a.ids, c.ids);
}

TEST(EngineCore, EndsExactlyAtTheContextLimit) {
  for (const int64_t context : {31, 32, 33, 47, 48, 49}) {
    Mock mock({.n_blocks = 40, .max_model_len = context});
    std::vector<EventStream> streams;
    for (uint64_t i = 0; i < 8; ++i) {
      streams.push_back(
          mock.core.submit({.prompt_ids = prompt(context - 1 - static_cast<int64_t>(i), i)}));
    }
    for (size_t i = 0; i < 8; ++i) {
      const Outcome outcome = drain(streams[i]);
      EXPECT_EQ(outcome.ids.size(), i + 1);
      EXPECT_EQ(outcome.last.finish, FinishReason::length);
    }
    EXPECT_THROW(mock.core.submit({.prompt_ids = prompt(context, 1)}), Error);
    EXPECT_THROW(mock.core.submit({.prompt_ids = prompt(context + 1, 1)}), Error);
    EXPECT_EQ(mock.core.stats().n_free_blocks, 40);
  }
}

TEST(EngineCore, StopsAtEndTokensAndSaysSo) {
  const Request request{.prompt_ids = {5, 6}, .sampling = {.max_tokens = 60}};
  const auto all = mock_continuation(request, kVocab, 256);
  const int32_t end = all[9];
  const auto first = std::ranges::find(all, end) - all.begin();
  const std::vector<int32_t> until_end(all.begin(), all.begin() + first + 1);
  Mock mock({.eos = {end}});

  auto by_eos = mock.core.submit(request);
  const Outcome a = drain(by_eos);
  EXPECT_EQ(a.ids, until_end);
  EXPECT_EQ(a.last.finish, FinishReason::stop);
  EXPECT_TRUE(a.last.is_end_token);
  EXPECT_EQ(a.last.usage.completion_tokens, first + 1);

  Request ignoring = request;
  ignoring.sampling.ignore_eos = true;
  auto ignored = mock.core.submit(ignoring);
  EXPECT_EQ(drain(ignored).ids, all);

  ignoring.sampling.stop_token_ids = {end};  // a stop id counts even if it is the ignored eos
  auto by_stop = mock.core.submit(ignoring);
  EXPECT_EQ(drain(by_stop).ids, until_end);

  Request longer = request;
  longer.sampling.min_tokens = 30;
  auto late = mock.core.submit(longer);
  const Outcome b = drain(late);
  EXPECT_GE(b.ids.size(), 30u);
  EXPECT_EQ(std::count(b.ids.begin(), b.ids.begin() + 30, end), 0);
}

TEST(EngineCore, UnseededRequestsDiffer) {
  Mock mock({});
  const Request request{.prompt_ids = {1}, .sampling = {.temperature = 2.0, .max_tokens = 20}};
  auto a = mock.core.submit(request), b = mock.core.submit(request);
  EXPECT_NE(drain(a).ids, drain(b).ids);
}

// Ended anywhere and submitted again with what it had, a request says what it would have said.
TEST(EngineCore, CancelledRequestGoesOnExactlyWhereItWas) {
  int64_t n_continued = 0;
  for (const bool sampled : {false, true}) {
    for (uint64_t seed = 0; seed < 12; ++seed) {
      Request whole{.prompt_ids = prompt(1 + static_cast<int64_t>(seed) * 5, seed),
                    .sampling = {.presence_penalty = 0.7,
                                 .frequency_penalty = 0.4,
                                 .repetition_penalty = 1.2,
                                 .seed = seed,
                                 .max_tokens = 40,
                                 .min_tokens = 25}};
      if (sampled) whole.sampling.temperature = 1.5;
      const std::vector<int32_t> end_ids = {3, 9, 27};
      const auto expected = mock_continuation(whole, kVocab, 256, end_ids);
      ASSERT_GE(expected.size(), 25u);
      Mock mock({.eos = end_ids});
      auto unbroken = mock.core.submit(whole);
      ASSERT_EQ(drain(unbroken).ids, expected);
      for (const size_t k : {size_t{1}, size_t{10}, size_t{24}, expected.size() - 1}) {
        Request rest = whole;
        rest.prompt_ids.insert(
            rest.prompt_ids.end(), expected.begin(), expected.begin() + static_cast<int64_t>(k));
        rest.n_generated_before = static_cast<int64_t>(k);
        rest.sampling.max_tokens = whole.sampling.max_tokens - static_cast<int64_t>(k);
        auto stream = mock.core.submit(rest);
        const Outcome outcome = drain(stream);
        ASSERT_EQ(outcome.ids,
                  std::vector<int32_t>(expected.begin() + static_cast<int64_t>(k), expected.end()))
            << "seed " << seed << " from " << k;
        EXPECT_EQ(outcome.last.usage.prompt_tokens,
                  static_cast<int64_t>(whole.prompt_ids.size() + k));
        ++n_continued;
      }
    }
  }
  EXPECT_EQ(n_continued, 96);
}

}  // namespace
}  // namespace qwen3
