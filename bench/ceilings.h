// What this machine gives at the moment: how fast it reads memory and how much it multiplies, with
// the same threads as the operation that is measured beside it.
#pragma once

#include <functional>

#include "hardware/cpu_info.h"
#include "hardware/thread_pool.h"
#include "tensor/storage.h"

namespace qwen3::bench {

struct Ceilings {
  double bytes_per_s = 0;
  double bf16_flops = 0;  // 0: no such instruction
  double f32_flops = 0;
  double int8_flops = 0;  // products and additions of bytes; 0: no such instruction
};

class Machine {
 public:
  // The peaks are those of `isa`, if this machine has it.
  Machine(int n_threads, CpuIsa isa);

  Ceilings measure();

  // The seconds of the fastest of n runs. With one thread, its processor time: time that other
  // programs took does not count. Otherwise wall time.
  double best_of(int n, const std::function<void()>& run) const;

 private:
  double now_seconds() const;

  CpuIsa isa_;
  ThreadPool pool_;
  Storage buffer_;
};

}  // namespace qwen3::bench
