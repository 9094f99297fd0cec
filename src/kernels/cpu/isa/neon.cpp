// AArch64 with Advanced SIMD, which all of them have. Flags: room.cmake.
#include "kernels/cpu/isa/table.h"

namespace qwen3::cpu {

const KernelTable& neon_table();
const KernelTable& neon_table() { return kTable; }

}  // namespace qwen3::cpu
