// The answer's form under all of its names: what is asked for is what comes, and what cannot be kept is refused
// by field, code and place.
#include "server/api/answer_format.h"

#include "server/api/fixture.h"

namespace qwen3::server {
namespace {

const Json kSchema = Json::parse(
    R"({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})");

const Json kSchemaTag = {{"type", "json_schema"}, {"json_schema", kSchema}};

class ApiAnswerFormat : public ApiTest {
 protected:
  std::string content(const Json& more) {
    const Reply whole = chat(more);
    EXPECT_EQ(whole.status, 200) << more << whole.text;
    if (whole.status != 200) return "";
    Json streamed = more;
    streamed["stream"] = true;
    Joined joined = join_whole(whole.json);
    EXPECT_EQ(join_chunks(chat(streamed).chunks), joined);
    EXPECT_EQ(joined.finish_reason, "stop");
    EXPECT_TRUE(joined.stop_reason.is_null()) << joined.stop_reason;
    return joined.content;
  }
};

TEST_F(ApiAnswerFormat, AllItsNames) {
  const std::string gbnf = "root ::= \"{\\\"city\\\": \" [0-9]+ \"}\"";
  struct Case {
    Json fields;
    std::string want;
  };
  const std::string object = R"({"city": "Rome"})";
  const std::vector<Case> cases = {
      {{{"response_format",
         {{"type", "json_schema"},
          {"json_schema", {{"name", "c"}, {"strict", true}, {"schema", kSchema}}}}}},
       object},
      {{{"response_format", {{"type", "json_schema"}, {"schema", kSchema}}}}, object},
      {{{"response_format", {{"type", "json_object"}, {"schema", kSchema}}}}, object},
      {{{"response_format", {{"type", "json_object"}}}}, object},
      {{{"structured_outputs", {{"json", kSchema}}}}, object},
      {{{"structured_outputs", {{"json", kSchema.dump()}}}}, object},
      {{{"structured_outputs", {{"json_object", true}}}}, object},
      {{{"guided_json", kSchema}}, object},
      {{{"json_schema", kSchema}}, object},
      {{{"structured_outputs", {{"regex", ".city.: .*e.\\}|\\{.*"}}}}, object},
      {{{"structured_outputs", {{"choice", {"Paris", object}}}}}, object},
      {{{"structured_outputs", {{"choices", {"Paris", object}}}}}, object},
      {{{"guided_choice", {"Paris", object}}}, object},
      {{{"guided_regex", "\\{[^}]*\\}"}}, object},
      {{{"regex", "\\{[^}]*\\}"}}, object},
      {{{"response_format", {{"type", "structural_tag"}, {"format", kSchemaTag}}}}, object},
      {{{"response_format",
         {{"type", "structural_tag"},
          {"triggers", {"<f"}},
          {"structures",
           Json::array({{{"begin", "<f>"}, {"schema", kSchema}, {"end", "</f>"}}})}}}},
       object + " <f>" + object + "</f>"},
      {{{"structured_outputs", {{"structural_tag", Json{{"format", kSchemaTag}}.dump()}}}},
       object}};
  for (const Case& c : cases) {
    say(c.want);
    EXPECT_EQ(content(c.fields), c.want) << c.fields;
    EXPECT_NE(generator->requests.back().constraint, nullptr);
    Json completion = c.fields;
    completion["max_tokens"] = 100;
    EXPECT_EQ(complete(completion).json["choices"][0]["text"], c.want) << c.fields;
  }
  for (const char* name : {"grammar", "guided_grammar", "ebnf"}) {
    say("{\"city\": 17}");
    EXPECT_EQ(content({{name, gbnf}}), "{\"city\": 17}") << name;
  }
}

// A model that wants to say something else.
TEST_F(ApiAnswerFormat, WhatTheModelWantsMustFit) {
  say("Rome, of course!");
  EXPECT_EQ(content({{"guided_choice", {"no", "yes"}}}), "no");
  const Json answer = Json::parse(content(
      {{"response_format", {{"type", "json_schema"}, {"json_schema", {{"schema", kSchema}}}}}}));
  EXPECT_TRUE(answer["city"].is_string());
}

TEST_F(ApiAnswerFormat, ItComesBehindTheThought) {
  generator->script = [](const Request&, size_t) {
    return nano_text().encode("<think>\nYes or no?\n</think>\n\nyes");
  };
  const Reply reply = chat({{"guided_choice", {"no", "yes"}}});
  const Joined joined = join_whole(reply.json);
  EXPECT_EQ(joined.reasoning, "Yes or no?");
  EXPECT_EQ(joined.content, "yes");
  // Completions have no thought.
  const Reply plain = complete({{"guided_choice", {"no", "yes"}}});
  EXPECT_TRUE(plain.json["choices"][0]["text"] == "no" ||
              plain.json["choices"][0]["text"] == "yes");
}

TEST_F(ApiAnswerFormat, EveryChoiceHasItsOwn) {
  generator->script = [](const Request&, size_t nth) {
    return nano_text().encode(nth % 2 == 0 ? "yes" : "no");
  };
  const Reply reply = chat({{"guided_choice", {"no", "yes"}}, {"n", 4}});
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(reply.json["choices"][i]["message"]["content"], i % 2 == 0 ? "yes" : "no");
  }
}

TEST_F(ApiAnswerFormat, AContinuedAnswerMustBeABeginning) {
  const auto ask = [&](const std::string& begun) {
    return chat(
        {{"messages",
          {{{"role", "user"}, {"content", "Where?"}}, {{"role", "assistant"}, {"content", begun}}}},
         {"continue_final_message", true},
         {"add_generation_prompt", false},
         {"guided_json", kSchema}});
  };
  say("ome\"}");
  const Reply reply = ask("{\"city\": \"R");
  ASSERT_EQ(reply.status, 200) << reply.text;
  EXPECT_EQ(reply.json["choices"][0]["message"]["content"], "ome\"}");
  const Reply refused = ask("The city is");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.param(), "messages");
}

