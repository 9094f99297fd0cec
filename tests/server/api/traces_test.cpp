// Traces: who may ask, who may look, how many are kept and for how long, and the page of one.
#include "server/api/traces.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

#include "server/api/fixture.h"
#include "server/api/report_data.h"
#include "server/api/trace_page.h"

namespace qwen3::server {
namespace {

using std::chrono::seconds;

const Client kOwner{"owner", "salt-1"}, kOther{"other", "salt-2"};

// A pass of n tokens through one routed layer.
void show_pass(Tap& tap, int32_t first, int32_t n) {
  std::vector<int32_t> positions(static_cast<size_t>(n));
  for (int32_t i = 0; i < n; ++i) positions[static_cast<size_t>(i)] = first + i;
  tap.begin_step(positions);
  std::vector<float> logits(static_cast<size_t>(n) * 8, 0.5f), weights(logits.size() / 4, 0.5f);
  std::vector<int32_t> experts(weights.size(), 1);
  const auto show = [&](const char* part, auto& values, DType dtype) {
    tap.tensor(std::string("layers.0.mlp.") + part,
               Tensor(values.data(), dtype, {n, static_cast<int64_t>(values.size()) / n}));
  };
  show("router_logits", logits, DType::f32);
  show("routing_weights", weights, DType::f32);
  show("selected_experts", experts, DType::i32);
}

std::shared_ptr<RequestRecorder> recorder_of(int32_t n) {
  auto recorder = std::make_shared<RequestRecorder>();
  show_pass(*recorder, 0, n);
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
  StoredTrace with_ids = trace_of("x", kOwner, 1000);
  with_ids.ids.resize(1000);
  EXPECT_GE(with_ids.n_bytes(), one + 4000);
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

TEST(TraceTickets, OpenOnceAndNotForLong) {
  TraceTickets tickets;
  const Clock::time_point start{};
  const std::string first = tickets.issue("a", kOwner, start);
  const std::string second = tickets.issue("b", kOther, start);
  EXPECT_EQ(first.size(), 64u);
  EXPECT_NE(first, second);
  const auto opened = tickets.redeem(first, start + seconds(59));
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->id, "a");
  EXPECT_EQ(opened->client.name, "owner");
  EXPECT_FALSE(tickets.redeem(first, start + seconds(59))) << "a second time";
  EXPECT_FALSE(tickets.redeem(second, start + seconds(60))) << "too late";
  for (const std::string& wrong : {std::string(), std::string(64, '0'), second.substr(1)}) {
    EXPECT_FALSE(tickets.redeem(wrong, start)) << wrong;
  }
}

TEST(TraceTickets, AreSoManyAtMost) {
  TraceTickets tickets;
  const std::string other = tickets.issue("other's", kOther);
  std::vector<std::string> mine;
  for (int i = 0; i <= TraceTickets::kMostOfClient; ++i) mine.push_back(tickets.issue("a", kOwner));
  EXPECT_FALSE(tickets.redeem(mine.front()));
  EXPECT_TRUE(tickets.redeem(mine[1]));
  EXPECT_TRUE(tickets.redeem(other)) << "one client takes no place of another";
  const std::string old = tickets.issue("a", kOther);
  for (int i = 0; i < TraceTickets::kMost; ++i) {
    tickets.issue("a", {"client-" + std::to_string(i), "salt"});
  }
  EXPECT_FALSE(tickets.redeem(old));
}

class ApiTraces : public ApiTest {
 protected:
  void SetUp() override { restart({.model_names = {"nano"}, .traces = {.count = 3}}); }

