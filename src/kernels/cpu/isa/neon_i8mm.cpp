// AArch64 with matrix products of int8 (FEAT_I8MM): Neoverse V1, N2 and Cortex-A710 and later, Apple M2
// and later. Flags: room.cmake.
#include "kernels/cpu/isa/table.h"

namespace qwen3::cpu {

const KernelTable& neon_i8mm_table();
const KernelTable& neon_i8mm_table() { return kTable; }

}  // namespace qwen3::cpu
