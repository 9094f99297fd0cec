// AVX-512 BF16 with products in AMX tiles: Sapphire Rapids and later Xeons. Flags: room.cmake.
#include "kernels/cpu/isa/table.h"

namespace qwen3::cpu {

const KernelTable& amx_table();
const KernelTable& amx_table() { return kTable; }

}  // namespace qwen3::cpu
