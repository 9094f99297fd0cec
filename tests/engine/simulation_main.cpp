// engine_simulation [FIRST [COUNT]]: the histories of many seeds. Says which broke a promise and
// how fast it was; exits with 1 if any did.
#include <chrono>
#include <cstdio>
#include <string>

#include "engine/simulation.h"

int main(int argc, char** argv) {
  const uint64_t first = argc > 1 ? std::stoull(argv[1]) : 1;
  const uint64_t count = argc > 2 ? std::stoull(argv[2]) : 100'000;
  const auto start = std::chrono::steady_clock::now();
  for (uint64_t i = 0; i < count; ++i) {
    std::string broken;
    try {
      broken = qwen3::simulation::simulate(first + i);
    } catch (const std::exception& error) {
      broken = error.what();
    }
    if (broken.empty()) continue;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(first + i), broken.c_str());
    return 1;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%llu seeds kept every promise, %.0f per second\n",
              static_cast<unsigned long long>(count),
              static_cast<double>(count) / took.count());
}