  // As say(); a traced request's tap sees the prompt as one pass, and a pass for each token but the
  // last.
  void say_and_show(const std::string& text) {
    generator->script = [ids = nano_text().encode(text)](const Request& request, size_t) {
      const auto n_prompt = static_cast<int32_t>(request.prompt_ids.size());
      show_pass(*request.tap, 0, n_prompt);
      for (int32_t i = 0; i < std::ssize(ids); ++i) show_pass(*request.tap, n_prompt + i, 1);
      return ids;
    };
  }
  // The ids that were shown.
  std::vector<int32_t> shown_ids(const std::string& text) const {
    std::vector<int32_t> ids = generator->requests.back().prompt_ids;
    for (const int32_t id : nano_text().encode(text)) ids.push_back(id);
    return ids;
  }
  HttpResponse page_of(const Reply& answer, const Client& client) {
    return begin(
               "GET", "/v1/traces/" + answer.json["id"].get<std::string>() + "/report", "", client)
        ->response;
  }
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
  EXPECT_EQ(call("GET", "/v1/traces").status, 404);
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

// What a page does for a reader whose key no address can carry.
TEST_F(ApiTraces, ATicketOpensTheReportOnceWithoutAKey) {
  using ::testing::HasSubstr, ::testing::Not;
  say_and_show("Hello there");
  const Reply answer = chat_as(kOwner, {{"trace", true}});
  const std::string path = "/v1/traces/" + answer.json["id"].get<std::string>();
  const auto ask = [&](const std::string& target, const Client& client) {
    const auto exchange = begin("POST", target, "{}", client);
    EXPECT_TRUE(exchange->run());
    return read_reply(*exchange);
  };
  EXPECT_EQ(ask(path + "/ticket", kOther).code(), "trace_not_found");
  EXPECT_EQ(ask("/v1/traces/none/ticket", kOwner).code(), "trace_not_found");
  EXPECT_EQ(ask(path, kOwner).status, 404);
  const Reply ticket = ask(path + "/ticket", kOwner);
  ASSERT_EQ(ticket.status, 200) << ticket.text;
  EXPECT_EQ(ticket.json["object"], "trace.ticket");
  EXPECT_EQ(ticket.json["expires_in"], 60);
  const std::string url = ticket.json["url"];
  EXPECT_THAT(url, Not(HasSubstr(kOwner.salt)));

  EXPECT_EQ(begin("HEAD", url, "", {})->response.status, 405) << "who only looks";
  EXPECT_EQ(begin("GET", url + "&lang=fr", "", {})->response.status, 400);
  const HttpResponse page = begin("GET", url + "&lang=zh", "", {})->response;
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(report_ids(report_data(page.body)), shown_ids("Hello there"));
  EXPECT_EQ(report_data(page.body)["lang"], "zh");
  EXPECT_EQ(get(url, {}).code(), "ticket_not_found");
  EXPECT_EQ(get("/v1/trace-report", {}).code(), "ticket_not_found");
}

// Clients may name their requests (X-Request-Id), and use a name again.
TEST_F(ApiTraces, TheNewestOfAnIdTakesItsPlace) {
  say("Hello");
  chat_as(kOther, {{"trace", true}});
  chat_as(kOwner, {{"trace", true}, {"max_tokens", 1}});
  const Reply second = chat_as(kOwner, {{"trace", true}});
  const Json data = get("/v1/traces", kOwner).json["data"];
  ASSERT_EQ(data.size(), 1u);
  EXPECT_EQ(data[0]["completion_tokens"], second.json["usage"]["completion_tokens"]);
  EXPECT_EQ(get("/v1/traces", kOther).json["data"].size(), 1u) << "another client's";
}

TEST_F(ApiTraces, APageForWhoAsked) {
  using ::testing::AllOf, ::testing::HasSubstr, ::testing::Not;
  say_and_show("Hello there");
  const Reply answer = chat_as(kOwner, {{"trace", true}});
  ASSERT_EQ(answer.status, 200) << answer.text;
  const HttpResponse page = page_of(answer, kOwner);
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  ASSERT_EQ(page.headers.size(), 1u);  // the rest stands in every answer
  EXPECT_EQ(page.headers[0].first, "content-security-policy");
  EXPECT_THAT(page.headers[0].second,
              AllOf(HasSubstr("default-src 'none'; "),
                    HasSubstr("frame-ancestors 'none'"),
                    HasSubstr("trusted-types 'none'")));
  EXPECT_THAT(page.body, HasSubstr("<!doctype html>"));
  for (const char* word : {"http:", "https:", "src=\"", "@import", "url(", "fetch(", "innerHTML"}) {
    EXPECT_THAT(page.body, Not(HasSubstr(word)));
  }
  const Json data = report_data(page.body);
  EXPECT_EQ(report_ids(data), shown_ids("Hello there"));
  EXPECT_EQ(data["tokens"].back()[1], nano_text().decode({&shown_ids("Hello there").back(), 1}));
  EXPECT_EQ(data["n_prompt"], answer.json["usage"]["prompt_tokens"]);
  EXPECT_EQ(data["tokens_not_recorded"], 0);
  EXPECT_EQ(data["model"]["name"], "nano");
  EXPECT_EQ(data["lang"], "en");
  EXPECT_EQ(report_n_routed(data), data["tokens"].size());
  for (const char* none : {"lens", "attention", "time"}) EXPECT_FALSE(data.contains(none)) << none;

  const HttpResponse foreign = page_of(answer, kOther);
  const Reply absent = get("/v1/traces/chatcmpl-req-2/report", kOwner);
  EXPECT_EQ(foreign.status, 404);
  EXPECT_EQ(absent.status, 404);
  EXPECT_EQ(parse_json(foreign.body, "reply")["error"]["code"], absent.code());
  EXPECT_EQ(absent.message().find("/report"), std::string::npos);
}

TEST_F(ApiTraces, APageOfACutRecord) {
  restart({.model_names = {"nano"}, .traces = {.count = 3, .max_tokens = 10}});
  say_and_show("One two three");
  const Reply answer = complete({{"trace", true}, {"prompt", {5, 6, 7, 8, 9, 10, 11, 12}}});
  ASSERT_EQ(answer.status, 200) << answer.text;
  const std::vector<int32_t> shown = shown_ids("One two three");
  ASSERT_GT(shown.size(), 10u);
  const Json data = report_data(page_of(answer, {}).body);
  EXPECT_EQ(report_ids(data), std::vector<int32_t>(shown.begin(), shown.begin() + 10));
  EXPECT_EQ(data["n_prompt"], 8);
  EXPECT_EQ(data["tokens_not_recorded"], shown.size() - 10);
  EXPECT_EQ(report_n_routed(data), 10u);
}

// A prompt whose first pass is longer than what may be recorded.
TEST_F(ApiTraces, APageOfNothing) {
  restart({.model_names = {"nano"}, .traces = {.count = 3, .max_tokens = 2}});
  say_and_show("One");
  const Reply answer = complete({{"trace", true}, {"prompt", {5, 6, 7}}});
  const Json data = report_data(page_of(answer, {}).body);
  EXPECT_TRUE(data["tokens"].empty());
  EXPECT_FALSE(data.contains("taps") || data.contains("routing"));
}

TEST(TracePage, ItsLanguageIsTheReaders) {
  const auto language = [](const char* query, const char* accept) {
    HttpRequest http;
    http.query = query;
    if (*accept != 0) http.headers = {{"accept-language", accept}};
    return page_language(http);
  };
  EXPECT_EQ(language("", ""), PageLanguage::english);
  EXPECT_EQ(language("", "zh-CN,zh;q=0.9,en;q=0.8"), PageLanguage::chinese);
  EXPECT_EQ(language("", "ZH"), PageLanguage::chinese);
  EXPECT_EQ(language("", "en-GB,zh;q=0.5"), PageLanguage::english);
  EXPECT_EQ(language("", "fr"), PageLanguage::english);
  EXPECT_EQ(language("lang=en", "zh"), PageLanguage::english);
  EXPECT_EQ(language("a&b=c&lang=zh&d", "en"), PageLanguage::chinese);
  EXPECT_EQ(language("slang=zh", ""), PageLanguage::english);
  EXPECT_THROW(language("lang=fr", ""), ApiError);
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
