// A checkpoint loaded for a test, with a paged cache of its own, run on any mix of sequences.
//
// Blocks are small and handed out in a scattered order, so that a test which passes has gone
// through block tables that are neither contiguous nor ascending.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "formats/open_source.h"
#include "hardware/thread_pool.h"
#include "model/qwen3.h"
#include "parallel/step_windows.h"
#include "support/tensors.h"

namespace qwen3::test {

// Keeps a copy of every tensor it is shown, and the order of the names.
class TapCollector : public Tap {
 public:
  void tensor(std::string_view name, const Tensor& value) override {
    names.emplace_back(name);
    arrays.insert_or_assign(std::string(name), copy_of(value));
  }
  std::vector<std::string> names;
  std::map<std::string, Array> arrays;
};

// One sequence: the tokens it has in the cache, and where.
struct TestSequence {
  int64_t n_tokens = 0;
  std::vector<int32_t> blocks;
};

class TestModel {
 public:
  static constexpr int64_t kBlocks = 101, kMaxTokens = 128;

  // Loads the directory or GGUF file for `backend`, which must outlive the model. The cache is
  // of the most exact type that the backend has. With a group it is a rank's part, and all of its ranks
  // do the same.
  TestModel(const std::filesystem::path& path,
            Backend& backend,
            WeightsDType dtype = WeightsDType::as_stored,
            int64_t block_size = 4,
            Communicator* group = nullptr);

  struct Chunk {
    TestSequence* sequence;
    std::span<const int32_t> ids;  // the next tokens of the sequence
  };
  // Appends the chunks' tokens in one batch. Returns the logits of every row, in order.
  Array forward(std::span<const Chunk> chunks, Tap* tap = nullptr);
  Array forward(TestSequence& sequence, std::span<const int32_t> ids, Tap* tap = nullptr) {
    const Chunk chunk{&sequence, ids};
    return forward({&chunk, 1}, tap);
  }

  // Continues every prompt greedily by n_new tokens, all sequences in the same batches.
  std::vector<std::vector<int32_t>> greedy(std::span<const std::vector<int32_t>> prompts,
                                           int64_t n_new);

  const HfConfig& config() const { return source_->config(); }
  const Weights& weights() const { return weights_; }

 private:
  // Of all tokens that fit, by all ranks.
  static std::unique_ptr<StepWindows> windows_of(Communicator* group,
                                                 ThreadPool& threads,
                                                 Backend& backend,
                                                 const HfConfig& c) {
    if (group == nullptr) return nullptr;
    return make_step_windows(
        *group,
        threads,
        [&](int64_t bytes, int rank) { return backend.make_peer_window(bytes, rank); },
        {.max_tokens = kMaxTokens,
         .hidden_size = c.hidden_size,
         .max_logit_rows = kMaxTokens,
         .vocab_size = c.vocab_size});
  }
  int32_t take_block();

  int64_t block_size_;
  std::unique_ptr<TensorSource> source_;
  const Shard shard_;
  const HfConfig buffers_config_;
  Weights weights_;
  ThreadPool threads_{1};
  std::unique_ptr<StepWindows> windows_;
  Storage cache_;
  std::vector<KvLayer> kv_;
  Qwen3 qwen3_;
  HostBuffer logits_;
  int64_t n_blocks_taken_ = 0;
};

inline TestModel::TestModel(const std::filesystem::path& path,
                            Backend& backend,
                            WeightsDType dtype,
                            int64_t block_size,
                            Communicator* group)
    : block_size_(block_size),
      source_(open_source(path)),
      shard_(group == nullptr ? Shard{} : group->shard()),
      buffers_config_(weights_in_memory(*source_, backend, dtype, shard_).widest),
      weights_(load_weights(*source_, backend, dtype, 1, {}, shard_)),
      windows_(windows_of(group, threads_, backend, config())),
      qwen3_(buffers_config_,
             weights_,
             backend,
             kMaxTokens,
             kMaxTokens,
             kBlocks * block_size_,
             windows_.get()) {
  const HfConfig& c = buffers_config_;
  const DType kv_type = backend.widest_kv_dtype();
  const int64_t bytes =
      backend.kv_bytes(kv_type, kBlocks, block_size_, c.num_key_value_heads, c.head_dim);
  cache_ = backend.allocate(2 * c.num_hidden_layers * bytes);
  auto take = [&, at = cache_.data()]() mutable {
    std::byte* begin = std::exchange(at, at + bytes);
    return Tensor(
        begin, kv_type, {kBlocks, block_size_, c.num_key_value_heads, c.head_dim}, cache_.place());
  };
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    const Tensor k = take();
    kv_.push_back({.k = k, .v = take()});
  }
}

