// Responses that are kept: going on from one, fetching, deleting, and the bounds of the store.
#include "server/responses/store.h"

#include "server/agents_fixture.h"

namespace qwen3::server {
namespace {

class KeptResponses : public AgentsTest {
 protected:
  void SetUp() override { start({.model_names = {"nano"}, .responses = {.count = 3}}); }

  Reply respond(Json body) { return ask("/v1/responses", body); }
  Reply get(const std::string& tail) { return call("GET", "/v1/responses/" + tail); }
};

TEST_F(KeptResponses, ConversationGoesOn) {
  say("<think>\nhm\n</think>\n\n<tool_call>\n{\"name\": \"add\", \"arguments\": {}}\n</tool_call>");
  const Json tools = {{{"type", "function"}, {"name", "add"}}};
  const Json first = respond({{"input", "Q1"}, {"tools", tools}, {"instructions", "Once."}}).json;
  const Json second = respond({{"previous_response_id", first["id"]},
                               {"tools", tools},
                               {"input",
                                {{{"type", "function_call_output"},
                                  {"call_id", first["output"][1]["call_id"]},
                                  {"output", "5"}}}}})
                          .json;
  const std::string prompt = last_prompt();
  EXPECT_EQ(second["previous_response_id"], first["id"]);
  EXPECT_EQ(prompt.find("Once."), std::string::npos) << "instructions are not inherited";
  EXPECT_NE(
      prompt.find("Q1<|im_end|>\n<|im_start|>assistant\n<think>\nhm\n</think>\n\n<tool_call>"),
      std::string::npos)
      << prompt;
  EXPECT_NE(prompt.find("<tool_response>\n5\n</tool_response>"), std::string::npos);
  respond({{"previous_response_id", second["id"]}, {"input", "Q2"}});
  EXPECT_NE(last_prompt().find("<tool_response>\n5"), std::string::npos) << "the whole of it";
  EXPECT_EQ(respond({{"previous_response_id", "resp_unknown"}, {"input", "x"}}).code(),
            "previous_response_not_found");
}

TEST_F(KeptResponses, FetchedAndDeleted) {
  say("Yes.");
  const Reply made = respond({{"input", "Q1"}});
  const std::string id = made.json["id"];
  EXPECT_EQ(get(id).text, made.text);
  const Json streamed = stream("/v1/responses", {{"input", "Q2"}}).back().data["response"];
  EXPECT_EQ(get(streamed["id"]).json, streamed);
  const Reply deleted = call("DELETE", "/v1/responses/" + id);
  EXPECT_EQ(deleted.json, (Json{{"id", id}, {"object", "response"}, {"deleted", true}}));
  EXPECT_EQ(get(id).status, 404);
  EXPECT_EQ(call("DELETE", "/v1/responses/" + id).status, 404);
  const Reply unkept = respond({{"input", "Q"}, {"store", false}});
  EXPECT_EQ(unkept.json["store"], false);
  EXPECT_EQ(get(unkept.json["id"]).status, 404);
}

TEST_F(KeptResponses, InputItems) {
  say("Yes.");
  Json items = Json::array();
  for (int i = 0; i < 5; ++i) {
    items.push_back({{"role", "user"}, {"content", std::to_string(i)}});
  }
  const std::string id = respond({{"input", items}}).json["id"];
  // A query does not reach the route by its path.
  const auto page = [&](const std::string& query) {
    auto exchange = std::make_shared<FakeExchange>();
    HttpRequest http;
    http.method = "GET";
    http.tail = id + "/input_items";
    http.query = query;
    for (const Route& route : routes) {
      if (route.method == "GET" && route.path == "/v1/responses/*") route.handler(http, exchange);
    }
    return read_reply(*exchange);
  };
  const Json all = page("order=asc").json;
  ASSERT_EQ(all["data"].size(), 5u);
  EXPECT_EQ(all["data"][0]["content"], "0");
  EXPECT_EQ(all["has_more"], false);
  EXPECT_EQ(all["first_id"], all["data"][0]["id"]);
  EXPECT_TRUE(all["first_id"].get<std::string>().starts_with("msg_"));
  const Json two = page("limit=2&after=" + all["data"][3]["id"].get<std::string>()).json;
  EXPECT_EQ(two["data"][0]["content"], "2");
  EXPECT_EQ(two["data"][1]["content"], "1");
  EXPECT_EQ(two["has_more"], true);
  EXPECT_EQ(page("limit=0").status, 400);
  EXPECT_EQ(page("limit=2x").status, 400);
  EXPECT_EQ(page("order=up").status, 400);
  EXPECT_EQ(page("after=msg_none").status, 400);
}

TEST_F(KeptResponses, OthersDoNotSeeThem) {
  say("Yes.");
  const Client mine{.name = "mine", .salt = "1"}, other{.name = "other", .salt = "2"};
  const Json made = stream("/v1/responses", {{"input", "Q1"}}, mine).back().data["response"];
  const std::string id = made["id"];
  const auto status = [&](const std::string& method, const Client& client) {
    const auto exchange = begin(method, "/v1/responses/" + id, "", client);
    exchange->run();
    return exchange->response.status;
  };
  EXPECT_EQ(status("GET", other), 404);
  EXPECT_EQ(status("DELETE", other), 404);
  EXPECT_EQ(status("GET", mine), 200);
  const Json reference = {{{"type", "item_reference"}, {"id", made["output"][0]["id"]}}};
  const auto ask_as = [&](const Client& client, const Json& body) {
    const auto exchange = begin("POST", "/v1/responses", body.dump(), client);
    exchange->run();
    return read_reply(*exchange);
  };
  EXPECT_EQ(ask_as(other, {{"input", reference}}).param(), "input[0].id");
  EXPECT_EQ(ask_as(other, {{"input", "x"}, {"previous_response_id", id}}).code(),
            "previous_response_not_found");
  EXPECT_EQ(ask_as(mine, {{"input", reference}}).status, 200);
  EXPECT_NE(last_prompt().find("assistant\nYes."), std::string::npos);
  Json twice = reference;
  twice.push_back(reference[0]);
  EXPECT_EQ(ask_as(mine, {{"input", twice}}).param(), "input[1].id");
}

// What is kept is counted when it is read again, and held while the answer is made.
TEST_F(KeptResponses, AreCounted) {
  say("Yes.");
  // The template leaves old thoughts out of the prompt; they are kept all the same.
  const Json thought = {{"type", "reasoning_text"}, {"text", std::string(200'000, 'x')}};
  const Json items = {{{"type", "reasoning"}, {"content", Json::array({thought})}},
                      {{"role", "user"}, {"content", "Q"}}};
  const std::string id = respond({{"input", items}}).json.value("id", "");
  ASSERT_NE(id, "");
  const Json body = {{"input", "x"}, {"previous_response_id", id}};
  auto exchange = std::make_shared<FakeExchange>();
  exchange->most_held = 300'000;
  HttpRequest http;
  http.body = body.dump();
  http.received = std::chrono::steady_clock::now();
  for (const Route& route : routes) {
    if (route.method == "POST" && route.path == "/v1/responses") route.handler(http, exchange);
  }
  ASSERT_TRUE(exchange->run());
  EXPECT_EQ(exchange->response.status, 503) << exchange->response.body;
  respond(body);
  EXPECT_GT(begin("POST", "/v1/responses", body.dump())->held, 200'000);
}

TEST_F(KeptResponses, OffByDefault) {
  start({.model_names = {"nano"}});
  say("Yes.");
  const Json made = respond({{"input", "Q1"}}).json;
  EXPECT_EQ(made["store"], false);
  const Reply missing = get(made["id"]);
  EXPECT_EQ(missing.status, 404);
  EXPECT_NE(missing.message().find("--responses"), std::string::npos);
}

StoredResponse stored(const std::string& id, size_t n_bytes) {
  return {.id = id, .client = "c", .response = std::string(n_bytes, 'x'), .items = "[]"};
}

TEST(ResponseStore, Bounds) {
  const Client client{.name = "c", .salt = {}};
  ResponseStore store({.count = 3, .bytes = 10'000, .max_age = std::chrono::seconds(10)});
  const Clock::time_point start = Clock::now();
  for (const char* id : {"a", "b", "c", "d"}) store.keep(stored(id, 100), start);
  EXPECT_EQ(store.find("a", client, start), nullptr) << "one too many";
  EXPECT_NE(store.find("b", client, start), nullptr);
  store.keep(stored("large", 9'000), start);
  EXPECT_EQ(store.find("b", client, start), nullptr);
  EXPECT_LE(store.n_bytes(), 10'000u);
  store.keep(stored("too large", 20'000), start);
  EXPECT_EQ(store.find("too large", client, start), nullptr);
  EXPECT_NE(store.find("large", client, start), nullptr) << "nothing gives way to it";
  EXPECT_EQ(store.find("large", client, start + std::chrono::seconds(10)), nullptr);
  EXPECT_EQ(store.n_bytes(), 0u);
}

TEST(ResponseStore, Conversation) {
  StoredResponse one{.id = "r", .client = "", .response = "{}", .items = "[]"};
  EXPECT_EQ(one.conversation(), "[]");
  one.output = {{"a", "{\"id\":\"a\"}"}, {"b", "{\"id\":\"b\"}"}};
  EXPECT_EQ(one.conversation(), R"([{"id":"a"},{"id":"b"}])");
  one.items = R"([{"id":"q"}])";
  EXPECT_EQ(one.conversation(), R"([{"id":"q"},{"id":"a"},{"id":"b"}])");
}

}  // namespace
}  // namespace qwen3::server
