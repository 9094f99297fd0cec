// Ranks that share a model on cards: what can be said without two cards. The rest, with two: script/test-ranks
// --backend cuda. (One card is not enough: a rank that waits on it would keep the other from reserving memory.)
#include <gtest/gtest.h>

#include <filesystem>

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

TEST(CudaRanks, MoreThanASumHasPiecesAreRefused) {
  if (!has_cuda_device()) GTEST_SKIP() << "no card that the cuda backend runs on";
  const std::filesystem::path path = kRoot / "models" / "nano";
  EXPECT_ERROR(with_ranks(path, {.backend = "cuda", .n_threads = 1}, 2, [](const auto&) {}),
               ErrorKind::unsupported,
               "down_proj.weight: so many ranks cut its sum of 832 inputs of bfloat16 where this "
               "backend does not; choose fewer ranks, or backend cpu");
}

}  // namespace
}  // namespace qwen3::test
