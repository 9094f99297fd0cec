// BackgroundLog: readers that are slow, that stop, and that are gone.
#include "cli/serve/background_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cli/run_program.h"

namespace qwen3::test {
namespace {

using cli::BackgroundLog;
using std::chrono::seconds;

// Until the writing end is closed.
std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t n; (n = read(fd, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  return text;
}

struct SmallPipe : detail::Pipe {
  SmallPipe() { EXPECT_GE(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096); }
};

// The N of "N log lines were lost here"; 0 for another line.
int64_t lost_in(const std::string& line) {
  constexpr std::string_view kBegin = "qwen3 serve: ";
  if (!line.starts_with(kBegin)) return 0;
  EXPECT_NE(line.find("lost here"), line.npos) << line;
  return std::stoll(line.substr(kBegin.size()));
}

// How many lines, numbered from 0 on, are there or said to be lost; each must stand in its place.
int64_t count_lines(const std::string& text) {
  int64_t next = 0;
  for (const std::string& line : lines_of(text)) {
    const int64_t lost = lost_in(line);
    if (lost == 0) {
      EXPECT_EQ(line, fmt::format("line {:06}", next));
    }
    next += lost == 0 ? 1 : lost;
  }
  return next;
}

TEST(BackgroundLog, WritesEverythingInOrder) {
  SmallPipe pipe;
  auto reader = std::async(std::launch::async, [&] { return read_all(pipe.fds[0]); });
  std::string expected;
  {
    BackgroundLog log(pipe.fds[1], 1000);  // goes round many times, with lines of all lengths
    for (size_t i = 0; i < 2000; ++i) {
      const std::string line = fmt::format("{} {}", i, std::string(i * 7 % 600, 'x'));
      if (i % 3 == 0) log.write(line + "\n");
      if (i % 3 != 0) log.write_log_line(line);
      expected += line + "\n";
      ASSERT_TRUE(log.flush(seconds(20)));
    }
    EXPECT_EQ(log.n_lost(), 0);
  }
  pipe.close_end(1);
  EXPECT_EQ(reader.get(), expected);
}

TEST(BackgroundLog, NeverWaitsForAReaderAndSaysWhatWasLost) {
  SmallPipe pipe;
  constexpr int64_t kLines = 20'000;
  auto log = std::make_unique<BackgroundLog>(pipe.fds[1], 64 << 10);
  // Nobody reads while they are written: this returning at all is the test.
  for (int64_t i = 0; i < kLines; ++i) log->write_log_line(fmt::format("line {:06}", i));
  EXPECT_FALSE(log->flush(std::chrono::milliseconds(1)));
  const int64_t n_lost = log->n_lost();
  EXPECT_GT(n_lost, kLines / 2);
  auto reader = std::async(std::launch::async, [&] { return read_all(pipe.fds[0]); });
  ASSERT_TRUE(log->flush(seconds(20)));
  log->write_log_line(fmt::format("line {:06}", kLines));
  log.reset();
  pipe.close_end(1);
  EXPECT_EQ(count_lines(reader.get()), kLines + 1);
}

// The reader goes on while lines are lost: their number must not come after lines that followed.
TEST(BackgroundLog, SaysWhatWasLostWhereItIsMissing) {
  SmallPipe pipe;
  constexpr int64_t kLines = 20'000;
  auto log = std::make_unique<BackgroundLog>(pipe.fds[1], 16 << 10);
  std::string text;
  std::array<char, 4096> buffer;
  for (int64_t i = 0; i < kLines; ++i) {
    log->write_log_line(fmt::format("line {:06}", i));
    if (i % 1000 != 999) continue;
    const ssize_t n = read(pipe.fds[0], buffer.data(), buffer.size());
    text.append(buffer.data(), static_cast<size_t>(std::max<ssize_t>(n, 0)));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // the thread fills the pipe again
  }
  EXPECT_GT(log->n_lost(), 0);
  auto reader = std::async(std::launch::async, [&] { return read_all(pipe.fds[0]); });
  ASSERT_TRUE(log->flush(seconds(20)));
  log.reset();
  pipe.close_end(1);
  EXPECT_EQ(count_lines(text + reader.get()), kLines);
}

// As two servers of one terminal do.
TEST(BackgroundLog, KeepsItsLinesWholeAmongThoseOfOthers) {
  SmallPipe pipe;
  auto one = std::make_unique<BackgroundLog>(pipe.fds[1], 64 << 10);
  auto other = std::make_unique<BackgroundLog>(pipe.fds[1], 64 << 10);
  for (int i = 0; i < 80; ++i) {
    one->write_log_line(std::string(500, 'a'));
    other->write_log_line(std::string(501, 'b'));
  }
  auto reader = std::async(std::launch::async, [&] { return read_all(pipe.fds[0]); });
  ASSERT_TRUE(one->flush(seconds(20)) && other->flush(seconds(20)));
  one.reset();
  other.reset();
  pipe.close_end(1);
  const std::vector<std::string> lines = lines_of(reader.get());
  EXPECT_EQ(lines.size(), 160u);
  for (const std::string& line : lines) {
    EXPECT_TRUE(line == std::string(500, 'a') || line == std::string(501, 'b')) << line;
  }
}

TEST(BackgroundLog, HasRoomForWhatMatters) {
  SmallPipe pipe;
  auto log = std::make_unique<BackgroundLog>(pipe.fds[1], 64 << 10);
  for (int i = 0; i < 20'000; ++i) log->write_log_line("a line of the access log");
  const int64_t n_lost = log->n_lost();
  log->write("a report\nof two lines\n");
  EXPECT_EQ(log->n_lost(), n_lost);
  log->write(std::string(64 << 10, '\n'));  // more than there is room for
  EXPECT_EQ(log->n_lost(), n_lost + (64 << 10));
  auto reader = std::async(std::launch::async, [&] { return read_all(pipe.fds[0]); });
  ASSERT_TRUE(log->flush(seconds(20)));
  log.reset();
  pipe.close_end(1);
  EXPECT_THAT(reader.get(), testing::HasSubstr("a report\nof two lines\nqwen3 serve: "));
}

TEST(BackgroundLog, EndsWithAWriteThatHangs) {
  signal(SIGPIPE, SIG_IGN);
  SmallPipe pipe;
  const int fd = dup(pipe.fds[1]);  // stays open: the thread is left in its write
  auto log = std::make_unique<BackgroundLog>(fd);
  log->write(std::string(100'000, 'x'));
  const auto begin = std::chrono::steady_clock::now();
  log.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(15));
  pipe.close_end(0);  // lets the thread go
}

TEST(BackgroundLog, CountsWhatTheSystemRefuses) {
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  {
    BackgroundLog log(full);
    for (int i = 1; i <= 5; ++i) {
      log.write_log_line("a line");
      ASSERT_TRUE(log.flush(seconds(20)));
      EXPECT_EQ(log.n_lost(), i);
    }
    // The disk has room again.
    detail::Pipe pipe;
    ASSERT_EQ(dup3(pipe.fds[1], full, O_CLOEXEC), full);
    log.write_log_line("after");
    ASSERT_TRUE(log.flush(seconds(20)));
    std::array<char, 4096> buffer;
    const ssize_t n = read(pipe.fds[0], buffer.data(), buffer.size());
    const std::vector<std::string> lines =
        lines_of({buffer.data(), static_cast<size_t>(std::max<ssize_t>(n, 0))});
    ASSERT_GE(lines.size(), 1u);
    EXPECT_EQ(lost_in(lines[0]), 5);
    EXPECT_EQ(log.n_lost(), 5);
  }
  close(full);
}

}  // namespace
}  // namespace qwen3::test