TEST_F(ApiAnswerFormat, RefusalsNameFieldCodeAndPlace) {
  struct Case {
    Json fields;
    std::string param, code, words;
  };
  const Json unique =
      Json::parse(R"({"type": "object", "properties": {"a": {"uniqueItems": true}}})");
  const std::vector<Case> cases = {
      {{{"response_format",
         {{"type", "json_schema"}, {"json_schema", {{"name", "a"}, {"schema", unique}}}}}},
       "response_format.json_schema.schema",
       "unsupported_schema",
       "/properties/a/uniqueItems: "},
      {{{"guided_json", {{"type", "no"}}}}, "guided_json", "invalid_schema", "/type: "},
      {{{"guided_json", "{"}}, "guided_json", "invalid_schema", ""},
      {{{"json_schema", {{"type", "object"}, {"not", Json::object()}}}},
       "json_schema",
       "unsatisfiable_schema",
       ""},
      {{{"structured_outputs", {{"regex", "a(?=b)"}}}},
       "structured_outputs.regex",
       "invalid_regex",
       ""},
      {{{"grammar", "root ::= nothing"}}, "grammar", "invalid_grammar", ""},
      {{{"guided_choice", {"a"}}, {"grammar", "root ::= \"a\""}},
       "grammar",
       "invalid_value",
       "guided_choice"},
      {{{"structured_outputs", {{"regex", "a"}, {"choice", {"a"}}}}},
       "structured_outputs.choice",
       "invalid_value",
       "structured_outputs.regex"},
      {{{"guided_regex", "a"}, {"ignore_eos", true}},
       "ignore_eos",
       "invalid_value",
       "guided_regex"},
      {{{"guided_regex", "a"}, {"allowed_token_ids", {1}}},
       "allowed_token_ids",
       "invalid_value",
       "guided_regex"},
      {{{"guided_choice", Json::array({1})}}, "guided_choice", "invalid_value", "texts"},
      {{{"response_format", {{"type", "json_schema"}}}},
       "response_format.json_schema",
       "invalid_value",
       "missing"},
      {{{"response_format", {{"type", "xml"}}}}, "response_format.type", "invalid_value", "xml"},
      // What says nothing would leave the answer free.
      {{{"structured_outputs", Json::object()}}, "structured_outputs", "invalid_value", "one of"},
      {{{"structured_outputs", {{"regexp", "a"}}}},
       "structured_outputs.regexp",
       "invalid_value",
       "not known"},
      {{{"structured_outputs", {{"regex", ""}}}},
       "structured_outputs.regex",
       "invalid_value",
       "empty"},
      {{{"guided_choice", Json::array()}}, "guided_choice", "invalid_value", "empty"},
      {{{"guided_regex", "[]"}}, "guided_regex", "invalid_regex", "no text"},
      {{{"response_format", {{"type", "structural_tag"}}}},
       "response_format",
       "invalid_grammar",
       "structures"},
      {{{"structured_outputs",
         {{"structural_tag", {{"format", {{"type", "const_string"}, {"value", 5}}}}}}}},
       "structured_outputs.structural_tag",
       "invalid_grammar",
       "/format/value: "}};
  for (const Case& c : cases) {
    const Reply reply = chat(c.fields);
    ASSERT_EQ(reply.status, 400) << c.fields << reply.text;
    EXPECT_EQ(reply.param(), c.param) << reply.text;
    EXPECT_EQ(reply.code(), c.code) << reply.text;
    EXPECT_NE(reply.message().find(c.words), std::string::npos) << reply.text;
  }
  EXPECT_TRUE(generator->requests.empty());
}

