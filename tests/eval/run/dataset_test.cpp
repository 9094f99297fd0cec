#include "eval/run/dataset.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace qwen3::eval {
namespace {

TEST(Dataset, ReadsRowsAsPythonWritesThem) {
  const test::TempDir dir;
  const auto path = dir.write("d.jsonl",
                              "{\"prompt\":\"\\u00e9\", \"answer\":[[1,2.0],[1e22,NaN]],"
                              "\"task_id\":\"t\"}\r\n{\"task_id\":12345678901234567890,"
                              "\"prompt\":\"q\"}\n\n");
  const Dataset dataset(path, Mode::standard);
  ASSERT_EQ(dataset.size(), 2);
  EXPECT_EQ(dataset.row(0).json,
            "{\"prompt\": \"é\", \"answer\": [[1, 2.0], [1e+22, NaN]], \"task_id\": \"t\"}");
  EXPECT_EQ(dataset.row(0).prompt, "é");
  EXPECT_EQ(dataset.row(0).task_id, "t");
  EXPECT_EQ(dataset.row(1).task_id, "12345678901234567890");
}

TEST(Dataset, TellsEqualRowsApart) {
  const test::TempDir dir;
  const std::string row = "{\"prompt\": \"same\"}\n";
  const Dataset dataset(dir.write("d.jsonl", row + row + "{\"prompt\":\"same\"}\n"),
                        Mode::standard);
  EXPECT_NE(dataset.fingerprint(0), dataset.fingerprint(1));
  EXPECT_NE(dataset.fingerprint(1), dataset.fingerprint(2)) << "equal as JSON";
  EXPECT_EQ(dataset.fingerprint(0).substr(0, 64), dataset.fingerprint(2).substr(0, 64));
}

TEST(Dataset, NamesTheLineThatIsWrong) {
  const test::TempDir dir;
  const auto refused = [&](const std::string& second, std::initializer_list<std::string> parts) {
    const auto path =
        dir.write("d.jsonl", "{\"prompt\": \"p\"}\n" + second + "\n{\"prompt\":\"p\"}");
    expect_error(
        [&] { Dataset(path, Mode::standard); }, ErrorKind::corrupt_file, parts, second.c_str());
  };
  refused("{\"prompt\": \"p\"", {"d.jsonl: line 2"});
  refused("{\"answer\": 1}", {"line 2", "prompt"});
  refused("{\"prompt\": [1]}", {"line 2", "list"});
  refused("[1]", {"line 2", "object"});
  refused("", {"line 2"});
  refused("{\"prompt\": \"p\", \"gen\": []}", {"line 2", "gen", "output file"});
  refused("{\"prompt\": \"p\", \"qwen3\": 1}", {"line 2", "qwen3"});
  refused("{\"prompt\": \"\xff\"}", {"line 2", "UTF-8"});
  refused("{\"prompt\": \"\\ud800\"}", {"line 2", "surrogate"});
  EXPECT_ERROR(Dataset(dir.write("e.jsonl", ""), Mode::standard), ErrorKind::corrupt_file, "empty");
  EXPECT_ERROR(Dataset(dir.path() / "no", Mode::standard), ErrorKind::not_found, "no");
}

TEST(Dataset, RowsAreThoseThatWereThereAtFirst) {
  const test::TempDir dir;
  const std::string rows = "{\"prompt\": \"one\"}\n{\"prompt\": \"two\"}\n";
  const auto path = dir.write("d.jsonl", rows);
  const Dataset dataset(path, Mode::standard);
  EXPECT_EQ(dataset.row(1).prompt, "two");
  dir.write("d.jsonl", "{\"prompt\": \"one\"}\n{\"prompt\": \"TWO\"}\n");
  EXPECT_EQ(dataset.row(0).prompt, "one");
  EXPECT_ERROR(dataset.row(1), ErrorKind::corrupt_file, "d.jsonl: line 2: changed since");
  std::filesystem::resize_file(path, 20);
  EXPECT_ERROR(dataset.row(1), ErrorKind::corrupt_file, "d.jsonl: ends before byte");
}

TEST(Dataset, ALineTooLongIsRefusedBeforeItIsRead) {
  const test::TempDir dir;
  const auto path = dir.write("d.jsonl", "{\"prompt\": \"p\"}\n");
  std::filesystem::resize_file(path, uintmax_t{10} << 30);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_ERROR(Dataset(path, Mode::standard),
               ErrorKind::corrupt_file,
               "d.jsonl: line 2: expected at most 33554432 bytes");
  // Ten gigabytes would take a minute.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(Dataset, NanoArcIsOne) {
  const Dataset dataset(QWEN3_SOURCE_DIR "/eval/data/nano_arc.jsonl", Mode::standard);
  EXPECT_GT(dataset.size(), 10);
  EXPECT_NE(dataset.row(0).value.find("answer"), nullptr);
}

}  // namespace
}  // namespace qwen3::eval
