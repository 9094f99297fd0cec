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
      const bool products = has("avx512_bf16") && has("avx512_vnni");
      expected = products ? CpuIsa::avx512_bf16 : CpuIsa::avx512;
      // The kernel may show the tiles and still refuse them; asking again is allowed.
      const bool tiles = has("amx_tile") && has("amx_bf16") && has("amx_int8") && products;
      constexpr long kRequestPermission = 0x1023;
      if (tiles && syscall(SYS_arch_prctl, kRequestPermission, 18) == 0) expected = CpuIsa::amx;
    }
  }
#elif defined(__aarch64__)
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && line.rfind("Features", 0) != 0) {
  }
  if (line.empty()) GTEST_SKIP() << "/proc/cpuinfo lists no features here";
  const auto has = [&](const std::string& flag) {
    return (line + " ").find(" " + flag + " ") != std::string::npos;
  };
  CpuIsa expected = CpuIsa::neon;
  if (has("asimddp")) expected = has("i8mm") ? CpuIsa::neon_i8mm : CpuIsa::neon_dotprod;
#else
  const CpuIsa expected = CpuIsa::baseline;
#endif
  EXPECT_EQ(cpu_info().best_isa, expected) << isa_name(cpu_info().best_isa);
}

TEST(CpuInfo, CountsTheCoresOfTheAffinityMask) {
  cpu_set_t set;
  CPU_ZERO(&set);
  ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  EXPECT_EQ(cpu_info().n_cores, CPU_COUNT(&set));
  EXPECT_FALSE(cpu_info().model_name.empty());
}

TEST(CpuInfo, HasWhatIsBelowItsBestOfItsOwnArchitecture) {
#if defined(__aarch64__)
  const CpuIsa own = CpuIsa::neon, foreign = CpuIsa::avx2;
#else
  const CpuIsa own = CpuIsa::baseline, foreign = CpuIsa::neon;
#endif
  EXPECT_TRUE(processor_has(CpuIsa::baseline));
  EXPECT_TRUE(processor_has(cpu_info().best_isa));
  EXPECT_TRUE(processor_has(own));
  EXPECT_FALSE(processor_has(foreign));
  for (const auto& [isa, name] : all_isas()) {
    EXPECT_FALSE(processor_has(isa) && isa > cpu_info().best_isa) << name;
  }
}

TEST(CpuInfo, NamesRoundTrip) {
  for (const auto& [isa, name] : all_isas()) {
    EXPECT_EQ(isa_name(isa), name);
    EXPECT_EQ(parse_isa(name), isa);
  }
  EXPECT_EQ(isa_names(), "baseline, neon, neon_dotprod, neon_i8mm, avx2, avx512, avx512_bf16, amx");
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
