#include "kernels/cuda/step_inputs.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "base/checked.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/layout.h"

namespace qwen3::cuda {
namespace {

int64_t power_of_two(int64_t n) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(n, 1))));
}

}  // namespace

StepInputs::~StepInputs() {
  for (const Pinned& p : pinned_) {
    if (p.copied != nullptr) static_cast<void>(cudaEventDestroy(p.copied));
  }
}

BoundBatch StepInputs::bind(const Batch& batch, int64_t n_rows, Stream stream) {
  const bool padded = n_rows > 0;
  const int64_t n_tokens = padded ? n_rows : batch.n_tokens();
  const int64_t n_seqs = padded ? n_rows : batch.n_seqs();
  const int64_t n_logit_rows = padded ? n_rows : static_cast<int64_t>(batch.logit_rows.size());
  const auto n_hidden_rows = static_cast<int64_t>(batch.hidden_rows.size());

  std::vector<int32_t> singles, slices;
  int64_t most_keys = 0;
  for (int64_t s = 0; s < n_seqs; ++s) {
    if (s >= batch.n_seqs()) {
      singles.push_back(static_cast<int32_t>(s));
      continue;
    }
    const auto at = static_cast<size_t>(s);
    const bool single = batch.cu_seqlens_q[at + 1] - batch.cu_seqlens_q[at] == 1;
    (single ? singles : slices).push_back(static_cast<int32_t>(s));
    if (single) most_keys = std::max<int64_t>(most_keys, batch.kv_lens[at]);
  }
  const int64_t units = ceil_div(most_keys, int64_t{kAttentionUnit});
  const int64_t stride = padded ? power_of_two(batch.max_blocks_per_seq) : batch.max_blocks_per_seq;
  shape_ = {n_tokens, stride, padded ? power_of_two(units) : units};

  // The layout: nothing but the shape decides it where steps are recorded.
  int64_t used = 0;
  const auto place = [&](int64_t n) {
    const int64_t at = used;
    used += round_up(n * 4, int64_t{64});
    return at;
  };
  const int64_t ids_at = place(n_tokens), positions_at = place(n_tokens),
                slots_at = place(n_tokens);
  const int64_t cu_at = place(n_seqs + 1), lens_at = place(n_seqs);
  const int64_t logit_at = place(n_logit_rows), hidden_at = place(n_hidden_rows);
  const int64_t singles_at = place(static_cast<int64_t>(singles.size()));
  const int64_t slices_at = place(static_cast<int64_t>(slices.size()));
  const int64_t tables_at = place(n_seqs * stride);
  if (on_device_.bytes() < used) {
    on_device_ = device_memory(2 * used);
    ++generation_;
  }
  Pinned& pinned = pinned_[turn_ ^= 1];
  if (pinned.copied == nullptr) {
    check(cudaEventCreateWithFlags(&pinned.copied, cudaEventDisableTiming), "creating an event");
  } else {
    check(cudaEventSynchronize(pinned.copied), "copying a step's inputs");
  }
  if (pinned.bytes.bytes() < used) pinned.bytes = pinned_memory(2 * used);

  std::byte* const host = pinned.bytes.data();
  const auto put = [&](int64_t at, std::span<const int32_t> values, int64_t n, int32_t padding) {
    auto* to = reinterpret_cast<int32_t*>(host + at);
    std::copy(values.begin(), values.end(), to);
    std::fill(to + values.size(), to + n, padding);
  };
  put(ids_at, batch.token_ids, n_tokens, 0);
  put(positions_at, batch.positions, n_tokens, 0);
  auto* slots = reinterpret_cast<int32_t*>(host + slots_at);
  for (int64_t t = 0; t < n_tokens; ++t) {
    slots[t] = t < batch.n_tokens()
                   ? static_cast<int32_t>(batch.slot_mapping[static_cast<size_t>(t)])
                   : -1;
  }
  put(cu_at, batch.cu_seqlens_q, n_seqs + 1, 0);
  for (int64_t s = batch.n_seqs() + 1; s <= n_seqs; ++s) {
    reinterpret_cast<int32_t*>(host + cu_at)[s] = static_cast<int32_t>(s);
  }
  put(lens_at, batch.kv_lens, n_seqs, 0);
  put(logit_at, batch.logit_rows, n_logit_rows, 0);
  for (auto i = static_cast<int64_t>(batch.logit_rows.size()); i < n_logit_rows; ++i) {
    reinterpret_cast<int32_t*>(host + logit_at)[i] = static_cast<int32_t>(i);
  }
  put(hidden_at, batch.hidden_rows, n_hidden_rows, 0);
  put(singles_at, singles, static_cast<int64_t>(singles.size()), 0);
  put(slices_at, slices, static_cast<int64_t>(slices.size()), 0);
  for (int64_t s = 0; s < n_seqs; ++s) {
    const int64_t n = s < batch.n_seqs() ? batch.max_blocks_per_seq : 0;
    put(tables_at + s * stride * 4,
        batch.block_tables.subspan(static_cast<size_t>(n > 0 ? s * n : 0), static_cast<size_t>(n)),
        stride,
        0);
  }
  check(cudaMemcpyAsync(
            on_device_.data(), host, static_cast<size_t>(used), cudaMemcpyHostToDevice, stream),
        "copying a step's inputs");
  check(cudaEventRecord(pinned.copied, stream), "copying a step's inputs");

  std::byte* const device = on_device_.data();
  const auto ints = [&](int64_t at) { return reinterpret_cast<int32_t*>(device + at); };
  args_ = {.slots = ints(slots_at),
           .cu_seqlens_q = ints(cu_at),
           .kv_lens = ints(lens_at),
           .block_tables = ints(tables_at),
           .table_stride = static_cast<int>(stride),
           .n_tokens = static_cast<int>(n_tokens),
           .n_seqs = static_cast<int>(n_seqs),
           .singles = ints(singles_at),
           .slices = ints(slices_at),
           .n_singles = static_cast<int>(singles.size()),
           .n_slices = static_cast<int>(slices.size()),
           .max_units = static_cast<int>(shape_.max_units)};
  const auto tensor = [&](int64_t at, int64_t n) {
    return Tensor(ints(at), DType::i32, {n}, Place::device);
  };
  return {.batch = batch,
          .token_ids = tensor(ids_at, n_tokens),
          .positions = tensor(positions_at, n_tokens),
          .logit_rows = tensor(logit_at, n_logit_rows),
          .hidden_rows = tensor(hidden_at, n_hidden_rows)};
}

}  // namespace qwen3::cuda
