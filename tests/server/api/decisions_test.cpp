// /v1/decisions and /v1/systemone: probabilities from the logits of the labels, and what is refused.
#include <gmock/gmock.h>

#include <cmath>

#include "server/api/decision.h"
#include "server/api/fixture.h"

namespace qwen3::server {
namespace {

using ::testing::DoubleNear;
using ::testing::HasSubstr;

class ApiDecisions : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    auto& known = const_cast<DecisionLabels&>(labels());
    // nano has no tokens for these words: any two do.
    known.yes = kYes;
    known.no = kNo;
  }
  const DecisionLabels& labels() { return *service->loaded()->decision_labels; }
  // That label's logit is 5, all others are 0.
  void favour(int32_t id) {
    generator->script = [id](const Request&, size_t) { return std::vector<int32_t>{id}; };
  }
  static double share(double n) { return std::exp(5.0) / (std::exp(5.0) + n - 1); }
  static Json choices() {
    return {
        {{"value", "red"}, {"description", "like blood"}}, {{"value", true}}, {{"value", "true"}}};
  }
  Reply decide(const Json& question) {
    return post("/v1/decisions",
                {{"input", "A stop sign."}, {"questions", Json::array({question})}});
  }
  Reply ask(const Json& question) {
    return post("/v1/systemone", {{"state", {{"sign", "stop"}}}, {"questions", {{"q", question}}}});
  }
};

TEST_F(ApiDecisions, ChoicesAreLetters) {
  favour(labels().letters[1]);
  const Reply reply = decide(
      {{"type", "choice"}, {"name", "c"}, {"instructions", "Which?"}, {"choices", choices()}});
  ASSERT_EQ(reply.status, 200) << reply.text;
  const Json& answer = reply.json["answers"][0];
  EXPECT_EQ(answer["type"], "choice");
  EXPECT_EQ(answer["name"], "c");
  EXPECT_EQ(answer["choice"], true);  // and not "true"
  double sum = 0;
  for (const Json& one : answer["probabilities"]) sum += one["probability"].get<double>();
  EXPECT_THAT(sum, DoubleNear(1, 1e-9));
  const double peak = answer["probabilities"][1]["probability"];
  EXPECT_THAT(peak, DoubleNear(share(3), 1e-6));
  EXPECT_THAT(answer["confidence"].get<double>(), DoubleNear((3 * peak - 1) / 2, 1e-9));
  EXPECT_THAT(answer["x_label_mass"].get<double>(),
              DoubleNear((std::exp(5.0) + 2) / (std::exp(5.0) + 2559), 1e-6));
  EXPECT_EQ(reply.json["usage"]["output_tokens"], 0);
  EXPECT_EQ(reply.json["usage"]["input_tokens"], reply.json["usage"]["total_tokens"]);
  const std::string prompt = nano_text().decode(generator->requests.back().prompt_ids);
  EXPECT_THAT(prompt, HasSubstr("A stop sign.\n\nQuestion: Which?\nA: red: like blood\nB: true\n"));
  EXPECT_THAT(prompt, HasSubstr("Answer with one of A, B, C and nothing else."));
  EXPECT_TRUE(prompt.ends_with("</think>\n\n")) << prompt;  // thinking is off
}

TEST_F(ApiDecisions, PredicatesAndScores) {
  favour(kYes);
  const Json predicate = decide({{"type", "predicate"}, {"instructions", "It is red."}}).json;
  EXPECT_THAT(predicate["answers"][0]["probability"].get<double>(), DoubleNear(share(2), 1e-6));
  EXPECT_EQ(predicate["answers"][0]["name"], nullptr);
  favour(labels().digits[2]);
  const Json score =
      decide({{"type", "score"},
              {"instructions", "How red?"},
              {"levels", {{{"label", "no"}}, {{"label", "some"}}, {{"label", "very"}}}}})
          .json["answers"][0];
  const double p = (1 - share(3)) / 2;
  EXPECT_THAT(score["score"].get<double>(), DoubleNear(p + 2 * share(3), 1e-6));
  EXPECT_EQ(score["probabilities"][2]["label"], "very");
  EXPECT_EQ(score["probabilities"][2]["value"], 2);
}

