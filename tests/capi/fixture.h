// What the tests of the C API share: one model and one engine, and small calls on them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "qwen3/c.h"

namespace qwen3::test {

inline const std::string kNano = std::string(QWEN3_SOURCE_DIR) + "/models/nano";
inline constexpr std::string_view kMessages = R"([{"role":"user","content":"Sort 7, 3 and 9."}])";

class CApiTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(qwen3_model_open(kNano.c_str(), nullptr, &model), QWEN3_OK) << qwen3_last_error();
    ASSERT_EQ(qwen3_engine_open(model, nullptr, &engine), QWEN3_OK) << qwen3_last_error();
  }
  static void TearDownTestSuite() {
    EXPECT_EQ(qwen3_engine_close(engine), QWEN3_OK);
    EXPECT_EQ(qwen3_model_close(model), QWEN3_OK);
  }

  static std::vector<int32_t> encode(std::string_view text) {
    std::vector<int32_t> ids(text.size() + 1);
    size_t n = 0;
    EXPECT_EQ(qwen3_encode(model, text.data(), text.size(), 1, ids.data(), ids.size(), &n),
              QWEN3_OK)
        << qwen3_last_error();
    ids.resize(n);
    return ids;
  }

  static inline qwen3_model model = nullptr;
  static inline qwen3_engine engine = nullptr;
};

// A request for a greedy continuation.
struct Asked {
  explicit Asked(std::vector<int32_t> prompt, int64_t max_tokens = 24) : ids(std::move(prompt)) {
    qwen3_sampling_init(&sampling, sizeof(sampling));
    qwen3_request_init(&request, sizeof(request));
    sampling.max_tokens = max_tokens;
  }
  const qwen3_request* get() {
    request.prompt_ids = ids.data();
    request.n_prompt_ids = ids.size();
    request.sampling = &sampling;
    return &request;
  }
  std::vector<int32_t> ids;
  qwen3_sampling sampling{};
  qwen3_request request{};
};

inline qwen3_event fresh_event() {
  qwen3_event event;
  qwen3_event_init(&event, sizeof(event));
  return event;
}

}  // namespace qwen3::test
