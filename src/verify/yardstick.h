// The two passes that a backend is judged by, both of the reference backend, over the same weights:
// one exact, and the yardstick, which makes the roundings that the judged backend is allowed. What the
// yardstick is off the exact one is what the judged backend may be off (docs/verify.md).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "model/weights.h"
#include "verify/tap_channel.h"

namespace qwen3 {

// How the judged backend rounds the inputs of each product, by the weight of the exact one.
class InputRoundings {
 public:
  // REQUIRES: two loads of one checkpoint. `exact` outlives this.
  InputRoundings(const Weights& judged, const Backend& backend, const Weights& exact);
  Backend::InputRounding of(const Weight& exact) const;

 private:
  struct Range {
    const std::byte* end;
    Backend::InputRounding rounding;
  };
  std::map<const std::byte*, Range> ranges_;
};

// Every matrix of a model, in the order of the pass: the same for two loads of one checkpoint.
std::vector<Weight> all_matrices(const Weights& weights);

// The reference backend; its tokens go to the experts of `chosen` (null: to its own choice).
std::unique_ptr<Backend> make_following_backend(ChosenExperts* chosen);
// Also rounds what the judged backend rounds, and sums products in one running float32 sum. `stored`:
// what activations are kept in between operations.
std::unique_ptr<Backend> make_yardstick_backend(ChosenExperts* chosen,
                                                InputRoundings roundings,
                                                DType stored);

// Rounds n numbers as a product does its inputs.
void round_inputs(float* x, int64_t n, Backend::InputRounding rounding);

}  // namespace qwen3
