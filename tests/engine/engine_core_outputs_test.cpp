// What the engine gives beside tokens: log probabilities, scores of the prompt, embeddings; and the
// hook of a request that sees the logits first.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "engine_core_fixture.h"

namespace qwen3 {
namespace {

TEST(EngineCore, GivesLogprobs) {
  Mock mock({});
  auto stream =
      mock.core.submit({.prompt_ids = {1}, .sampling = {.max_tokens = 3, .n_logprobs = 2}});
  while (auto event = stream.next()) {
    ASSERT_TRUE(event->logprob.has_value());
    ASSERT_EQ(event->top_logprobs.size(), 2u);
    EXPECT_EQ(event->top_logprobs[0].token_id, event->token_id);
    EXPECT_EQ(event->top_logprobs[0].logprob, event->logprob->logprob);
    EXPECT_LE(event->top_logprobs[1].logprob, event->logprob->logprob);
    EXPECT_LT(event->logprob->logprob, 0);
  }
}

// The place of a token among those that are sampled, likeliest first.
int64_t rank_of(std::span<const float> logits, int32_t token, int64_t n_real_tokens) {
  std::vector<int32_t> ids(static_cast<size_t>(n_real_tokens));
  std::iota(ids.begin(), ids.end(), 0);
  if (token >= n_real_tokens) ids.push_back(token);
  std::ranges::stable_sort(ids, std::greater<>(), [&](int32_t id) { return logits[size_t(id)]; });
  return std::ranges::find(ids, token) - ids.begin() + 1;
}

// What a request must be told of its prompt, without an engine.
std::vector<PromptLogprobs> mock_prompt_logprobs(const Request& request, int64_t n_real_tokens) {
  Sampler sampler(kVocab, n_real_tokens);
  std::vector<PromptLogprobs> all(1);
  std::vector<float> logits(kVocab);
  uint64_t chain = 0;
  for (size_t i = 0; i + 1 < request.prompt_ids.size(); ++i) {
    chain = chain_hash(chain, request.prompt_ids[i]);
    mock_logits(logits, chain);
    const Sampled s = sampler.score(logits, request.prompt_ids[i + 1], request.n_prompt_logprobs);
    all.push_back({.token = TokenLogprob{s.token_id, s.logprob},
                   .top = {s.top.begin(), s.top.begin() + s.n_top},
                   .rank = rank_of(logits, s.token_id, n_real_tokens)});
  }
  return all;
}

bool same(const TokenLogprob& a, const TokenLogprob& b) {
  return a.token_id == b.token_id && a.logprob == b.logprob;
}

void expect_same(const std::vector<PromptLogprobs>& a, const std::vector<PromptLogprobs>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].token.has_value(), i > 0);
    ASSERT_EQ(b[i].token.has_value(), i > 0);
    if (i > 0) {
      ASSERT_TRUE(same(*a[i].token, *b[i].token)) << i;
    }
    ASSERT_EQ(a[i].rank, b[i].rank) << i;
    ASSERT_TRUE(std::ranges::equal(a[i].top, b[i].top, same)) << i;
  }
}

