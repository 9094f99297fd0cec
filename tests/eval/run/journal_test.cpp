// The journal against every accident that its file may meet.
#include "eval/run/journal.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "eval/run/sample_key.h"
#include "eval/run/sample_line.h"
#include "memory_file.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace qwen3::eval {
namespace {

using test::MemoryDisk;
using test::open_memory;

std::string line_number(int i) {
  const std::string row = "{\"prompt\": \"question " + std::to_string(i) + "\"}";
  return sample_line(
      row, sample_key(row_key("run", row), 0), 0, {.text = "answer " + std::string(i % 7, 'x')});
}

// Opens as a run does and tells the lines that are there.
struct Opened {
  std::vector<std::string> lines;
  std::unique_ptr<Journal> journal;
};
Opened open_journal(MemoryDisk& disk, BadLines bad_lines = BadLines::refuse) {
  Opened opened;
  opened.journal =
      std::make_unique<Journal>(open_memory(disk), bad_lines, [&](std::string_view line, int64_t) {
        if (!read_sample_line(line)) return false;
        opened.lines.emplace_back(line);
        return true;
      });
  return opened;
}

TEST(Journal, KeepsWhatWasCommitted) {
  MemoryDisk disk;
  {
    Opened run = open_journal(disk);
    for (int i = 0; i < 3; ++i) run.journal->append(line_number(i));
    EXPECT_EQ(disk.synced, "");
    run.journal->commit();
    EXPECT_EQ(disk.synced, disk.bytes);
    run.journal->commit();  // nothing new: no second sync
    EXPECT_EQ(disk.n_syncs, 1);
  }
  Opened again = open_journal(disk);
  EXPECT_EQ(again.lines, (std::vector{line_number(0), line_number(1), line_number(2)}));
  EXPECT_EQ(again.journal->cut_bytes(), 0);
}

TEST(Journal, CutsATornTailAtEveryByte) {
  const std::string first = line_number(0) + "\n";
  const std::string second = line_number(1);
  for (size_t n = 1; n < second.size(); ++n) {
    for (const bool zeros : {false, true}) {
      MemoryDisk disk;
      disk.bytes = first + second.substr(0, n);
      if (zeros) disk.bytes.append(500, '\0');
      Opened run = open_journal(disk);
      ASSERT_EQ(run.lines.size(), 1u) << n;
      ASSERT_EQ(disk.bytes, first) << n;
      ASSERT_EQ(disk.synced, first) << n;
    }
  }
}

TEST(Journal, KeepsAWholeLastLineThatLacksItsEnd) {
  MemoryDisk disk;
  disk.bytes = line_number(0) + "\n" + line_number(1);
  EXPECT_EQ(open_journal(disk).lines.size(), 2u);
  EXPECT_EQ(disk.bytes, line_number(0) + "\n" + line_number(1) + "\n");
  EXPECT_EQ(disk.synced, disk.bytes);
}

TEST(Journal, SyncsWhatAnEarlierProcessMayNotHave) {
  MemoryDisk disk;
  disk.bytes = line_number(0) + "\n";  // written, never synced
  open_journal(disk);
  EXPECT_EQ(disk.synced, disk.bytes);
}

// Ten gigabytes without a line end are no tail that a power loss leaves: not read through, not cut.
TEST(Journal, RefusesALineLongerThanAnyItWrites) {
  const test::TempDir dir;
  const auto path = dir.write("out", line_number(0) + "\n");
  std::filesystem::resize_file(path, uintmax_t{10} << 30);
  const auto visit = [](std::string_view, int64_t) { return true; };
  for (const BadLines bad_lines : {BadLines::refuse, BadLines::skip}) {
    EXPECT_ERROR(Journal(open_append_file(path), bad_lines, visit),
                 ErrorKind::corrupt_file,
                 "out: line 2: expected at most 134217728 bytes, got more");
    EXPECT_EQ(std::filesystem::file_size(path), uintmax_t{10} << 30);
  }
}

TEST(Journal, RefusesADamagedLineInTheMiddle) {
  MemoryDisk disk;
  std::string damaged = line_number(1);
  damaged[12] ^= 1;
  disk.bytes = line_number(0) + "\n" + damaged + "\n" + line_number(2) + "\n";
  const std::string before = disk.bytes;
  EXPECT_ERROR(open_journal(disk), ErrorKind::corrupt_file, "memory.jsonl: line 2", "damaged");
  EXPECT_EQ(disk.bytes, before);
}

TEST(Journal, SkipModeKeepsBadLinesAndCutsATornOne) {
  MemoryDisk disk;
  const std::string kept = line_number(0) + "\nrubbish\n" + line_number(1) + "\n\n";
  disk.bytes = kept + "{\"prompt\": \"to";
  EXPECT_EQ(open_journal(disk, BadLines::skip).lines.size(), 2u);
  EXPECT_EQ(disk.bytes, kept);
}

TEST(Journal, ReadsLinesAcrossChunks) {
  MemoryDisk disk;
  const std::string row = "{\"prompt\": \"" + std::string(3'000'000, 'p') + "\"}";
  const std::string big = sample_line(row, sample_key(row_key("run", row), 0), 0, {.text = "a"});
  disk.bytes = line_number(0) + "\n" + big + "\n" + line_number(1) + "\n";
  const Opened run = open_journal(disk);
  ASSERT_EQ(run.lines.size(), 3u);
  EXPECT_EQ(run.lines[1], big);
}

// A disk that fills up anywhere: an error, only whole lines, and the run goes on once there is
// room.
TEST(Journal, DiskFullAtEveryByte) {
  const std::string two = line_number(0) + "\n" + line_number(1) + "\n";
  const std::string first = line_number(0) + "\n";
  for (size_t capacity = 0; capacity < two.size(); ++capacity) {
    MemoryDisk disk;
    disk.capacity = static_cast<int64_t>(capacity);
    Opened run = open_journal(disk);
    const auto write_both = [&] {
      for (int i = 0; i < 2; ++i) run.journal->append(line_number(i));
    };
    EXPECT_ERROR(write_both(), ErrorKind::io, "memory.jsonl", "No space left");
    ASSERT_EQ(disk.bytes, capacity < first.size() ? "" : first);
    EXPECT_ERROR(run.journal->append(line_number(2)), ErrorKind::io, "earlier");
    EXPECT_ERROR(run.journal->commit(), ErrorKind::io, "earlier");
    disk.capacity = 1 << 20;
    Opened again = open_journal(disk);
    for (int i = static_cast<int>(again.lines.size()); i < 2; ++i) {
      again.journal->append(line_number(i));
    }
    again.journal->commit();
    ASSERT_EQ(disk.synced, two);
  }
}

// A broken disk, a file server that forgot the file, a quota.
class FailedSync : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Journal, FailedSync, testing::Values(EIO, ESTALE, EDQUOT));

