#include "hardware/cpu_info.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "base/text.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace qwen3 {
namespace {

constexpr NamedIsa kIsas[] = {
    {CpuIsa::baseline, "baseline"},
    {CpuIsa::neon, "neon"},
    {CpuIsa::neon_dotprod, "neon_dotprod"},
    {CpuIsa::neon_i8mm, "neon_i8mm"},
    {CpuIsa::avx2, "avx2"},
    {CpuIsa::avx512, "avx512"},
    {CpuIsa::avx512_bf16, "avx512_bf16"},
    {CpuIsa::amx, "amx"},
};

// Cores in the affinity mask. A mask wider than cpu_set_t (1,024 cores) makes the call fail; then
// the standard library's count has to do.
int count_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

#if defined(__x86_64__)

struct CpuidRegisters {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuidRegisters cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  CpuidRegisters r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

constexpr bool bit(uint32_t word, int i) { return (word >> i & 1) != 0; }

// Which register states the operating system saves on a context switch (XCR0). The instruction is
// written out because its intrinsic needs -mxsave, and this file must run anywhere.
uint64_t enabled_states() {
  uint32_t low = 0;
  uint32_t high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

// Linux lets a process use the tiles' 8 KiB of registers once it has asked, for all its threads
// (Documentation/arch/x86/xstate.rst; since 5.16). It may refuse, and older kernels, or others that
// speak its language, do not know the question.
bool may_use_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // its bit in XCR0
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

CpuIsa detect_isa() {
  const CpuidRegisters basic = cpuid(1);
  const bool osxsave = bit(basic.ecx, 27);
  const bool avx = bit(basic.ecx, 28);
  const bool fma = bit(basic.ecx, 12);
  const bool f16c = bit(basic.ecx, 29);
  if (!osxsave || !avx || !fma || !f16c) return CpuIsa::baseline;

  const uint64_t states = enabled_states();
  constexpr uint64_t kYmm = 0x06;  // SSE and AVX registers
  constexpr uint64_t kZmm = 0xE6;  // … and mask registers, upper halves, zmm16 to zmm31
  const CpuidRegisters extended = cpuid(7);
  if ((states & kYmm) != kYmm || !bit(extended.ebx, 5)) return CpuIsa::baseline;

  const bool foundation = bit(extended.ebx, 16);
  const bool dq = bit(extended.ebx, 17);
  const bool bw = bit(extended.ebx, 30);
  const bool vl = bit(extended.ebx, 31);
  if ((states & kZmm) != kZmm || !foundation || !dq || !bw || !vl) return CpuIsa::avx2;
  const bool bf16 = extended.eax >= 1 && bit(cpuid(7, 1).eax, 5);
  const bool vnni = bit(extended.ecx, 11);
  if (!bf16 || !vnni) return CpuIsa::avx512;

  constexpr uint64_t kTiles = 0x60000;  // their configuration and their data
  const bool tile = bit(extended.edx, 24);
  const bool products = bit(extended.edx, 22) && bit(extended.edx, 25);  // of bfloat16, of int8
  const bool saved = (states & kTiles) == kTiles;
  return tile && products && saved && may_use_tiles() ? CpuIsa::amx : CpuIsa::avx512_bf16;
}

std::string detect_model_name() {
  constexpr uint32_t kBrandLeaf = 0x80000002;
  if (static_cast<uint32_t>(__get_cpuid_max(0x80000000, nullptr)) < kBrandLeaf + 2) return "x86-64";
  std::array<char, 49> text{};
  for (uint32_t i = 0; i < 3; ++i) {
    const CpuidRegisters r = cpuid(kBrandLeaf + i);
    std::memcpy(text.data() + 16 * i, &r, 16);
  }
  return text.data();
}

#else

CpuIsa detect_isa() {
#if defined(__aarch64__)
  // What the kernel says (asm/hwcap.h, whose older versions lack the second). NEON is part of the
  // AArch64 baseline.
  constexpr unsigned long kDotProduct = 1UL << 20;  // HWCAP_ASIMDDP
  constexpr unsigned long kI8mm = 1UL << 13;        // HWCAP2_I8MM
  if ((getauxval(AT_HWCAP) & kDotProduct) == 0) return CpuIsa::neon;
  return (getauxval(AT_HWCAP2) & kI8mm) == 0 ? CpuIsa::neon_dotprod : CpuIsa::neon_i8mm;
#else
  return CpuIsa::baseline;
#endif
}

// The device tree names boards and phones; servers usually lack the file.
std::string detect_model_name() {
  std::ifstream file("/proc/device-tree/model");
  std::string name;
  if (file && std::getline(file, name, '\0') && !name.empty()) return name;
#if defined(__aarch64__)
  return "AArch64";
#else
  return "unknown processor";
#endif
}

#endif

}  // namespace

const CpuInfo& cpu_info() {
  static const CpuInfo info = {
      std::string(trim(detect_model_name(), " ")), count_cores(), detect_isa()};
  return info;
}

bool processor_has(CpuIsa isa) {
  const auto is_neon = [](CpuIsa of) { return of >= CpuIsa::neon && of < CpuIsa::avx2; };
  const CpuIsa best = cpu_info().best_isa;
  return isa == CpuIsa::baseline || (is_neon(isa) == is_neon(best) && isa <= best);
}

std::span<const NamedIsa> all_isas() { return kIsas; }

std::string isa_names() {
  std::string names;
  for (const auto& [isa, name] : kIsas) {
    names += names.empty() ? "" : ", ";
    names += name;
  }
  return names;
}

std::string_view isa_name(CpuIsa isa) {
  for (const auto& [value, name] : kIsas) {
    if (value == isa) return name;
  }
  return "?";
}

CpuIsa parse_isa(std::string_view name) {
  for (const auto& [isa, text] : kIsas) {
    if (text == name) return isa;
  }
  fail(ErrorKind::invalid_argument,
       "instruction set: expected one of {}; got \"{}\"",
       isa_names(),
       name);
}

}  // namespace qwen3
