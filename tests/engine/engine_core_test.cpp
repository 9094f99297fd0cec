// The engine over MockModel: every continuation is known without an engine, and the mock checks
// every key it reads.
#include "engine/engine_core.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "mock_model.h"

namespace qwen3 {
namespace {

constexpr int64_t kVocab = 64;
constexpr int64_t kBlock = 16;

struct MockOptions {
  int64_t n_blocks = 64;
  int64_t max_model_len = 256;
  int64_t max_batch_tokens = 32;
  int64_t max_sequences = 8;
  int64_t max_logit_rows = 0;
  int64_t n_real_tokens = kVocab;
  int64_t max_waiting = 1000;
  int64_t max_waiting_tokens = 0;
  bool prefix_cache = true;
  std::vector<int32_t> eos = {};
  std::function<Clock::time_point()> now = Clock::now;
};

struct Mock {
  explicit Mock(const MockOptions& s)
      : core(std::make_unique<MockModel>(s.n_blocks, kBlock, kVocab, knobs),
             {.scheduler = {.n_blocks = s.n_blocks,
                            .block_size = kBlock,
                            .max_batch_tokens = s.max_batch_tokens,
                            .max_sequences = s.max_sequences,
                            .max_logit_rows = s.max_logit_rows,
                            .prefix_cache = s.prefix_cache},
              .limits = {.n_real_tokens = s.n_real_tokens, .max_model_len = s.max_model_len},
              .max_waiting = s.max_waiting,
              .max_waiting_tokens = s.max_waiting_tokens,
              .eos_token_ids = s.eos,
              .check_every_step = true,
              .now = s.now}) {}
  MockModel::Knobs knobs;
  EngineCore core;
};

struct Outcome {
  std::vector<int32_t> ids;
  Event last;
};

// Reads to the end; n_read tokens were read before.
Outcome drain(EventStream& stream, int64_t n_read = 0) {
  Outcome outcome;
  while (auto event = stream.next()) {
    EXPECT_FALSE(outcome.last.finish.has_value()) << "an event after the last";
    if (event->token_id >= 0) outcome.ids.push_back(event->token_id);
    outcome.last = *event;
  }
  EXPECT_TRUE(outcome.last.finish.has_value());
  EXPECT_EQ(outcome.last.usage.completion_tokens,
            n_read + static_cast<int64_t>(outcome.ids.size()));
  return outcome;
}

std::vector<int32_t> prompt(int64_t length, uint64_t seed) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < length; ++i) {
    ids.push_back(static_cast<int32_t>(mix64(seed * 1000 + static_cast<uint64_t>(i)) % kVocab));
  }
  return ids;
}

Request random_request(std::mt19937& random) {
  Request r;
  // A few common beginnings, so that prefixes are shared.
  r.prompt_ids = prompt(static_cast<int64_t>(random() % 70), random() % 3);
  for (const int32_t id : prompt(1 + static_cast<int64_t>(random() % 20), random())) {
    r.prompt_ids.push_back(id);
  }
  r.sampling.max_tokens = 1 + static_cast<int64_t>(random() % 50);
  if (random() % 2 == 0) {
    r.sampling.temperature = 1.0;
    r.sampling.top_p = 0.9;
    r.sampling.presence_penalty = 0.5;
    r.sampling.repetition_penalty = 1.1;
    r.sampling.seed = random();
  }
  return r;
}

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

TEST(EngineCore, GivesLogprobs) {
  Mock mock({});
  auto stream =
      mock.core.submit({.prompt_ids = {1}, .sampling = {.max_tokens = 3, .n_logprobs = 2}});
  while (auto event = stream.next()) {
    ASSERT_TRUE(event->logprob.has_value());
    ASSERT_EQ(event->top_logprobs.size(), 2u);
    EXPECT_EQ(event->top_logprobs[0].token_id, event->token_id);
    EXPECT_EQ(event->top_logprobs[0].logprob, event->logprob->logprob);
    EXPECT_LE(event->top_logprobs[1].logprob, event->logprob->logprob);
    EXPECT_LT(event->logprob->logprob, 0);
  }
}

