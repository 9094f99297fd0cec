#include "base/checked.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "support/expect_error.h"

namespace qwen3 {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(Checked, Add) {
  EXPECT_EQ(checked_add(2, 3), 5);
  EXPECT_EQ(checked_add(kMax, 0), kMax);
  EXPECT_EQ(checked_add(kMax, 1), std::nullopt);
  EXPECT_EQ(checked_add(-1, 5), std::nullopt);
  EXPECT_EQ(checked_add(5, -1), std::nullopt);
}

TEST(Checked, Mul) {
  EXPECT_EQ(checked_mul(6, 7), 42);
  EXPECT_EQ(checked_mul(kMax, 1), kMax);
  EXPECT_EQ(checked_mul(kMax, 0), 0);
  EXPECT_EQ(checked_mul(int64_t{1} << 32, int64_t{1} << 31), std::nullopt);
  EXPECT_EQ(checked_mul(int64_t{1} << 31, int64_t{1} << 31), int64_t{1} << 62);
  EXPECT_EQ(checked_mul(-1, -1), std::nullopt);
}

TEST(Checked, Rounding) {
  EXPECT_EQ(round_up(0, 16), 0);
  EXPECT_EQ(round_up(1, 16), 16);
  EXPECT_EQ(round_up(16, 16), 16);
  EXPECT_EQ(ceil_div(0, 4), 0);
  EXPECT_EQ(ceil_div(5, 4), 2);
  EXPECT_EQ(ceil_div(8, 4), 2);
}

TEST(Checked, CheckThrowsOnlyWhenFalse) {
  EXPECT_NO_THROW(QWEN3_CHECK(true, ErrorKind::internal, "never"));
  EXPECT_ERROR(QWEN3_CHECK(1 > 2, ErrorKind::unsupported, "a: got {}", 7),
               ErrorKind::unsupported,
               "a: got 7");
}

}  // namespace
}  // namespace qwen3
