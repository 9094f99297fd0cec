// Weights on their way from files to the card: through pinned memory, then rearranged there.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "kernels/cuda/codes.h"
#include "kernels/cuda/layout.h"
#include "kernels/cuda/stream.h"
#include "tensor/storage.h"
#include "tensor/weight.h"

namespace qwen3::cuda {

inline Layout layout_of(const Weight& w) { return static_cast<Layout>(w.format().layout); }
// Fragments or codes: what matrix instructions take.
inline bool in_tiles(const Weight& w) { return layout_of(w) != Layout::rows; }
inline Coding coding_of(const Weight& w) {
  return layout_of(w) == Layout::codes ? coding_of(w.type()) : Coding::none;
}

// Any number of threads may load at the same time; a few of them do, the others wait.
class WeightLoader {
 public:
  // Backend::pack_weight of one matrix.
  void load(const Weight& matrix, const WeightRows& rows, int64_t row_begin);

 private:
  static constexpr int kLanes = 4;
  static constexpr int64_t kBytes = int64_t{8} << 20;

  struct Lane {
    OwnStream stream;
    Storage pinned, on_device;
    bool taken = false;
  };

  Lane& take();
  void give_back(Lane& lane);
  static void load_some(
      Lane& lane, const Weight& matrix, const std::byte* from, int64_t row, int64_t n_rows);

  std::mutex mutex_;
  std::condition_variable free_;
  std::unique_ptr<Lane> lanes_[kLanes];
};

}  // namespace qwen3::cuda