// What a request must be told of its prompt, without an engine.
std::vector<PromptLogprobs> mock_prompt_logprobs(const Request& request, int64_t n_real_tokens) {
  Sampler sampler(kVocab, n_real_tokens);
  std::vector<PromptLogprobs> all(1);
  std::vector<float> logits(kVocab);
  uint64_t chain = 0;
  for (size_t i = 0; i + 1 < request.prompt_ids.size(); ++i) {
    chain = chain_hash(chain, request.prompt_ids[i]);
    mock_logits(logits, chain);
    const Sampled s = sampler.score(logits, request.prompt_ids[i + 1], request.n_prompt_logprobs);
    all.push_back({.token = TokenLogprob{s.token_id, s.logprob},
                   .top = {s.top.begin(), s.top.begin() + s.n_top}});
  }
  return all;
}

bool same(const TokenLogprob& a, const TokenLogprob& b) {
  return a.token_id == b.token_id && a.logprob == b.logprob;
}

void expect_same(const std::vector<PromptLogprobs>& a, const std::vector<PromptLogprobs>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].token.has_value(), i > 0);
    ASSERT_EQ(b[i].token.has_value(), i > 0);
    if (i > 0) {
      ASSERT_TRUE(same(*a[i].token, *b[i].token)) << i;
    }
    ASSERT_TRUE(std::ranges::equal(a[i].top, b[i].top, same)) << i;
  }
}

// Rows of logits are few, blocks too: prompts are scored in pieces, preempted half-way, and
// resumed; the values are as if alone, no step exceeds the rows, and others do not notice.
TEST(EngineCore, PromptLogprobsInAnyCompany) {
  Mock mock({.n_blocks = 12,
             .max_model_len = 128,
             .max_sequences = 6,
             .max_logit_rows = 9,
             .n_real_tokens = 60});
  std::mt19937 random(5);
  std::vector<Request> requests;
  std::vector<EventStream> streams;
  for (int i = 0; i < 300; ++i) {
    Request r = random_request(random);
    for (int32_t& id : r.prompt_ids) id %= 60;
    if (i % 2 == 0) r.n_prompt_logprobs = static_cast<int>(random() % 21);
    if (i % 50 == 0) r.prompt_ids.resize(1);
    requests.push_back(r);
    streams.push_back(mock.core.submit(std::move(r)));
  }
  for (size_t i = 0; i < streams.size(); ++i) {
    const auto first = streams[i].next();
    ASSERT_TRUE(first.has_value());
    ASSERT_GE(first->token_id, 0) << first->error;
    if (requests[i].n_prompt_logprobs < 0) {
      EXPECT_TRUE(first->prompt_logprobs.empty());
    } else {
      expect_same(first->prompt_logprobs, mock_prompt_logprobs(requests[i], 60));
      for (const PromptLogprobs& p : first->prompt_logprobs) {
        for (const TokenLogprob& t : p.top) EXPECT_LT(t.token_id, 60);
      }
      if (first->finish) {
        EXPECT_EQ(first->usage.cached_tokens, 0);
      }
    }
    while (auto event = streams[i].next()) {
      EXPECT_TRUE(event->prompt_logprobs.empty());
      if (event->finish && requests[i].n_prompt_logprobs >= 0) {
        EXPECT_EQ(event->usage.cached_tokens, 0);
      }
    }
  }
  EXPECT_EQ(mock.knobs.most_logit_rows, 9);
  EXPECT_GT(mock.core.stats().n_preemptions, 20);
  EXPECT_EQ(mock.core.stats().n_free_blocks, 12);
}

