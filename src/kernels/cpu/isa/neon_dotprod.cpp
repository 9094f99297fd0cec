// AArch64 with dot products of int8 (FEAT_DotProd): Cortex-A55, A75 and Neoverse N1 and later, Apple A11
// and later. Flags: room.cmake.
#include "kernels/cpu/isa/table.h"

namespace qwen3::cpu {

const KernelTable& neon_dotprod_table();
const KernelTable& neon_dotprod_table() { return kTable; }

}  // namespace qwen3::cpu
