#include "engine/validate.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

namespace qwen3 {
namespace {

constexpr RequestLimits kLimits{.n_real_tokens = 100, .max_model_len = 50};

// Empty when the request is accepted.
std::string complaint(const std::function<void(Request&)>& change) {
  Request request{.prompt_ids = {1, 2, 3}};
  change(request);
  try {
    validate(request, kLimits);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    return error.what();
  }
}

TEST(Validate, AcceptsDefaultsAndEdges) {
  EXPECT_EQ(complaint([](Request&) {}), "");
  EXPECT_EQ(complaint([](Request& r) { r.prompt_ids.assign(49, 99); }), "");
  EXPECT_EQ(complaint([](Request& r) {
              r.sampling = {.temperature = 100,
                            .top_k = 1 << 30,
                            .top_p = 1e-320,
                            .min_p = 1,
                            .presence_penalty = -2,
                            .frequency_penalty = 2,
                            .repetition_penalty = 0.01,
                            .logit_bias = {{99, -100.0}, {0, 100.0}},
                            .allowed_token_ids = {0, 99},
                            .seed = std::numeric_limits<uint64_t>::max(),
                            .max_tokens = 1 << 30,
                            .min_tokens = 47,
                            .stop_token_ids = {0, 99},
                            .ignore_eos = true,
                            .n_logprobs = 20};
            }),
            "");
  EXPECT_EQ(complaint([](Request& r) { r.sampling.temperature = -0.0; }), "");
  EXPECT_EQ(complaint([](Request& r) {
              r.n_generated_before = 2;
              r.sampling.max_tokens = 1;
              r.sampling.min_tokens = 3;  // two are there
              r.priority = std::numeric_limits<int32_t>::min();
              r.fair_key.assign(1024, 'x');
              r.deadline = std::chrono::steady_clock::time_point::max();
              r.n_prompt_logprobs = 20;
            }),
            "");
  EXPECT_EQ(complaint([](Request& r) { r.sampling.top_k = -1; }), "");
}

// Every number field against every hostile number: refused by name, except where the number is
// fine.
TEST(Validate, RefusesHostileNumbersByName) {
  const double kHostile[] = {std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity(),
                             1e308,
                             -1e308,
                             9007199254740993.0,
                             -3.0};
  struct Field {
    const char* name;
    void (*set)(SamplingParams&, double);
  };
  const Field kFields[] = {
      {"temperature", [](SamplingParams& p, double x) { p.temperature = x; }},
      {"top_p", [](SamplingParams& p, double x) { p.top_p = x; }},
      {"min_p", [](SamplingParams& p, double x) { p.min_p = x; }},
      {"presence_penalty", [](SamplingParams& p, double x) { p.presence_penalty = x; }},
      {"frequency_penalty", [](SamplingParams& p, double x) { p.frequency_penalty = x; }},
      {"repetition_penalty", [](SamplingParams& p, double x) { p.repetition_penalty = x; }}};
  for (const Field& field : kFields) {
    for (const double x : kHostile) {
      const std::string message = complaint([&](Request& r) { field.set(r.sampling, x); });
      EXPECT_EQ(message.rfind(std::string(field.name) + ": ", 0), 0u)
          << field.name << " " << x << message;
    }
  }
  for (const double x : kHostile) {
    if (x == -3.0) continue;
    EXPECT_NE(complaint([&](Request& r) { r.sampling.logit_bias = {{1, x}}; }), "") << x;
  }
  EXPECT_NE(complaint([](Request& r) { r.sampling.top_p = 0.0; }), "");
  EXPECT_NE(complaint([](Request& r) { r.sampling.repetition_penalty = 1e-320; }), "");
}

TEST(Validate, RefusesIdsAndCountsOutOfRange) {
  for (const int32_t id :
       {-1, 100, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()}) {
    EXPECT_NE(complaint([&](Request& r) { r.prompt_ids = {1, id}; }), "");
    EXPECT_NE(complaint([&](Request& r) { r.sampling.logit_bias = {{id, 0.0}}; }), "");
    EXPECT_NE(complaint([&](Request& r) { r.sampling.stop_token_ids = {id}; }), "");
    EXPECT_NE(complaint([&](Request& r) { r.sampling.allowed_token_ids = {id}; }), "");
  }
  for (const int64_t n : {int64_t{0}, int64_t{-2}, std::numeric_limits<int64_t>::min()}) {
    EXPECT_NE(complaint([&](Request& r) { r.sampling.max_tokens = n; }), "");
  }
  for (const int64_t k : {int64_t{-2},
                          (int64_t{1} << 30) + 1,
                          std::numeric_limits<int64_t>::min(),
                          std::numeric_limits<int64_t>::max()}) {
    EXPECT_NE(complaint([&](Request& r) { r.sampling.top_k = k; }), "") << k;
    EXPECT_NE(complaint([&](Request& r) { r.sampling.max_tokens = k; }), "") << k;
  }
  for (const int64_t n : {int64_t{-1}, int64_t{48}, std::numeric_limits<int64_t>::max()}) {
    EXPECT_NE(complaint([&](Request& r) { r.sampling.min_tokens = n; }), "");
  }
  EXPECT_NE(complaint([](Request& r) {
              r.sampling.max_tokens = 5;
              r.sampling.min_tokens = 6;
            }),
            "");
  for (const int n : {-2, 21, 1'000'000'000}) {
    EXPECT_NE(complaint([&](Request& r) { r.sampling.n_logprobs = n; }), "");
  }
  for (const int64_t n : {int64_t{-1}, int64_t{3}, std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(
        complaint([&](Request& r) { r.n_generated_before = n; }).rfind("n_generated_before: ", 0),
        0u);
  }
  for (const int n : {-2, 21, 1'000'000'000}) {
    EXPECT_EQ(
        complaint([&](Request& r) { r.n_prompt_logprobs = n; }).rfind("n_prompt_logprobs: ", 0),
        0u);
  }
  EXPECT_EQ(complaint([](Request& r) { r.fair_key.assign(1025, 'x'); }).rfind("fair_key: ", 0), 0u);
  EXPECT_EQ(complaint([](Request& r) { r.cache_salt.assign(1025, 'x'); }).rfind("cache_salt: ", 0),
            0u);
  EXPECT_NE(complaint([](Request& r) { r.sampling.stop_token_ids.assign(1025, 1); }), "");
}

TEST(Validate, ContextErrorHasTheWordsThatClientsLookFor) {
  EXPECT_NE(complaint([](Request& r) { r.prompt_ids.clear(); }), "");
  const std::string message = complaint([](Request& r) { r.prompt_ids.assign(50, 1); });
  EXPECT_NE(message.find("maximum context length is 50 tokens"), std::string::npos) << message;
}

TEST(Validate, EngineOptions) {
  EXPECT_NO_THROW(validate(EngineOptions{}));
  EXPECT_THROW(validate(EngineOptions{.max_model_len = -1}), Error);
  EXPECT_THROW(validate(EngineOptions{.kv_cache_bytes = -1}), Error);
  EXPECT_THROW(validate(EngineOptions{.kv_dtype = "int3"}), Error);
  EXPECT_THROW(validate(EngineOptions{.block_size = 17}), Error);
  EXPECT_THROW(validate(EngineOptions{.block_size = 0}), Error);
  EXPECT_NO_THROW(validate(EngineOptions{.max_sequences = 600}));
  EXPECT_THROW(validate(EngineOptions{.max_batch_tokens = -1}), Error);
  EXPECT_THROW(validate(EngineOptions{.max_batch_tokens = 8, .max_sequences = 9}), Error);
  EXPECT_THROW(validate(EngineOptions{.max_waiting = 0}), Error);
  EXPECT_THROW(validate(EngineOptions{.max_waiting_tokens = -1}), Error);
}

}  // namespace
}  // namespace qwen3
