// tap_check_bench: the time of what tracing leaves behind when it is off, the checks for a
// listener.
//
//   tap_check_bench MODEL [SECONDS_PER_TOKEN]
//
// Counts the tensors that one decoded token would show, at two checks each (what listens is asked
// for at the tensor, and before some work that only a listener needs), and times such a check of a
// Run that nobody listens to. The sum, against SECONDS_PER_TOKEN (as `qwen3 bench` or
// tracing_cost.py say) when given, is what a build without taps could save: far less than the
// difference of two builds that a machine can show, whose code also lies elsewhere in the caches.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <exception>
#include <limits>
#include <string_view>

#include "engine/evaluate.h"
#include "model/run.h"

namespace qwen3 {
namespace {

constexpr int64_t kChecks = 100'000'000;
constexpr int kRepeats = 5;
constexpr double kChecksPerTensor = 2, kBar = 0.001;

class Counter final : public Tap {
 public:
  void tensor(std::string_view, const Tensor&) override { ++n; }
  int64_t n = 0;
};

// Seconds of one check, the least of several rounds. The compiler must take the Run from memory
// each time, as it has to between operations.
double check_seconds(Backend& backend) {
  const HfConfig config;
  const BoundBatch batch;
  const Buffers buffers;
  Run run(backend, config, batch, buffers, nullptr, nullptr);
  Run* opaque = &run;
  const Tensor nothing;
  double least = std::numeric_limits<double>::infinity();
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const auto begin = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < kChecks; ++i) {
      asm volatile("" : "+r"(opaque) : : "memory");
      opaque->tap("input_layernorm", nothing);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    least = std::min(least, took.count() / static_cast<double>(kChecks));
  }
  return least;
}

void measure(const char* directory, double token_seconds) {
  const std::shared_ptr<Model> model = Model::load(directory, {});
  Counter counter;
  const int32_t id = 5;
  evaluate(*model, {&id, 1}, {.tap = &counter}, [](int64_t, const Tensor&) {});
  const double check = check_seconds(*make_backend({}));
  const double total = static_cast<double>(counter.n) * kChecksPerTensor * check;
  fmt::print("{}: {} tensors a token, {:.2f} ns a check: {:.3f} us a token\n",
             directory,
             counter.n,
             check * 1e9,
             total * 1e6);
  if (token_seconds <= 0) return;
  fmt::print("of {:.1f} us: {:.4f} % (bar {:.1f} %): {}\n",
             token_seconds * 1e6,
             100 * total / token_seconds,
             100 * kBar,
             total <= kBar * token_seconds ? "PASS" : "FAIL");
}

}  // namespace
}  // namespace qwen3

int main(int argc, char** argv) {
  double seconds = 0;
  if (argc == 3) std::from_chars(argv[2], argv[2] + std::strlen(argv[2]), seconds);
  if (argc < 2 || argc > 3 || (argc == 3 && seconds <= 0)) {
    fmt::print(stderr, "usage: tap_check_bench MODEL [SECONDS_PER_TOKEN]\n");
    return 2;
  }
  try {
    qwen3::measure(argv[1], seconds);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
