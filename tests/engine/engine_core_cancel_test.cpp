// Requests that end early or from other threads: cancelled, late, dropped, at shutdown; no block is
// lost and nobody else notices.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "engine_core_fixture.h"

namespace qwen3 {
namespace {

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

TEST(EngineCore, AReaderNeedNotWaitLongForAnEvent) {
  Mock mock({.max_sequences = 1});
  mock.knobs.sleep_us = 20'000;
  auto running = mock.core.submit({.prompt_ids = {1}, .sampling = {.max_tokens = 200}});
  auto queued = mock.core.submit({.prompt_ids = {2}});
  EXPECT_FALSE(queued.next_for(std::chrono::milliseconds(1)).has_value());
  EXPECT_FALSE(queued.next_for(std::chrono::milliseconds(0)).has_value());
  queued.cancel();
  const auto last = queued.next_for(std::chrono::minutes(5));
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->finish, FinishReason::cancelled);
  EXPECT_FALSE(queued.next_for(std::chrono::minutes(5)).has_value());  // nothing follows
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

}  // namespace
}  // namespace qwen3
