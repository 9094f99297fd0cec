// AVX2 with FMA and F16C: Haswell and later, Zen and later. Flags: room.cmake.
#include "kernels/cpu/isa/table.h"

namespace qwen3::cpu {

const KernelTable& avx2_table();
const KernelTable& avx2_table() { return kTable; }

}  // namespace qwen3::cpu
