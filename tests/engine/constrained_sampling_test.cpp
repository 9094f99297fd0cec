// What a constraint leaves is sampled as if the rest had been forbidden in the row: few tokens looked at alone,
// many taken out of the row, more as bits over it, and what the device's scan of the row allows to be said at once.
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <random>
#include <vector>

#include "engine/constrained_answer.h"
#include "engine/sampler.h"
#include "hash_constraint.h"
#include "support/far_backend.h"

namespace qwen3 {
namespace {

constexpr int64_t kVocab = 24000, kReal = 23990;

std::vector<float> random_row(std::mt19937& random, int i) {
  std::normal_distribution<float> normal(0, 1.0f + static_cast<float>(i % 5));
  std::vector<float> row;
  for (int64_t k = 0; k < kVocab; ++k) {
    const float x = normal(random);
    row.push_back(i % 3 == 0 ? std::round(x * 4) / 4 : x);  // many equals
  }
  return row;
}

SamplingParams params_of(int i) {
  SamplingParams p;
  p.temperature = i % 7 == 0 ? 0.0 : 0.3 + 0.2 * (i % 6);
  p.top_k = std::array{0, 1, 20, 100, 1000}[static_cast<size_t>(i % 5)];
  p.top_p = i % 2 == 0 ? 0.95 : 1.0;
  p.min_p = i % 4 == 0 ? 0.05 : 0.0;
  if (i % 11 == 0) p.presence_penalty = 1.0;
  if (i % 13 == 0) p.n_logprobs = 5;
  return p;
}

TEST(Sampler, AConstraintIsTheSameAsForbiddingTheRest) {
  std::mt19937 random(5);
  Sampler sampler(kVocab, kReal), other(kVocab, kReal);
  std::vector<float> values(kReal);
  std::vector<int32_t> ids(kReal);
  std::array<int, 3> n_of_kind{};
  int n_from_scan = 0, n_left = 0, n_picked = 0;
  const std::vector<int32_t> tokens = {1, 2, 3, 9};
  for (int i = 0; i < 2000; ++i) {
    const HashConstraint::Plan plan{.seed = static_cast<uint64_t>(i), .n_tokens = kReal};
    const HashConstraint constraint(plan);
    ConstrainedAnswer answer(
        std::make_shared<HashConstraint>(plan), {.vocab_size = kVocab, .n_real_tokens = kReal}, {});
    const AllowedTokens& allowed = answer.allowed();
    ++n_of_kind[static_cast<size_t>(allowed.kind)];
    n_picked += allowed.kind == AllowedTokens::Kind::bits && allowed.n_bits < kReal * 2 / 5;
    const std::vector<float> row = random_row(random, i);
    const SamplingParams p = params_of(i);
    const decltype(Request::logits_processor) mask = [&](auto, std::span<float> logits) {
      for (int32_t id = 0; id < kReal; ++id) {
        if (!constraint.allows(id)) {
          logits[static_cast<size_t>(id)] = -std::numeric_limits<float>::infinity();
        }
      }
    };
    SampleInput input{
        .params = p, .tokens = tokens, .n_prompt = 3, .end_ids = {}, .seed = plan.seed};
    const RowScan scan = test::scan_row(row, kReal, values.data(), ids.data());
    input.allowed = &allowed;
    const auto from_scan = sampler.sample(scan, input);
    std::vector<float> edited = row;
    const Sampled constrained = sampler.sample(edited, input);
    input.allowed = nullptr;
    input.processor = &mask;
    edited = row;
    const Sampled masked = other.sample(edited, input);
    ASSERT_EQ(constrained.status, masked.status) << i;
    ASSERT_EQ(constrained.token_id, masked.token_id) << i;
    ASSERT_EQ(constrained.logprob, masked.logprob) << i;
    ++(from_scan ? n_from_scan : n_left);
    if (from_scan) {
      ASSERT_EQ(from_scan->token_id, constrained.token_id) << i;
    }
  }
  for (const int n : n_of_kind) EXPECT_GT(n, 100);
  EXPECT_GT(n_picked, 100);
  EXPECT_GT(n_from_scan, 500);
  EXPECT_GT(n_left, 300);
}

TEST(Sampler, AForcedTokenNeedsNoRow) {
  Sampler sampler(kVocab, kReal);
  AllowedTokens allowed{.kind = AllowedTokens::Kind::only, .ids = {77}};
  const SamplingParams params{.temperature = 1};
  const std::vector<int32_t> tokens = {1};
  SampleInput input{.params = params, .tokens = tokens, .n_prompt = 1, .end_ids = {}};
  input.allowed = &allowed;
  EXPECT_EQ(sampler.sample(std::span<float>(), input).token_id, 77);
  EXPECT_EQ(sampler.sample(RowScan{}, input)->token_id, 77);
  allowed.ids.clear();
  EXPECT_EQ(sampler.sample(std::span<float>(), input).status, Sampled::Status::nothing_allowed);
  allowed.over = true;
  EXPECT_EQ(sampler.sample(std::span<float>(), input).status, Sampled::Status::over);
}

// Damage is seen behind any other constraint, and an infinite logit of a forbidden token is damage too.
TEST(Sampler, AConstraintHidesNoDamage) {
  Sampler sampler(kVocab, kReal);
  AllowedTokens allowed{.kind = AllowedTokens::Kind::only, .ids = {5, 77}};
  const SamplingParams params{};
  const std::vector<int32_t> tokens = {1};
  SampleInput input{.params = params, .tokens = tokens, .n_prompt = 1, .end_ids = {}};
  input.allowed = &allowed;
  std::vector<float> row(kVocab, 1.0f);
  row[8000] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(sampler.sample(row, input).status, Sampled::Status::not_finite);
}

}  // namespace
}  // namespace qwen3
