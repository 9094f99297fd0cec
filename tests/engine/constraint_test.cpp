// Constrained requests over the mock model, against a loop of one Sampler in which the constraint is a
// logits_processor that asks it token by token.
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/constrained_answer.h"
#include "engine_core_fixture.h"
#include "hash_constraint.h"

namespace qwen3 {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();
const std::vector<int32_t> kEos = {3, 9};

std::shared_ptr<HashConstraint> constrain(const HashConstraint::Plan& plan) {
  return std::make_shared<HashConstraint>(plan);
}

bool is_end(const Request& request, int32_t id) {
  const auto has = [&](const std::vector<int32_t>& ids) {
    return std::ranges::find(ids, id) != ids.end();
  };
  return (has(kEos) && !request.sampling.ignore_eos) || has(request.sampling.stop_token_ids);
}

// The contract of Request::constraint, in words of one token: which may come now.
std::vector<bool> allowed_now(const HashConstraint& constraint, const Request& request, int64_t n) {
  std::vector<bool> allowed(kVocab), without_ends(kVocab);
  for (int32_t id = 0; id < kVocab; ++id) {
    const auto i = static_cast<size_t>(id);
    const bool eos = std::ranges::find(kEos, id) != kEos.end() && !request.sampling.ignore_eos;
    const bool end = is_end(request, id);
    allowed[i] = (constraint.allows(id) && !eos) || (end && constraint.may_end());
    without_ends[i] = allowed[i] && !end;
  }
  const bool goes_on = std::ranges::find(without_ends, true) != without_ends.end();
  return n < request.sampling.min_tokens && goes_on ? without_ends : allowed;
}

struct Expected {
  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  FinishReason finish = FinishReason::length;
};

Expected expected_answer(const Request& request, const HashConstraint::Plan& plan) {
  Expected out;
  HashConstraint constraint(plan);
  Sampler sampler(kVocab, kVocab);
  std::vector<int32_t> tokens = request.prompt_ids;
  uint64_t chain = 0;
  for (const int32_t token : tokens) chain = chain_hash(chain, token);
  SamplingParams params = request.sampling;
  params.min_tokens = 0;
  params.n_logprobs = 0;
  std::vector<float> logits(kVocab);
  while (std::ssize(out.ids) < request.sampling.max_tokens) {
    mock_logits(logits, chain);
    const auto allowed = allowed_now(constraint, request, std::ssize(out.ids));
    const decltype(Request::logits_processor) mask = [&](auto, std::span<float> row) {
      for (size_t i = 0; i < row.size(); ++i) row[i] = allowed[i] ? row[i] : kForbidden;
    };
    const Sampled sampled = sampler.sample(logits,
                                           {.params = params,
                                            .tokens = tokens,
                                            .n_prompt = std::ssize(request.prompt_ids),
                                            .end_ids = {},
                                            .seed = request.sampling.seed.value_or(0),
                                            .processor = &mask});
    EXPECT_EQ(sampled.status, Sampled::Status::ok);
    if (sampled.status != Sampled::Status::ok) return out;
    tokens.push_back(sampled.token_id);
    out.ids.push_back(sampled.token_id);
    out.logprobs.push_back(sampled.logprob);
    chain = chain_hash(chain, sampled.token_id);
    out.finish = FinishReason::stop;
    if (is_end(request, sampled.token_id)) return out;
    constraint.accept(sampled.token_id);
    if (constraint.exhausted()) return out;
    out.finish = FinishReason::length;
  }
  return out;
}

HashConstraint::Plan random_plan(std::mt19937& random) {
  HashConstraint::Plan plan{.seed = random(), .n_tokens = kVocab, .eos = kEos};
  if (random() % 4 == 0) plan.exhausted_after = 1 + static_cast<int64_t>(random() % 20);
  return plan;
}

struct Case {
  Request request;
  HashConstraint::Plan plan;
  Expected expected;
};

Case random_case(std::mt19937& random) {
  Case c{.request = random_request(random), .plan = random_plan(random), .expected = {}};
  SamplingParams& p = c.request.sampling;
  if (random() % 3 == 0) p.min_tokens = static_cast<int64_t>(random()) % p.max_tokens;
  if (random() % 3 == 0) p.stop_token_ids = {static_cast<int32_t>(random() % kVocab)};
  if (random() % 3 == 0) p.n_logprobs = 2;
  if (random() % 6 == 0) p.logit_bias = {{static_cast<int32_t>(random() % kVocab), 5.0}};
  if (random() % 4 == 0) p.top_k = 5;
  c.expected = expected_answer(c.request, c.plan);
  return c;
}

// With neighbours that have none, whose tokens do not change, and so few blocks that many are preempted.
TEST(Constraint, CompanyAndPreemptionChangeNothing) {
  Mock mock({.n_blocks = 12, .max_model_len = 160, .eos = kEos});
  std::mt19937 random(7);
  std::vector<Case> cases;
  std::vector<EventStream> streams;
  for (int i = 0; i < 900; ++i) {
    cases.push_back(random_case(random));
    Request request = cases.back().request;
    if (i % 3 != 0) request.constraint = constrain(cases.back().plan);
    streams.push_back(mock.core.submit(std::move(request)));
  }
  int n_stopped = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    const Case& c = cases[i];
    if (i % 3 == 0) {
      std::vector<int32_t> ends = kEos;
      ends.insert(ends.end(),
                  c.request.sampling.stop_token_ids.begin(),
                  c.request.sampling.stop_token_ids.end());
      ASSERT_EQ(drain(streams[i]).ids, mock_continuation(c.request, kVocab, 160, ends)) << i;
      continue;
    }
    const Outcome outcome = drain(streams[i]);
    ASSERT_EQ(outcome.ids, c.expected.ids) << i;
    ASSERT_EQ(outcome.last.finish, c.expected.finish) << i << outcome.last.error;
    n_stopped += outcome.last.finish == FinishReason::stop;
  }
  EXPECT_GT(n_stopped, 100);
  EXPECT_GT(mock.core.stats().n_preemptions,
            5);  // how many depends on how fast the streams are read
  EXPECT_EQ(mock.core.stats().n_free_blocks, 12);
}