TEST_P(FailedSync, IsNeverTakenForSuccess) {
  for (int nth = 0; nth < 4; ++nth) {
    MemoryDisk disk;
    disk.syncs_until_error = nth;
    disk.sync_error = GetParam();
    Opened run = open_journal(disk);
    std::string counted;
    bool failed = false;
    for (int i = 0; i < 6 && !failed; ++i) {
      try {
        run.journal->append(line_number(i));
        run.journal->commit();
        counted += line_number(i) + "\n";
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find(std::strerror(GetParam())), std::string::npos);
        failed = true;
      }
    }
    ASSERT_TRUE(failed);
    const int n_syncs = disk.n_syncs;
    EXPECT_ERROR(run.journal->commit(), ErrorKind::io, "earlier");
    EXPECT_EQ(disk.n_syncs, n_syncs) << "a failed sync must not be tried again";
    EXPECT_EQ(disk.bytes, counted) << "the line whose sync failed must not be found later";
    EXPECT_EQ(disk.synced, counted);
  }
}

// Power is lost after any step of a run, with any part of the unsynced bytes on the disk, cut or
// filled with zeros. Whatever is found then, every committed line is there and nothing else than
// lines that were written; what was in flight may be lost. (`group`: lines per commit.)
int64_t replay_power_losses(int first_line, int n_lines, int group, int64_t& most_lost) {
  MemoryDisk disk;
  disk.recording = true;
  {
    Opened run = open_journal(disk);
    for (int i = 0; i < n_lines; ++i) {
      run.journal->append(line_number(first_line + i));
      if (i % group == group - 1) run.journal->commit();
    }
  }
  int64_t n_states = 0;
  std::string synced;
  for (const MemoryDisk::Step& step : disk.steps) {
    const std::string& seen = step.bytes;
    if (step.sync) synced = seen;
    for (size_t n = synced.size(); n <= seen.size(); ++n) {
      for (const bool zeros : {false, true}) {
        MemoryDisk after;
        after.bytes = seen.substr(0, n);
        if (zeros) after.bytes.resize(seen.size());
        const Opened run = open_journal(after);
        ++n_states;
        EXPECT_TRUE(after.bytes.starts_with(synced)) << "a committed line is lost";
        EXPECT_TRUE(seen.starts_with(after.bytes) || after.bytes == seen.substr(0, n) + "\n");
        EXPECT_EQ(after.bytes, after.synced);
        EXPECT_TRUE(after.bytes.empty() || after.bytes.ends_with('\n'));
        const auto n_seen = std::count(seen.begin(), seen.end(), '\n');
        most_lost = std::max(most_lost, n_seen - static_cast<int64_t>(run.lines.size()));
      }
      if (testing::Test::HasFailure()) return n_states;
    }
  }
  return n_states;
}

