// The life of requests as spans, and the timeline file that holds them beside the operations.
#include "trace/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/json.h"

namespace qwen3 {
namespace {

using Kind = RequestSpan::Kind;

const Clock::time_point kOrigin = Clock::now();
Clock::time_point at(int64_t us) { return kOrigin + std::chrono::microseconds(us); }

// Request 1: two prefill chunks, a decoded token, a preemption, everything again, the end.
// Request 2: cancelled before anything of it was computed.
std::vector<StepReport> example() {
  const auto part = [](int64_t first, int64_t n) {
    return StepReport::Computed{
        .request_id = 1, .first_token = first, .n_tokens = n, .n_prompt = 6, .submitted = at(10)};
  };
  return {
      {.begin = at(50), .end = at(60), .computed = {part(0, 4)}},
      {.begin = at(60), .end = at(70), .computed = {part(4, 2)}},
      {.begin = at(70), .end = at(75), .computed = {part(6, 1)}},
      {.begin = at(75),
       .end = at(80),
       .ended = {{.request_id = 2, .reason = FinishReason::cancelled, .submitted = at(65)}}},
      {.begin = at(90), .end = at(99), .computed = {part(0, 8)}},
      {.begin = at(99),
       .end = at(101),
       .computed = {part(8, 1)},
       .ended = {{.request_id = 1, .reason = FinishReason::length, .submitted = at(10)}}},
  };
}

TEST(RequestSpans, TellTheLifeOfARequest) {
  RequestSpans spans(kOrigin);
  for (const StepReport& step : example()) spans.add(step);
  std::vector<std::pair<uint64_t, Kind>> kinds;
  for (const RequestSpan& span : spans.spans()) kinds.emplace_back(span.request_id, span.kind);
  EXPECT_THAT(kinds,
              ::testing::ElementsAre(std::pair(1, Kind::queue),
                                     std::pair(1, Kind::prefill),
                                     std::pair(1, Kind::prefill),
                                     std::pair(1, Kind::decode),
                                     std::pair(2, Kind::queue),
                                     std::pair(2, Kind::request),
                                     std::pair(1, Kind::again),
                                     std::pair(1, Kind::decode),
                                     std::pair(1, Kind::request)));
  EXPECT_EQ(spans.spans()[0].begin_ns, 10'000);
  EXPECT_EQ(spans.spans()[0].duration_ns, 40'000);
  EXPECT_EQ(spans.spans()[2].first_token, 4);
  EXPECT_EQ(spans.spans()[5].n_generated, 0);
  EXPECT_EQ(spans.spans()[5].reason, FinishReason::cancelled);
  const RequestSpan& whole = spans.spans().back();
  EXPECT_EQ(whole.begin_ns, 10'000);
  EXPECT_EQ(whole.duration_ns, 91'000);
  EXPECT_EQ(whole.n_prompt, 6);
  EXPECT_EQ(whole.n_generated, 4);  // nine tokens were computed, and one was only drawn
  EXPECT_EQ(spans.steps().size(), 5u);
  EXPECT_EQ(spans.steps()[4].n_tokens, 1);
}

TEST(RequestSpans, CountWhatTheyDrop) {
  RequestSpans spans(kOrigin, 3);
  for (const StepReport& step : example()) spans.add(step);
  EXPECT_EQ(spans.spans().size(), 3u);
  EXPECT_EQ(spans.n_dropped(), 6);
  EXPECT_EQ(spans.steps().size(), 3u);
  spans.clear();
  EXPECT_TRUE(spans.spans().empty());
  EXPECT_EQ(spans.n_dropped(), 0);
}

TEST(Timeline, HasATrackForEveryRequest) {
  SpanLog log;
  log.add("linear", SpanLog::Clock::now(), 3, 100, 200);
  RequestSpans spans(kOrigin);
  for (const StepReport& step : example()) spans.add(step);
  const Json json = parse_json(timeline_json("model", log, &spans), "timeline");
  EXPECT_EQ(json["otherData"]["dropped_spans"], 0);
  int64_t n_operations = 0, n_steps = 0, n_finishes = 0;
  std::vector<std::string> first, second;
  for (const Json& event : json["traceEvents"]) {
    const std::string name = event["name"].get<std::string>(),
                      kind = event["ph"].get<std::string>();
    if (event["pid"] == 1 && kind == "X") ++(name == "step" ? n_steps : n_operations);
    if (kind == "i") ++n_finishes;
    if (event["pid"] != 2 || kind != "X") continue;
    (event["tid"] == 1 ? first : second).push_back(name);
    if (name == "request 1") {
      EXPECT_EQ(event["args"]["finish"], "length");
    }
  }
  EXPECT_EQ(n_operations, 1);
  EXPECT_EQ(n_steps, 5);
  EXPECT_EQ(n_finishes, 2);
  EXPECT_THAT(first,
              ::testing::ElementsAre(
                  "queue", "prefill", "prefill", "decode", "again", "decode", "request 1"));
  EXPECT_THAT(second, ::testing::ElementsAre("queue", "request 2"));
}

}  // namespace
}  // namespace qwen3
