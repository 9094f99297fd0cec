#include "kernels/cuda/weight_loader.h"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/device.h"

namespace qwen3::cuda {

void WeightLoader::load(const Weight& matrix, const WeightRows& rows, int64_t row_begin) {
  const int64_t bytes = row_bytes(rows.type, rows.n_in);
  const int64_t step = std::max<int64_t>(kBytes / std::max<int64_t>(bytes * kTile, 1), 1) * kTile;
  Lane& lane = take();
  try {
    for (int64_t row = 0; row < rows.n_rows; row += step) {
      load_some(lane,
                matrix,
                rows.data + row * bytes,
                row_begin + row,
                std::min(step, rows.n_rows - row));
    }
  } catch (...) {
    give_back(lane);
    throw;
  }
  give_back(lane);
}

WeightLoader::Lane& WeightLoader::take() {
  std::unique_lock lock(mutex_);
  for (;;) {
    for (std::unique_ptr<Lane>& lane : lanes_) {
      if (lane == nullptr) lane = std::make_unique<Lane>();
      if (lane->taken) continue;
      lane->taken = true;
      return *lane;
    }
    free_.wait(lock);
  }
}

void WeightLoader::give_back(Lane& lane) {
  {
    const std::lock_guard lock(mutex_);
    lane.taken = false;
  }
  free_.notify_one();
}

void WeightLoader::load_some(
    Lane& lane, const Weight& matrix, const std::byte* from, int64_t row, int64_t n_rows) {
  const int64_t n_in = matrix.n_in(), of_row = row_bytes(matrix.type(), n_in);
  const Layout layout = layout_of(matrix);
  const int64_t bytes =
      layout == Layout::codes ? coded_bytes(coding_of(matrix), n_rows, n_in) : n_rows * of_row;
  if (lane.pinned.bytes() < bytes) {
    lane.pinned = pinned_memory(std::max(bytes, kBytes));
    lane.on_device = device_memory(std::max(bytes, kBytes));
  }
  std::byte* to = matrix.data() + row * of_row;
  if (layout == Layout::codes) {
    pack_codes(lane.pinned.data(), matrix.type(), from, n_rows, n_in);
    to = matrix.data() + coded_bytes(coding_of(matrix), row, n_in);
  } else {
    std::memcpy(lane.pinned.data(), from, static_cast<size_t>(bytes));
    if (layout == Layout::fragments) to = lane.on_device.data();
  }
  const Stream stream = lane.stream.get();
  check(cudaMemcpyAsync(
            to, lane.pinned.data(), static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream),
        "loading weights");
  if (layout == Layout::fragments) {
    pack_fragments(matrix.data() + row / kTile * column_tiles(n_in) * kTileBytes,
                   lane.on_device.data(),
                   n_rows,
                   n_in,
                   stream);
  }
  lane.stream.wait("loading weights");
}

}  // namespace qwen3::cuda
