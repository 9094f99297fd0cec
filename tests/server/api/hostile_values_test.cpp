// Tables of hostile values for every field, fields that do not go together, and random bodies.
#include <random>

#include "server/api/fixture.h"

namespace qwen3::server {
namespace {

class ApiHostileValues : public ApiTest {
 protected:
  // The raw text of one field's value in an otherwise good request.
  Reply chat_with(const std::string& field, const std::string& value) {
    return call("POST",
                "/v1/chat/completions",
                R"({"messages":[{"role":"user","content":"Hi"}],")" + field + "\":" + value + "}");
  }
  void expect_refused(const std::string& field, const std::string& value) {
    generator->requests.clear();
    const Reply reply = chat_with(field, value);
    EXPECT_EQ(reply.status, 400) << field << "=" << value << ": " << reply.text.substr(0, 300);
    if (reply.status != 400) return;
    EXPECT_EQ(reply.json["error"]["type"], "invalid_request_error");
    EXPECT_TRUE(reply.json["error"]["code"].is_string());
    if (reply.param().is_string()) {
      EXPECT_TRUE(reply.param().get<std::string>().starts_with(field)) << reply.text;
    } else {
      EXPECT_EQ(reply.code(), "invalid_json") << reply.text;  // a number no double holds
    }
    EXPECT_TRUE(generator->requests.empty());
  }
};

TEST_F(ApiHostileValues, TP1_NumbersOfChoices) {
  for (const char* value :
       {"0", "-1", "9", "1e6", "9223372036854775808", "1.5", "\"2\"", "true", "[1]", "{}"}) {
    expect_refused("n", value);
  }
}

TEST_F(ApiHostileValues, TP2_Logprobs) {
  for (const char* value : {"21", "-1", "1e9", "1000000000", "1.5", "\"5\"", "true"}) {
    expect_refused("top_logprobs", value);
    expect_refused("prompt_logprobs", value);
  }
  for (const char* value : {"1", "\"yes\"", "[]"}) expect_refused("logprobs", value);
  for (const char* value : {"21", "-1", "true"}) {
    const Reply reply =
        call("POST", "/v1/completions", std::string(R"({"prompt":"a","logprobs":)") + value + "}");
    EXPECT_EQ(reply.status, 400) << value;
    EXPECT_EQ(reply.param(), "logprobs");
  }
  // The arithmetic of a request that asks for too many.
  restart({.model_names = {"nano"}, .limits = {.max_logprob_entries = 10}});
  EXPECT_EQ(complete({{"echo", true}, {"logprobs", 20}}).param(), "prompt");
}

TEST_F(ApiHostileValues, TP3_TokenIds) {
  for (const char* id : {"-1",
                         "2560",
                         "151935",
                         "2147483648",
                         "9223372036854775808",
                         "1.5",
                         "\"7\"",
                         "null",
                         "true"}) {
    expect_refused("stop_token_ids", "[" + std::string(id) + "]");
    expect_refused("allowed_token_ids", "[" + std::string(id) + "]");
    const Reply prompt =
        call("POST", "/v1/completions", R"({"prompt":[5,)" + std::string(id) + "]}");
    EXPECT_EQ(prompt.status, 400) << id;
    EXPECT_TRUE(prompt.param().get<std::string>().starts_with("prompt")) << prompt.text;
    EXPECT_EQ(call("POST", "/detokenize", R"({"tokens":[)" + std::string(id) + "]}").status, 400);
  }
  for (const char* key : {"-1",
                          "2560",
                          "151935",
                          "2147483648",
                          "9223372036854775808",
                          "1.5",
                          "x",
                          "",
                          " 5",
                          "+5",
                          "5 "}) {
    expect_refused("logit_bias", R"({")" + std::string(key) + "\":1}");
  }
  for (const char* bias : {"101", "-101", "\"1\"", "null", "1e400"}) {
    expect_refused("logit_bias", R"({"5":)" + std::string(bias) + "}");
  }
  std::string many = "{\"0\":1";
  for (int i = 1; i <= 300; ++i) many += ",\"" + std::to_string(i) + "\":1";
  expect_refused("logit_bias", many + "}");
}

