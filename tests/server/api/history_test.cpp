// Earlier tool calls of a conversation that are broken, and templates that fail over what they are given.
#include "server/api/fixture.h"

namespace qwen3::server {
namespace {

using ApiHistory = ApiTest;

Json history_with(const Json& function) {
  return {{{"role", "user"}, {"content", "a"}},
          {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", {{{"function", function}}}}},
          {{"role", "user"}, {"content", "b"}}};
}

// The served model with another template.
void use_template(const ServedModel& model, const std::string& source) {
  const_cast<ChatConfig&>(chat_config_of(model.text)).chat =
      ChatTemplate::parse(source, "/srv/models/q/chat_template.jinja");
}

TEST_F(ApiHistory, CallsOfTheHistoryWithoutArguments) {
  say("x");
  for (const Json& function : {Json{{"name", "f"}},
                               Json{{"name", "f"}, {"arguments", nullptr}},
                               Json{{"name", "f"}, {"arguments", ""}}}) {
    const Json messages = history_with(function);
    ASSERT_EQ(chat({{"messages", messages}}).status, 200);
    const Json shown = post("/apply-template", {{"messages", messages}}).json;
    EXPECT_NE(shown["prompt"].get<std::string>().find(R"({"name": "f", "arguments": {}})"),
              std::string::npos)
        << shown;
  }
}

TEST_F(ApiHistory, TemplatesThatFailNameTheField) {
  const auto fails = [&](const Json& more) {
    const Reply reply = chat(more);
    EXPECT_EQ(reply.status, 400) << reply.text;
    EXPECT_EQ(reply.text.find("srv"), std::string::npos) << reply.text;
    EXPECT_EQ(reply.text.find(".jinja"), std::string::npos) << reply.text;
    return reply;
  };
  // As Qwen3-Coder's does: it needs arguments that are an object.
  use_template(*service->loaded(),
               "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}"
               "{% for k, v in c.function.arguments | items %}{{ k }}{% endfor %}{% endfor %}"
               "{% endfor %}");
  const Json broken = history_with({{"name", "f"}, {"arguments", "not json"}});
  say("x");
  EXPECT_EQ(chat({{"messages", history_with({{"name", "f"}, {"arguments", "{}"}})}}).status, 200);
  // A template that fails whatever the arguments are.
  use_template(*service->loaded(), "{{ messages[0].nothing.at.all }}");
  Reply reply = fails({{"messages", broken}});
  EXPECT_EQ(reply.param(), "messages");
  EXPECT_NE(reply.message().find("line 1"), std::string::npos) << reply.text;
  // Limits of a render.
  use_template(*service->loaded(),
               "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}");
  reply = fails(Json::object());
  EXPECT_EQ(reply.param(), "messages");
  EXPECT_NE(reply.message().find("steps"), std::string::npos) << reply.text;
  use_template(*service->loaded(), "{{ 'x' * 99999999 }}");
  EXPECT_EQ(fails(Json::object()).param(), "messages");
  // What the template says itself.
  use_template(*service->loaded(), "{{ raise_exception('No user query found in messages.') }}");
  EXPECT_EQ(fails(Json::object()).message(), "No user query found in messages.");
}

// What a model once wrote is history: a template that walks the arguments sees none, one that prints
// them the text.
TEST_F(ApiHistory, BrokenArgumentsOfTheHistoryGoOn) {
  const auto prompt_of = [&](const std::string& arguments_as, const Json& arguments) {
    use_template(*service->loaded(),
                 "{% for m in messages %}{% for c in m.tool_calls or [] %}<" + arguments_as +
                     ">{% endfor %}{% endfor %}");
    const Json history = history_with({{"name", "f"}, {"arguments", arguments}});
    const Reply reply = post("/apply-template", {{"messages", history}});
    EXPECT_EQ(reply.status, 200) << reply.text;
    return reply.json["prompt"].get<std::string>();
  };
  const std::string walked =
      "{% for k, v in c.function.arguments | items %}{{ k }}={{ v }}{% endfor %}";
  const std::string printed = "{{ c.function.arguments }}";
  for (const char* text : {"{\"x\": ", "[1]", "plain", "5", "\"{}\"", "{\"a\": 1, \"a\": 2}"}) {
    EXPECT_EQ(prompt_of(walked, text), "<>") << text;
    EXPECT_EQ(prompt_of(printed, text), std::string("<") + text + ">");
  }
  EXPECT_EQ(prompt_of(walked, {1, 2}), "<>");
  EXPECT_EQ(prompt_of(printed, {1, 2}), "<[1,2]>");
  EXPECT_EQ(prompt_of(printed, true), "<true>");
  EXPECT_EQ(prompt_of(walked, "{\"x\": 1}"), "<x=1>");
}

}  // namespace
}  // namespace qwen3::server
