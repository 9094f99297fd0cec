// What a verification found.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/likelihood/block_mean.h"

namespace qwen3 {

// bound = kSlack · max(yardstick, kFloor · √(depth + 1)); depth: layers before, all of them for the
// tensors after the last (docs/verify.md).
inline constexpr double kSlack = 2.5;
inline constexpr double kFloor = 0x1p-22;

// One tensor of the pass; of single experts, all those of a layer together.
struct TensorCheck {
  std::string name;
  bool fused = false;    // of the pass in which no operation is taken apart
  double error = 0;      // ‖judged - expected‖ / ‖expected‖
  double yardstick = 0;  // the same of the yardstick against the exact pass
  double bound = 0;
  // Where the difference is largest.
  int64_t row = 0, column = 0;
  double got = 0, expected = 0;
  std::string problem;  // not empty: out of bounds for another reason

  bool within() const { return problem.empty() && error <= bound; }  // false for NaN
};

struct Verification {
  std::vector<TensorCheck> tensors;  // in the order of the pass
  bool expected_is_finite = true;

  // Tokens whose experts are not those of the expected pass, over all sparse layers.
  int64_t n_routed = 0, n_flips = 0, n_ties = 0;  // ties: of the flips, those within the margin
  // The first row that a flip made incomparable with another program's; no row: nothing did.
  std::optional<int64_t> rows_until;
  // The layer from which the fused pass went to other experts than the observed one.
  std::optional<int64_t> fused_left_at;

  std::optional<BlockMean> kl, same_top;  // of the logits, if there were any to compare
  std::optional<double> yardstick_kl;

  const TensorCheck* first_outside() const;
  bool within() const { return first_outside() == nullptr; }
};

// For people: "projections", "residual" … in the order of kFamilies.
inline constexpr std::string_view kFamilies[] = {"embedding",
                                                 "norms",
                                                 "projections",
                                                 "attention",
                                                 "router",
                                                 "experts",
                                                 "mlp",
                                                 "residual",
                                                 "logits"};
std::string_view family_of(std::string_view tap_name);

}  // namespace qwen3
