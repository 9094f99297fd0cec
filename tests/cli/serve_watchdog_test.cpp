// The watchdog of qwen3 serve: an engine whose step really hangs, and the stacks of real threads.
#include "cli/serve_watchdog.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "cli/run_program.h"
#include "cli/serve_stacks.h"
#include "engine/engine_core.h"
#include "engine/mock_model.h"
#include "server/served_model.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t n; (n = read(fd, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  return text;
}

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
  detail::Pipe pipe;
  std::string text;
  std::thread reader([&] { text = read_all(pipe.fds[0]); });
  for (int round = 0; round < 2; ++round) {  // it can be done again
    cli::write_stacks(pipe.fds[1], std::chrono::seconds(20));
  }
  pipe.close_end(1);
  reader.join();
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
      "runs for [0-9]+ s; expected at most 1 s.*stacks.*thread.*cli_tests");
}

TEST(Watchdog, LeavesAloneWhatIsQuick) {
  server::Service service(server::ServiceOptions{.model_names = {"mock"}});
  cli::Watchdog watchdog(service, 1);
  watchdog.look();  // no model yet
  EXPECT_EQ(service.loaded(), nullptr);
}

}  // namespace
}  // namespace qwen3::test
