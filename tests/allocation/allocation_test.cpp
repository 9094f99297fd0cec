// What memory that has run out costs: the JSON tree, the engine and a whole server, by allocations
// that fail one after the other. allocation_injection does the same for longer.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "allocation/failing_new.h"
#include "allocation/injection.h"
#include "base/json.h"

namespace qwen3::server::testing {
namespace {

using qwen3::testing::FailingNew;

constexpr std::string_view kNested =
    R"({"a":[1,2,{"b":"a string that is longer than fifteen bytes"},[[],{}]],)"
    R"("a key that is longer than fifteen bytes":{"c":{"d":[{"e":[true,null,1.5]}]}}})";

// From the n-th allocation on none succeeds, so the destructors on the way out get nothing either.
template <typename Work>
int64_t fail_from_each_allocation_on(const Work& work) {
  for (int64_t nth = 1;; ++nth) {
    const FailingNew failing(nth, FailingNew::kNever);
    try {
      work();
      return nth - 1;
    } catch (const std::bad_alloc&) {
    }
  }
}

TEST(Allocation, TheHookFailsTheAllocationItIsToldTo) {
  const FailingNew failing(2, 2);
  const std::string one(100, 'x');
  EXPECT_THROW(std::string(100, 'x'), std::bad_alloc);
  EXPECT_THROW(std::string(100, 'x'), std::bad_alloc);
  const std::string four(100, 'x');
  EXPECT_EQ(failing.n_seen(), 4);
  EXPECT_EQ(failing.n_failed(), 2);
}

TEST(Allocation, JsonIsDestroyedWithoutAllocating) {
  Json parsed = parse_json(kNested, "t");
  const FailingNew failing(1, FailingNew::kNever);
  parsed = nullptr;
  EXPECT_EQ(failing.n_seen(), 0);
}

TEST(Allocation, ParsingJsonUnwindsWhateverFails) {
  EXPECT_GT(fail_from_each_allocation_on([] { parse_json(kNested, "t"); }), 30);
}

TEST(Allocation, CopyingAndBuildingJsonUnwindWhateverFails) {
  const Json original = parse_json(kNested, "t");
  EXPECT_GT(fail_from_each_allocation_on([&] { Json{original}; }), 20);
  EXPECT_GT(fail_from_each_allocation_on([&] {
              Json built;
              built["list"].push_back(original);
              built["list"].push_back("a string that is longer than fifteen bytes");
              built["object"]["inner"] = original;
              dump_json(built);
            }),
            40);
}

// Every allocation of a small request up to kAll, then as many as there is time for.
class ServerWithoutMemory : public ::testing::TestWithParam<int> {};

TEST_P(ServerWithoutMemory, AnswersOrClosesAndGoesOn) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  const InjectedRequest& request = small_requests()[static_cast<size_t>(GetParam())];
  InjectedServer server(InjectedServer::Brain::script);
  ASSERT_FALSE(server.inject(request, FailingNew::kNever)) << "without a failure";
  const int64_t n = std::max(server.count(request), server.count(request));
  ASSERT_GT(n, 50);
  // A stride that has no divisor in common with n visits all of them if there is time.
  int64_t nth = 1, n_done = 0;
  for (; n_done < n && std::chrono::steady_clock::now() < end; ++n_done) {
    const auto finding = server.inject(request, nth, n_done % 4 == 3 ? 20 : 1);
    ASSERT_FALSE(finding) << request.name << ", allocation " << finding->nth << " of " << n << ": "
                          << finding->what;
    nth = (nth + 7919) % n + 1;
  }
  const auto left = server.check_empty();
  EXPECT_FALSE(left) << left->what;
  EXPECT_GT(n_done, 20);
  RecordProperty("failures", static_cast<int>(n_done));
}

INSTANTIATE_TEST_SUITE_P(SmallRequests,
                         ServerWithoutMemory,
                         ::testing::Range(0, static_cast<int>(small_requests().size())),
                         [](const auto& instance) {
                           return small_requests()[static_cast<size_t>(instance.param)].name;
                         });

TEST(Allocation, ALargeTreeOfARequestEndsThatRequest) {
  InjectedServer server(InjectedServer::Brain::script);
  const InjectedRequest request = many_calls(2000);
  const int64_t n = server.count(request);
  ASSERT_GT(n, 10'000);
  for (int64_t nth = 1; nth < n; nth += n / 40) {
    const auto finding = server.inject(request, nth, 1 + nth % 100);
    ASSERT_FALSE(finding) << "allocation " << nth << ": " << finding->what;
  }
}

// That a defect would be seen.
bool is_reported(Defect defect) {
  InjectedServer server(InjectedServer::Brain::script, defect);
  const InjectedRequest& request = small_requests().front();
  const int64_t n = server.count(request);
  // Threads take turns in another order each time, so that one round may miss the one allocation.
  for (int round = 0; round < 20; ++round) {
    for (int64_t nth = 1; nth <= n; ++nth) {
      if (server.inject(request, nth)) return true;
    }
  }
  return false;
}

TEST(Allocation, ARequestThatIsLostWouldBeReported) {
  EXPECT_TRUE(is_reported(Defect::swallows_request));
}

TEST(Allocation, AWrongStatusWouldBeReported) { EXPECT_TRUE(is_reported(Defect::wrong_status)); }

}  // namespace
}  // namespace qwen3::server::testing
