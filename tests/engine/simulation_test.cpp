#include "engine/simulation.h"

#include <gtest/gtest.h>

namespace qwen3 {
namespace {

// More of them: engine_simulation FIRST COUNT. That the checks can fail: script/mutants.
TEST(Simulation, EveryHistoryKeepsThePromises) {
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    ASSERT_EQ(simulation::simulate(seed), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace qwen3