// Every number field with every strange number: refused, or an allowed value.
TEST_F(ApiHostileValues, TP4_StrangeNumbers) {
  say("x");
  for (const char* field : {"temperature",
                            "top_p",
                            "min_p",
                            "presence_penalty",
                            "frequency_penalty",
                            "repetition_penalty",
                            "top_k",
                            "max_tokens",
                            "max_completion_tokens",
                            "min_tokens",
                            "seed",
                            "n",
                            "priority",
                            "top_logprobs",
                            "prompt_logprobs",
                            "thinking_token_budget",
                            "n_predict"}) {
    for (const char* value : {"NaN",
                              "Infinity",
                              "-Infinity",
                              "1e308",
                              "-1e308",
                              "-0",
                              "-0.0",
                              "1e-320",
                              "9007199254740993",
                              "-1",
                              "1e400",
                              "\"1\"",
                              "[]",
                              "{}",
                              "true",
                              "0.1",
                              "18446744073709551615",
                              "18446744073709551616"}) {
      const Reply reply = chat_with(field, value);
      EXPECT_TRUE(reply.status == 200 || reply.status == 400)
          << field << "=" << value << ": " << reply.text.substr(0, 300);
    }
    for (const char* value : {"NaN", "\"1\"", "[]", "{}", "true", "1e400"}) {
      EXPECT_EQ(chat_with(field, value).status, 400) << field << "=" << value;
    }
  }
  for (const char* value : {"2.01", "-0.01", "1e308"}) expect_refused("temperature", value);
  for (const char* value : {"1.01", "-0.01"}) expect_refused("top_p", value);
  for (const char* value : {"0", "-2"}) expect_refused("max_tokens", value);
  for (const char* value : {"-1", "2147483648"}) expect_refused("priority", value);
  EXPECT_EQ(chat_with("max_tokens", "5.0").status, 200);  // as Python's JSON may say it
  EXPECT_EQ(chat_with("top_p", "0").status, 200);
}

// Every pair of features together: an answer or a refusal.
TEST_F(ApiHostileValues, TP5_PairsOfFeatures) {
  say("<think>\na\n</think>\n\nb <tool_call>\n{\"name\": \"add\", \"arguments\": "
      "{}}\n</tool_call>");
  const std::vector<Json> features = {{{"temperature", 0}},
                                      {{"temperature", 2}},
                                      {{"top_k", 1}},
                                      {{"min_p", 1}},
                                      {{"repetition_penalty", 100}},
                                      {{"presence_penalty", 2}},
                                      {{"frequency_penalty", -2}},
                                      {{"logit_bias", {{"5", -100}}}},
                                      {{"seed", 1}},
                                      {{"n", 8}},
                                      {{"min_tokens", 3}},
                                      {{"max_tokens", 3}},
                                      {{"stop", "b"}},
                                      {{"stop_token_ids", {5}}},
                                      {{"ignore_eos", true}, {"max_tokens", 20}},
                                      {{"logprobs", true}, {"top_logprobs", 20}},
                                      {{"prompt_logprobs", 20}},
                                      {{"return_token_ids", true}},
                                      {{"tools", weather_tools()}},
                                      {{"tools", weather_tools()}, {"tool_choice", "required"}},
                                      {{"thinking_token_budget", 1}},
                                      {{"allowed_token_ids", {5, 6}}},
                                      {{"stream", true}},
                                      {{"enable_thinking", false}},
                                      {{"skip_special_tokens", false}},
                                      {{"include_reasoning", false}}};
  int answered = 0;
  for (const Json& a : features) {
    for (const Json& b : features) {
      Json both = a;
      both.update(b);
      const Reply reply = chat(both);
      ASSERT_TRUE(reply.status == 200 || reply.status == 400) << both << reply.text.substr(0, 300);
      answered += reply.status == 200;
    }
  }
  EXPECT_GT(answered, 500);
}