TEST(EngineCore, ScoredPromptIsNaturalLogSoftmaxOfTheRawRow) {
  Mock mock({.n_real_tokens = 50});
  auto stream = mock.core.submit({.prompt_ids = {5, 7}, .n_prompt_logprobs = 3});
  const auto event = stream.next();
  ASSERT_EQ(event->prompt_logprobs.size(), 2u);
  const PromptLogprobs& p = event->prompt_logprobs[1];
  std::vector<float> logits(kVocab);
  mock_logits(logits, chain_hash(0, 5));
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x));
  EXPECT_EQ(p.token->token_id, 7);
  EXPECT_NEAR(p.token->logprob, static_cast<double>(logits[7]) - std::log(sum), 2e-6);
  ASSERT_EQ(p.top.size(), 3u);
  EXPECT_EQ(p.top[0].token_id,
            std::max_element(logits.begin(), logits.begin() + 50) - logits.begin());
  EXPECT_GE(p.top[1].logprob, p.top[2].logprob);
}

TEST(EngineCore, EmbedsTheLastTokenAndFinishes) {
  Mock mock({.n_blocks = 10, .max_model_len = 100});
  std::vector<EventStream> streams;
  std::vector<Request> requests;
  for (uint64_t i = 0; i < 40; ++i) {
    Request r{.prompt_ids = prompt(1 + static_cast<int64_t>(i * 7 % 100), i % 3), .embed = true};
    if (i % 4 == 1) r.n_prompt_logprobs = 2;
    if (i % 4 == 3 && r.prompt_ids.size() < 90) r.embed = false;
    requests.push_back(r);
    streams.push_back(mock.core.submit(std::move(r)));
  }
  streams.push_back(mock.core.submit({.prompt_ids = prompt(100, 9), .embed = true}));
  requests.push_back({.prompt_ids = prompt(100, 9), .embed = true});  // the whole context
  for (size_t i = 0; i < streams.size(); ++i) {
    const auto event = streams[i].next();
    if (!requests[i].embed) {
      EXPECT_TRUE(event->embedding.empty());
      drain(streams[i], 1);
      continue;
    }
    uint64_t chain = 0;
    for (const int32_t id : requests[i].prompt_ids) chain = chain_hash(chain, id);
    const auto expected = mock_hidden(chain);
    EXPECT_EQ(event->embedding, std::vector<float>(expected.begin(), expected.end()));
    EXPECT_EQ(event->finish, FinishReason::stop);
    EXPECT_EQ(event->token_id, -1);
    EXPECT_EQ(event->usage.completion_tokens, 0);
    EXPECT_EQ(event->prompt_logprobs.size(),
              requests[i].n_prompt_logprobs >= 0 ? requests[i].prompt_ids.size() : 0);
    EXPECT_FALSE(streams[i].next().has_value());
  }
  EXPECT_THROW(mock.core.submit({.prompt_ids = prompt(101, 9), .embed = true}), Error);
  EXPECT_EQ(mock.core.stats().n_free_blocks, 10);
}

TEST(EngineCore, DamagedLogitsEndOnlyTheirRequest) {
  Mock mock({});
  mock.knobs.nan_token = 63;
  const Request good{.prompt_ids = {1, 2}, .sampling = {.max_tokens = 4}};
  auto damaged = mock.core.submit({.prompt_ids = {1, 63}, .sampling = {.max_tokens = 4}});
  auto healthy = mock.core.submit(good);
  const Outcome a = drain(damaged);
  EXPECT_EQ(a.last.finish, FinishReason::error);
  EXPECT_NE(a.last.error.find("not a number"), std::string::npos) << a.last.error;
  EXPECT_TRUE(a.ids.empty());
  EXPECT_EQ(drain(healthy).last.finish, FinishReason::length);
  auto scored = mock.core.submit({.prompt_ids = {1, 63, 2, 3}, .n_prompt_logprobs = 0});
  const Outcome b = drain(scored);
  EXPECT_EQ(b.last.finish, FinishReason::error);
  EXPECT_NE(b.last.error.find("after token 2: not a number"), std::string::npos) << b.last.error;
}

