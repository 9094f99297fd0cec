// /openapi.json held against the server: every route is described and every described one answers;
// every field that is read is described, and every described one is read. And the hints for paths
// that are not there.
#include <gmock/gmock.h>

#include <set>

#include "server/api/fixture.h"
#include "server/api/generation_fields.h"
#include "server/api/openapi.h"
#include "server/api/route_hints.h"
#include "server/messages/routes.h"
#include "server/responses/routes.h"

namespace qwen3::server {
namespace {

using ::testing::HasSubstr;
using Names = std::set<std::string>;

class ApiDescription : public ApiTest {
 protected:
  Json document() { return call("GET", "/openapi.json").json; }

  static std::string pattern_of(std::string path) {
    const size_t brace = path.find('{');
    return brace == path.npos ? path : path.substr(0, brace) + "*";
  }

  // A body that some handler takes, for its own fields to be added to.
  static Json body_for(const std::string& path) {
    const Json messages{{{"role", "user"}, {"content", "Hi"}}};
    if (path == "/v1/chat/completions" || path == "/apply-template")
      return {{"messages", messages}};
    if (path == "/v1/chat/completions/control") return {{"id", "x"}, {"action", "reasoning_end"}};
    if (path == "/tokenize" || path == "/v1/completions") return {{"prompt", "Hi"}};
    if (path == "/detokenize") return {{"tokens", {1}}};
    if (path == "/v1/embeddings") return {{"input", "Hi"}};
    if (path == "/v1/decisions") {
      const Json choice{{"type", "choice"}, {"instructions", "?"}, {"choices", {{{"value", "a"}}}}};
      return {{"input", "Hi"}, {"questions", Json::array({choice})}};
    }
    if (path == "/v1/systemone") {
      return {{"state", "Hi"}, {"questions", {{"q", {{"type", "score"}, {"criteria", {"a"}}}}}}};
    }
    if (path.ends_with("rerank")) return {{"query", "a"}, {"documents", {"b"}}};
    return {{"text_1", "a"}, {"text_2", "b"}};
  }

  static Task task_for(const std::string& path) {
    if (path == "/v1/embeddings") return Task::embed;
    if (path.ends_with("rerank") || path.ends_with("score")) return Task::rerank;
    return Task::generate;
  }

