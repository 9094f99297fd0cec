// The watchdog of qwen3 serve: an engine whose step really hangs, and the stacks of real threads.
#include "cli/serve/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cli/serve/stacks.h"
#include "engine/engine_core.h"
#include "engine/mock_model.h"
#include "server/api/served_model.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// What write_stacks() writes, with a thread that sleeps for ever on a lock.
TEST(Stacks, ShowEveryThread) {
  cli::prepare_stacks();
  std::mutex mutex;
  std::condition_variable changed;
  bool asleep = false, over = false;
  std::thread sleeper([&] {
    pthread_setname_np(pthread_self(), "test sleeper");
    std::unique_lock lock(mutex);
    asleep = true;
    changed.notify_all();
    changed.wait(lock, [&] { return over; });
  });
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return asleep; });
  }
  std::string text;
  for (int round = 0; round < 2; ++round) {  // it can be done again
    cli::write_stacks([&text](std::string_view part) { text += part; }, std::chrono::seconds(20));
  }
  {
    const std::lock_guard lock(mutex);
    over = true;
  }
  changed.notify_all();
  sleeper.join();

  EXPECT_THAT(text, Not(HasSubstr("no answer")));
  EXPECT_THAT(text, HasSubstr(std::to_string(getpid())));
  const size_t at = text.find("\"test sleeper\"");
  ASSERT_NE(at, text.npos) << text;
  EXPECT_NE(text.find("\"test sleeper\"", at + 1), text.npos);
  const std::string stack = text.substr(at, text.find("thread ", at) - at);
  EXPECT_GE(std::ranges::count(stack, '\n'), 4) << stack;
  EXPECT_THAT(stack, HasSubstr("libc.so")) << stack;
  EXPECT_THAT(stack, HasSubstr("cli_tests+0x")) << stack;
}

// A service over an engine whose every step takes ten minutes.
std::unique_ptr<server::Service> hanging_service(MockModel::Knobs& knobs) {
  constexpr int64_t kBlocks = 8, kBlockSize = 16, kVocabulary = 2560;
  auto service = std::make_unique<server::Service>(server::ServiceOptions{.model_names = {"mock"}});
  CoreOptions core;
  core.scheduler.n_blocks = kBlocks;
  core.scheduler.block_size = kBlockSize;
  core.limits = {.n_real_tokens = kVocabulary, .max_model_len = 64};
  knobs.sleep_us = 600'000'000;
  ModelInfo info;
  info.vocab_size = kVocabulary;
  service->set_model(server::make_served_model(
      {.text = Text::load(std::filesystem::path(QWEN3_SOURCE_DIR) / "models/nano"),
       .generator = std::make_unique<server::EngineGenerator<EngineCore>>(
           std::make_unique<MockModel>(kBlocks, kBlockSize, kVocabulary, knobs), core),
       .info = info},
      service->options()));
  return service;
}

TEST(WatchdogDeathTest, AStepThatHangsEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        MockModel::Knobs knobs;
        const auto service = hanging_service(knobs);
        service->model().generator->submit({.prompt_ids = {1, 2, 3}}, [](const Event&) {});
        cli::Watchdog watchdog(*service, 1);
        while (true) {
          watchdog.look();
          std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
      },
      testing::ExitedWithCode(1),
      "has run for [0-9]+ s; expected at most 1 s.*stacks.*thread.*cli_tests");
}

// Looks at a step that began at 0 and at a clock that stood at `seconds` each time.
std::vector<double> looks(const std::vector<double>& seconds) {
  cli::AwakeTime time;
  std::vector<double> out;
  for (const double now : seconds) {
    const auto since_start = std::chrono::duration<double>(now);
    const Clock::time_point at{
        std::chrono::duration_cast<Clock::duration>(since_start + std::chrono::hours(1))};
    out.push_back(time.look(now, at));
  }
  return out;
}

TEST(AwakeTime, CountsAStepThatRuns) {
  std::vector<double> seconds;
  for (int i = 1; i <= 50; ++i) seconds.push_back(0.2 * i);
  const std::vector<double> counted = looks(seconds);
  EXPECT_NEAR(counted.front(), 0.2, 1e-6);
  EXPECT_NEAR(counted.back(), 10, 1e-6);
}

TEST(AwakeTime, APauseIsNoWork) {
  const std::vector<double> counted = looks({0.1, 0.3, 1000.3, 1000.5, 2000.5, 2000.7});
  EXPECT_NEAR(counted[1], 0.3, 1e-6);
  EXPECT_NEAR(counted[2], 0.55, 1e-6);
  EXPECT_NEAR(counted[3], 0.75, 1e-6);
  EXPECT_NEAR(counted[5], 1.2, 1e-6);
  // One that was paused from its beginning.
  EXPECT_NEAR(looks({500.0}).front(), 0.25, 1e-6);
}

TEST(AwakeTime, ANewStepBeginsAnew) {
  cli::AwakeTime time;
  const Clock::time_point start{std::chrono::hours(1)};
  const auto at = [&](int ms) { return start + std::chrono::milliseconds(ms); };
  time.look(0.2, at(200));
  EXPECT_NEAR(time.look(0.4, at(400)), 0.4, 1e-6);
  EXPECT_NEAR(time.look(0.05, at(600)), 0.05, 1e-6);
  EXPECT_NEAR(time.look(0.25, at(800)), 0.25, 1e-6);
  EXPECT_EQ(time.look(0, at(1000)), 0);  // none runs
  EXPECT_NEAR(time.look(0.1, at(1200)), 0.1, 1e-6);
  for (int i = 1; i <= 50; ++i) time.look(0.1 + 0.2 * i, at(1200 + 200 * i));
  // What the last one took is not the new one's, which began before a pause.
  EXPECT_NEAR(time.look(5, at(11'200 + 5'100)), 0.25, 1e-6);
}

TEST(Watchdog, LeavesAloneWhatIsQuick) {
  server::Service service(server::ServiceOptions{.model_names = {"mock"}});
  cli::Watchdog watchdog(service, 1);
  watchdog.look();  // no model yet
  EXPECT_EQ(service.loaded(), nullptr);
}

}  // namespace
}  // namespace qwen3::test