TEST(EngineCore, FailedStepFailsWhatIsInFlightAndTheEngineGoesOn) {
  Mock mock({});
  mock.knobs.fail_at = 3;
  auto stream = mock.core.submit({.prompt_ids = {1, 2}, .sampling = {.max_tokens = 10}});
  const Outcome outcome = drain(stream);
  EXPECT_EQ(outcome.ids.size(), 3u);
  EXPECT_EQ(outcome.last.finish, FinishReason::error);
  EXPECT_EQ(outcome.last.error, "mock");
  EXPECT_EQ(mock.core.stats().n_free_blocks, 64);
  auto next = mock.core.submit({.prompt_ids = {1, 2}, .sampling = {.max_tokens = 10}});
  EXPECT_EQ(drain(next).ids.size(), 10u);
}

TEST(EngineCore, DeviceErrorClosesTheEngine) {
  Mock mock({.max_sequences = 1});
  mock.knobs.fail_at = 5;
  mock.knobs.fail_kind = static_cast<int>(ErrorKind::device);
  mock.knobs.sleep_us = 20000;
  auto running = mock.core.submit({.prompt_ids = {1}, .sampling = {.max_tokens = 10}});
  auto waiting = mock.core.submit({.prompt_ids = {2}, .sampling = {.max_tokens = 10}});
  EXPECT_EQ(drain(running).last.finish, FinishReason::error);
  EXPECT_EQ(drain(waiting).last.error, "mock");
  EXPECT_THROW(mock.core.submit({.prompt_ids = {1}}), Error);
}

TEST(EngineCore, RefusesMoreThanMaxWaitingAndRecovers) {
  Mock mock({.max_sequences = 1, .max_waiting = 3});
  mock.knobs.sleep_us = 2000;
  std::vector<EventStream> streams;
  streams.push_back(mock.core.submit({.prompt_ids = {1}, .sampling = {.max_tokens = 200}}));
  ASSERT_TRUE(streams[0].next().has_value());  // it runs
  for (int i = 0; i < 3; ++i) {
    streams.push_back(mock.core.submit({.prompt_ids = {2}, .sampling = {.max_tokens = 2}}));
  }
  try {
    mock.core.submit({.prompt_ids = {3}});
    FAIL() << "the queue was full";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::busy);
  }
  streams[0].cancel();
  EXPECT_EQ(drain(streams[0], 1).last.finish, FinishReason::cancelled);
  for (size_t i = 1; i < 4; ++i) EXPECT_EQ(drain(streams[i]).ids.size(), 2u);
  for (int i = 0; i < 10; ++i) {
    auto one = mock.core.submit({.prompt_ids = {3}, .sampling = {.max_tokens = 1}});
    drain(one);
  }
}

TEST(EngineCore, RefusesMoreThanMaxWaitingTokensButNeverAnEmptyQueue) {
  Mock mock({.max_sequences = 1, .max_waiting_tokens = 100});
  mock.knobs.sleep_us = 2000;
  auto running = mock.core.submit({.prompt_ids = {1}});
  ASSERT_TRUE(running.next().has_value());  // it runs: nothing waits
  const auto waits = [&](int64_t n_tokens) {
    return mock.core.submit({.prompt_ids = prompt(n_tokens, 2), .sampling = {.max_tokens = 1}});
  };
  auto longer_than_the_limit = waits(150);
  try {
    waits(1);
    ADD_FAILURE() << "the queue was full";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::busy);
    EXPECT_NE(std::string(error.what()).find("150 tokens wait"), std::string::npos) << error.what();
  }
  longer_than_the_limit.cancel();
  drain(longer_than_the_limit);
  auto first = waits(60), second = waits(40);
  EXPECT_THROW(waits(1), Error);
  running.cancel();
  drain(running, 1);
  EXPECT_EQ(drain(first).ids.size(), 1u);
  EXPECT_EQ(drain(second).ids.size(), 1u);
  auto after = waits(200);
  EXPECT_EQ(drain(after).ids.size(), 1u);
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

