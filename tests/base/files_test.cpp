// mapped_file and output_file: what is read, what is refused, and what is left behind.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <utility>

#include "base/available_memory.h"
#include "base/mapped_file.h"
#include "base/output_file.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace qwen3 {
namespace {

namespace fs = std::filesystem;

TEST(MappedFile, HoldsTheBytes) {
  const test::TempDir dir;
  const std::string text("a\0b\nc", 5);
  MappedFile file(dir.write("f", text));
  EXPECT_EQ(file.text(), text);
  EXPECT_EQ(file.name(), (dir.path() / "f").string());
  const MappedFile moved(std::move(file));
  EXPECT_EQ(moved.text(), text);
  EXPECT_EQ(file.bytes().size(), 0u);  // NOLINT(bugprone-use-after-move): that is the point
  EXPECT_NO_THROW(moved.check_not_truncated());
}

TEST(MappedFile, AnEmptyFileIsAnEmptySpan) {
  const test::TempDir dir;
  const MappedFile file(dir.write("f", ""));
  EXPECT_TRUE(file.bytes().empty());
  EXPECT_EQ(read_text_file(dir.path() / "f", 0), "");
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const test::TempDir dir;
  EXPECT_ERROR(MappedFile(dir.path() / "none"), ErrorKind::not_found, "none", "No such file");
  EXPECT_ERROR(MappedFile(dir.path()), ErrorKind::not_found, "expected a regular file");
  ASSERT_EQ(::mkfifo((dir.path() / "fifo").c_str(), 0600), 0);
  EXPECT_ERROR(MappedFile(dir.path() / "fifo"), ErrorKind::not_found, "expected a regular file");
  EXPECT_ERROR(MappedFile("/dev/null"), ErrorKind::not_found, "expected a regular file");
}

TEST(MappedFile, FollowsSymlinks) {
  const test::TempDir dir;
  dir.write("blob", "x");
  fs::create_symlink("blob", dir.path() / "link");
  EXPECT_EQ(MappedFile(dir.path() / "link").text(), "x");
}

TEST(MappedFile, ReadsPartsAndNoticesThatTheFileShrank) {
  const test::TempDir dir;
  const fs::path path = dir.write("f", "0123456789");
  const MappedFile file(path);
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
  EXPECT_ERROR(file.check_not_truncated(), ErrorKind::corrupt_file, "expected 10 bytes, got 5");
}

TEST(MappedFile, ReadTextFileHasALimit) {
  const test::TempDir dir;
  const fs::path path = dir.write("f", "12345");
  EXPECT_EQ(read_text_file(path, 5), "12345");
  EXPECT_ERROR(read_text_file(path, 4), ErrorKind::corrupt_file, "expected at most 4 bytes, got 5");
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
               ErrorKind::device,
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
  EXPECT_ERROR(
      OutputFile(dir.path() / "no" / "f"), ErrorKind::device, "no/f: cannot create: No such");
  fs::create_directories(dir.path() / "d" / "inside");
  EXPECT_ERROR(OutputFile(dir.path() / "d"), ErrorKind::device, "d: is a directory");
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
  EXPECT_ERROR(out.write("x"), ErrorKind::device, "full: cannot write: No space left on device");
}

TEST(OutputFile, CanBeAskedBefore) {
  const test::TempDir dir;
  dir.write("f", "old");
  EXPECT_NO_THROW(check_writable(""));
  EXPECT_NO_THROW(check_writable(dir.path() / "f"));
  EXPECT_NO_THROW(check_writable(dir.path() / "new"));
  EXPECT_ERROR(check_writable(dir.path()), ErrorKind::device, "is a directory");
  EXPECT_ERROR(check_writable(dir.path() / "no" / "f"), ErrorKind::device, "cannot create");
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
  EXPECT_ERROR(make_folder(dir.path() / "f" / "g"), ErrorKind::device, "cannot make the folder");
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
        out.write(std::string(5000, 'x')), ErrorKind::device, "f: cannot write: File too large");
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
