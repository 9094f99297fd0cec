#include "parallel/step_plan.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/checksum64.h"
#include "base/error.h"

namespace qwen3 {
namespace {

constexpr uint32_t kMagic = 0x4E415051;  // "QPAN"
constexpr int64_t kMaxCount = int64_t{1} << 31;

struct Header {
  uint32_t magic, version;
  PlanKind kind;
  uint32_t runner;
  uint64_t number;
  uint32_t n_tokens, n_seqs, n_logit_rows, width;
  uint64_t n_bytes, checksum, spare;
};
static_assert(sizeof(Header) == kPlanHeadBytes);

struct ShapeBytes {
  int64_t kv_dtype, n_blocks, block_size, max_batch_tokens, max_sequences, max_logit_rows,
      max_model_len, vocab_size;
};
static_assert(kPlanHeadBytes + sizeof(ShapeBytes) <= kSmallPlanBytes);

template <typename... Args>
void require(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (condition) return;
  fail(ErrorKind::internal, "plan of a step: {}", fmt::format(format, std::forward<Args>(args)...));
}

// Of a whole plan, its header included.
uint64_t checksum_of(Header header, std::span<const std::byte> behind) {
  header.checksum = 0;
  return checksum64(std::as_bytes(std::span(&header, 1))) ^ checksum64(behind);
}

int64_t step_bytes(int64_t n_tokens, int64_t n_seqs, int64_t width, int64_t n_logit_rows) {
  return kPlanHeadBytes + 4 * n_tokens + 8 * n_seqs + 4 * n_seqs * width + 4 * n_logit_rows;
}

class Writer {
 public:
  explicit Writer(std::span<std::byte> to) : to_(to) {}
  void put(const void* from, size_t bytes) {
    QWEN3_CHECK(at_ + bytes <= to_.size(),
                ErrorKind::internal,
                "plan of a step: {} bytes do not fit into {}",
                at_ + bytes,
                to_.size());
    if (bytes > 0) std::memcpy(to_.data() + at_, from, bytes);
    at_ += bytes;
  }
  void put(std::span<const int32_t> values) { put(values.data(), values.size_bytes()); }
  // The header in its place, with the checksum of all behind it.
  int64_t finish(Header header) {
    header.magic = kMagic;
    header.version = kPlanVersion;
    header.n_bytes = at_;
    header.checksum = checksum_of(header, to_.first(at_).subspan(kPlanHeadBytes));
    std::memcpy(to_.data(), &header, sizeof header);
    return static_cast<int64_t>(at_);
  }