TEST(EngineCore, CancelsInTheQueueInPrefillAndInDecode) {
  Mock mock({.n_blocks = 100, .max_model_len = 1000, .max_batch_tokens = 16, .max_sequences = 1});
  mock.knobs.sleep_us = 1000;
  auto decode = mock.core.submit({.prompt_ids = {1}, .sampling = {.max_tokens = 900}});
  ASSERT_TRUE(decode.next().has_value());
  auto queued = mock.core.submit({.prompt_ids = {2}});
  queued.cancel();
  const Outcome a = drain(queued);
  EXPECT_EQ(a.last.finish, FinishReason::cancelled);
  EXPECT_TRUE(a.ids.empty());
  decode.cancel();
  EXPECT_EQ(drain(decode, 1).last.finish, FinishReason::cancelled);
  EXPECT_EQ(mock.core.stats().n_free_blocks, 100);

  mock.knobs.sleep_us = 5000;
  const int64_t n_before = mock.knobs.n_steps;
  auto prefill = mock.core.submit({.prompt_ids = prompt(900, 3)});  // 57 steps
  while (mock.core.stats().n_running == 0) std::this_thread::yield();
  EXPECT_LT(mock.core.stats().n_free_blocks, 100);
  prefill.cancel();
  EXPECT_TRUE(drain(prefill).ids.empty());
  EXPECT_EQ(mock.core.stats().n_free_blocks, 100);
  EXPECT_LT(mock.knobs.n_steps - n_before, 57);
}

// The clock moves only when the test says so.
TEST(EngineCore, DeadlineEndsRequestsInTheQueueInPrefillAndInDecode) {
  std::atomic<int64_t> second = 1;
  const auto at = [](int64_t s) { return Clock::time_point(std::chrono::seconds(s)); };
  Mock mock({.n_blocks = 100,
             .max_model_len = 1000,
             .max_batch_tokens = 16,
             .max_sequences = 1,
             .now = [&] { return at(second); }});
  mock.knobs.sleep_us = 1000;
  auto decode = mock.core.submit({.prompt_ids = {1}, .deadline = at(50)});
  ASSERT_TRUE(decode.next().has_value());
  auto late = mock.core.submit({.prompt_ids = {1}, .deadline = at(0)});  // was late when it came
  auto queued = mock.core.submit({.prompt_ids = {2}, .deadline = at(30)});
  auto patient = mock.core.submit(
      {.prompt_ids = {3}, .sampling = {.max_tokens = 5}, .deadline = Clock::time_point::max()});
  EXPECT_EQ(drain(late).last.finish, FinishReason::timeout);
  second = 30;
  const Outcome a = drain(queued);
  EXPECT_EQ(a.last.finish, FinishReason::timeout);
  EXPECT_TRUE(a.ids.empty());
  EXPECT_EQ(a.last.usage.queue_seconds, 29);
  EXPECT_EQ(mock.core.stats().n_running, 1);
  second = 51;
  const auto n_ids = [](EventStream& stream) {
    int64_t n = 1;
    std::optional<Event> last;
    while (auto event = stream.next()) {
      n += event->token_id >= 0;
      last = event;
    }
    EXPECT_EQ(last->finish, FinishReason::timeout);
    EXPECT_EQ(last->usage.completion_tokens, n);
    return n;
  };
  EXPECT_LT(n_ids(decode), 999);
  EXPECT_EQ(drain(patient).ids.size(), 5u);
  EXPECT_EQ(mock.core.stats().n_free_blocks, 100);

  mock.knobs.sleep_us = 5000;
  const int64_t n_before = mock.knobs.n_steps;
  auto prefill = mock.core.submit({.prompt_ids = prompt(900, 3), .deadline = at(60)});  // 57 steps
  while (mock.core.stats().n_running == 0) std::this_thread::yield();
  second = 60;
  const Outcome b = drain(prefill);
  EXPECT_EQ(b.last.finish, FinishReason::timeout);
  EXPECT_TRUE(b.ids.empty());
  EXPECT_EQ(mock.core.stats().n_free_blocks, 100);
  EXPECT_LT(mock.knobs.n_steps - n_before, 57);
}

