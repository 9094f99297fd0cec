// What is sent to a server, and what is made of its replies.
#include <gtest/gtest.h>

#include "eval/run/chat_reply.h"
#include "eval/run/chat_request.h"
#include "mock_server.h"

namespace qwen3::eval {
namespace {

EvalConfig sample_config() {
  return parse_eval_config(
      "seed: 5\nmin_p: 0.1\nstop: END\nthinking: false\nsystem: Be brief.\n"
      "extra_body: {top_k: 3, logprobs: true}\n",
      "c.yaml");
}

TEST(ChatRequest, StrictSendsTheOfficialKeysAlone) {
  const EvalConfig config = sample_config();
  const Json body =
      request_body(config, Mode::strict, request_settings(config, Mode::strict), "Why?", 3);
  EXPECT_EQ(
      dump_json(body),
      R"({"messages":[{"role":"user","content":"Why?"}],"model":"Qwen/QwQ-32B",)"
      R"("temperature":0.8,"top_p":0.7,"max_tokens":32768,"presence_penalty":1.0,"top_k":20})");
}

TEST(ChatRequest, StandardSendsOursToo) {
  const EvalConfig config = sample_config();
  const Json settings = request_settings(config, Mode::standard);
  const Json body = request_body(config, Mode::standard, settings, "Why?", 3);
  EXPECT_EQ(dump_json(body["messages"]),
            R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Why?"}])");
  EXPECT_EQ(body["seed"], 8) << "each sample has a seed of its own";
  EXPECT_EQ(body["top_k"], 3) << "extra_body lies on top";
  EXPECT_EQ(body["logprobs"], true);
  EXPECT_EQ(body["stop"], Json::array({"END"}));
  EXPECT_EQ(body["chat_template_kwargs"]["enable_thinking"], false);
  EXPECT_EQ(request_body(config, Mode::standard, settings, "Why?", 4)["seed"], 9);
}

Problem problem_of(const std::variant<Answer, Problem>& result) {
  EXPECT_TRUE(std::holds_alternative<Problem>(result));
  return std::holds_alternative<Problem>(result) ? std::get<Problem>(result) : Problem();
}

TEST(ChatReply, TakesAWholeAnswer) {
  const auto result = read_chat_reply(200, test::chat_body("four", "length"), Mode::standard);
  ASSERT_TRUE(std::holds_alternative<Answer>(result));
  const Answer& answer = std::get<Answer>(result);
  EXPECT_EQ(answer.text, "four");
  EXPECT_EQ(answer.finish_reason, "length");
  EXPECT_EQ(answer.prompt_tokens, 7);
  EXPECT_EQ(answer.completion_tokens, 3);
  EXPECT_FALSE(answer.reasoning);
  EXPECT_FALSE(answer.null_content);
}

TEST(ChatReply, NullContentAndReasoning) {
  const auto result = read_chat_reply(
      200,
      R"({"choices":[{"message":{"content":null,"reasoning_content":"so"},"finish_reason":"stop"}]})",
      Mode::standard);
  ASSERT_TRUE(std::holds_alternative<Answer>(result));
  const Answer& answer = std::get<Answer>(result);
  EXPECT_EQ(answer.text, "");
  EXPECT_TRUE(answer.null_content);
  EXPECT_EQ(answer.reasoning, "so");
  EXPECT_EQ(answer.prompt_tokens, -1);
}

TEST(ChatReply, TextThatMayBeCutOffIsNoAnswer) {
  const std::string whole = test::chat_body("the answer");
  for (size_t n = 0; n < whole.size(); ++n) {
    const Problem problem = problem_of(read_chat_reply(200, whole.substr(0, n), Mode::standard));
    EXPECT_EQ(problem.failure.kind, FailureKind::bad_reply);
    EXPECT_TRUE(problem.again);
  }
  for (const char* body :
       {R"({"choices":[{"message":{"content":"part"}}]})",
        R"({"choices":[{"message":{"content":"part"},"finish_reason":null}]})",
        R"({"choices":[{"message":{"content":"part"},"finish_reason":"abort"}]})",
        R"({"choices":[{"finish_reason":"stop"}]})",
        R"({"choices":[{"message":{"content":["part"]},"finish_reason":"stop"}]})",
        R"({"choices":[]})",
        R"({"choices":{"a":1}})",
        R"({"error":{"message":"overloaded"}})",
        R"([])",
        R"(null)",
        "<html>gateway</html>",
        ""}) {
    const Problem problem = problem_of(read_chat_reply(200, body, Mode::standard));
    EXPECT_EQ(problem.failure.kind, FailureKind::bad_reply) << body;
    EXPECT_TRUE(problem.again) << body;
    EXPECT_FALSE(problem.failure.message.empty()) << body;
  }
}

TEST(ChatReply, StatusesSayWhetherToTryAgain) {
  struct Case {
    int status;
    FailureKind kind;
    bool again;
  };
  for (const Case& c : {Case{400, FailureKind::rejected, false},
                        Case{401, FailureKind::unauthorized, false},
                        Case{403, FailureKind::unauthorized, false},
                        Case{404, FailureKind::not_found, false},
                        Case{408, FailureKind::timeout, true},
                        Case{409, FailureKind::rejected, true},
                        Case{422, FailureKind::rejected, false},
                        Case{429, FailureKind::busy, true},
                        Case{500, FailureKind::server, true},
                        Case{503, FailureKind::server, true},
                        Case{302, FailureKind::bad_reply, false}}) {
    const Problem problem = problem_of(read_chat_reply(c.status, "<p>no\n", Mode::standard));
    EXPECT_EQ(problem.failure.kind, c.kind) << c.status;
    EXPECT_EQ(problem.again, c.again) << c.status;
    EXPECT_EQ(problem.failure.status, c.status);
  }
}

TEST(ChatReply, TooLongForTheContext) {
  const std::string official =
      test::error_body("This model's maximum context length is 4096 tokens, however …");
  const auto strict = read_chat_reply(400, official, Mode::strict);
  ASSERT_TRUE(std::holds_alternative<Answer>(strict));
  EXPECT_TRUE(std::get<Answer>(strict).context_exceeded);
  const Problem problem = problem_of(read_chat_reply(400, official, Mode::standard));
  EXPECT_EQ(problem.failure.kind, FailureKind::context);
  EXPECT_FALSE(problem.again);
  EXPECT_NE(problem.failure.message.find("maximum context length is 4096"), std::string::npos);
  // Other words are the same to us, but not to the official scripts.
  const std::string other = test::error_body("longer than the model's context length");
  EXPECT_EQ(problem_of(read_chat_reply(400, other, Mode::standard)).failure.kind,
            FailureKind::context);
  EXPECT_EQ(problem_of(read_chat_reply(400, other, Mode::strict)).failure.kind,
            FailureKind::rejected);
}

}  // namespace
}  // namespace qwen3::eval
