// What the allocator keeps of memory that requests have freed. By itself it keeps more of it the
// larger the blocks were that it has seen: after a few bodies of megabytes, several megabytes for
// each thread, which under mixed load creep upwards for hours although nothing is kept by the
// server. A server with a memory limit gives them back.
//
// Threads: construct it before others are started; look() from one thread.
#pragma once

#include "base/clock.h"

namespace qwen3::cli {

class ServeHeap {
 public:
  // Large blocks come from the kernel and go back to it as soon as they are freed.
  ServeHeap();

  // Gives back the pages between blocks in use, when the last time was a while ago. Cheap: called
  // often.
  void look(Clock::time_point now);

 private:
  Clock::time_point next_;
};

}  // namespace qwen3::cli
