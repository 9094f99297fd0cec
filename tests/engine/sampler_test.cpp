#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <vector>

#include "base/input_file.h"
#include "base/json.h"
#include "support/far_backend.h"

namespace qwen3 {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Case {
  std::vector<float> logits;
  SamplingParams params;
  std::vector<int32_t> tokens, end_ids;
  int64_t n_prompt = 0;
  int64_t n_real = 0;
  uint64_t seed = 0;

  Sampled sample(Sampler& sampler) const {
    std::vector<float> row = logits;
    return sampler.sample(row,
                          {.params = params,
                           .tokens = tokens,
                           .n_prompt = n_prompt,
                           .end_ids = end_ids,
                           .seed = seed});
  }
};

// The definition, written as plainly as possible and with a full sort: probabilities of the kept
// ids (0 elsewhere).
std::vector<double> define(const Case& c) {
  const SamplingParams& p = c.params;
  const auto n = static_cast<size_t>(c.n_real);
  std::vector<float> l(c.logits.begin(), c.logits.begin() + c.n_real);
  for (const auto& [id, bias] : p.logit_bias)
    l[static_cast<size_t>(id)] += static_cast<float>(bias);
  const auto n_generated = static_cast<int64_t>(c.tokens.size()) - c.n_prompt;
  for (size_t id = 0; id < n; ++id) {
    const auto is_id = [&](int32_t t) { return t == static_cast<int32_t>(id); };
    if (std::any_of(c.tokens.begin(), c.tokens.end(), is_id)) {
      const auto r = static_cast<float>(p.repetition_penalty);
      l[id] = l[id] > 0 ? l[id] / r : l[id] * r;
    }
    const auto count = std::count_if(c.tokens.begin() + c.n_prompt, c.tokens.end(), is_id);
    l[id] -= static_cast<float>(p.frequency_penalty) * static_cast<float>(count);
    if (count > 0) l[id] -= static_cast<float>(p.presence_penalty);
  }
  std::vector<double> x(l.begin(), l.end());
  for (size_t id = 0; id < n; ++id) {
    const auto has = [&](const std::vector<int32_t>& ids) {
      return std::ranges::find(ids, static_cast<int32_t>(id)) != ids.end();
    };
    if (!p.allowed_token_ids.empty() && !has(p.allowed_token_ids)) x[id] = -kInfinity;
    if (n_generated < p.min_tokens && has(c.end_ids)) x[id] = -kInfinity;
  }
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return x[a] > x[b]; });
  const double best = x[order[0]];
  std::vector<double> probability(n, 0.0);
  if (p.temperature < 1e-5) {
    probability[order[0]] = 1;
    return probability;
  }
  std::vector<double> weight(n);
  for (size_t id = 0; id < n; ++id) weight[id] = std::exp((x[id] - best) / p.temperature);
  std::vector<size_t> kept;
  for (const size_t id : order) {
    if (weight[id] > 0 && x[id] >= best + p.temperature * std::log(p.min_p)) kept.push_back(id);
  }
  if (p.top_k > 0 && static_cast<size_t>(p.top_k) < kept.size()) {
    const double kth = x[kept[static_cast<size_t>(p.top_k) - 1]];
    std::erase_if(kept, [&](size_t id) { return x[id] < kth; });
  }
  double total = 0;
  for (const size_t id : kept) total += weight[id];
  double before = 0;
  std::vector<size_t> nucleus;
  for (const size_t id : kept) {
    if (before < p.top_p * total || nucleus.empty()) nucleus.push_back(id);
    before += weight[id];
  }
  total = 0;
  for (const size_t id : nucleus) total += weight[id];
  for (const size_t id : nucleus) probability[id] = weight[id] / total;
  return probability;
}

// The id at which the cumulative probability exceeds u, or -1 when u is too near an edge to say.
int32_t inverse_cdf(const std::vector<double>& probability, double u) {
  double sum = 0;
  for (size_t id = 0; id < probability.size(); ++id) {
    sum += probability[id];
    if (std::abs(sum - u) < 1e-6) return -1;
    if (sum > u) return static_cast<int32_t>(id);
  }
  return -1;
}

template <typename T>
T pick(std::mt19937& random, std::initializer_list<T> values) {
  return values.begin()[random() % values.size()];
}