TEST(Journal, PowerLossReplay) {
  int64_t most_lost = 0;
  int64_t n_states = 0;
  for (int first = 0; first < 200; first += 20) {
    n_states += replay_power_losses(first, 20, 1, most_lost);
  }
  EXPECT_EQ(most_lost, 1) << "one line in flight, one lost";
  n_states += replay_power_losses(0, 30, 10, most_lost);
  EXPECT_EQ(most_lost, 10);
  EXPECT_GE(n_states, 100'000);
  RecordProperty("states", std::to_string(n_states));
}

TEST(AppendFile, TheSecondWriterIsSentAwayAtOnce) {
  const test::TempDir dir;
  const auto path = dir.path() / "out.jsonl";
  const auto first = open_append_file(path);
  EXPECT_ERROR(open_append_file(path), ErrorKind::busy, "out.jsonl", "another process");
}

TEST(AppendFile, RefusesWhatIsNoFile) {
  const test::TempDir dir;
  EXPECT_ERROR(open_append_file(dir.path()), ErrorKind::io, dir.path().string());
  EXPECT_ERROR(open_append_file("/dev/null"), ErrorKind::io, "regular file");
  EXPECT_ERROR(open_append_file(dir.path() / "no" / "such"), ErrorKind::io, "No such file");
}

TEST(AppendFile, AppendsReadsAndTruncates) {
  const test::TempDir dir;
  const auto file = open_append_file(dir.path() / "out.jsonl");
  EXPECT_EQ(file->append("hello"), 5);
  EXPECT_EQ(file->sync(), 0);
  EXPECT_EQ(file->truncate(3), 0);
  EXPECT_EQ(file->append("p"), 1);
  EXPECT_EQ(file->size(), 4);
  char bytes[8] = {};
  EXPECT_EQ(file->read(1, bytes), 3);
  EXPECT_STREQ(bytes, "elp");
}

}  // namespace
}  // namespace qwen3::eval
