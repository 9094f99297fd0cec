// What this processor can do, asked once at run time.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace qwen3 {

// Instruction sets that kernels/cpu has code for, slowest first, those of AArch64 before those of x86.
// neon_i8mm implies neon_dotprod; amx (tiles with their products of bfloat16 and int8) implies
// avx512_bf16 (and VNNI); that implies avx512 (F, BW, DQ, VL); avx2 implies FMA and F16C.
enum class CpuIsa {
  baseline,
  neon,
  neon_dotprod,
  neon_i8mm,
  avx2,
  avx512,
  avx512_bf16,
  amx,
};

struct CpuInfo {
  std::string model_name;
  int n_cores = 1;  // that this process may use (its affinity mask), not what the machine has
  // With the operating system's support for the registers checked and, for tiles, asked for.
  CpuIsa best_isa = CpuIsa::baseline;
};

const CpuInfo& cpu_info();
// Each instruction set includes those below it of the same architecture; all include the baseline.
bool processor_has(CpuIsa isa);

struct NamedIsa {
  CpuIsa isa;
  std::string_view name;
};
std::span<const NamedIsa> all_isas();  // in the order of CpuIsa
std::string isa_names();               // "baseline, neon, avx2 …"

std::string_view isa_name(CpuIsa isa);
// "baseline", "avx2" …; throws Error{invalid_argument} naming the known ones.
CpuIsa parse_isa(std::string_view name);

}  // namespace qwen3
