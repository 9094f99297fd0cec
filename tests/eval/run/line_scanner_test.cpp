// The lines of files, whatever their size: at the edges of the window, too long, cut and growing.
#include "eval/run/line_scanner.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace qwen3::eval {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int64_t kWindow = 1 << 20;
constexpr auto kCorrupt = ErrorKind::corrupt_file;

struct Scanned {
  std::vector<std::string> texts;
  std::vector<int64_t> begins, ends;
  bool terminated = true;  // the last one
};

Scanned scan(const std::string& text,
             LineScanner::Ends ends = LineScanner::Ends::newline,
             int64_t max_line_bytes = 4 * kWindow) {
  const auto read = [&](int64_t offset, std::span<char> out) {
    const std::string_view rest = std::string_view(text).substr(static_cast<size_t>(offset));
    return static_cast<int64_t>(rest.copy(out.data(), out.size()));
  };
  LineScanner scanner("f", read, max_line_bytes, ends);
  LineScanner::Line line;
  Scanned all;
  while (scanner.next(line)) {
    all.texts.emplace_back(line.text);
    all.begins.push_back(line.begin);
    all.ends.push_back(line.end);
    all.terminated = line.terminated;
    EXPECT_EQ(line.number, static_cast<int64_t>(all.texts.size()));
  }
  EXPECT_FALSE(scanner.next(line)) << "the end is the end";
  return all;
}

TEST(LineScanner, LinesAndWhereTheyAre) {
  const Scanned all = scan("a\n\nbc\r\nd");
  EXPECT_THAT(all.texts, ElementsAre("a", "", "bc\r", "d"));
  EXPECT_THAT(all.begins, ElementsAre(0, 2, 3, 7));
  EXPECT_THAT(all.ends, ElementsAre(2, 3, 7, 8));
  EXPECT_FALSE(all.terminated);
  EXPECT_TRUE(scan("a\n").terminated);
  EXPECT_THAT(scan("").texts, IsEmpty());
  EXPECT_THAT(scan("\n").texts, ElementsAre(""));
}

TEST(LineScanner, LinesEndAsInPythonsTextMode) {
  const auto lines = [](const std::string& text) {
    return scan(text, LineScanner::Ends::python).texts;
  };
  EXPECT_THAT(lines("a\nb\r\nc\rd"), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(lines("a\n"), ElementsAre("a"));
  EXPECT_THAT(lines("\n\r\r\n\n"), ElementsAre("", "", "", ""));
  EXPECT_THAT(lines("a\x0b\x0c\xE2\x80\xA8"), ElementsAre("a\x0b\x0c\xE2\x80\xA8"));
  EXPECT_THAT(lines(""), IsEmpty());
}

// Every way in which a line and its end can lie across the edge of the window.
TEST(LineScanner, TheEdgeOfTheWindowDoesNotShow) {
  for (const auto& end : {std::string("\n"), std::string("\r\n"), std::string("\r")}) {
    for (int64_t before = kWindow - 4; before <= kWindow + 2; ++before) {
      const std::string first(static_cast<size_t>(before), 'x');
      const std::string text = first + end + "y" + end + "z";
      EXPECT_EQ(scan(text, LineScanner::Ends::python).texts,
                (std::vector<std::string>{first, "y", "z"}))
          << before;
      const std::string whole = first + end;
      EXPECT_EQ(scan(whole, LineScanner::Ends::python).texts, std::vector<std::string>{first});
    }
  }
  const std::string third(3 * kWindow + 5, 'q');
  EXPECT_EQ(scan("a\n" + third + "\nb\n").texts, (std::vector<std::string>{"a", third, "b"}));
}

TEST(LineScanner, ALineAtTheLimitPassesAndOneBeyondIsNamed) {
  for (const int64_t limit : {int64_t{5}, kWindow - 1, kWindow, kWindow + 1, 3 * kWindow}) {
    const std::string longest(static_cast<size_t>(limit), 'x');
    for (const char* end : {"", "\n"}) {
      EXPECT_EQ(scan("a\n" + longest + end, LineScanner::Ends::newline, limit).texts.size(), 2u);
      EXPECT_ERROR(scan("a\n" + longest + "x" + end, LineScanner::Ends::newline, limit),
                   kCorrupt,
                   fmt::format("f: line 2: expected at most {} bytes", limit));
    }
  }
}

// Ten gigabytes of zeros cost neither their time nor their memory.
TEST(LineScanner, AHugeLineIsRefusedBeforeItIsRead) {
  const test::TempDir dir;
  const auto path = dir.write("f", "a\n");
  std::filesystem::resize_file(path, uintmax_t{10} << 30);
  const InputFile file(path);
  int64_t n_read = 0;
  const auto counted = [&](int64_t offset, std::span<char> out) {
    n_read += std::ssize(out);
    file.read(offset, std::as_writable_bytes(out));
    return std::ssize(out);
  };
  LineScanner scanner("f", counted, 32 << 20);
  LineScanner::Line line;
  EXPECT_TRUE(scanner.next(line));
  EXPECT_ERROR(scanner.next(line), kCorrupt, "line 2: expected at most 33554432 bytes, got more");
  EXPECT_LE(n_read, 34 * kWindow);
}

TEST(LineScanner, AFileThatShrinksIsAnErrorAndOneThatGrowsIsNot) {
  const test::TempDir dir;
  const std::string line_text(100, 'x');
  std::string text;
  while (static_cast<int64_t>(text.size()) < 3 * kWindow) text += line_text + "\n";
  const auto path = dir.write("f", text);
  const InputFile file(path);
  const auto count = [&](int64_t change_at, uintmax_t size) {
    LineScanner scanner(file, kWindow);
    LineScanner::Line line;
    int64_t n = 0;
    while (scanner.next(line)) {
      EXPECT_EQ(line.text, line_text);
      if (++n == change_at) std::filesystem::resize_file(path, size);
    }
    return n;
  };
  EXPECT_EQ(count(1, text.size() + 5'000'000), std::ssize(text) / 101);
  EXPECT_ERROR(count(10, 2 * kWindow + 10), kCorrupt, "did the file shrink");
  EXPECT_ERROR(count(10, 0), kCorrupt, "did the file shrink");
}

}  // namespace
}  // namespace qwen3::eval
