// input_file and output_file: what is read, what is refused, and what is left behind.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include "base/available_memory.h"
#include "base/embedded_files.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/output_file.h"
#include "base/sha256.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;

TEST(InputFile, HoldsTheBytes) {
  const test::TempDir dir;
  const std::string text("a\0b\nc", 5);
  InputFile file(dir.write("f", text));
  EXPECT_EQ(file.read_all(5), text);
  EXPECT_EQ(file.sha256(), sha256_hex(text));
  EXPECT_EQ(file.name(), (dir.path() / "f").string());
  const InputFile moved(std::move(file));
  EXPECT_EQ(moved.read_all(5), text);
  EXPECT_EQ(moved.size(), 5);
  EXPECT_EQ(file.size(), 0);  // NOLINT(bugprone-use-after-move): that is the point
  EXPECT_NO_THROW(moved.check_unchanged());
}

TEST(InputFile, AnEmptyFileIsAnEmptyText) {
  const test::TempDir dir;
  const InputFile file(dir.write("f", ""));
  EXPECT_EQ(file.size(), 0);
  EXPECT_EQ(file.sha256(), sha256_hex(""));
  EXPECT_EQ(read_text_file(dir.path() / "f", 0), "");
}

// A socket with a name on the disk, which open(2) does not open.
void make_socket(const fs::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.native().size(), sizeof address.sun_path);
  path.native().copy(address.sun_path, path.native().size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(fd);
}

TEST(InputFile, RefusesWhatIsNoRegularFileWhoeverAsks) {
  const test::TempDir dir;
  ASSERT_EQ(::mkfifo((dir.path() / "fifo").c_str(), 0600), 0);
  fs::create_symlink("loop", dir.path() / "loop");
  fs::create_symlink("gone", dir.path() / "dangling");
  make_socket(dir.path() / "socket");
  const std::pair<fs::path, std::string> cases[] = {
      {dir.path(), "expected a regular file; got a directory"},
      {dir.path() / "fifo", "expected a regular file; got a pipe"},
      {"/dev/null", "expected a regular file; got a device"},
      {dir.path() / "socket", "cannot open: No such device"},
      {dir.path() / "loop", "cannot open: Too many levels of symbolic links"},
      {dir.path() / "dangling", "(a broken symbolic link)"},
      {dir.path() / std::string(300, 'n'), "cannot open: File name too long"},
  };
  for (const auto& [named, reason] : cases) {
    const auto& path = named;
    const auto& why = reason;
    using Accept = InputFile::Accept;
    EXPECT_ERROR(InputFile(path, Accept::files), ErrorKind::not_found, path.string(), why);
    EXPECT_ERROR(InputFile(path, Accept::files_and_pipes), ErrorKind::not_found, why);
    if (path.native().size() < 255) {  // too long a name cannot be that of anything
      EXPECT_ERROR(InputFile::open_if_there(path), ErrorKind::not_found, why);
      EXPECT_TRUE(file_exists(path)) << path;
    }
  }
  EXPECT_ERROR(InputFile(dir.path() / "none"), ErrorKind::not_found, "none", "No such file");
  EXPECT_FALSE(InputFile::open_if_there(dir.path() / "none").has_value());
  EXPECT_FALSE(read_text_file_if_there(dir.path() / "none", 10).has_value());
  EXPECT_FALSE(file_exists(dir.path() / "none"));
}

// What `<(…)` of a shell makes is read; its name leads to a pipe that has no name of its own.
TEST(InputFile, TakesANamelessPipeFromThoseWhoReadStreams) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const fs::path path = fmt::format("/proc/self/fd/{}", ends[0]);
  const InputFile pipe(path, InputFile::Accept::files_and_pipes);
  EXPECT_TRUE(pipe.is_pipe());
  ASSERT_EQ(::write(ends[1], "abc", 3), 3);
  std::array<char, 10> got{};
  EXPECT_EQ(::read(pipe.descriptor(), got.data(), got.size()), 3);
  EXPECT_ERROR(InputFile{path}, ErrorKind::not_found, "expected a regular file; got a pipe");
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(InputFile, FollowsSymlinks) {
  const test::TempDir dir;
  dir.write("blob", "x");
  fs::create_symlink("blob", dir.path() / "link");
  EXPECT_EQ(read_text_file(dir.path() / "link", 1), "x");
  EXPECT_EQ(read_text_file_if_there(dir.path() / "link", 1), "x");
}

