#include "base/utc_time.h"

#include <gtest/gtest.h>

namespace qwen3 {
namespace {

TEST(UtcText, WritesIso8601) {
  using std::chrono::milliseconds;
  const std::chrono::system_clock::time_point time{milliseconds(1'709'210'096'007)};
  EXPECT_EQ(utc_text(time, UtcPrecision::seconds), "2024-02-29T12:34:56Z");
  EXPECT_EQ(utc_text(time, UtcPrecision::milliseconds), "2024-02-29T12:34:56.007Z");
  EXPECT_EQ(utc_text({}, UtcPrecision::seconds), "1970-01-01T00:00:00Z");
}

}  // namespace
}  // namespace qwen3
