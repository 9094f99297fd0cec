#include "hardware/cpu_info.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "qwen3/error.h"

namespace qwen3 {
namespace {

// The kernel's own list is the oracle: it shows a flag only when it also saves the registers.
TEST(CpuInfo, AgreesWithTheKernelsFlags) {
#if defined(__x86_64__)
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && line.rfind("flags", 0) != 0) {
  }
  if (line.empty()) GTEST_SKIP() << "/proc/cpuinfo lists no flags here";
  const auto has = [&](const std::string& flag) {
    return (line + " ").find(" " + flag + " ") != std::string::npos;
  };
  CpuIsa expected = CpuIsa::baseline;
  if (has("avx2") && has("fma") && has("f16c")) {
    expected = CpuIsa::avx2;
    if (has("avx512f") && has("avx512bw") && has("avx512dq") && has("avx512vl")) {
      expected = has("avx512_bf16") ? CpuIsa::avx512_bf16 : CpuIsa::avx512;
      // The kernel may show the tiles and still refuse them; asking again is allowed.
      const bool tiles = has("amx_tile") && has("amx_bf16") && has("avx512_bf16");
      constexpr long kRequestPermission = 0x1023;
      if (tiles && syscall(SYS_arch_prctl, kRequestPermission, 18) == 0) expected = CpuIsa::amx;
    }
  }
  EXPECT_EQ(cpu_info().best_isa, expected) << isa_name(cpu_info().best_isa);
#else
  GTEST_SKIP() << "x86 only";
#endif
}

TEST(CpuInfo, CountsTheCoresOfTheAffinityMask) {
  cpu_set_t set;
  CPU_ZERO(&set);
  ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  EXPECT_EQ(cpu_info().n_cores, CPU_COUNT(&set));
  EXPECT_FALSE(cpu_info().model_name.empty());
}

TEST(CpuInfo, NamesRoundTrip) {
  for (const auto& [isa, name] : all_isas()) {
    EXPECT_EQ(isa_name(isa), name);
    EXPECT_EQ(parse_isa(name), isa);
  }
  EXPECT_EQ(isa_names(), "baseline, neon, avx2, avx512, avx512_bf16, amx");
  try {
    parse_isa("sse9");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("avx512_bf16"), std::string::npos);
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
  }
}

}  // namespace
}  // namespace qwen3
