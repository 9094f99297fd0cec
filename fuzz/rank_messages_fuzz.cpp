// Any bytes as a plan of a step and as a report: each is refused with an Error, or is one that can be run on
// the runner that it is for. The first byte says whether checksums are made right, so that mutations reach
// what lies behind them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/checksum64.h"
#include "parallel/rank_report.h"
#include "parallel/step_plan.h"
#include "qwen3/error.h"

namespace {

using namespace qwen3;

void require(bool condition) {
  if (!condition) std::abort();
}

const RunnerShape kShape{.kv_dtype = DType::bf16,
                         .n_blocks = 9,
                         .block_size = 16,
                         .max_batch_tokens = 8,
                         .max_sequences = 4,
                         .max_logit_rows = 4,
                         .max_model_len = 64,
                         .vocab_size = 100};

constexpr size_t kPlanChecksumAt = 48, kPlanBytesAt = 40, kReportChecksumAt = 24;

void put(std::vector<std::byte>& bytes, size_t at, uint64_t value) {
  if (bytes.size() >= at + 8) std::memcpy(bytes.data() + at, &value, 8);
}

// The sum of header (with nothing in its place) and what is behind it, as both messages have it.
uint64_t sum_of(std::vector<std::byte> bytes, size_t at, size_t header, size_t end) {
  put(bytes, at, 0);
  const std::span<const std::byte> all(bytes);
  return checksum64(all.first(header)) ^ checksum64(all.subspan(header, end - header));
}

void check_step(const StepPlan& plan) {
  const Batch batch = plan.batch();
  require(batch.n_tokens() >= 1 && batch.n_tokens() <= kShape.max_batch_tokens);
  require(batch.positions.size() == batch.token_ids.size());
  require(batch.slot_mapping.size() == batch.token_ids.size());
  require(batch.cu_seqlens_q.size() == batch.kv_lens.size() + 1);
  for (const int32_t id : batch.token_ids) require(id >= 0 && id < kShape.vocab_size);
  for (const int64_t slot : batch.slot_mapping) {
    require(slot >= 0 && slot < kShape.n_blocks * kShape.block_size);
  }
  for (const int32_t row : batch.logit_rows) require(row >= 0 && row < batch.n_tokens());
}

template <typename Check>
void refused_or(const Check& check) {
  try {
    check();
  } catch (const Error& e) {
    require(e.kind() == ErrorKind::internal);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const bool mend = data[0] % 2 != 0;
  const auto* first = reinterpret_cast<const std::byte*>(data + 1);
  std::vector<std::byte> bytes(first, first + size - 1);
  std::vector<std::byte> report = bytes;
  if (mend && bytes.size() >= static_cast<size_t>(kPlanHeadBytes)) {
    put(bytes, kPlanBytesAt, bytes.size());
    put(bytes, kPlanChecksumAt, sum_of(bytes, kPlanChecksumAt, kPlanHeadBytes, bytes.size()));
  }
  refused_or([&] { decode_plan_head(bytes); });
  refused_or([&] {
    StepPlan plan;
    decode_plan(plan, bytes, kShape);
    if (plan.kind == PlanKind::step) check_step(plan);
  });
  uint32_t n_text = 0;
  if (report.size() >= 32) std::memcpy(&n_text, report.data() + 4, 4);
  if (mend && report.size() >= 32 && n_text <= report.size() - 32) {
    put(report, kReportChecksumAt, sum_of(report, kReportChecksumAt, 32, 32 + n_text));
  }
  refused_or([&] { require(decode_report(report).problem.size() <= report.size()); });
  return 0;
}