inline int32_t TestModel::take_block() {
  QWEN3_CHECK(n_blocks_taken_ < kBlocks, ErrorKind::internal, "test: no block left");
  return static_cast<int32_t>(n_blocks_taken_++ * 37 %
                              kBlocks);  // 37 and 101 have no common factor
}

inline Array TestModel::forward(std::span<const Chunk> chunks, Tap* tap) {
  std::vector<int32_t> ids, positions, starts{0}, kv_lens, rows;
  std::vector<int64_t> slots;
  for (const auto& [sequence, next] : chunks) {
    for (const int32_t id : next) {
      const int64_t position = sequence->n_tokens++;
      if (position % block_size_ == 0) sequence->blocks.push_back(take_block());
      slots.push_back(sequence->blocks.back() * block_size_ + position % block_size_);
      rows.push_back(static_cast<int32_t>(ids.size()));
      positions.push_back(static_cast<int32_t>(position));
      ids.push_back(id);
    }
    starts.push_back(static_cast<int32_t>(ids.size()));
    kv_lens.push_back(static_cast<int32_t>(sequence->n_tokens));
  }
  size_t max_blocks = 0;
  for (const Chunk& chunk : chunks)
    max_blocks = std::max(max_blocks, chunk.sequence->blocks.size());
  std::vector<int32_t> tables(chunks.size() * max_blocks, -1);
  for (size_t s = 0; s < chunks.size(); ++s) {
    std::ranges::copy(chunks[s].sequence->blocks,
                      tables.begin() + static_cast<int64_t>(s * max_blocks));
  }
  const Batch batch{.token_ids = ids,
                    .positions = positions,
                    .slot_mapping = slots,
                    .cu_seqlens_q = starts,
                    .kv_lens = kv_lens,
                    .block_tables = tables,
                    .max_blocks_per_seq = static_cast<int64_t>(max_blocks),
                    .logit_rows = rows};
  const Tensor logits = qwen3_.forward(batch, kv_, tap);
  const auto meet = [&] {
    if (windows_) windows_->communicator().all_gather({});
  };
  meet();  // all ranks have written their columns
  Array copy = copy_of(qwen3_.backend().to_host(logits, logits_));
  meet();  // and all have read
  return copy;
}

inline std::vector<std::vector<int32_t>> TestModel::greedy(
    std::span<const std::vector<int32_t>> prompts, int64_t n_new) {
  std::vector<TestSequence> sequences(prompts.size());
  std::vector<std::vector<int32_t>> next(prompts.begin(), prompts.end()), made(prompts.size());
  for (int64_t step = 0; step < n_new; ++step) {
    std::vector<Chunk> chunks;
    for (size_t s = 0; s < prompts.size(); ++s) chunks.push_back({&sequences[s], next[s]});
    const Array logits = forward(chunks);
    const auto vocab_size = static_cast<size_t>(logits.shape[1]);
    size_t row = 0;  // of the last token of each sequence
    for (size_t s = 0; s < prompts.size(); ++s) {
      row += next[s].size();
      const float* end = logits.values.data() + row * vocab_size;
      const auto best =
          static_cast<int32_t>(std::max_element(end - vocab_size, end) - (end - vocab_size));
      made[s].push_back(best);
      next[s] = {best};
    }
  }
  return made;
}

}  // namespace qwen3::test
