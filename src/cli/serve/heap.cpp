#include "cli/serve/heap.h"

#include <malloc.h>

namespace qwen3::cli {
namespace {

// Above what one step of the engine takes for a sequence (a row of logits, 0.6 MB for the largest
// vocabulary), which should not cost a system call each time.
constexpr int kMappedBytes = 1 << 20;
constexpr int kKeptBytes = 2 << 20;  // at the end of each thread's heap

constexpr std::chrono::seconds kInterval{2};

}  // namespace

// Setting them ends the allocator's own adjusting, which only ever raises them.
ServeHeap::ServeHeap() {
  mallopt(M_MMAP_THRESHOLD, kMappedBytes);
  mallopt(M_TRIM_THRESHOLD, kKeptBytes);
}

void ServeHeap::look(Clock::time_point now) {
  if (now < next_) return;
  next_ = now + kInterval;
  malloc_trim(0);
}

}  // namespace qwen3::cli
