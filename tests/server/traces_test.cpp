// Traces: who may ask, who may look, how many are kept and for how long.
#include "server/traces.h"

#include <algorithm>
#include <thread>

#include "server/api_fixture.h"

namespace qwen3::server {
namespace {

using Clock = TraceStore::Clock;
using std::chrono::seconds;

const Client kOwner{"owner", "salt-1"}, kOther{"other", "salt-2"};

// A recorder that has seen one routed layer of n tokens.
std::shared_ptr<RequestRecorder> recorder_of(int32_t n) {
  auto recorder = std::make_shared<RequestRecorder>();
  std::vector<int32_t> positions(static_cast<size_t>(n));
  for (int32_t i = 0; i < n; ++i) positions[static_cast<size_t>(i)] = i;
  recorder->begin_step(positions);
  std::vector<float> logits(static_cast<size_t>(n) * 8, 0.5f), weights(logits.size() / 4, 0.5f);
  std::vector<int32_t> experts(weights.size(), 1);
  const auto show = [&](const char* part, auto& values, DType dtype) {
    recorder->tensor(std::string("layers.0.mlp.") + part,
                     Tensor(values.data(), dtype, {n, static_cast<int64_t>(values.size()) / n}));
  };
  show("router_logits", logits, DType::f32);
  show("routing_weights", weights, DType::f32);
  show("selected_experts", experts, DType::i32);
  return recorder;
}

StoredTrace trace_of(std::string id, const Client& client, int32_t n = 1) {
  return {.id = std::move(id), .client = client.name, .recorder = recorder_of(n)};
}

std::vector<std::string> ids_of(const std::vector<StoredTrace>& traces) {
  std::vector<std::string> ids;
  for (const StoredTrace& trace : traces) ids.push_back(trace.id);
  return ids;
}

TEST(TraceStore, KeepsSoManyAndTheNewestFirst) {
  TraceStore store({.count = 3});
  for (const char* id : {"a", "b", "c", "d"}) store.keep(trace_of(id, kOwner));
  EXPECT_EQ(ids_of(store.list(kOwner)), (std::vector<std::string>{"d", "c", "b"}));
  EXPECT_EQ(store.find("a", kOwner).recorder, nullptr);
  EXPECT_NE(store.find("b", kOwner).recorder, nullptr);
}

TEST(TraceStore, TheirMemoryIsBounded) {
  const size_t one = trace_of("x", kOwner, 1000).n_bytes();
  EXPECT_GE(one, size_t{1000} * (8 + 2 + 2) * 4);
  TraceStore store({.count = 100, .bytes = static_cast<int64_t>(one * 5 / 2)});
  for (const char* id : {"a", "b", "c"}) store.keep(trace_of(id, kOwner, 1000));
  EXPECT_EQ(ids_of(store.list(kOwner)), (std::vector<std::string>{"c", "b"}));
  // One that is larger than all that may be kept is kept alone: its client was promised it.
  store.keep(trace_of("large", kOwner, 4000));
  EXPECT_EQ(ids_of(store.list(kOwner)), (std::vector<std::string>{"large"}));
  store.keep(trace_of("small", kOwner));
  EXPECT_EQ(ids_of(store.list(kOwner)), (std::vector<std::string>{"small"}));
}

TEST(TraceStore, OldOnesAreGone) {
  TraceStore store({.count = 10, .max_age = seconds(60)});
  const Clock::time_point start{};
  store.keep(trace_of("a", kOwner), start);
  store.keep(trace_of("b", kOwner), start + seconds(30));
  EXPECT_EQ(store.list(kOwner, start + seconds(59)).size(), 2u);
  EXPECT_EQ(store.find("a", kOwner, start + seconds(60)).recorder, nullptr);
  EXPECT_EQ(ids_of(store.list(kOwner, start + seconds(89))), (std::vector<std::string>{"b"}));
  EXPECT_TRUE(store.list(kOwner, start + seconds(90)).empty());
}

TEST(TraceStore, ATraceIsForItsClientOnly) {
  TraceStore store({.count = 10});
  store.keep(trace_of("a", kOwner));
  store.keep(trace_of("b", kOther));
  EXPECT_EQ(ids_of(store.list(kOwner)), (std::vector<std::string>{"a"}));
  EXPECT_EQ(store.find("b", kOwner).recorder, nullptr);
  EXPECT_NE(store.find("b", kOther).recorder, nullptr);
}

TEST(TraceStore, SoManyAreRecordedAtATime) {
  TraceStore store({.count = 10, .max_recording = 2});
  auto first = store.begin("a", kOwner);
  const auto second = store.begin("b", kOwner);
  try {
    store.begin("c", kOther);
    FAIL() << "a third one";
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status, 429);
    EXPECT_GT(error.retry_after_seconds, 0);
  }
  first->keep({.prompt_tokens = 5});
  first.reset();
  EXPECT_EQ(store.find("a", kOwner).usage.prompt_tokens, 5);
  EXPECT_NE(store.begin("c", kOther), nullptr);  // and given up at once
  EXPECT_EQ(store.list(kOther).size(), 0u);
}

class ApiTraces : public ApiTest {
 protected:
  void SetUp() override { restart({.model_names = {"nano"}, .traces = {.count = 3}}); }