Case random_case(std::mt19937& random, int64_t vocab_size) {
  std::normal_distribution<float> normal(0, pick(random, {0.3f, 2.0f, 5.0f}));
  Case c;
  c.n_real = vocab_size - pick<int64_t>(random, {0, 0, 1, 7});
  const bool ties = random() % 4 == 0;
  for (int64_t i = 0; i < vocab_size; ++i) {
    const float x = normal(random);
    c.logits.push_back(ties ? std::round(x) : x);
  }
  const auto any_id = [&] {
    return static_cast<int32_t>(random() % static_cast<uint64_t>(c.n_real));
  };
  for (int i = 0; i < 12; ++i) c.tokens.push_back(any_id());
  c.n_prompt = pick<int64_t>(random, {1, 5, 12});
  SamplingParams& p = c.params;
  p.temperature = pick(random, {0.0, 0.01, 0.6, 1.0, 3.0, 100.0});
  p.top_k = pick<int64_t>(random, {-1, 0, 0, 1, 2, 20, 100, 100000});
  p.top_p = pick(random, {1.0, 1.0, 1e-9, 0.1, 0.5, 0.95, 0.999});
  p.min_p = pick(random, {0.0, 0.0, 0.0, 0.01, 0.3, 1.0});
  p.repetition_penalty = pick(random, {1.0, 1.0, 1.1, 0.5});
  p.presence_penalty = pick(random, {0.0, 0.0, 1.5, -2.0});
  p.frequency_penalty = pick(random, {0.0, 0.0, 0.5, -1.0});
  if (random() % 4 == 0) p.logit_bias = {{any_id(), 100.0}, {any_id(), -100.0}, {any_id(), 1.5}};
  if (random() % 6 == 0) p.allowed_token_ids = {any_id(), any_id(), any_id()};
  c.end_ids = {any_id()};
  if (p.allowed_token_ids.empty()) p.min_tokens = pick<int64_t>(random, {0, 20});
  return c;
}

TEST(Sampler, FollowsTheDefinitionDrawByDraw) {
  std::mt19937 random(5);
  int64_t n_compared = 0;
  for (const int64_t vocab_size : {9, 50, 1000, 1024, 1025, 5003}) {
    for (int i = 0; i < 200; ++i) {
      Case c = random_case(random, vocab_size);
      Sampler sampler(vocab_size, c.n_real);
      const std::vector<double> probability = define(c);
      for (int draw = 0; draw < 8; ++draw) {
        c.seed = random();
        const Sampled got = c.sample(sampler);
        ASSERT_EQ(got.status, Sampled::Status::ok);
        ASSERT_GE(got.token_id, 0);
        ASSERT_LT(got.token_id, c.n_real);
        ASSERT_GT(probability[static_cast<size_t>(got.token_id)], 0.0);
        const double u = uniform(c.seed, c.tokens.size() - static_cast<size_t>(c.n_prompt));
        const int32_t expected = inverse_cdf(probability, u);
        if (expected < 0) continue;
        ASSERT_EQ(got.token_id, expected) << "vocab " << vocab_size << " case " << i;
        ++n_compared;
      }
    }
  }
  EXPECT_GT(n_compared, 9000);
}

TEST(Sampler, AgreesWithTransformers) {
  const Json cases =
      parse_json(read_text_file(QWEN3_SOURCE_DIR "/tests/engine/goldens/sampler.json", 1 << 20),
                 "sampler.json");
  ASSERT_EQ(cases.size(), 150u);
  for (size_t i = 0; i < cases.size(); ++i) {
    const Json& j = cases[i];
    Case c;
    c.logits = j["logits"].get<std::vector<float>>();
    c.tokens = j["tokens"].get<std::vector<int32_t>>();
    c.n_prompt = j["n_prompt"];
    c.n_real = static_cast<int64_t>(c.logits.size());
    c.params.temperature = j["temperature"];
    c.params.top_k = j["top_k"];
    c.params.top_p = j["top_p"];
    c.params.min_p = j["min_p"];
    c.params.repetition_penalty = j["repetition_penalty"];
    c.params.presence_penalty = j["presence_penalty"];
    c.params.frequency_penalty = j["frequency_penalty"];
    c.params.n_logprobs = 20;
    const auto kept = j["kept"].get<std::vector<int32_t>>();
    const auto p = j["probabilities"].get<std::vector<double>>();
    const auto logprobs = j["logprobs"].get<std::vector<double>>();
    std::vector<double> probability(c.logits.size(), 0.0);
    for (size_t k = 0; k < kept.size(); ++k) probability[static_cast<size_t>(kept[k])] = p[k];

    Sampler sampler(c.n_real, c.n_real);
    for (int draw = 0; draw < 40; ++draw) {
      c.seed = static_cast<uint64_t>(draw);
      const Sampled got = c.sample(sampler);
      const int32_t expected = inverse_cdf(
          probability, uniform(c.seed, c.tokens.size() - static_cast<size_t>(c.n_prompt)));
      if (expected >= 0) {
        ASSERT_EQ(got.token_id, expected) << "case " << i << " draw " << draw;
      }
      // The sampler's exp is right to 3e-7, then one rounding to float32.
      const auto tolerance = [](double logprob) { return 3e-7 + std::abs(logprob) * 0x1p-24; };
      const double exact = logprobs[static_cast<size_t>(got.token_id)];
      ASSERT_NEAR(got.logprob, exact, tolerance(exact));
      ASSERT_EQ(got.n_top, 20);
      std::vector<double> best = logprobs;
      std::ranges::sort(best, std::greater<>());
      for (size_t k = 0; k < 20; ++k) {
        ASSERT_NEAR(got.top[k].logprob, best[k], tolerance(best[k]));
        ASSERT_EQ(logprobs[static_cast<size_t>(got.top[k].token_id)], best[k]);
      }
    }
  }
}

