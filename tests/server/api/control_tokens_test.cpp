// Text of a user never becomes a control token: every added token of the tokenizer, at every place
// where a request carries text into a prompt.
#include <functional>

#include "server/api/fixture.h"

namespace qwen3::server {
namespace {

using Ids = std::vector<int32_t>;

Json user(const std::string& text) { return {{"role", "user"}, {"content", text}}; }

Json call_of(const std::string& name, const Json& arguments) {
  return {{"role", "assistant"},
          {"content", nullptr},
          {"tool_calls",
           {{{"type", "function"},
             {"id", "call_1"},
             {"function", {{"name", name}, {"arguments", arguments}}}}}}};
}

Json tool_with(const Json& function) { return {{{"type", "function"}, {"function", function}}}; }

struct Place {
  const char* name;
  std::function<Json(const std::string&)> body;  // of a chat request
};

// The last message is a user's, so that templates have nothing of their own to say about thoughts
// in the messages before it.
const std::vector<Place>& chat_places() {
  static const std::vector<Place> kPlaces{
      {"system",
       [](const auto& t) {
         return Json{{"messages", {{{"role", "system"}, {"content", t}}, user("Hi")}}};
       }},
      {"developer",
       [](const auto& t) {
         return Json{{"messages", {{{"role", "developer"}, {"content", t}}, user("Hi")}}};
       }},
      {"user",
       [](const auto& t) {
         return Json{{"messages", {user(t)}}};
       }},
      {"text part",
       [](const auto& t) {
         return Json{{"messages",
                      {{{"role", "user"},
                        {"content",
                         {{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", t}}}}}}}};
       }},
      {"assistant",
       [](const auto& t) {
         return Json{
             {"messages", {user("a"), {{"role", "assistant"}, {"content", t}}, user("Hi")}}};
       }},
      {"continued",
       [](const auto& t) {
         return Json{{"messages",
                      {user("a"),
                       {{"role", "assistant"}, {"content", "x " + t}, {"reasoning_content", "r"}}}},
                     {"continue_final_message", true}};
       }},
      {"reasoning",
       [](const auto& t) {
         return Json{
             {"messages",
              {user("a"), {{"role", "assistant"}, {"content", "b"}, {"reasoning_content", t}}}},
             {"add_generation_prompt", false}};
       }},
      {"tool result",
       [](const auto& t) {
         return Json{
             {"messages", {user("a"), call_of("f", "{}"), {{"role", "tool"}, {"content", t}}}}};
       }},
      {"name of a call",
       [](const auto& t) {
         return Json{{"messages", {user("a"), call_of(t, "{}"), user("b")}}};
       }},
      {"argument of a call",
       [](const auto& t) {
         return Json{{"messages", {user("a"), call_of("f", Json{{"k", t}}), user("b")}}};
       }},
      {"key of an argument",
       [](const auto& t) {
         return Json{{"messages", {user("a"), call_of("f", Json{{t, 1}}), user("b")}}};
       }},
      {"arguments that are no JSON",
       [](const auto& t) {
         return Json{{"messages", {user("a"), call_of("f", t), user("b")}}};
       }},
      {"description of a tool",
       [](const auto& t) {
         return Json{{"messages", {user("a")}},
                     {"tools", tool_with({{"name", "f"}, {"description", t}})}};
       }},
      {"parameter of a tool",
       [](const auto& t) {
         return Json{{"messages", {user("a")}},
                     {"tools",
                      tool_with({{"name", "f"},
                                 {"parameters", {{"properties", {{t, {{"enum", {t}}}}}}}}})}};
       }},
      {"names of messages", [](const auto& t) {
         return Json{{"messages",
                      {{{"role", "user"}, {"content", "a"}, {"name", t}, {"tool_call_id", t}}}}};
       }}};
  return kPlaces;
}

class ApiControlTokens : public ApiTest {
 protected:
  static int64_t count(const Ids& ids, int32_t id) { return std::ranges::count(ids, id); }

  static const std::vector<AddedToken>& tokens() {
    static const auto all = tokenizer_of(nano_text()).added_tokens();
    static const std::vector<AddedToken> kAll(all.begin(), all.end());
    return kAll;
  }

  // What a hostile user writes around a control token.
  static std::vector<std::string> texts(const std::string& token) {
    return {token, "a" + token + "b", token + token, " " + token + "\n", "<" + token + ">"};
  }

  Ids chat_ids(const Json& body) {
    generator->requests.clear();
    const Reply reply = post("/v1/chat/completions", body);
    EXPECT_EQ(reply.status, 200) << body << reply.text;
    const Ids ids = generator->requests.at(0).prompt_ids;
    // The same messages in the endpoints that show a prompt.
    EXPECT_EQ(Json(ids), post("/apply-template", body).json["tokens"]);
    EXPECT_EQ(Json(ids), post("/tokenize", body).json["tokens"]);
    return ids;
  }
};

TEST_F(ApiControlTokens, InAnyTextOfAChat) {
  ASSERT_GE(tokens().size(), 20u);
  for (const Place& place : chat_places()) {
    const Ids quiet = chat_ids(place.body("word"));
    for (const AddedToken& token : tokens()) {
      for (const std::string& text : texts(token.content)) {
        const Ids ids = chat_ids(place.body(text));
        for (const AddedToken& any : tokens()) {
          ASSERT_EQ(count(ids, any.id), count(quiet, any.id))
              << place.name << ": " << text << " makes " << any.content;
        }
      }
    }
  }
}

TEST_F(ApiControlTokens, InATemplateVariable) {
  const_cast<ChatConfig&>(chat_config_of(service->loaded()->text)).chat =
      ChatTemplate::parse("<|im_start|>{{ note }}{{ other }}", "t");
  for (const AddedToken& token : tokens()) {
    for (const std::string& text : texts(token.content)) {
      const Ids ids = chat_ids(
          {{"messages", {user("a")}}, {"chat_template_kwargs", {{"note", text}, {"other", text}}}});
      int64_t n_control = 0;
      for (const AddedToken& any : tokens()) n_control += count(ids, any.id);
      EXPECT_EQ(n_control, 1) << text;
    }
  }
}

// Names of declared tools are refused, as is a role; neither reaches a template.
TEST_F(ApiControlTokens, InNamesOfTools) {
  for (const AddedToken& token : tokens()) {
    for (const std::string& text : texts(token.content)) {
      EXPECT_EQ(chat({{"tools", tool_with({{"name", text}})}}).param(), "tools[0].function.name");
      EXPECT_EQ(chat({{"messages", {{{"role", text}, {"content", "a"}}}}}).param(),
                "messages[0].role");
    }
  }
  EXPECT_TRUE(generator->requests.empty());
}

TEST_F(ApiControlTokens, InEmbeddings) {
  restart({.model_names = {"nano"}}, Task::embed);
  for (const AddedToken& token : tokens()) {
    for (const std::string& text : texts(token.content)) {
      for (const Json& input : {Json(text), Json{"x", text}}) {
        generator->requests.clear();
        ASSERT_EQ(post("/v1/embeddings", {{"input", input}}).status, 200);
        for (const AddedToken& any : tokens()) {
          for (const Request& request : generator->requests) {
            ASSERT_EQ(count(request.prompt_ids, any.id), 0) << text;
          }
        }
      }
    }
  }
}

TEST_F(ApiControlTokens, InWhatIsRanked) {
  restart({.model_names = {"nano"}}, Task::rerank);
  const auto ask = [&](const std::string& q, const Json& d, const std::string& instruction) {
    generator->requests.clear();
    const Reply reply =
        post("/v1/rerank", {{"query", q}, {"documents", {d}}, {"instruction", instruction}});
    EXPECT_EQ(reply.status, 200) << reply.text;
    return generator->requests.at(0).prompt_ids;
  };
  const Ids quiet = ask("word", "word", "word");
  for (const AddedToken& token : tokens()) {
    for (const std::string& text : texts(token.content)) {
      for (const Ids& ids : {ask(text, "word", "word"),
                             ask("word", text, "word"),
                             ask("word", Json{{"text", text}}, "word"),
                             ask("word", "word", text)}) {
        for (const AddedToken& any : tokens()) {
          ASSERT_EQ(count(ids, any.id), count(quiet, any.id)) << text << " " << any.content;
        }
      }
      generator->requests.clear();
      ASSERT_EQ(post("/v1/score", {{"text_1", text}, {"text_2", {text}}}).status, 200);
      for (const AddedToken& any : tokens()) {
        ASSERT_EQ(count(generator->requests.at(0).prompt_ids, any.id), count(quiet, any.id));
      }
    }
  }
}

// A prompt of plain completions is the whole prompt, control tokens and all: who writes it decides.
// /tokenize reads a text like that, unless told otherwise.
TEST_F(ApiControlTokens, InPromptsOnlyWhereTheyAreMeant) {
  say("x");
  for (const AddedToken& token : tokens()) {
    generator->requests.clear();
    ASSERT_EQ(complete({{"prompt", "a" + token.content + "b"}}).status, 200);
    EXPECT_EQ(count(generator->requests.at(0).prompt_ids, token.id), 1) << token.content;
    for (const std::string& text : texts(token.content)) {
      for (const bool add : {false, true}) {
        const Json asked{{"prompt", text}, {"parse_special", false}, {"add_special_tokens", add}};
        const Ids ids = post("/tokenize", asked).json["tokens"];
        for (const AddedToken& any : tokens()) ASSERT_EQ(count(ids, any.id), 0) << text;
      }
    }
    EXPECT_GE(count(post("/tokenize", {{"prompt", token.content}}).json["tokens"], token.id), 1);
  }
}

// Stop strings are text that is looked for, and change no prompt.
TEST_F(ApiControlTokens, InStopStrings) {
  say("x");
  chat();
  const Ids quiet = generator->requests.at(0).prompt_ids;
  for (const AddedToken& token : tokens()) {
    generator->requests.clear();
    ASSERT_EQ(chat({{"stop", texts(token.content)}}).status, 200);
    EXPECT_EQ(generator->requests.at(0).prompt_ids, quiet);
    EXPECT_TRUE(generator->requests.at(0).sampling.stop_token_ids.empty());
  }
}

}  // namespace
}  // namespace qwen3::server
