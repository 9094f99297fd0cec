// qwen3 serve as its users see it: the real binary, real sockets, real signals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "cli/run_program.h"
#include "cli/serve/running_server.h"
#include "support/temp_dir.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;

TEST(Serve, AnswersAChatAndEndsOnSigterm) {
  RunningServer server({"-m", "nano"});
  EXPECT_THAT(server.request("GET /health"), HasSubstr("HTTP/1.1 200"));
  EXPECT_THAT(server.request("GET /v1/models"), HasSubstr(R"("id":"nano")"));
  const std::string answer = server.request(
      "POST /v1/chat/completions",
      R"({"model":"nano","temperature":0,"messages":[{"role":"user","content":"What is 3 + 4?"}]})");
  EXPECT_THAT(answer, HasSubstr("3 + 4 = 7"));
  EXPECT_THAT(answer, HasSubstr(R"("finish_reason":"stop")"));
  EXPECT_EQ(server.stop(SIGTERM), 0);
}

TEST(Serve, StreamsAndEndsWithDone) {
  const RunningServer server({"-m", "nano-moe", "--served-model-name", "a", "b"});
  const std::string answer = server.request(
      "POST /v1/chat/completions",
      R"({"model":"b","stream":true,"max_tokens":4,"messages":[{"role":"user","content":"Hi"}]})");
  EXPECT_THAT(answer, HasSubstr("text/event-stream"));
  EXPECT_THAT(answer, HasSubstr(R"("model":"a")"));
  EXPECT_THAT(answer, HasSubstr("data: [DONE]"));
}

TEST(Serve, TakesATemplateAndItsVariables) {
  const TempDir dir;
  const std::string file = (dir.path() / "own.jinja").string();
  std::ofstream(file) << "{{ tone }}: {{ messages[0].content }}";
  const RunningServer server({"-m",
                              "nano",
                              "--chat-template",
                              file,
                              "--default-chat-template-kwargs",
                              R"({"tone":"kind"})"});
  const std::string asked = R"({"messages":[{"role":"user","content":"Hi"}])";
  EXPECT_THAT(server.request("POST /apply-template", asked + "}"),
              HasSubstr(R"("prompt":"kind: Hi")"));
  const std::string refused =
      server.request("POST /apply-template", asked + R"(,"chat_template_kwargs":{"mood":1}})");
  EXPECT_THAT(refused, HasSubstr("it reads tone"));
  EXPECT_THAT(refused, testing::Not(HasSubstr("own.jinja")));
}