TEST(InputFile, ReadsPartsAndNoticesThatTheFileShrank) {
  const test::TempDir dir;
  const fs::path path = dir.write("f", "0123456789");
  const InputFile file(path);
  std::array<char, 4> part{};
  file.read(3, std::as_writable_bytes(std::span(part)));
  EXPECT_EQ(std::string_view(part.data(), 4), "3456");
  EXPECT_ERROR(file.read(8, std::as_writable_bytes(std::span(part))),
               ErrorKind::corrupt_file,
               path.string(),
               "ends before byte 12");
  fs::resize_file(path, 5);
  EXPECT_ERROR(file.read(3, std::as_writable_bytes(std::span(part))),
               ErrorKind::corrupt_file,
               "ends before byte 7",
               "expected 10 bytes");
  EXPECT_ERROR(file.read_all(10), ErrorKind::corrupt_file, "ends before byte 10");
  EXPECT_ERROR(file.sha256(), ErrorKind::corrupt_file, "ends before byte 10");
  EXPECT_ERROR(file.check_unchanged(), ErrorKind::corrupt_file, "expected 10 bytes, got 5");
}

TEST(InputFile, NoticesThatTheFileGrewOrWasWrittenTo) {
  const test::TempDir dir;
  const fs::path path = dir.write("f", "0123456789");
  const InputFile file(path);
  fs::resize_file(path, 11);
  EXPECT_ERROR(file.read_all(10), ErrorKind::corrupt_file, "expected 10 bytes, got 11");
  const InputFile longer(path);
  EXPECT_EQ(longer.read_all(11).size(), 11u);
  fs::last_write_time(path, fs::last_write_time(path) + std::chrono::seconds(1));
  EXPECT_ERROR(longer.read_all(11), ErrorKind::corrupt_file, "written to while it was read");
}

// Another process may write while this one reads: half of the old text must never come out.
TEST(InputFile, NeverGivesHalfOfTwoTexts) {
  const test::TempDir dir;
  const fs::path path = dir.write("f", std::string(size_t{1} << 22, 'a'));
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (char c = 'b'; !stop; c = c == 'z' ? 'a' : static_cast<char>(c + 1)) {
      std::ofstream out(path, std::ios::binary);  // truncates
      out << std::string(size_t{1} << 22, c);
      out.close();
      // The time of a write has the grain of the kernel's tick, 10 ms at most.
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  int n_refused = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  while (std::chrono::steady_clock::now() < end) {
    try {
      const std::string text = read_text_file(path, size_t{1} << 22);
      EXPECT_EQ(text.find_first_not_of(text.empty() ? ' ' : text[0]), text.npos);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::corrupt_file) << error.what();
      ++n_refused;
    }
  }
  stop = true;
  writer.join();
  EXPECT_GT(n_refused, 0) << "the writer never came between";
}

TEST(InputFile, HasALimitThatHoldsBeforeMemoryIsTaken) {
  const test::TempDir dir;
  const fs::path path = dir.write("f", "12345");
  EXPECT_EQ(read_text_file(path, 5), "12345");
  EXPECT_ERROR(read_text_file(path, 4), ErrorKind::corrupt_file, "expected at most 4 bytes, got 5");
  fs::resize_file(path, uintmax_t{1} << 42);  // sparse
  EXPECT_ERROR(read_text_file(path, 5), ErrorKind::corrupt_file, "got 4398046511104");
}

size_t n_entries(const fs::path& dir) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(dir), {}));
}

TEST(OutputFile, AppearsOnlyWhenCommitted) {
  const test::TempDir dir;
  const fs::path path = dir.write("f", "old");
  {
    OutputFile out(path);
    out.write("new ");
    out.write("text");
    EXPECT_EQ(read_text_file(path, 100), "old");
    out.commit();
  }
  EXPECT_EQ(read_text_file(path, 100), "new text");
  {
    OutputFile abandoned(path);
    abandoned.write("half");
  }
  EXPECT_EQ(read_text_file(path, 100), "new text");
  EXPECT_EQ(n_entries(dir.path()), 1u);
}