// Pearson's chi-square of 200,000 draws over steps of one seed, against the definition.
TEST(Sampler, DrawsWithTheRightFrequencies) {
  std::mt19937 random(8);
  for (const double top_p : {1.0, 0.9}) {
    Case c;
    c.n_real = 40;
    for (int i = 0; i < 40; ++i) c.logits.push_back(std::normal_distribution<float>(0, 1)(random));
    c.params.temperature = 0.9;
    c.params.top_p = top_p;
    c.seed = 77;
    const std::vector<double> probability = define(c);
    Sampler sampler(40, 40);
    std::vector<int64_t> counts(40);
    constexpr int kDraws = 200'000;
    for (int step = 0; step < kDraws; ++step) {
      c.tokens.push_back(0);
      ++counts[static_cast<size_t>(c.sample(sampler).token_id)];
    }
    double chi_square = 0;
    int n_kept = 0;
    for (size_t id = 0; id < 40; ++id) {
      if (probability[id] == 0) {
        EXPECT_EQ(counts[id], 0);
        continue;
      }
      const double expected = probability[id] * kDraws;
      chi_square += (static_cast<double>(counts[id]) - expected) *
                    (static_cast<double>(counts[id]) - expected) / expected;
      ++n_kept;
    }
    // Mean n - 1, standard deviation sqrt(2 (n - 1)): five of them away is one in a million.
    EXPECT_LT(chi_square, n_kept - 1 + 5 * std::sqrt(2.0 * (n_kept - 1)));
  }
}

// From the largest numbers alone comes the token that the whole row gives, or nothing.
TEST(Sampler, AScanOfTheRowGivesTheSameToken) {
  std::mt19937 random(5);
  constexpr int64_t kVocab = 5000, kReal = 4990;
  Sampler sampler(kVocab, kReal);
  std::vector<float> values(kReal);
  std::vector<int32_t> ids(kReal);
  int n_from_scan = 0, n_left = 0;
  for (int i = 0; i < 3000; ++i) {
    std::normal_distribution<float> normal(0, 1.0f + static_cast<float>(i % 5));
    Case c;
    c.n_real = kReal;
    c.seed = static_cast<uint64_t>(i);
    for (int64_t k = 0; k < kVocab; ++k) {
      const float x = normal(random);
      c.logits.push_back(i % 3 == 0 ? std::round(x * 4) / 4 : x);  // many equals
    }
    c.tokens = {1, 2, 3};
    c.n_prompt = 3;
    c.params.temperature = i % 7 == 0 ? 0.0 : 0.3 + 0.2 * (i % 6);
    c.params.top_k = std::array{0, 1, 20, 100, 128, 129, 1000}[static_cast<size_t>(i % 7)];
    c.params.top_p = i % 2 == 0 ? 0.95 : 1.0;
    c.params.min_p = i % 4 == 0 ? 0.05 : 0.0;
    if (i % 50 == 0) c.params.presence_penalty = 1.0, c.tokens.push_back(9);
    if (i % 61 == 0) c.logits[17] = std::numeric_limits<float>::quiet_NaN();
    const RowScan scan = test::scan_row(c.logits, kReal, values.data(), ids.data());
    const auto from_scan = sampler.sample(scan,
                                          {.params = c.params,
                                           .tokens = c.tokens,
                                           .n_prompt = c.n_prompt,
                                           .end_ids = c.end_ids,
                                           .seed = c.seed});
    const Sampled whole = c.sample(sampler);
    if (!from_scan) {
      ++n_left;
      continue;
    }
    ++n_from_scan;
    ASSERT_EQ(from_scan->status, whole.status) << i;
    ASSERT_EQ(from_scan->token_id, whole.token_id) << i;
  }
  EXPECT_GT(n_from_scan, 1000);
  EXPECT_GT(n_left, 300);
}

