// Plans and reports: what goes in comes out, and nothing else gets in.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "base/error.h"
#include "parallel/rank_report.h"
#include "parallel/step_plan.h"
#include "support/expect_error.h"

namespace qwen3::test {
namespace {

const RunnerShape kShape{.kv_dtype = DType::bf16,
                         .n_blocks = 9,
                         .block_size = 16,
                         .max_batch_tokens = 8,
                         .max_sequences = 4,
                         .max_logit_rows = 4,
                         .max_model_len = 64,
                         .vocab_size = 100};

// As the example of kernels/batch.h.
struct Example {
  std::vector<int32_t> ids{20, 1, 2, 3}, positions{20, 0, 1, 2}, starts{0, 1, 4}, lens{21, 3},
      tables{7, 2, 5, -1}, rows{0, 3};
  std::vector<int64_t> slots{36, 80, 81, 82};
  Batch batch() const {
    return {.token_ids = ids,
            .positions = positions,
            .slot_mapping = slots,
            .cu_seqlens_q = starts,
            .kv_lens = lens,
            .block_tables = tables,
            .max_blocks_per_seq = 2,
            .logit_rows = rows};
  }
};

std::vector<std::byte> bytes_of(const Example& example) {
  std::vector<std::byte> bytes(static_cast<size_t>(max_plan_bytes(kShape)));
  bytes.resize(static_cast<size_t>(encode_step(bytes, 3, 77, example.batch())));
  return bytes;
}

TEST(StepPlan, ComesOutAsItWentIn) {
  const Example example;
  const std::vector<std::byte> bytes = bytes_of(example);
  const PlanHead head = decode_plan_head(bytes);
  EXPECT_EQ(head.kind, PlanKind::step);
  EXPECT_EQ(head.runner, 3u);
  EXPECT_EQ(head.number, 77u);
  EXPECT_EQ(head.n_bytes, static_cast<int64_t>(bytes.size()));
  StepPlan plan;
  decode_plan(plan, bytes, kShape);
  EXPECT_EQ(plan.token_ids, example.ids);
  EXPECT_EQ(plan.positions, example.positions);
  EXPECT_EQ(plan.slot_mapping, example.slots);
  EXPECT_EQ(plan.cu_seqlens_q, example.starts);
  EXPECT_EQ(plan.kv_lens, example.lens);
  EXPECT_EQ(plan.block_tables, example.tables);
  EXPECT_EQ(plan.logit_rows, example.rows);
  EXPECT_EQ(plan.max_blocks_per_seq, 2);
}

TEST(StepPlan, OpeningsAndEnds) {
  std::array<std::byte, kSmallPlanBytes> bytes;
  const int64_t n = encode_open(bytes, 1, 5, kShape);
  StepPlan plan;
  decode_plan(plan, std::span(bytes).first(static_cast<size_t>(n)), {});
  EXPECT_EQ(plan.kind, PlanKind::open);
  EXPECT_EQ(plan.shape, kShape);
  const int64_t end = encode_end(bytes, PlanKind::stop, 0, 6);
  decode_plan(plan, std::span(bytes).first(static_cast<size_t>(end)), {});
  EXPECT_EQ(plan.kind, PlanKind::stop);
  EXPECT_EQ(plan.number, 6u);
  RunnerShape broken = kShape;
  broken.block_size = 0;
  const int64_t m = encode_open(bytes, 1, 5, broken);
  EXPECT_ERROR(decode_plan(plan, std::span(bytes).first(static_cast<size_t>(m)), {}),
               ErrorKind::internal,
               "a size of a runner is 0");
}

// Well formed, with a right checksum, and still not to be run.
TEST(StepPlan, RefusesWhatDoesNotFitTheRunner) {
  StepPlan plan;
  const auto refused = [&](Example example, const char* why) {
    EXPECT_ERROR(decode_plan(plan, bytes_of(example), kShape), ErrorKind::internal, why);
  };
  refused({.ids = {100, 1, 2, 3}}, "token 100 of 100");
  refused({.ids = {-1, 1, 2, 3}}, "token -1 of 100");
  refused({.lens = {65, 3}}, "65 keys of sequence 0");
  refused({.lens = {33, 3}}, "33 keys of sequence 0");
  refused({.lens = {21, 2}}, "2 keys of sequence 1");
  refused({.tables = {7, 9, 5, -1}}, "block 9 of 9");
  refused({.tables = {7, -1, 5, -1}}, "block -1 of 9");
  refused({.rows = {3, 3}}, "row of logits 3 after 3");
  refused({.rows = {0, 4}}, "row of logits 4 after 0");
  refused({.starts = {0, 0, 4}}, "0 rows of sequence 0");
  refused({.starts = {0, 1, 3}}, "3 rows of 4 tokens");
}

TEST(StepPlan, RefusesEveryFlippedBitAndEveryCut) {
  const std::vector<std::byte> good = bytes_of({});
  StepPlan plan;
  for (size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<std::byte> bytes = good;
      bytes[i] ^= std::byte{1} << bit;
      EXPECT_THROW(decode_plan(plan, bytes, kShape), Error) << i << " " << bit;
    }
  }
  for (size_t n = 0; n < good.size(); ++n) {
    EXPECT_THROW(decode_plan(plan, std::span(good).first(n), kShape), Error) << n;
  }
}

TEST(RankReport, ComesOutAsItWentInAndDamagedNotAtAll) {
  std::array<std::byte, kReportBytes> bytes{};
  encode_report(bytes, {.number = 8, .hidden_hash = 99, .problem = "out of memory"});
  const RankReport report = decode_report(bytes);
  EXPECT_EQ(report.number, 8u);
  EXPECT_EQ(report.hidden_hash, 99u);
  EXPECT_EQ(report.problem, "out of memory");
  for (size_t i = 0; i < 32 + report.problem.size(); ++i) {
    auto damaged = bytes;
    damaged[i] ^= std::byte{16};
    EXPECT_THROW(decode_report(damaged), Error) << i;
  }
  encode_report(bytes, {.number = 1, .hidden_hash = 2, .problem = std::string(5000, 'x')});
  EXPECT_EQ(decode_report(bytes).problem.size(), size_t{kReportBytes} - 32);
  EXPECT_THROW(decode_report(std::span(bytes).first(31)), Error);
}

}  // namespace
}  // namespace qwen3::test
