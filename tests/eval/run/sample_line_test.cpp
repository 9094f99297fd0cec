#include "eval/run/sample_line.h"

#include <gtest/gtest.h>

#include "eval/python/python_json.h"
#include "eval/run/sample_key.h"
#include "support/expect_error.h"

namespace qwen3::eval {
namespace {

const std::string kKey(64, 'a');

TEST(SampleLine, HasTheWrittenForm) {
  const std::string line = sample_line(
      "{\"prompt\": \"é\", \"task_id\": 7}",
      kKey,
      2,
      {.text = "say \"hi\"\n", .reasoning = "hm", .finish_reason = "length", .prompt_tokens = 12});
  const std::string without_crc =
      "{\"prompt\": \"é\", \"task_id\": 7, \"gen\": [\"say \\\"hi\\\"\\n\"], \"qwen3\": {\"id\": "
      "\"" +
      kKey +
      "\", \"sample\": 2, \"finish_reason\": \"length\", \"prompt_tokens\": 12, "
      "\"completion_tokens\": null, \"reasoning_content\": \"hm\"";
  // Python's zlib.crc32(line[:-23] + b"}}"), as sample_line.h tells Python users.
  EXPECT_EQ(line, without_crc + ", \"crc32\": \"b0437e2f\"}}");
  ASSERT_TRUE(py_loads(line));
}

TEST(SampleLine, ReadsBackWhatItWrote) {
  const std::string hostile =
      ", \"qwen3\": {\"id\": \"" + std::string(64, 'b') + "\", \"sample\": 9";
  for (const std::string& text :
       {std::string("plain"), hostile, std::string("\\\"\\\\"), std::string()}) {
    for (const bool null_content : {false, true}) {
      Answer answer{.text = text, .reasoning = text, .finish_reason = text + "x"};
      answer.prompt_tokens = 5;
      answer.completion_tokens = 1'000'000'007;
      answer.null_content = null_content;
      const std::string line =
          sample_line("{\"prompt\": " + py_dumps(text) + "}", kKey, 41, answer);
      const auto facts = read_sample_line(line);
      ASSERT_TRUE(facts) << line;
      EXPECT_EQ(facts->key, kKey);
      EXPECT_EQ(facts->sample, 41);
      EXPECT_EQ(facts->prompt_tokens, 5);
      EXPECT_EQ(facts->completion_tokens, 1'000'000'007);
      EXPECT_TRUE(has_sample_member(line));
    }
  }
}

TEST(SampleLine, EveryDamageIsNoticed) {
  const std::string line = sample_line("{\"prompt\": \"p\"}", kKey, 0, {.text = "t"});
  for (size_t i = 0; i < line.size(); ++i) {
    for (const int flip : {1, 2, 32, 128}) {
      std::string damaged = line;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      EXPECT_FALSE(read_sample_line(damaged)) << i;
    }
    EXPECT_FALSE(read_sample_line(line.substr(0, i)));
    EXPECT_FALSE(read_sample_line(line.substr(i + 1)));
  }
  EXPECT_FALSE(read_sample_line(line + " "));
  EXPECT_FALSE(read_sample_line("{\"prompt\": \"p\", \"gen\": [\"t\"]}"));
}

TEST(SampleKey, TellsEverythingApart) {
  const std::string row = row_key("identity", "row");
  EXPECT_TRUE(is_key(row));
  EXPECT_NE(row, row_key("identity2", "row"));
  EXPECT_NE(row, row_key("identity", "row2"));
  EXPECT_NE(sample_key(row, 0), sample_key(row, 1));
  EXPECT_EQ(key_of_bytes(bytes_of_key(row)), row);
  EXPECT_FALSE(is_key(std::string(64, 'G')));
  EXPECT_FALSE(is_key("abc"));
}

TEST(KeyCounts, CountsManyKeys) {
  KeyCounts counts;
  for (int round = 0; round < 3; ++round) {
    for (uint64_t i = 0; i < 20'000; ++i) ++counts[{i, i % 3}];
  }
  EXPECT_EQ(counts.size(), 20'000);
  for (uint64_t i = 0; i < 20'000; ++i) ASSERT_EQ(counts.count({i, i % 3}), 3u);
  EXPECT_EQ(counts.count({1, 0}), 0u);
  EXPECT_EQ(counts.size(), 20'000) << "asking must not add";
}

}  // namespace
}  // namespace qwen3::eval
