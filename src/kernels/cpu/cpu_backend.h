// The fast processor backend: packed weights, vector instructions chosen at run time, a thread
// team.
#pragma once

#include <memory>

#include "hardware/cpu_info.h"
#include "kernels/backend.h"

namespace qwen3 {

// On a team of its own (n_threads >= 1) or a borrowed one, which must outlive it. Throws
// Error{unsupported} if this processor or its operating system lacks `isa`.
std::unique_ptr<Backend> make_cpu_backend(int n_threads, CpuIsa isa);
std::unique_ptr<Backend> make_cpu_backend(ThreadPool& threads, CpuIsa isa);

}  // namespace qwen3