TEST(Constraint, LogprobsAreTheModelsOwn) {
  Mock mock({.eos = kEos});
  Request request{.prompt_ids = prompt(9, 1), .sampling = {.max_tokens = 30, .n_logprobs = 3}};
  const HashConstraint::Plan plan{
      .seed = 5, .n_tokens = kVocab, .eos = kEos, .exhausted_after = 30};
  const Expected expected = expected_answer(request, plan);
  request.constraint = constrain(plan);
  auto stream = mock.core.submit(request);
  size_t n = 0;
  int n_outside = 0;  // the likeliest token was forbidden
  while (auto event = stream.next()) {
    ASSERT_LT(n, expected.ids.size());
    EXPECT_EQ(event->logprob->logprob, expected.logprobs[n++]);
    ASSERT_EQ(event->top_logprobs.size(), 3u);
    n_outside += event->top_logprobs[0].token_id != event->token_id;
  }
  EXPECT_EQ(n, expected.ids.size());
  EXPECT_GT(n_outside, 5);
}

// Ended anywhere and submitted again with what it had, and a constraint that begins anew.
TEST(Constraint, AResubmittedRequestGoesOnWhereItWas) {
  Mock mock({.eos = kEos});
  int n_continued = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Request whole{.prompt_ids = prompt(20, seed),
                  .sampling = {.temperature = 1, .seed = seed, .max_tokens = 24, .min_tokens = 12}};
    const HashConstraint::Plan plan{
        .seed = seed, .n_tokens = kVocab, .eos = kEos, .exhausted_after = 22};
    const std::vector<int32_t> ids = expected_answer(whole, plan).ids;
    for (size_t k = 1; k < ids.size(); k += 5) {
      Request rest = whole;
      const auto middle = ids.begin() + static_cast<std::ptrdiff_t>(k);
      rest.prompt_ids.insert(rest.prompt_ids.end(), ids.begin(), middle);
      rest.n_generated_before = static_cast<int64_t>(k);
      rest.sampling.max_tokens -= static_cast<int64_t>(k);
      rest.constraint = constrain(plan);
      auto stream = mock.core.submit(rest);
      ASSERT_EQ(drain(stream).ids, std::vector<int32_t>(middle, ids.end())) << seed << " " << k;
      ++n_continued;
    }
  }
  EXPECT_GT(n_continued, 60);
}

