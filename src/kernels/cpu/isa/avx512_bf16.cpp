// AVX-512 with BF16 dot products: Cooper Lake, Sapphire Rapids, Zen 4 and later. Flags: room.cmake.
#include "kernels/cpu/isa/table.h"

namespace qwen3::cpu {

const KernelTable& avx512_bf16_table();
const KernelTable& avx512_bf16_table() { return kTable; }

}  // namespace qwen3::cpu
