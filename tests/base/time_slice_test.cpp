#include "base/time_slice.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/clock.h"

namespace qwen3 {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// Takes so much of the processor's time.
void burn(nanoseconds time) {
  for (const nanoseconds end = thread_time() + time; thread_time() < end;) {
  }
}

TEST(TimeSlice, NothingIsOverOutsideOfOne) {
  TimeSlice::check();
  TimeSlice::spend(int64_t{1} << 40);
  EXPECT_FALSE(TimeSlice::left());
}

TEST(TimeSlice, IsOverOnceItsTimeIs) {
  const TimeSlice slice(milliseconds(2));
  EXPECT_NO_THROW(TimeSlice::check());
  EXPECT_GT(*TimeSlice::left(), nanoseconds(0));
  burn(milliseconds(3));
  EXPECT_THROW(TimeSlice::check(), TimeSlice::Over);
  EXPECT_LT(*TimeSlice::left(), nanoseconds(0));
}

TEST(TimeSlice, SpendingLooksAtTheClockInTheEnd) {
  const TimeSlice slice(nanoseconds(0));
  EXPECT_NO_THROW(TimeSlice::spend(1));
  const auto spend_much = [] {
    for (int i = 0; i < 100'000; ++i) TimeSlice::spend(1);
  };
  EXPECT_THROW(spend_much(), TimeSlice::Over);
}

// A wait costs no time of the processor.
TEST(TimeSlice, IsOfTheThreadThatBeganIt) {
  const TimeSlice slice(milliseconds(5));
  std::thread([] {
    burn(milliseconds(10));
    EXPECT_NO_THROW(TimeSlice::check());
    EXPECT_FALSE(TimeSlice::left());
  }).join();
  EXPECT_NO_THROW(TimeSlice::check());
}

TEST(TimeSlice, EndsWithItsScope) {
  {
    const TimeSlice slice(nanoseconds(0));
    burn(milliseconds(1));
  }
  EXPECT_NO_THROW(TimeSlice::check());
  EXPECT_NO_THROW(TimeSlice(milliseconds(1)));
}

}  // namespace
}  // namespace qwen3