TEST(EngineCore, ProcessorMayForbidTokensAndSeesRawLogits) {
  Mock mock({});
  std::vector<std::vector<int32_t>> seen;
  std::vector<int32_t> best;
  Request request{.prompt_ids = {4, 8},
                  .sampling = {.logit_bias = {{11, 50.0}}, .max_tokens = 6, .n_logprobs = 1}};
  request.prompt_ids.push_back(9);
  request.n_generated_before = 1;
  request.logits_processor = [&](std::span<const int32_t> generated, std::span<float> logits) {
    seen.emplace_back(generated.begin(), generated.end());
    EXPECT_EQ(logits.size(), static_cast<size_t>(kVocab));
    best.push_back(
        static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    EXPECT_LT(logits[11], 5.0f);  // without its bias
    for (size_t i = 0; i < logits.size(); i += 2)
      logits[i] = -std::numeric_limits<float>::infinity();
    if (seen.size() % 2 == 0) logits[11] = -std::numeric_limits<float>::infinity();
  };
  auto stream = mock.core.submit(request);
  std::vector<int32_t> ids;
  while (auto event = stream.next()) {
    ids.push_back(event->token_id);
    EXPECT_EQ(event->top_logprobs.at(0).token_id, best.at(ids.size() - 1));  // of the model itself
  }
  ASSERT_EQ(ids.size(), 6u);
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(ids[i] % 2, 1);
    EXPECT_EQ(ids[i] == 11, i % 2 == 0);  // the bias works after the processor, which stays
    std::vector<int32_t> before = {9};
    before.insert(before.end(), ids.begin(), ids.begin() + static_cast<int64_t>(i));
    EXPECT_EQ(seen[i], before);
  }
}

TEST(EngineCore, BadProcessorEndsOnlyItsRequest) {
  const Request good{.prompt_ids = {1, 2},
                     .sampling = {.repetition_penalty = 1.3, .max_tokens = 9}};
  const float infinity = std::numeric_limits<float>::infinity();
  struct Bad {
    const char* error;
    std::function<void(std::span<float>)> act;
  };
  const Bad kBad[] = {
      {"grammar is broken",
       [](std::span<float>) { throw std::runtime_error("grammar is broken"); }},
      {"logits_processor threw", [](std::span<float>) { throw 7; }},
      {"NaN or plus", [](std::span<float> x) { x[5] = std::nanf(""); }},
      {"NaN or plus", [&](std::span<float> x) { x[63] = infinity; }},
      {"no token is allowed", [&](std::span<float> x) { std::ranges::fill(x, -infinity); }}};
  for (const Bad& bad : kBad) {
    Mock mock({});
    Request request = good;
    request.logits_processor = [&](std::span<const int32_t> generated, std::span<float> logits) {
      if (generated.size() == 3) bad.act(logits);
    };
    auto a = mock.core.submit(request);
    auto b = mock.core.submit(good);
    const Outcome failed = drain(a), healthy = drain(b);
    EXPECT_EQ(failed.ids.size(), 3u);
    EXPECT_EQ(failed.last.finish, FinishReason::error);
    EXPECT_NE(failed.last.error.find(bad.error), std::string::npos) << failed.last.error;
    EXPECT_EQ(healthy.ids, mock_continuation(good, kVocab, 256));
    EXPECT_EQ(mock.core.stats().n_free_blocks, 64);
  }
}