TEST_F(ApiDecisions, AConversationIsTextToo) {
  favour(kYes);
  const Reply reply =
      post("/v1/decisions",
           {{"input",
             {{{"role", "user"}, {"content", "Hi"}},
              {{"role", "user"},
               {"content",
                {{{"type", "input_text"}, {"text", "a"}},
                 {{"type", "input_json"}, {"data", {{"b", 1}}}}}}},
              {{"type", "function_call"}, {"call_id", "1"}, {"name", "f"}, {"arguments", "{}"}},
              {{"type", "function_call_output"}, {"call_id", "1"}, {"output", "42"}}}},
            {"questions", {{{"type", "predicate"}, {"instructions", "?"}}}}});
  ASSERT_EQ(reply.status, 200) << reply.text;
  EXPECT_THAT(nano_text().decode(generator->requests.back().prompt_ids),
              HasSubstr("user: Hi\nuser: a\n{\"b\":1}\ncall f: {}\nresult: 42\n\nQuestion: ?"));
}

TEST_F(ApiDecisions, SystemOneHasTheSameNumbers) {
  favour(labels().letters[0]);
  const Reply reply = post("/v1/systemone",
                           {{"state", {{"sign", "stop"}}},
                            {"model", "jev-latest"},
                            {"questions",
                             {{"colour",
                               {{"type", "choice"},
                                {"instructions", "Which?"},
                                {"criteria", {{"red", "like blood"}, {"blue", nullptr}}}}},
                              {"spam", {{"type", "noul"}}},
                              {"much", {{"type", "score"}, {"criteria", {"no", "yes"}}}}}}});
  ASSERT_EQ(reply.status, 200) << reply.text;
  EXPECT_EQ(reply.json["model"], "nano");
  const Json& answers = reply.json["answers"];
  EXPECT_EQ(answers["colour"]["choice"], "red");
  EXPECT_THAT(answers["colour"]["probabilities"]["red"].get<double>(), DoubleNear(share(2), 1e-6));
  EXPECT_THAT(answers["spam"]["noul"].get<double>(), DoubleNear(0.5, 1e-9));
  EXPECT_EQ(answers["much"]["legend"], (Json{{"0", "no"}, {"1", "yes"}}));
  EXPECT_THAT(answers["much"]["score"].get<double>(), DoubleNear(0.5, 1e-9));
  EXPECT_THAT(answers["much"]["confidence"].get<double>(), DoubleNear(0, 1e-9));
  EXPECT_EQ(generator->requests.size(), 3u);
  EXPECT_THAT(nano_text().decode(generator->requests[0].prompt_ids),
              HasSubstr("{\"sign\":\"stop\"}\n\nQuestion: Which?\nA: red: like blood\nB: blue\n"));
}

TEST_F(ApiDecisions, Refusals) {
  EXPECT_EQ(decide({{"type", "maybe"}, {"instructions", "?"}}).param(), "questions[0].type");
  EXPECT_EQ(decide({{"type", "predicate"}}).param(), "questions[0].instructions");
  EXPECT_EQ(decide({{"type", "choice"}, {"instructions", "?"}}).param(), "questions[0].choices");
  const Json twice{{{"value", "a"}}, {{"value", "a"}}};
  EXPECT_EQ(decide({{"type", "choice"}, {"instructions", "?"}, {"choices", twice}}).param(),
            "questions[0].choices[1].value");
  Json many = Json::array();
  for (int i = 0; i < 27; ++i) many.push_back({{"value", std::to_string(i)}});
  EXPECT_EQ(decide({{"type", "choice"}, {"instructions", "?"}, {"choices", many}}).status, 400);
  EXPECT_EQ(post("/v1/decisions",
                 {{"input", {{{"role", "user"}, {"content", {{{"type", "input_image"}}}}}}},
                  {"questions", {{{"type", "predicate"}, {"instructions", "?"}}}}})
                .param(),
            "input[0].content[0].type");
  EXPECT_EQ(decide({{"type", "predicate"}, {"instructions", std::string(20'000, 'x')}}).code(),
            "context_length_exceeded");
  const_cast<DecisionLabels&>(labels()).yes = -1;
  EXPECT_THAT(decide({{"type", "predicate"}, {"instructions", "?"}}).message(),
              HasSubstr("lacks single tokens for yes, no"));

  const Reply reply = ask({{"type", "score"}});
  EXPECT_EQ(reply.status, 422);
  EXPECT_EQ(reply.json["detail"][0]["loc"], Json({"body", "questions", "q", "criteria"}));
  EXPECT_FALSE(reply.json["detail"][0]["msg"].get<std::string>().empty());
  EXPECT_EQ(post("/v1/systemone", {{"state", "x"}, {"questions", Json::object()}}).status, 422);
  EXPECT_EQ(post("/v1/systemone", {{"questions", {{"q", {{"type", "noul"}}}}}}).status, 422);
  EXPECT_TRUE(generator->requests.empty());
}

}  // namespace
}  // namespace qwen3::server
