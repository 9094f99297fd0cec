// Ranks that share a model on cards: here all on one, which is as far from another as it needs to be, since
// nothing but the way to a window's address differs. Two cards: script/test-ranks --cards.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "engine/group_testing.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/pieces.h"
#include "support/expect_error.h"

namespace qwen3::test {
namespace {

const std::filesystem::path kRoot = QWEN3_SOURCE_DIR;

TEST(CudaPieces, APartIsCutAsTheWhole) {
  using cuda::pieces_of;
  const auto part = [](int64_t n_out, int64_t n_in, int64_t unit, int begin, int end) {
    return pieces_of(n_out, n_in, Leaves{n_in, unit, begin, end});
  };
  // Not summed by ranks: as the whole, whatever the part's own size.
  EXPECT_EQ(pieces_of(4096, 4096, {}), 1);
  EXPECT_EQ(pieces_of(1024, 3072, {}), 4);
  // o_proj and down_proj of 8B, whole, a half and a quarter.
  EXPECT_EQ(part(4096, 4096, 128, 0, 8), 2);
  EXPECT_EQ(part(4096, 4096, 128, 0, 4), 1);
  EXPECT_EQ(part(4096, 4096, 128, 4, 8), 1);
  EXPECT_EQ(part(4096, 4096, 128, 2, 4), std::nullopt);
  EXPECT_EQ(part(4096, 12288, 16, 4, 8), 1);
  // Of 0.6B, which is cut into four by itself.
  EXPECT_EQ(part(1024, 2048, 128, 0, 8), 4);
  EXPECT_EQ(part(1024, 2048, 128, 4, 8), 2);
  EXPECT_EQ(part(1024, 2048, 128, 6, 8), 1);
  EXPECT_EQ(part(1024, 2048, 128, 7, 8), std::nullopt);
  // Halves that are no multiples of 64, and heads that are no multiple of two.
  EXPECT_EQ(part(256, 832, 16, 0, 8), 1);
  EXPECT_EQ(part(256, 832, 16, 0, 4), std::nullopt);
  EXPECT_EQ(part(4096, 896, 128, 0, 4), std::nullopt);
}

struct Shape {
  const char* config;
  const char* overrides;
};

class CudaRanks : public testing::TestWithParam<Shape> {
 protected:
  void SetUp() override {
    if (!has_cuda_device()) GTEST_SKIP() << "no card that the cuda backend runs on";
  }
  static LoadOptions options() {
    LoadOptions o{.backend = "cuda", .n_threads = 4, .hf_overrides = GetParam().overrides};
    o.random_weights = std::string_view(GetParam().config) != "models/nano-moe";
    return o;
  }
  static std::filesystem::path path() { return kRoot / GetParam().config; }
};

TEST_P(CudaRanks, AnswerAsOneCardDoes) {
  const auto alone = make_model(load_parts(path(), options()), "alone");
  const auto requests = requests_of(2000, 12);
  const EngineOptions plain{.max_model_len = 96, .block_size = 16, .prefix_cache = false};
  const auto expected = answers(alone, plain, requests);
  with_ranks(path(), options(), 2, [&](const std::shared_ptr<Model>& model) {
    for (const int64_t chunk : {7, 32, 512}) {
      EngineOptions o = plain;
      o.max_batch_tokens = chunk;
      o.max_sequences = std::min<int64_t>(chunk, 6);
      EXPECT_EQ(answers(model, o, requests), expected) << "chunks of " << chunk;
      // Once more, with what is recorded by now.
      EXPECT_EQ(answers(model, o, requests), expected) << "again, chunks of " << chunk;
    }
  });
}

TEST_P(CudaRanks, HaveTheLogitsOfOneCard) {
  const auto alone = make_model(load_parts(path(), options()), "alone");
  std::vector<int32_t> ids;
  for (int i = 0; i < 700; ++i) ids.push_back(i * 31 % 2000);
  const auto expected = logits_of(*alone, ids);
  with_ranks(path(), options(), 2, [&](const std::shared_ptr<Model>& model) {
    const auto got = logits_of(*model, ids);
    ASSERT_EQ(got.size(), expected.size());
    EXPECT_TRUE(got == expected);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Shapes,
    CudaRanks,
    testing::Values(
        Shape{"models/nano-moe", ""},
        Shape{"bench/configs/qwen3-0.6b", R"({"num_hidden_layers": 3, "vocab_size": 8192})"},
        Shape{"bench/configs/qwen3-8b", R"({"num_hidden_layers": 2, "vocab_size": 8192})"},
        Shape{"bench/configs/qwen3-30b-a3b",
              R"({"num_hidden_layers": 2, "num_experts": 24, "vocab_size": 8192})"}));

TEST(CudaRanks, MoreThanASumHasPiecesAreRefused) {
  if (!has_cuda_device()) GTEST_SKIP() << "no card that the cuda backend runs on";
  const std::filesystem::path path = kRoot / "models" / "nano";
  EXPECT_ERROR(
      with_ranks(path, {.backend = "cuda", .n_threads = 1}, 2, [](const auto&) {}),
      ErrorKind::unsupported,
      "down_proj.weight: so many ranks cut its sum of 832 inputs of bfloat16 where backend "
      "cuda does not; choose fewer ranks, or backend cpu");
}

}  // namespace
}  // namespace qwen3::test