// A watchdog on another thread sees the age of a step that hangs.
TEST(EngineCore, StepSecondsGrowWhileAStepHangs) {
  std::atomic<int64_t> second = 1;
  Mock mock({.now = [&] { return Clock::time_point(std::chrono::seconds(second)); }});
  EXPECT_EQ(mock.core.stats().step_seconds, 0);
  std::mutex hang;
  hang.lock();
  std::atomic<bool> hangs = false;
  Request request{.prompt_ids = {1}, .sampling = {.max_tokens = 1}};
  request.logits_processor = [&](std::span<const int32_t>, std::span<float>) {
    hangs = true;
    const std::lock_guard wait(hang);
  };
  auto stream = mock.core.submit(std::move(request));
  while (!hangs) std::this_thread::yield();
  EXPECT_EQ(mock.core.stats().step_seconds, 0);
  second = 8;
  EXPECT_EQ(mock.core.stats().step_seconds, 7);
  second = 41;
  EXPECT_EQ(mock.core.stats().step_seconds, 40);
  hang.unlock();
  drain(stream);
  while (mock.core.stats().step_seconds > 0) std::this_thread::yield();
}

TEST(EngineCore, DroppedStreamCancelsItsRequest) {
  Mock mock({});
  mock.knobs.sleep_us = 500;
  { auto dropped = mock.core.submit({.prompt_ids = {1}}); }
  auto after = mock.core.submit({.prompt_ids = {2}, .sampling = {.max_tokens = 2}});
  drain(after);
  EXPECT_EQ(mock.core.stats().n_running, 0);
  EXPECT_EQ(mock.core.stats().n_free_blocks, 64);
}

// 10,000 requests, most cancelled in the queue or after some token, at most 24 open at a time: a
// cancelled one says nothing more, the others do not notice, and no block is lost.
TEST(EngineCore, RandomCancellationsLoseNoBlockAndDisturbNobody) {
  struct Open {
    Request request;
    int64_t cancel_after;  // tokens; -1: never
    std::vector<int32_t> ids = {};
    std::optional<FinishReason> finish = {};
    std::atomic<uint64_t> id = 0;
  };
  std::mutex mutex;
  std::condition_variable changed;
  int n_open = 0;
  std::vector<std::unique_ptr<Open>> all;
  Mock mock({.n_blocks = 24, .max_model_len = 160});
  std::mt19937 random(21);
  for (int i = 0; i < 10'000; ++i) {
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return n_open < 24; });
      ++n_open;
    }
    Request request = random_request(random);
    const int64_t cancel_after = random() % 4 == 0 ? -1 : static_cast<int64_t>(random() % 20);
    all.push_back(std::unique_ptr<Open>(new Open{std::move(request), cancel_after}));
    Open& o = *all.back();
    const uint64_t id = mock.core.submit(o.request, [&](const Event& event) {
      EXPECT_FALSE(o.finish.has_value());
      if (event.token_id >= 0) o.ids.push_back(event.token_id);
      if (static_cast<int64_t>(o.ids.size()) == o.cancel_after) {
        while (o.id == 0) std::this_thread::yield();  // submit has not returned yet
        mock.core.cancel(o.id);
      }
      if (!event.finish) return;
      const std::lock_guard lock(mutex);
      o.finish = event.finish;
      --n_open;
      changed.notify_one();
    });
    o.id = id;
    if (cancel_after == 0) mock.core.cancel(id);
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return n_open == 0; });
  int64_t n_cancelled = 0;
  for (const auto& o : all) {
    const auto expected = mock_continuation(o->request, kVocab, 160);
    if (o->finish != FinishReason::cancelled) {
      ASSERT_EQ(o->ids, expected);
      continue;
    }
    ++n_cancelled;
    ASSERT_TRUE(o->cancel_after == 0 || static_cast<int64_t>(o->ids.size()) == o->cancel_after);
    ASSERT_TRUE(std::equal(o->ids.begin(), o->ids.end(), expected.begin()));
  }
  EXPECT_GT(n_cancelled, 4000);
  EXPECT_LT(n_cancelled, 7600);
  const EngineStats stats = mock.core.stats();
  EXPECT_EQ(stats.n_free_blocks, 24);
  EXPECT_EQ(stats.n_running + stats.n_waiting, 0);
  EXPECT_GT(stats.n_preemptions, 0);
}