TEST(Serve, APresetIsOfRequestsThatNameNone) {
  const RunningServer server({"-m", "nano", "--preset", "non_thinking"});
  EXPECT_THAT(server.request("GET /v1/models"), HasSubstr(R"("preset":"non_thinking")"));
  const std::string asked = R"({"seed":1,"messages":[{"role":"user","content":"What is 3 + 4?"}])";
  EXPECT_THAT(server.request("POST /v1/chat/completions", asked + "}"),
              testing::Not(HasSubstr("reasoning_content\":\"")));
  EXPECT_THAT(server.request("POST /v1/chat/completions", asked + R"(,"preset":"thinking"})"),
              HasSubstr("reasoning_content\":\""));
  const ProgramResult refused = run_qwen3({"serve", "-m", "nano", "--preset", "fast"});
  EXPECT_EQ(refused.exit_code, 2);
  const ProgramResult none =
      run_qwen3({"serve", "-m", "nano", "--task", "embed", "--preset", "thinking"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, HasSubstr("qwen3 serve: --preset: expected none or auto (of this model)"));
}

TEST(Serve, OverridesOfTheConfigReachTheModel) {
  const RunningServer server(
      {"-m", "nano", "--rope-scaling", "yarn", "--rope-scale", "2", "--yarn-orig-ctx", "2048"});
  EXPECT_THAT(server.request("GET /v1/models"), HasSubstr(R"("max_model_len":4096)"));
}

// Everything besides the answer, from a real engine, in one stream.
TEST(Serve, StreamsExpertsAndProgress) {
  const RunningServer server({"-m", "nano-moe"});
  const std::string body =
      R"({"messages":[{"role":"user","content":"Hi"}],"temperature":0,"max_tokens":6,"stream":true)";
  const std::string answer =
      server.request("POST /v1/chat/completions",
                     body + R"(,"return_progress":true,"return_routed_experts":true})");
  EXPECT_THAT(answer, HasSubstr(R"("choices":[],"prompt_progress":{"total":)"));
  EXPECT_THAT(answer, HasSubstr(R"(,"routed_experts":")"));
  EXPECT_THAT(answer, HasSubstr(R"(,"routed_experts_shape":[7,)"));
  const std::string plain = server.request("POST /v1/chat/completions", body + "}");
  EXPECT_THAT(plain, testing::Not(HasSubstr("routed_experts")));
  EXPECT_THAT(server.request("GET /v1/models"), HasSubstr(R"("routed_experts":true)"));
  EXPECT_THAT(server.request("GET /chat/completions"),
              HasSubstr("no such path: use POST /v1/chat/completions"));
}

TEST(Serve, ShowsATraceAsAPage) {
  const RunningServer server({"-m", "nano-moe", "--traces", "1", "--served-model-name", "mine"});
  const std::string answer = server.request(
      "POST /v1/chat/completions",
      R"({"trace":true,"max_tokens":3,"messages":[{"role":"user","content":"Hi"}]})");
  const size_t begin = answer.find("chatcmpl-"), end = answer.find('"', begin);
  ASSERT_NE(end, answer.npos) << answer;
  const std::string page =
      server.request("GET /v1/traces/" + answer.substr(begin, end - begin) + "/report?lang=zh");
  for (const char* words :
       {"HTTP/1.1 200",
        "content-type: text/html; charset=utf-8\r\n",
        "content-security-policy: default-src 'none'; style-src 'unsafe-inline'",
        "x-content-type-options: nosniff\r\n",
        "cache-control: no-store\r\n",
        "referrer-policy: no-referrer\r\n",
        R"("name":"mine")",
        R"("layers":8)",
        R"("sparse":[false,true,true,true,true,true,true,true])",
        R"("lang":"zh")"}) {
    EXPECT_THAT(page, HasSubstr(words));
  }
}

TEST(Serve, RefusesWhatIsNotSafe) {
  const ProgramResult open = run_qwen3({"serve", "--host", "0.0.0.0", "--port", "0"});
  EXPECT_EQ(open.exit_code, 1);
  EXPECT_THAT(open.err, HasSubstr("key"));
  EXPECT_EQ(lines_of(open.err).size(), 1u) << open.err;
  EXPECT_EQ(run_qwen3({"serve", "--port", "65536"}).exit_code, 2);
  const ProgramResult keys = run_qwen3({"serve", "--port", "0", "--api-key-file", "/nonexistent"});
  EXPECT_EQ(keys.exit_code, 1);
  EXPECT_THAT(keys.err, HasSubstr("/nonexistent"));
}

TEST(Serve, AModelThatCannotBeLoadedEndsIt) {
  const ProgramResult result = run_qwen3({"serve", "--port", "0", "-m", "/nonexistent"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("/nonexistent"));
}

// The parts of the sum, all of them, before a byte of weights is loaded.
TEST(Serve, AMemoryLimitThatIsTooSmallIsRefusedWithTheSum) {
  const ProgramResult weights = run_qwen3({"serve", "--port", "0", "--memory-limit", "16M"});
  EXPECT_EQ(weights.exit_code, 1);
  for (const char* part : {"--memory-limit: program ",
                           " + weights ",
                           " + work buffers ",
                           " + reserve ",
                           " + KV cache ",
                           " = ",
                           "expected at most 16.8 MB",
                           "lower --max-batch-tokens or --max-sequences, or raise the limit"}) {
    EXPECT_THAT(weights.err, HasSubstr(part));
  }
  EXPECT_THAT(weights.err, testing::Not(HasSubstr("ready")));
  // A little more holds the smallest context that is of use, not half of it.
  const RunningServer least({"-m", "nano", "--memory-limit", "44M"});
  EXPECT_THAT(least.said(),
              testing::ContainsRegex("context (5[1-9][0-9]|[6-9][0-9]{2}|1[0-9]{3}|2048) tokens"));
  const ProgramResult cache =
      run_qwen3({"serve", "--port", "0", "--memory-limit", "200M", "--kv-cache-size", "1G"});
  EXPECT_EQ(cache.exit_code, 1);
  EXPECT_THAT(cache.err, HasSubstr("lower --kv-cache-size, "));
  EXPECT_EQ(run_qwen3({"serve", "--memory-limit", "much"}).exit_code, 2);
  EXPECT_EQ(run_qwen3({"serve", "--memory-limit", "-1"}).exit_code, 2);
}

// All of the process, the pages of the program's own file left out, which nobody has to keep in
// memory, stays below the limit and a twentieth with every place in the batch and the whole cache
// in use.
TEST(Serve, KeepsToItsMemoryLimit) {
  constexpr int64_t kLimit = 96 << 20;
  const RunningServer server(
      {"-m", "nano-moe", "--memory-limit", "96M", "--max-waiting-tokens", "0"});
  EXPECT_THAT(server.said(), HasSubstr("memory: program "));
  std::vector<std::thread> clients;
  std::atomic<int> n_answers = 0;
  for (int client = 0; client < 24; ++client) {
    clients.emplace_back([&, client] {
      std::string text;
      for (int i = 0; i < 250; ++i) text += " " + std::to_string((i * 7 + client) % 10);
      const std::string answer =
          server.request("POST /v1/completions",
                         R"({"prompt":")" + text + R"(","max_tokens":8,"ignore_eos":true,"n":2})");
      if (answer.find("HTTP/1.1 200") == 0) ++n_answers;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(n_answers, 24);
  EXPECT_LE(server.memory("RssAnon"), kLimit + kLimit / 20);
  EXPECT_LE(server.memory("VmHWM") - server.memory("RssFile"), kLimit + kLimit / 20);
}

// A step of the slowest backend that computes a long prompt at once.
TEST(Serve, AStepThatHangsEndsItWithStacks) {
  RunningServer server({"-m",
                        "nano-moe",
                        "--backend",
                        "reference",
                        "--max-batch-tokens",
                        "2048",
                        "--step-seconds",
                        "1"});
  std::string text;
  for (int i = 0; i < 1900; ++i) text += "a ";
  std::thread client([&] {
    server.request("POST /v1/completions", R"({"prompt":")" + text + R"(","max_tokens":1})");
  });
  const auto [said, exit_code] = server.wait_for_end();
  client.join();
  EXPECT_EQ(exit_code, 1);
  EXPECT_THAT(
      said,
      testing::ContainsRegex("a step of the engine has run for [0-9]+ s; expected at most 1 s"));
  EXPECT_THAT(said, HasSubstr("--step-seconds"));
  EXPECT_THAT(said, HasSubstr("thread "));
  EXPECT_THAT(said, HasSubstr("(qwen3+0x"));
  // The one that computes is there by name.
  EXPECT_THAT(said, HasSubstr("qwen3::Qwen3::forward")) << said;
}

}  // namespace
}  // namespace qwen3::test