// Whether files without a name can be made in `dir`; elsewhere a killed process leaves a part.
bool has_nameless_files(const fs::path& dir) {
  const int fd = ::open(dir.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

TEST(OutputFile, AKilledProcessLeavesNothing) {
  const test::TempDir dir;
  if (!has_nameless_files(dir.path())) GTEST_SKIP() << "no O_TMPFILE here";
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGKILL}) {
    const pid_t child = ::fork();
    if (child == 0) {
      OutputFile out(dir.path() / "f");
      out.write("half");
      ::raise(signal);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(n_entries(dir.path()), 0u) << signal;
  }
}

TEST(OutputFile, LongNamesAreReplacedOrRefusedAtOnce) {
  const test::TempDir dir;
  const fs::path longest = dir.path() / std::string(255, 'n');
  for (const char* text : {"one", "two"}) {
    OutputFile out(longest);
    out.write(text);
    out.commit();
    EXPECT_EQ(read_text_file(longest, 100), text);
  }
  EXPECT_EQ(n_entries(dir.path()), 1u);
  EXPECT_ERROR(OutputFile(dir.path() / std::string(256, 'n')),
               ErrorKind::io,
               "cannot create: File name too long");
}

TEST(OutputFile, HasTheModeThatTheUserWishesForNewFiles) {
  const test::TempDir dir;
  const mode_t before = ::umask(027);
  OutputFile out(dir.path() / "f");
  out.commit();
  ::umask(before);
  EXPECT_EQ(fs::status(dir.path() / "f").permissions(), fs::perms(0640));
}

TEST(OutputFile, NamesPathAndReason) {
  const test::TempDir dir;
  EXPECT_ERROR(OutputFile(dir.path() / "no" / "f"), ErrorKind::io, "no/f: cannot create: No such");
  fs::create_directories(dir.path() / "d" / "inside");
  EXPECT_ERROR(OutputFile(dir.path() / "d"), ErrorKind::io, "d: is a directory");
}

TEST(OutputFile, WritesThroughALinkAndKeepsIt) {
  const test::TempDir dir;
  dir.write("f", "old");
  fs::create_symlink("f", dir.path() / "link");
  OutputFile out(dir.path() / "link");
  out.write("new");
  out.commit();
  EXPECT_TRUE(fs::is_symlink(dir.path() / "link"));
  EXPECT_EQ(read_text_file(dir.path() / "f", 100), "new");
  EXPECT_EQ(n_entries(dir.path()), 2u);
}

// As root, a rename onto /dev/null or /dev/full would replace the device for the whole machine.
TEST(OutputFile, WritesIntoAPipeAndDoesNotReplaceIt) {
  const test::TempDir dir;
  const fs::path path = dir.path() / "fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  OutputFile out(path);
  out.write("text");
  out.commit();
  std::array<char, 10> got{};
  EXPECT_EQ(::read(reader, got.data(), got.size()), 4);
  EXPECT_EQ(std::string(got.data()), "text");
  ::close(reader);
  EXPECT_TRUE(fs::is_fifo(path));
  EXPECT_EQ(n_entries(dir.path()), 1u);
}

TEST(OutputFile, AFullDeviceIsAnError) {
  const test::TempDir dir;
  fs::create_symlink("/dev/full", dir.path() / "full");
  OutputFile out(dir.path() / "full");
  EXPECT_ERROR(out.write("x"), ErrorKind::io, "full: cannot write: No space left on device");
}

TEST(OutputFile, CanBeAskedBefore) {
  const test::TempDir dir;
  dir.write("f", "old");
  EXPECT_NO_THROW(check_writable(""));
  EXPECT_NO_THROW(check_writable(dir.path() / "f"));
  EXPECT_NO_THROW(check_writable(dir.path() / "new"));
  EXPECT_ERROR(check_writable(dir.path()), ErrorKind::io, "is a directory");
  EXPECT_ERROR(check_writable(dir.path() / "no" / "f"), ErrorKind::io, "cannot create");
  EXPECT_EQ(read_text_file(dir.path() / "f", 100), "old");
  EXPECT_EQ(n_entries(dir.path()), 1u);
}

TEST(OutputFile, FoldersAreMadeWhenMissing) {
  const test::TempDir dir;
  dir.write("f", "a file");
  make_folder_of(dir.path() / "a" / "b" / "f");
  EXPECT_TRUE(fs::is_directory(dir.path() / "a" / "b"));
  EXPECT_NO_THROW(make_folder(dir.path() / "a"));
  EXPECT_NO_THROW(make_folder_of("f"));
  EXPECT_NO_THROW(make_folder_of(""));
  EXPECT_ERROR(make_folder(dir.path() / "f" / "g"), ErrorKind::io, "cannot make the folder");
}

TEST(OutputFile, AFullDiskIsAnErrorAndLeavesNothing) {
  const test::TempDir dir;
  struct rlimit old {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const struct rlimit small { 1000, old.rlim_max };
  std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  {
    OutputFile out(dir.path() / "f");
    EXPECT_ERROR(
        out.write(std::string(5000, 'x')), ErrorKind::io, "f: cannot write: File too large");
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  EXPECT_EQ(n_entries(dir.path()), 0u);
}

TEST(AvailableMemory, IsPositiveAndBelowTheMachine) {
  const int64_t bytes = available_memory_bytes();
  EXPECT_GT(bytes, 0);
  EXPECT_LT(bytes, int64_t{1} << 50);
}

TEST(AvailableMemory, FormatsForPeople) {
  EXPECT_EQ(format_bytes(0), "0 bytes");
  EXPECT_EQ(format_bytes(999'999), "999999 bytes");
  EXPECT_EQ(format_bytes(1'500'000), "1.5 MB");
  EXPECT_EQ(format_bytes(999'900'000), "999.9 MB");
  EXPECT_EQ(format_bytes(16'381'000'000), "16.4 GB");
}

}  // namespace
}  // namespace qwen3
