#include "kernels/cpu/kernel_table.h"

namespace qwen3::cpu {

const KernelTable& baseline_table();
#if defined(__x86_64__)
const KernelTable& avx2_table();
const KernelTable& avx512_table();
const KernelTable& avx512_bf16_table();
const KernelTable& amx_table();
#elif defined(__aarch64__)
const KernelTable& neon_table();
const KernelTable& neon_dotprod_table();
const KernelTable& neon_i8mm_table();
#endif

const KernelTable* kernel_table(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::baseline:
      return &baseline_table();
#if defined(__x86_64__)
    case CpuIsa::avx2:
      return &avx2_table();
    case CpuIsa::avx512:
      return &avx512_table();
    case CpuIsa::avx512_bf16:
      return &avx512_bf16_table();
    case CpuIsa::amx:
      return &amx_table();
    default:
      return nullptr;
#elif defined(__aarch64__)
    case CpuIsa::neon:
      return &neon_table();
    case CpuIsa::neon_dotprod:
      return &neon_dotprod_table();
    case CpuIsa::neon_i8mm:
      return &neon_i8mm_table();
    default:
      return nullptr;
#else
    default:
      return nullptr;
#endif
  }
  return nullptr;
}

}  // namespace qwen3::cpu