// Rows of logits are few, blocks too: prompts are scored in pieces, preempted half-way, and
// resumed; the values are as if alone, no step exceeds the rows, and others do not notice.
TEST(EngineCore, PromptLogprobsInAnyCompany) {
  Mock mock({.n_blocks = 12,
             .max_model_len = 128,
             .max_sequences = 6,
             .max_logit_rows = 9,
             .n_real_tokens = 60});
  std::mt19937 random(5);
  std::vector<Request> requests;
  std::vector<EventStream> streams;
  for (int i = 0; i < 300; ++i) {
    Request r = random_request(random);
    for (int32_t& id : r.prompt_ids) id %= 60;
    if (i % 2 == 0) r.n_prompt_logprobs = static_cast<int>(random() % 21);
    if (i % 50 == 0) r.prompt_ids.resize(1);
    requests.push_back(r);
    streams.push_back(mock.core.submit(std::move(r)));
  }
  for (size_t i = 0; i < streams.size(); ++i) {
    const auto first = streams[i].next();
    ASSERT_TRUE(first.has_value());
    ASSERT_GE(first->token_id, 0) << first->error;
    if (requests[i].n_prompt_logprobs < 0) {
      EXPECT_TRUE(first->prompt_logprobs.empty());
    } else {
      expect_same(first->prompt_logprobs, mock_prompt_logprobs(requests[i], 60));
      for (const PromptLogprobs& p : first->prompt_logprobs) {
        for (const TokenLogprob& t : p.top) EXPECT_LT(t.token_id, 60);
      }
      if (first->finish) {
        EXPECT_EQ(first->usage.cached_tokens, 0);
      }
    }
    while (auto event = streams[i].next()) {
      EXPECT_TRUE(event->prompt_logprobs.empty());
      if (event->finish && requests[i].n_prompt_logprobs >= 0) {
        EXPECT_EQ(event->usage.cached_tokens, 0);
      }
    }
  }
  EXPECT_EQ(mock.knobs.most_logit_rows, 9);
  EXPECT_GT(mock.core.stats().n_preemptions, 20);
  EXPECT_EQ(mock.core.stats().n_free_blocks, 12);
}

TEST(EngineCore, ScoredPromptIsNaturalLogSoftmaxOfTheRawRow) {
  Mock mock({.n_real_tokens = 50});
  auto stream = mock.core.submit({.prompt_ids = {5, 7}, .n_prompt_logprobs = 3});
  const auto event = stream.next();
  ASSERT_EQ(event->prompt_logprobs.size(), 2u);
  const PromptLogprobs& p = event->prompt_logprobs[1];
  std::vector<float> logits(kVocab);
  mock_logits(logits, chain_hash(0, 5));
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x));
  EXPECT_EQ(p.token->token_id, 7);
  EXPECT_NEAR(p.token->logprob, static_cast<double>(logits[7]) - std::log(sum), 2e-6);
  ASSERT_EQ(p.top.size(), 3u);
  EXPECT_EQ(p.top[0].token_id,
            std::max_element(logits.begin(), logits.begin() + 50) - logits.begin());
  EXPECT_GE(p.top[1].logprob, p.top[2].logprob);
}

TEST(EngineCore, EmbedsTheLastTokenAndFinishes) {
  Mock mock({.n_blocks = 10, .max_model_len = 100});
  std::vector<EventStream> streams;
  std::vector<Request> requests;
  for (uint64_t i = 0; i < 40; ++i) {
    Request r{.prompt_ids = prompt(1 + static_cast<int64_t>(i * 7 % 100), i % 3), .embed = true};
    if (i % 4 == 1) r.n_prompt_logprobs = 2;
    if (i % 4 == 3 && r.prompt_ids.size() < 90) r.embed = false;
    requests.push_back(r);
    streams.push_back(mock.core.submit(std::move(r)));
  }
  streams.push_back(mock.core.submit({.prompt_ids = prompt(100, 9), .embed = true}));
  requests.push_back({.prompt_ids = prompt(100, 9), .embed = true});  // the whole context
  for (size_t i = 0; i < streams.size(); ++i) {
    const auto event = streams[i].next();
    if (!requests[i].embed) {
      EXPECT_TRUE(event->embedding.empty());
      drain(streams[i], 1);
      continue;
    }
    uint64_t chain = 0;
    for (const int32_t id : requests[i].prompt_ids) chain = chain_hash(chain, id);
    const auto expected = mock_hidden(chain);
    EXPECT_EQ(event->embedding, std::vector<float>(expected.begin(), expected.end()));
    EXPECT_EQ(event->finish, FinishReason::stop);
    EXPECT_EQ(event->token_id, -1);
    EXPECT_EQ(event->usage.completion_tokens, 0);
    EXPECT_EQ(event->prompt_logprobs.size(),
              requests[i].n_prompt_logprobs >= 0 ? requests[i].prompt_ids.size() : 0);
    EXPECT_FALSE(streams[i].next().has_value());
  }
  EXPECT_THROW(mock.core.submit({.prompt_ids = prompt(101, 9), .embed = true}), Error);
  EXPECT_EQ(mock.core.stats().n_free_blocks, 10);
}