TEST(EngineCore, ManyThreadsSubmitAndCancel) {
  Mock mock({.n_blocks = 40, .max_model_len = 160});
  std::atomic<int64_t> n_complete = 0;
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(100 + t);
      for (int i = 0; i < 60; ++i) {
        const Request request = random_request(random);
        auto stream = mock.core.submit(request);
        if (random() % 3 == 0) {
          const auto first = stream.next();
          stream.cancel();
          if (!first->finish) drain(stream, 1);
          continue;
        }
        EXPECT_EQ(drain(stream).ids, mock_continuation(request, kVocab, 160));
        EXPECT_GE(mock.core.stats().n_blocks, 40);
        ++n_complete;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(n_complete, 200);
  EXPECT_EQ(mock.core.stats().n_free_blocks, 40);
}

TEST(EngineCore, CallbacksComeOnceFinishedAndMaySubmitAndCancel) {
  std::mutex mutex;
  std::condition_variable changed;
  int n_finished = 0;
  Mock mock({});
  std::atomic<int64_t> second_id = 0;
  const auto finished = [&](const Event& event) {
    if (!event.finish) return;
    const std::lock_guard lock(mutex);
    ++n_finished;
    changed.notify_all();
  };
  mock.core.submit({.prompt_ids = {1}, .sampling = {.max_tokens = 3}}, [&](const Event& event) {
    if (second_id == 0) {
      second_id = static_cast<int64_t>(mock.core.submit({.prompt_ids = {2}}, finished));
    } else {
      mock.core.cancel(static_cast<uint64_t>(second_id.load()));
    }
    finished(event);
  });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return n_finished == 2; });
  EXPECT_EQ(mock.core.stats().n_free_blocks, 64);
}

TEST(EngineCore, ThrowingCallbackDropsOnlyItsRequest) {
  Mock mock({});
  mock.core.submit({.prompt_ids = {1}}, [](const Event&) { throw std::runtime_error("client"); });
  auto stream = mock.core.submit({.prompt_ids = {2}, .sampling = {.max_tokens = 5}});
  EXPECT_EQ(drain(stream).ids.size(), 5u);
  EXPECT_EQ(mock.core.stats().n_running, 0);
}

TEST(EngineCore, ShutdownWhileRunningFinishesEveryStream) {
  for (int round = 0; round < 20; ++round) {
    auto mock = std::make_unique<Mock>(MockOptions{.max_sequences = 4});
    std::vector<EventStream> streams;
    for (uint64_t i = 0; i < 12; ++i)
      streams.push_back(mock->core.submit({.prompt_ids = prompt(20, i)}));
    if (round % 2 == 0) streams[0].next();
    std::thread closer([&] { mock.reset(); });
    for (EventStream& stream : streams) {
      while (auto event = stream.next()) {
        EXPECT_NE(event->finish, FinishReason::error);
      }
    }
    closer.join();
    streams[0].cancel();  // after the engine is gone: nothing happens
  }
}

TEST(EngineCore, UnseededRequestsDiffer) {
  Mock mock({});
  const Request request{.prompt_ids = {1}, .sampling = {.temperature = 2.0, .max_tokens = 20}};
  auto a = mock.core.submit(request), b = mock.core.submit(request);
  EXPECT_NE(drain(a).ids, drain(b).ids);
}

}  // namespace
}  // namespace qwen3