// Bodies that are right, nearly right and nonsense: never our fault.
TEST_F(ApiHostileValues, TP6_RandomBodies) {
  std::mt19937 random(7);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  const std::vector<std::string> keys = {"model",
                                         "messages",
                                         "prompt",
                                         "max_tokens",
                                         "n",
                                         "stream",
                                         "stop",
                                         "temperature",
                                         "top_p",
                                         "tools",
                                         "tool_choice",
                                         "logit_bias",
                                         "logprobs",
                                         "top_logprobs",
                                         "echo",
                                         "seed",
                                         "suffix",
                                         "response_format",
                                         "stream_options",
                                         "chat_template_kwargs",
                                         "stop_token_ids",
                                         "input",
                                         "documents",
                                         "query",
                                         "content",
                                         "tokens",
                                         "role",
                                         "name",
                                         "type",
                                         "function",
                                         "text",
                                         "enable_thinking",
                                         "thinking_budget",
                                         "continue_final_message",
                                         "add_generation_prompt",
                                         "text_1",
                                         "text_2",
                                         "dimensions",
                                         "encoding_format",
                                         "best_of",
                                         "reasoning_effort"};
  const std::vector<Json> leaves = {nullptr,
                                    true,
                                    false,
                                    0,
                                    1,
                                    -1,
                                    3,
                                    1e308,
                                    0.5,
                                    "",
                                    "auto",
                                    "none",
                                    "required",
                                    "user",
                                    "assistant",
                                    "system",
                                    "tool",
                                    "function",
                                    "text",
                                    "Hi \0 there",
                                    "\u0000",
                                    "float",
                                    "base64",
                                    std::string(300, 'x'),
                                    "<|im_end|>",
                                    151935,
                                    5,
                                    Json::array(),
                                    Json::object()};
  std::function<Json(int)> value = [&](int depth) -> Json {
    const size_t kind = depth > 3 ? 0 : below(8);
    if (kind == 1) {
      Json list = Json::array();
      for (size_t i = below(4); i > 0; --i) list.push_back(value(depth + 1));
      return list;
    }
    if (kind == 2) {
      Json object = Json::object();
      for (size_t i = below(4); i > 0; --i) object[keys[below(keys.size())]] = value(depth + 1);
      return object;
    }
    return leaves[below(leaves.size())];
  };
  const Json good{{"messages", {{{"role", "user"}, {"content", "Hi"}}}},
                  {"prompt", "a"},
                  {"max_tokens", 4},
                  {"tokens", {1, 2}},
                  {"input", "x"},
                  {"query", "q"},
                  {"documents", {"d"}},
                  {"tools", weather_tools()},
                  {"text_1", "a"},
                  {"text_2", "b"},
                  {"content", nullptr}};
  std::vector<std::string> paths;
  for (const Route& route : routes) {
    if (route.method == "POST") paths.push_back(route.path);
  }
  const std::vector<Task> tasks = {Task::generate, Task::embed, Task::rerank};
  int n_ok = 0;
  for (const Task task : tasks) {
    restart({.model_names = {"nano"}}, task);
    say("x <tool_call>");
    for (int round = 0; round < 2500; ++round) {
      Json body = below(4) == 0 ? Json::object() : good;
      for (size_t i = below(5); i > 0; --i) body[keys[below(keys.size())]] = value(0);
      if (below(3) != 0) body.erase("model");
      std::string text = body.dump();
      if (below(6) == 0) text.resize(below(text.size() + 1));  // cut off
      if (below(8) == 0 && !text.empty()) text[below(text.size())] = static_cast<char>(below(256));
      const std::string& path = paths[below(paths.size())];
      const Reply reply = call("POST", path, text);
      ASSERT_LT(reply.status, 500) << path << " " << text << "\n"
                                   << reply.text.substr(0, 500) << reply.notes.count("error");
      n_ok += reply.status == 200;
      generator->requests.clear();
    }
  }
  EXPECT_GT(n_ok, 300);  // the generator also makes requests that are answered
}

}  // namespace
}  // namespace qwen3::server