TEST(EngineCore, ScoresGivenIdsBehindThePrompt) {
  Mock mock({});
  const std::vector<int32_t> prompt_ids = {4, 8, 15};
  auto one =
      mock.core.submit({.prompt_ids = prompt_ids, .sampling = {.max_tokens = 1, .n_logprobs = 20}});
  const auto sampled = one.next();
  ASSERT_TRUE(sampled);
  Request request{.prompt_ids = prompt_ids};
  for (const TokenLogprob& top : sampled->top_logprobs) request.score_ids.push_back(top.token_id);
  for (int round = 0; round < 2; ++round) {  // the second finds the prompt in the cache
    auto stream = mock.core.submit(request);
    const auto event = stream.next();
    ASSERT_TRUE(event);
    EXPECT_EQ(event->finish, FinishReason::stop);
    EXPECT_EQ(event->token_id, -1);
    EXPECT_EQ(event->usage.completion_tokens, 0);
    ASSERT_EQ(event->scores.size(), request.score_ids.size());
    for (size_t i = 0; i < event->scores.size(); ++i) {
      EXPECT_NEAR(event->scores[i], double{sampled->top_logprobs[i].logprob}, 1e-6);
    }
    EXPECT_FALSE(stream.next().has_value());
  }
  EXPECT_THROW(mock.core.submit({.prompt_ids = {1}, .score_ids = {-1}}), Error);
  EXPECT_THROW(mock.core.submit({.prompt_ids = {1}, .score_ids = {kVocab}}), Error);
  EXPECT_THROW(mock.core.submit({.prompt_ids = {1}, .embed = true, .score_ids = {1}}), Error);
  EXPECT_THROW(mock.core.submit({.prompt_ids = {1}, .score_ids = std::vector<int32_t>(5000, 1)}),
               Error);
}

TEST(EngineCore, ProcessorMayForbidTokensAndSeesRawLogits) {
  Mock mock({});
  std::vector<std::vector<int32_t>> seen;
  std::vector<int32_t> best;
  Request request{.prompt_ids = {4, 8},
                  .sampling = {.logit_bias = {{11, 50.0}}, .max_tokens = 6, .n_logprobs = 1}};
  request.prompt_ids.push_back(9);
  request.n_generated_before = 1;
  request.logits_processor = [&](std::span<const int32_t> generated, std::span<float> logits) {
    seen.emplace_back(generated.begin(), generated.end());
    EXPECT_EQ(logits.size(), static_cast<size_t>(kVocab));
    best.push_back(
        static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    EXPECT_LT(logits[11], 5.0f);  // without its bias
    for (size_t i = 0; i < logits.size(); i += 2)
      logits[i] = -std::numeric_limits<float>::infinity();
    if (seen.size() % 2 == 0) logits[11] = -std::numeric_limits<float>::infinity();
  };
  auto stream = mock.core.submit(request);
  std::vector<int32_t> ids, top;
  while (auto event = stream.next()) {
    ids.push_back(event->token_id);
    top.push_back(event->top_logprobs.at(0).token_id);
  }
  // The engine's thread is done with this request: only now may be read what it wrote.
  EXPECT_EQ(top, best);  // of the model itself
  ASSERT_EQ(ids.size(), 6u);
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(ids[i] % 2, 1);
    EXPECT_EQ(ids[i] == 11, i % 2 == 0);  // the bias works after the processor, which stays
    std::vector<int32_t> before = {9};
    before.insert(before.end(), ids.begin(), ids.begin() + static_cast<int64_t>(i));
    EXPECT_EQ(seen[i], before);
  }
}

}  // namespace
}  // namespace qwen3
