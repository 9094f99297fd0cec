// What every processor of the architecture has (SSE2 on x86-64). Flags: room.cmake.
#include "kernels/cpu/isa/table.h"

namespace qwen3::cpu {

const KernelTable& baseline_table();
const KernelTable& baseline_table() { return kTable; }

}  // namespace qwen3::cpu