  Reply get(const std::string& path, const Client& client) {
    const auto exchange = begin("GET", path, "", client);
    EXPECT_TRUE(exchange->run());
    return read_reply(*exchange);
  }
  Reply chat_as(const Client& client, Json more = Json::object()) {
    more["messages"] = {{{"role", "user"}, {"content", "Hi"}}};
    const auto exchange = begin("POST", "/v1/chat/completions", more.dump(), client);
    EXPECT_TRUE(exchange->run());
    return read_reply(*exchange);
  }
};

TEST_F(ApiTraces, OffUnlessTheOperatorSaysSo) {
  restart({.model_names = {"nano"}});
  EXPECT_TRUE(std::ranges::none_of(
      routes, [](const Route& route) { return route.path.starts_with("/v1/traces"); }));
  const Reply reply = chat({{"trace", true}});
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.param(), "trace");
  EXPECT_EQ(reply.code(), "unsupported_parameter");
  EXPECT_TRUE(generator->requests.empty());
  EXPECT_EQ(chat({{"trace", false}}).status, 200);
}

TEST_F(ApiTraces, OthersAreNotTapped) {
  say("Hello");
  EXPECT_EQ(chat().status, 200);
  EXPECT_EQ(complete().status, 200);
  for (const Request& request : generator->requests) EXPECT_EQ(request.tap, nullptr);
  EXPECT_TRUE(get("/v1/traces", {}).json["data"].empty());
}

TEST_F(ApiTraces, AKeySeesItsOwn) {
  say("Hello");
  const Reply answer = chat_as(kOwner, {{"trace", true}});
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_NE(generator->requests.back().tap, nullptr);
  const std::string path = "/v1/traces/" + answer.json["id"].get<std::string>();
  const Reply trace = get(path, kOwner);
  ASSERT_EQ(trace.status, 200) << trace.text;
  EXPECT_EQ(trace.json["id"], answer.json["id"]);
  EXPECT_EQ(trace.json["object"], "trace");
  EXPECT_EQ(trace.json["prompt_tokens"], answer.json["usage"]["prompt_tokens"]);
  EXPECT_TRUE(trace.json.contains("summary"));
  EXPECT_EQ(get("/v1/traces", kOwner).json["data"].size(), 1u);
  // The same words whether it exists or not.
  const Reply foreign = get(path, kOther), absent = get("/v1/traces/chatcmpl-req-2", kOther);
  EXPECT_EQ(foreign.status, 404);
  EXPECT_EQ(foreign.code(), absent.code());
  EXPECT_TRUE(get("/v1/traces", kOther).json["data"].empty());
}

TEST_F(ApiTraces, StreamsAndCompletionsToo) {
  say("Hello");
  const Reply streamed = chat({{"trace", true}, {"stream", true}});
  EXPECT_EQ(get("/v1/traces/chatcmpl-req-1", {}).status, 200);
  EXPECT_TRUE(streamed.done);
  EXPECT_EQ(complete({{"trace", true}}).status, 200);
  EXPECT_EQ(get("/v1/traces/cmpl-req-1", {}).status, 200);
  EXPECT_EQ(complete({{"trace", true}, {"prompt", {"a", "b"}}}).param(), "trace");
  EXPECT_EQ(chat({{"trace", true}, {"n", 2}}).param(), "trace");
  EXPECT_EQ(chat({{"trace", "yes"}}).param(), "trace");
}

TEST_F(ApiTraces, ARequestThatFailsLeavesNoneAndFreesItsPlace) {
  generator->forced_finish = FinishReason::error;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(chat({{"trace", true}}).status, 500);
  generator->forced_finish.reset();
  generator->refusal = Error(ErrorKind::busy, "full");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(chat({{"trace", true}}).status, 429);
  generator->refusal.reset();
  EXPECT_TRUE(get("/v1/traces", {}).json["data"].empty());
  say("Hello");
  EXPECT_EQ(chat({{"trace", true}}).status, 200);
}

}  // namespace
}  // namespace qwen3::server