 private:
  std::span<std::byte> to_;
  size_t at_ = kPlanHeadBytes;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  // REQUIRES: they are there.
  void take(std::vector<int32_t>& to, int64_t n) {
    to.resize(static_cast<size_t>(n));
    take(to.data(), to.size() * sizeof(int32_t));
  }
  void take(void* to, size_t bytes) {
    if (bytes > 0) std::memcpy(to, bytes_.data() + at_, bytes);
    at_ += bytes;
  }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = kPlanHeadBytes;
};

Header read_header(std::span<const std::byte> bytes) {
  Header header;
  require(bytes.size() >= sizeof header,
          "expected at least {} bytes, got {}",
          sizeof header,
          bytes.size());
  std::memcpy(&header, bytes.data(), sizeof header);
  require(header.magic == kMagic && header.version == kPlanVersion,
          "expected version {} of it, got {:x} of {:x}",
          kPlanVersion,
          header.version,
          header.magic);
  require(header.kind <= PlanKind::stop, "kind {} is none", static_cast<uint32_t>(header.kind));
  return header;
}

void decode_shape(RunnerShape& shape, Reader reader, int64_t n_bytes) {
  require(n_bytes == kPlanHeadBytes + static_cast<int64_t>(sizeof(ShapeBytes)),
          "an opening has {} bytes",
          n_bytes);
  ShapeBytes s;
  reader.take(&s, sizeof s);
  for (const int64_t value : {s.n_blocks,
                              s.block_size,
                              s.max_batch_tokens,
                              s.max_sequences,
                              s.max_logit_rows,
                              s.max_model_len,
                              s.vocab_size}) {
    require(value >= 1 && value <= kMaxCount, "a size of a runner is {}", value);
  }
  const auto dtype = static_cast<DType>(s.kv_dtype);
  require(s.kv_dtype >= 0 && s.kv_dtype < 256 && (dtype == DType::f32 || dtype == DType::bf16),
          "type {} of keys is none",
          s.kv_dtype);
  shape = {.kv_dtype = dtype,
           .n_blocks = s.n_blocks,
           .block_size = s.block_size,
           .max_batch_tokens = s.max_batch_tokens,
           .max_sequences = s.max_sequences,
           .max_logit_rows = s.max_logit_rows,
           .max_model_len = s.max_model_len,
           .vocab_size = s.vocab_size};
}

void check_counts(const Header& h, const RunnerShape& shape) {
  const int64_t longest = ceil_div(shape.max_model_len, shape.block_size);
  require(h.n_tokens >= 1 && h.n_tokens <= shape.max_batch_tokens,
          "{} tokens, at most {}",
          h.n_tokens,
          shape.max_batch_tokens);
  require(h.n_seqs >= 1 && h.n_seqs <= std::min<int64_t>(shape.max_sequences, h.n_tokens),
          "{} sequences, at most {}",
          h.n_seqs,
          shape.max_sequences);
  require(h.n_logit_rows <= std::min<int64_t>(shape.max_logit_rows, h.n_tokens),
          "{} rows of logits, at most {}",
          h.n_logit_rows,
          shape.max_logit_rows);
  require(h.width >= 1 && h.width <= longest, "tables of {} blocks, at most {}", h.width, longest);
  const int64_t expected = step_bytes(h.n_tokens, h.n_seqs, h.width, h.n_logit_rows);
  require(h.n_bytes == static_cast<uint64_t>(expected),
          "expected {} bytes, got {}",
          expected,
          h.n_bytes);
}

void check_ids(const StepPlan& plan, const RunnerShape& shape) {
  for (const int32_t id : plan.token_ids) {
    require(id >= 0 && id < shape.vocab_size, "token {} of {}", id, shape.vocab_size);
  }
  int64_t last = -1;
  for (const int32_t row : plan.logit_rows) {
    require(row > last && row < static_cast<int64_t>(plan.token_ids.size()),
            "row of logits {} after {}",
            row,
            last);
    last = row;
  }
}

// What a sequence's rows, its number of keys and its blocks say of every token.
void derive(StepPlan& plan, std::span<const int32_t> rows_and_lengths, const RunnerShape& shape) {
  const int64_t n_tokens = static_cast<int64_t>(plan.token_ids.size());
  const int64_t width = plan.max_blocks_per_seq;
  plan.cu_seqlens_q.assign(1, 0);
  plan.kv_lens.clear();
  plan.positions.clear();
  plan.slot_mapping.clear();
  for (size_t s = 0; 2 * s < rows_and_lengths.size(); ++s) {
    const int64_t rows = rows_and_lengths[2 * s], kv_len = rows_and_lengths[2 * s + 1];
    const int64_t begin = plan.cu_seqlens_q.back();
    require(rows >= 1 && rows <= n_tokens - begin, "{} rows of sequence {}", rows, s);
    require(kv_len >= rows && kv_len <= std::min(shape.max_model_len, width * shape.block_size),
            "{} keys of sequence {}",
            kv_len,
            s);
    const int32_t* table = plan.block_tables.data() + static_cast<int64_t>(s) * width;
    for (int64_t b = 0; b < ceil_div(kv_len, shape.block_size); ++b) {
      require(
          table[b] >= 0 && table[b] < shape.n_blocks, "block {} of {}", table[b], shape.n_blocks);
    }
    for (int64_t position = kv_len - rows; position < kv_len; ++position) {
      plan.positions.push_back(static_cast<int32_t>(position));
      plan.slot_mapping.push_back(table[position / shape.block_size] * shape.block_size +
                                  position % shape.block_size);
    }
    plan.cu_seqlens_q.push_back(static_cast<int32_t>(begin + rows));
    plan.kv_lens.push_back(static_cast<int32_t>(kv_len));
  }
  require(plan.cu_seqlens_q.back() == n_tokens,
          "{} rows of {} tokens",
          plan.cu_seqlens_q.back(),
          n_tokens);
}

}  // namespace

Batch StepPlan::batch() const {
  return {.token_ids = token_ids,
          .positions = positions,
          .slot_mapping = slot_mapping,
          .cu_seqlens_q = cu_seqlens_q,
          .kv_lens = kv_lens,
          .block_tables = block_tables,
          .max_blocks_per_seq = max_blocks_per_seq,
          .logit_rows = logit_rows};
}

int64_t max_plan_bytes(const RunnerShape& s) {
  return step_bytes(s.max_batch_tokens,
                    s.max_sequences,
                    ceil_div(s.max_model_len, s.block_size),
                    s.max_logit_rows);
}

int64_t encode_step(std::span<std::byte> to, uint32_t runner, uint64_t number, const Batch& batch) {
  Writer writer(to);
  writer.put(batch.token_ids);
  for (size_t s = 0; s < batch.kv_lens.size(); ++s) {
    const int32_t pair[2] = {batch.cu_seqlens_q[s + 1] - batch.cu_seqlens_q[s], batch.kv_lens[s]};
    writer.put(pair);
  }
  writer.put(batch.block_tables);
  writer.put(batch.logit_rows);
  return writer.finish({.magic = 0,
                        .version = 0,
                        .kind = PlanKind::step,
                        .runner = runner,
                        .number = number,
                        .n_tokens = static_cast<uint32_t>(batch.n_tokens()),
                        .n_seqs = static_cast<uint32_t>(batch.n_seqs()),
                        .n_logit_rows = static_cast<uint32_t>(batch.logit_rows.size()),
                        .width = static_cast<uint32_t>(batch.max_blocks_per_seq),
                        .n_bytes = 0,
                        .checksum = 0,
                        .spare = 0});
}

int64_t encode_open(std::span<std::byte> to,
                    uint32_t runner,
                    uint64_t number,
                    const RunnerShape& s) {
  Writer writer(to);
  const ShapeBytes bytes{static_cast<int64_t>(s.kv_dtype),
                         s.n_blocks,
                         s.block_size,
                         s.max_batch_tokens,
                         s.max_sequences,
                         s.max_logit_rows,
                         s.max_model_len,
                         s.vocab_size};
  writer.put(&bytes, sizeof bytes);
  Header header{};
  header.kind = PlanKind::open;
  header.runner = runner;
  header.number = number;
  return writer.finish(header);
}

int64_t encode_end(std::span<std::byte> to, PlanKind kind, uint32_t runner, uint64_t number) {
  Header header{};
  header.kind = kind;
  header.runner = runner;
  header.number = number;
  return Writer(to).finish(header);
}

PlanHead decode_plan_head(std::span<const std::byte> bytes) {
  const Header h = read_header(bytes);
  require(h.n_bytes >= sizeof h && h.n_bytes <= static_cast<uint64_t>(kMaxCount) * 64,
          "{} bytes",
          h.n_bytes);
  return {h.kind, h.runner, h.number, static_cast<int64_t>(h.n_bytes)};
}

void decode_plan(StepPlan& plan, std::span<const std::byte> bytes, const RunnerShape& shape) {
  const Header h = read_header(bytes);
  if (h.kind == PlanKind::step) check_counts(h, shape);
  require(h.n_bytes == bytes.size(), "expected {} bytes, got {}", h.n_bytes, bytes.size());
  require(h.checksum == checksum_of(h, bytes.subspan(kPlanHeadBytes)), "its checksum is wrong");
  plan.kind = h.kind;
  plan.runner = h.runner;
  plan.number = h.number;
  Reader reader(bytes);
  if (h.kind == PlanKind::open)
    return decode_shape(plan.shape, reader, static_cast<int64_t>(bytes.size()));
  if (h.kind != PlanKind::step) {
    require(bytes.size() == kPlanHeadBytes, "an end has {} bytes", bytes.size());
    return;
  }
  plan.max_blocks_per_seq = h.width;
  reader.take(plan.token_ids, h.n_tokens);
  std::vector<int32_t> rows_and_lengths;
  reader.take(rows_and_lengths, 2 * int64_t{h.n_seqs});
  reader.take(plan.block_tables, int64_t{h.n_seqs} * h.width);
  reader.take(plan.logit_rows, h.n_logit_rows);
  check_ids(plan, shape);
  derive(plan, rows_and_lengths, shape);
}

}  // namespace qwen3