// A double cannot hold these: the digits stand in the body alone.
TEST_F(ApiAnswerFormat, NumbersOfASchemaAreThoseOfTheBody) {
  const char* bodies[] = {
      R"({"model": "nano", "messages": [{"role": "user", "content": "x"}],
          "guided_json": {"type": "integer", "minimum": 18446744073709551617}})",
      R"({"model": "nano", "messages": [{"role": "user", "content": "x"}],
          "guided_json": "{\"type\": \"integer\", \"minimum\": 18446744073709551617}"})",
      R"({"model": "nano", "prompt": "x", "max_tokens": 100,
          "guided_json": {"type": "integer", "minimum": 18446744073709551617}})"};
  for (const char* body : bodies) {
    say("18446744073709551617");
    const char* path = std::string(body).find("prompt") == std::string::npos
                           ? "/v1/chat/completions"
                           : "/v1/completions";
    const Reply reply = call("POST", path, body);
    ASSERT_EQ(reply.status, 200) << reply.text;
    EXPECT_NE(reply.text.find("18446744073709551617"), std::string::npos) << reply.text;
  }
  const Reply several = call("POST",
                             "/v1/chat/completions",
                             R"({"model": "nano", "messages": [{"role": "user", "content": "x"}],
          "guided_json": {"enum": [18446744073709551617, 18446744073709551618]}})");
  EXPECT_EQ(several.status, 400);
  EXPECT_EQ(several.code(), "unsupported_schema");
  EXPECT_NE(several.message().find("/enum/0: "), std::string::npos) << several.text;
}

// Newlines that the form begins with are the answer's, whatever the template writes behind a thought.
TEST_F(ApiAnswerFormat, NewlinesOfTheFormAreKept) {
  for (const char* gap : {"\n\n", "\n\n\n", "\n\n\n\n\n"}) {
    say(std::string("<think>so</think>") + gap + "42");
    EXPECT_EQ(content({{"guided_regex", "\\n*[0-9]{2}"}}), std::string(gap).substr(2) + "42");
  }
  say("<think>so</think>\n42");
  EXPECT_EQ(content({{"guided_regex", "\\n*[0-9]{2}"}}), "42");
}

}  // namespace
}  // namespace qwen3::server
