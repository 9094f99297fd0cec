// What goes wrong ends only what it must: damaged logits, failing steps, throwing hooks and
// callbacks, full queues, a step that hangs.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine_core_fixture.h"

namespace qwen3 {
namespace {

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

TEST(EngineCore, ThrowingCallbackDropsOnlyItsRequest) {
  Mock mock({});
  mock.core.submit({.prompt_ids = {1}}, [](const Event&) { throw std::runtime_error("client"); });
  auto stream = mock.core.submit({.prompt_ids = {2}, .sampling = {.max_tokens = 5}});
  EXPECT_EQ(drain(stream).ids.size(), 5u);
  EXPECT_EQ(mock.core.stats().n_running, 0);
}

// A step that fails half-way has a token for a request and then its end. Whoever throws at the
// first is gone before the second.
TEST(EngineCore, ThrowingCallbackOfAHalfDoneStepIsNotCalledAgain) {
  std::atomic<int> n_calls = 0;
  Mock mock({});
  mock.knobs.sleep_us = 20000;  // so that the two below are taken in together
  auto running = mock.core.submit({.prompt_ids = {1}, .sampling = {.max_tokens = 50}});
  ASSERT_TRUE(running.next().has_value());
  mock.knobs.fail_hidden = true;
  mock.core.submit({.prompt_ids = {2}}, [&](const Event&) {
    ++n_calls;
    throw std::runtime_error("client");
  });
  auto embedding = mock.core.submit({.prompt_ids = {3}, .embed = true});
  const Outcome outcome = drain(embedding);
  EXPECT_EQ(outcome.last.finish, FinishReason::error);
  EXPECT_EQ(outcome.last.error_kind, ErrorKind::out_of_memory);
  EXPECT_EQ(mock.core.stats().n_free_blocks, 64);
  EXPECT_EQ(n_calls, 1);
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
    EXPECT_NE(std::string(error.what()).find("150 tokens are waiting"), std::string::npos)
        << error.what();
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

}  // namespace
}  // namespace qwen3
