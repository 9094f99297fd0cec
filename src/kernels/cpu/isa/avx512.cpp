// AVX-512 F, BW, DQ, VL: Skylake-X and later. Flags: room.cmake.
#include "kernels/cpu/isa/table.h"

namespace qwen3::cpu {

const KernelTable& avx512_table();
const KernelTable& avx512_table() { return kTable; }

}  // namespace qwen3::cpu