TEST(Sampler, GreedyTakesTheLowestIdAmongEquals) {
  for (const size_t size : {5u, 1024u, 3000u}) {
    Case c;
    c.n_real = static_cast<int64_t>(size);
    c.logits.assign(size, -1.0f);
    Sampler sampler(c.n_real, c.n_real);
    EXPECT_EQ(c.sample(sampler).token_id, 0);
    c.logits[size - 1] = c.logits[size / 2] = 2.0f;
    EXPECT_EQ(c.sample(sampler).token_id, static_cast<int32_t>(size / 2));
  }
}

TEST(Sampler, KeepsAllTiesWithTheKthValue) {
  Case c;
  c.n_real = 6;
  c.logits = {1, 3, 2, 2, 2, 0};
  c.params.temperature = 1;
  c.params.top_k = 2;
  Sampler sampler(6, 6);
  std::map<int32_t, int> seen;
  for (c.seed = 0; c.seed < 500; ++c.seed) ++seen[c.sample(sampler).token_id];
  ASSERT_EQ(seen.size(), 4u);
  for (const int32_t id : {1, 2, 3, 4}) EXPECT_GT(seen[id], 0) << id;
}

TEST(Sampler, NeverSamplesPaddingIds) {
  Case c;
  c.n_real = 5;
  c.logits = {0, 0, 0, 0, 0, 50, 60};
  Sampler sampler(7, 5);
  EXPECT_EQ(c.sample(sampler).token_id, 0);
  c.params.temperature = 2;
  for (c.seed = 0; c.seed < 200; ++c.seed) EXPECT_LT(c.sample(sampler).token_id, 5);
  c.params.n_logprobs = 20;
  EXPECT_EQ(c.sample(sampler).n_top, 5);
}

TEST(Sampler, ReportsLogitsThatAreNotFinite) {
  for (const double bad : {std::nan(""), kInfinity, -kInfinity}) {
    for (const size_t at : {size_t{0}, size_t{1023}, size_t{1500}, size_t{1599}}) {
      Case c;
      c.n_real = 1590;  // the last is a padding row: damage there counts too
      c.logits.assign(1600, 0.5f);
      c.logits[at] = static_cast<float>(bad);
      Sampler sampler(1600, 1590);
      for (const double temperature : {0.0, 1.0}) {
        c.params.temperature = temperature;
        const Sampled got = c.sample(sampler);
        EXPECT_EQ(got.status, Sampled::Status::not_finite);
        EXPECT_EQ(got.token_id, -1);
      }
    }
  }
}

TEST(Sampler, ReportsOverflowAndWhenNothingIsAllowed) {
  Case c;
  c.n_real = 3;
  c.logits = {1, 3e38f, 2};
  c.tokens = {1};
  c.n_prompt = 1;
  c.params.repetition_penalty = 0.01;
  Sampler sampler(3, 3);
  EXPECT_EQ(c.sample(sampler).status, Sampled::Status::not_finite);
  c.params.repetition_penalty = 1;
  c.params.allowed_token_ids = {2};
  c.params.min_tokens = 5;
  c.end_ids = {2};
  EXPECT_EQ(c.sample(sampler).status, Sampled::Status::nothing_allowed);
}

TEST(Sampler, ExtremeButFiniteLogitsGiveATokenInRange) {
  for (const double temperature : {0.0, 1e-5, 1.0, 100.0}) {
    for (const double top_p : {1.0, 1e-300, 0.5}) {
      Case c;
      c.n_real = 4;
      c.logits = {-3.4e38f, 3.4e38f, 0, 1e-45f};
      c.params.temperature = temperature;
      c.params.top_p = top_p;
      Sampler sampler(4, 4);
      EXPECT_EQ(c.sample(sampler).token_id, 1);
    }
  }
}

TEST(Sampler, ExpIsAccurate) {
  for (double y = -86.9; y <= 0; y += 0.00137) {
    const double exact = std::exp(static_cast<double>(static_cast<float>(y)));
    ASSERT_NEAR(static_cast<double>(exp_shifted(static_cast<float>(y), 0, 1)) / exact, 1.0, 3e-7)
        << y;
  }
  EXPECT_EQ(exp_shifted(0, 0, 1), 1.0f);
  EXPECT_EQ(exp_shifted(-88, 0, 1), 0.0f);
  EXPECT_EQ(exp_shifted(-std::numeric_limits<float>::infinity(), 0, 1), 0.0f);
}

TEST(Sampler, UniformIsInRangeAndDependsOnSeedAndStep) {
  double sum = 0;
  for (uint64_t step = 0; step < 100'000; ++step) {
    const double u = uniform(3, step);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 5 * std::sqrt(1.0 / 12 / 100'000));
  EXPECT_NE(uniform(1, 0), uniform(2, 0));
  EXPECT_NE(uniform(1, 1), uniform(2, 0));
  EXPECT_EQ(uniform(1, 7), uniform(1, 7));
}

}  // namespace
}  // namespace qwen3