TEST(Constraint, AnExhaustedOneEndsTheAnswerWithoutAnEndToken) {
  for (const bool ignore_eos : {false, true}) {
    Mock mock({.eos = kEos});
    Request request{.prompt_ids = prompt(5, 2),
                    .sampling = {.max_tokens = 4, .ignore_eos = ignore_eos}};
    // Of the right length to the token: it is complete, and not cut.
    request.constraint =
        constrain({.seed = 1, .n_tokens = kVocab, .eos = kEos, .exhausted_after = 4});
    auto stream = mock.core.submit(request);
    const Outcome outcome = drain(stream);
    if (outcome.ids.size() == 4) {
      EXPECT_EQ(outcome.last.finish, FinishReason::stop);
      EXPECT_FALSE(outcome.last.is_end_token);
    }
    // Of no length at all: nothing but the end may come, if the model has one.
    request.constraint =
        constrain({.seed = 1, .n_tokens = kVocab, .eos = kEos, .exhausted_after = 0});
    auto empty = mock.core.submit(request);
    const Outcome nothing = drain(empty);
    EXPECT_EQ(nothing.last.finish, FinishReason::stop);
    EXPECT_EQ(nothing.ids.size(), ignore_eos ? 0u : 1u);
    EXPECT_EQ(nothing.last.is_end_token, !ignore_eos);
  }
}

TEST(Constraint, WhatGoesWrongEndsItsRequestAlone) {
  const HashConstraint::Plan good{
      .seed = 3, .n_tokens = kVocab, .eos = kEos, .exhausted_after = 40};
  struct Bad {
    std::string error;
    HashConstraint::Plan plan;
  };
  std::vector<Bad> bads = {
      {"constraint: fill", good}, {"constraint: accept", good}, {"no token is allowed", good}};
  bads[0].plan.fill_throws_after = 2;
  bads[1].plan.accept_throws_after = 1;
  bads[2].plan.empty_after = 2;
  for (const Bad& bad : bads) {
    Mock mock({});  // no end token: nothing ends by itself
    Request request{.prompt_ids = prompt(10, 1), .sampling = {.max_tokens = 20}};
    const Request free = request;
    request.constraint = constrain(bad.plan);
    auto a = mock.core.submit(request);
    auto b = mock.core.submit(free);
    const Outcome failed = drain(a);
    EXPECT_EQ(failed.last.finish, FinishReason::error);
    EXPECT_NE(failed.last.error.find(bad.error), std::string::npos) << failed.last.error;
    EXPECT_EQ(drain(b).ids, mock_continuation(free, kVocab, 256));
    EXPECT_EQ(mock.core.stats().n_free_blocks, 64);
  }
}

// A worker that has a mask in hand while its request is cancelled and gone.
TEST(Constraint, CancellingAtAnyMomentIsSafe) {
  Mock mock({.n_blocks = 40, .eos = kEos});
  std::mt19937 random(3);
  for (int i = 0; i < 300; ++i) {
    Request request = random_request(random);
    request.constraint = constrain(random_plan(random));
    auto stream = mock.core.submit(std::move(request));
    for (int k = static_cast<int>(random() % 4); k > 0; --k) stream.next();
  }  // dropping a stream cancels
  Request last{.prompt_ids = prompt(5, 5), .sampling = {.max_tokens = 3}};
  auto stream = mock.core.submit(last);
  EXPECT_EQ(drain(stream).ids, mock_continuation(last, kVocab, 256, kEos));
}

TEST(ConstrainedAnswer, NeverAllowsIdsWithoutAToken) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const auto constraint = constrain({.seed = seed, .n_tokens = 9000});
    ConstrainedAnswer answer(
        constraint, {.vocab_size = 9100, .n_real_tokens = 8990, .eos_ids = {8989, 9050}}, {});
    const AllowedTokens& allowed = answer.allowed();
    if (allowed.kind == AllowedTokens::Kind::all_but) continue;  // the sampler's rows end there
    for (int32_t id = 8990; id < 9088; ++id) EXPECT_FALSE(allowed.has(id)) << seed;
    EXPECT_EQ(allowed.has(8989), constraint->may_end());
  }
}

}  // namespace
}  // namespace qwen3