  // The operations with a body, path by path, with the model that each is for.
  void for_each_post(const std::function<void(const std::string&, const Json& schema)>& body) {
    const Json all = document();
    for (const auto& [path, operations] : all["paths"].items()) {
      if (!operations.contains("post") || path.starts_with("/v1/responses") ||
          path.starts_with("/v1/messages")) {
        continue;  // of other rooms
      }
      if (!operations["post"].contains("requestBody")) continue;
      SCOPED_TRACE(path);
      restart({.model_names = {"nano"}, .traces = {.count = 3}}, task_for(path));
      say("x");
      body(path, operations["post"]["requestBody"]["content"]["application/json"]["schema"]);
    }
  }
};

TEST_F(ApiDescription, HasEveryRouteAndNoOther) {
  const Names page{"GET /", "GET /chat.css", "GET /chat.js", "GET /icon.svg"};
  Names served, described;
  for (const auto& some :
       {make_routes(*service), make_responses_routes(*service), make_messages_routes(*service)}) {
    for (const Route& route : some) {
      const std::string row = route.method + " " + route.path;
      if (!page.contains(row)) served.insert(row);
    }
  }
  const Json all = document();
  EXPECT_EQ(all["openapi"], "3.1.0");
  EXPECT_EQ(all["info"]["version"], "9.9");
  for (const auto& [path, operations] : all["paths"].items()) {
    for (const auto& [method, operation] : operations.items()) {
      EXPECT_FALSE(operation["summary"].get<std::string>().empty());
      described.insert((method == "get"      ? "GET "
                        : method == "delete" ? "DELETE "
                                             : "POST ") +
                       pattern_of(path));
    }
  }
  EXPECT_EQ(described, served);
}

TEST_F(ApiDescription, EveryDescribedRouteAnswers) {
  for_each_post([&](const std::string& path, const Json&) {
    const Reply reply = post(path, body_for(path));
    EXPECT_EQ(reply.status, 200) << reply.text;
  });
  restart({.model_names = {"nano"}, .metrics = true});
  for (const char* path : {"/v1/models", "/version", "/health", "/metrics", "/openapi.json"}) {
    EXPECT_EQ(call("GET", path).status, 200) << path;
  }
}

TEST_F(ApiDescription, EveryFieldThatIsReadIsDescribed) {
  Names not_for_use{"functions", "function_call", "chat_template", "suffix", "assets"};
  for (const std::string& name : refused_fields()) not_for_use.insert(name);
  for_each_post([&](const std::string& path, const Json& schema) {
    const Json& fields = schema["properties"];
    Names asked;
    Fields::asked = &asked;
    post(path, body_for(path));
    Json with_tools = body_for(path);
    with_tools["tools"] = weather_tools();
    if (path == "/v1/chat/completions") post(path, with_tools);
    if (path == "/tokenize") post(path, body_for("/apply-template"));
    Fields::asked = nullptr;
    EXPECT_GE(asked.size(), 2u);
    for (const std::string& name : asked) {
      const bool inner = name.find_first_of(".[") != name.npos;
      if (!inner && !not_for_use.contains(name)) {
        EXPECT_TRUE(fields.contains(name)) << name;
      }
    }
  });
}

// A value of a type that the field does not have is refused under the field's name.
TEST_F(ApiDescription, EveryDescribedFieldIsRead) {
  size_t n_checked = 0;
  for_each_post([&](const std::string& path, const Json& schema) {
    for (const auto& [name, field] : schema["properties"].items()) {
      if (!field.contains("type")) continue;
      const std::string types = field["type"].dump();
      Json body = body_for(path);
      if (path == "/tokenize" && name != "prompt") body.erase("prompt");
      if (path == "/tokenize" && name != "prompt" && name != "content") {
        body = schema["properties"].contains(name) && name.find("special") == name.npos &&
                       !name.starts_with("with_") && !name.starts_with("return_") && name != "model"
                   ? body_for("/apply-template")
                   : Json{{"content", "Hi"}};
      }
      if (name == "tool_choice" || name == "parallel_tool_calls") body["tools"] = weather_tools();
      body[name] = types.find("object") != types.npos ? Json(5) : Json{{"a", 1}};
      const Reply reply = post(path, body);
      const bool systemone = path == "/v1/systemone";
      EXPECT_EQ(reply.status, systemone ? 422 : 400) << name << " " << reply.text;
      const Json where = systemone ? reply.json["detail"][0]["loc"] : reply.json["error"]["param"];
      EXPECT_THAT(where.dump(), HasSubstr(name)) << reply.text;
      ++n_checked;
    }
  });
  EXPECT_GT(n_checked, 100u);
}

TEST_F(ApiDescription, BoundsAreThoseOfTheServer) {
  for_each_post([&](const std::string& path, const Json& schema) {
    for (const auto& [name, field] : schema["properties"].items()) {
      if (!field.contains("maximum")) continue;
      for (const double value :
           {field["minimum"].get<double>() - 1, field["maximum"].get<double>() + 1}) {
        Json body = body_for(path);
        body[name] = value;
        const Reply reply = post(path, body);
        EXPECT_EQ(reply.status, 400) << name << " " << value;
        EXPECT_THAT(reply.json["error"]["param"].dump(), HasSubstr(name)) << reply.text;
      }
    }
  });
}

TEST_F(ApiDescription, WrongRoutesGetTheRightHint) {
  const auto hint = make_route_hint(routes);
  const std::vector<std::pair<const char*, const char*>> wrong{
      {"/chat/completions", "POST /v1/chat/completions"},
      {"/v1/v1/chat/completions", "POST /v1/chat/completions"},
      {"/v1/chat/completions/v1/chat/completions", "POST /v1/chat/completions"},
      {"/openai/v1/chat/completions", "POST /v1/chat/completions"},
      {"/openai/deployments/qwen/chat/completions", "POST /v1/chat/completions"},
      {"/api/v1/chat/completions", "POST /v1/chat/completions"},
      {"/v1/chat/completion", "POST /v1/chat/completions"},
      {"/v1/chat/compeltions", "POST /v1/chat/completions"},
      {"/v1/chat/complete", "POST /v1/chat/completions"},
      {"/v1/chatcompletions", "POST /v1/chat/completions"},
      {"/V1/Chat/Completions", "POST /v1/chat/completions"},
      {"/v1/chat", "POST /v1/chat/completions"},
      {"/api/chat", "POST /v1/chat/completions"},
      {"/v1/api/chat", "POST /v1/chat/completions"},
      {"/v1beta/models/qwen:generateContent", "POST /v1/chat/completions"},
      {"/api/generate", "POST /v1/completions"},
      {"/generate", "POST /v1/completions"},
      {"/completion", "POST /v1/completions"},
      {"/completions", "POST /v1/completions"},
      {"/v1/completion", "POST /v1/completions"},
      {"/v1/complete", "POST /v1/completions"},
      {"/v1/engines/davinci/completions", "GET /v1/models"},
      {"/models", "GET /v1/models"},
      {"/v1/model", "GET /v1/models"},
      {"/v1/v1/models", "GET /v1/models"},
      {"/api/tags", "GET /v1/models"},
      {"/api/ps", "GET /v1/models"},
      {"/api/show", "GET /v1/models"},
      {"/props", "GET /v1/models"},
      {"/v1", "GET /v1/models"},
      {"/embeddings", "POST /v1/embeddings"},
      {"/v1/embedding", "POST /v1/embeddings"},
      {"/api/embed", "POST /v1/embeddings"},
      {"/v1/reranks", "POST /v1/rerank"},
      {"/v1/tokenize", "POST /tokenize"},
      {"/v1/detokenize", "POST /detokenize"},
      {"/apply_template", "POST /apply-template"},
      {"/healthz", "GET /health"},
      {"/v1/health", "GET /health"},
      {"/v1/trace", "GET /v1/traces"},
      {"/v1/metrics", "GET /metrics"},
      {"/api/version", "GET /version"},
      {"/v1/chat/control", "POST /v1/chat/completions/control"},
      {"/docs", "GET /openapi.json"},
      {"/v1/openapi.json", "GET /openapi.json"},
      {"/swagger/index.html", "GET /openapi.json"}};
  size_t n_right = 0;
  for (const auto& [path, use] : wrong) {
    const std::string said = hint(path);
    const std::string whole = std::string("use ") + use;
    const bool right = said == whole || said.starts_with(whole + ";");
    EXPECT_TRUE(right) << path << ": " << said;
    n_right += right ? 1 : 0;
  }
  EXPECT_GE(n_right, 40u);
  EXPECT_EQ(n_right, wrong.size());
  for (const char* path : {"/robots.txt", "/wp-login.php", "/nothing", "/x", "/.env", "/admin/"}) {
    EXPECT_THAT(hint(path), HasSubstr("GET /openapi.json lists")) << path;
  }
  EXPECT_THAT(hint("/v1/images/generations"), HasSubstr("text only"));
  EXPECT_THAT(hint(std::string(100'000, '/')), HasSubstr("/openapi.json"));
}

}  // namespace
}  // namespace qwen3::server
