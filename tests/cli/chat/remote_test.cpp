// qwen3 chat --url: against our own server, and against what other servers say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "cli/chat/event_reader.h"
#include "cli/chat/fake_server.h"
#include "cli/run_program.h"
#include "cli/serve/running_server.h"
#include "cli/terminal.h"

namespace qwen3::test {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string models(const std::string& owner) {
  return http_answer(R"({"data":[{"id":"m1","owned_by":")" + owner + R"("},{"id":"m2"}]})");
}

std::string stream(const std::string& events) {
  return http_answer(events, "200 OK", "text/event-stream");
}

const char* const kAnswer =
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hey\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n"
    "data: [DONE]\n\n";

ProgramResult chat(const FakeServer& server,
                   std::vector<std::string> more,
                   std::string_view in = {}) {
  more.insert(more.begin(), {"chat", "--url", server.url()});
  return run_qwen3(more, in);
}

Json body_of(const std::string& request) {
  return parse_json(request.substr(request.find("\r\n\r\n") + 4), "request");
}

TEST(Remote, OurOwnServer) {
  const RunningServer server({"-m", "nano"});
  const std::string url = "http://127.0.0.1:" + std::to_string(server.port());
  const std::vector<std::string> words = {
      "chat", "--url", url, "--temperature", "0", "--quiet", "Sort 7, 3 and 9."};
  const ProgramResult result = run_qwen3(words);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const ProgramResult local =
      run_qwen3({"chat", "-m", "nano", "--temperature", "0", "--quiet", "Sort 7, 3 and 9."});
  EXPECT_EQ(result.out, local.out);  // thought and answer, as a model in this process
  EXPECT_EQ(result.err, "");
  const ProgramResult off = run_qwen3({"chat",
                                       "--url",
                                       url + "/v1/",
                                       "--preset",
                                       "non_thinking",
                                       "--top-k",
                                       "1",
                                       "--json",
                                       "Hello!"});
  EXPECT_EQ(off.exit_code, 0) << off.err;
  const Json answer = parse_json(off.out, "answer");
  EXPECT_EQ(answer.at("reasoning_content"), "");
  EXPECT_GT(answer.at("timing").at("completion_tokens"), 3);
  const ProgramResult several = run_qwen3(
      {"chat", "--url", url, "--hide-thinking", "--temperature", "0"}, "Hello!\n/stats\n/undo\n");
  EXPECT_EQ(several.exit_code, 0) << several.err;
  EXPECT_THAT(several.err, HasSubstr("nano at " + url + "/v1\n"));
  EXPECT_THAT(several.err, HasSubstr("first text after "));
  EXPECT_THAT(several.err, HasSubstr("taken back: \"Hello!\""));
  const ProgramResult wrong = run_qwen3({"chat", "--url", url, "-m", "other", "--quiet", "Hi"});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.err, HasSubstr("status 404: The model \"other\" does not exist"));
  EXPECT_EQ(lines_of(wrong.err).size(), 1u);
}

TEST(Remote, OnlyStandardFieldsUnlessTheServerIsKnownToTakeMore) {
  const FakeServer other(models("someone"), stream(kAnswer));
  const ProgramResult result =
      chat(other, {"--temperature", "0.5", "-n", "7", "--seed", "3", "--stop", "x", "Hi"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "Hey\n");
  EXPECT_THAT(result.err, HasSubstr("prompt 5 tokens; answer 2 tokens"));
  const Json body = body_of(other.requests().back());
  EXPECT_EQ(body,
            parse_json(R"({"model":"m1","messages":[{"role":"user","content":"Hi"}],"stream":true,
              "stream_options":{"include_usage":true},"max_tokens":7,"temperature":0.5,"seed":3,
              "stop":["x"]})",
                       "expected"));
  EXPECT_THAT(other.requests().back(), Not(HasSubstr("Authorization")));
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--top-k", "5"}, {"--thinking", "off"}, {"--preset", "auto"}}) {
    const ProgramResult refused = chat(other, {more[0], more[1], "Hi"});
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_EQ(refused.out, "");
  }
  const FakeServer vllm(models("vllm"), stream(kAnswer));
  EXPECT_EQ(chat(vllm, {"--top-k", "5", "--thinking", "off", "Hi"}).exit_code, 0);
  EXPECT_EQ(body_of(vllm.requests().back()).at("top_k"), 5);
  EXPECT_EQ(body_of(vllm.requests().back()).at("chat_template_kwargs").at("enable_thinking"),
            false);
  EXPECT_EQ(chat(vllm, {"--preset", "auto", "Hi"}).exit_code, 1);
}

TEST(Remote, KeysAndModels) {
  const FakeServer server(models("vllm"), stream(kAnswer));
  const auto shell = [&](const std::string& words) {
    return run_shell("KEY=abc $QWEN3 chat --url " + server.url() + " --quiet " + words +
                     " < /dev/null");
  };
  EXPECT_EQ(shell("--api-key-env KEY Hi").exit_code, 0);
  EXPECT_THAT(server.requests().back(), HasSubstr("Authorization: Bearer abc\r\n"));
  EXPECT_EQ(shell("-m mine Hi").exit_code, 0);
  EXPECT_EQ(body_of(server.requests().back()).at("model"), "mine");
  EXPECT_THAT(shell("--api-key-env NO_SUCH Hi").err,
              HasSubstr("the environment has no variable NO_SUCH"));
  EXPECT_EQ(shell("--choice a Hi").exit_code, 2);
  const FakeServer closed(http_answer(R"({"error":{"message":"no key"}})", "401 Unauthorized"), "");
  const ProgramResult refused = chat(closed, {"Hi"});
  EXPECT_THAT(refused.err, HasSubstr("status 401: no key; --api-key-env"));
}

TEST(Remote, WhatGoesWrongIsOneLine) {
  const auto fails = [](const std::string& answer, const std::string& part) {
    SCOPED_TRACE(part);
    const FakeServer server(models("x"), answer);
    const ProgramResult result = chat(server, {"--quiet", "Hi"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(lines_of(result.err).size(), 1u) << result.err;
    EXPECT_THAT(result.err, HasSubstr(part));
  };
  fails(http_answer(R"({"error":{"message":"too\nlong"}})", "400 Bad Request"), "status 400: too");
  fails(http_answer(R"({"detail":"gone"})", "404 Not Found"), "status 404: gone");
  fails(stream("data: {\"error\":{\"message\":\"out of memory\"}}\n\n"), "out of memory");
  fails(stream("data: {\"choices\":[{\"delta\":{\"content\":\"He\"}}]}\n\n"),
        "the answer broke off");
  fails(stream("data: {{{\n\n"), "not valid JSON");
  fails(stream("data: [DONE]\n\n"), "the answer broke off");
  fails(http_answer("<html>"), "the answer broke off");
  EXPECT_THAT(run_qwen3({"chat", "--url", "http://127.0.0.1:9", "Hi"}).err,
              HasSubstr("http://127.0.0.1:9/v1: "));
  EXPECT_THAT(run_qwen3({"chat", "--url", "ftp://x", "Hi"}).err,
              HasSubstr("--url: expected an address"));
  // A conversation goes on after it.
  const FakeServer server(models("x"), http_answer("{}", "500 Internal Server Error"));
  const ProgramResult two = chat(server, {"--quiet"}, "a\nb\n");
  EXPECT_EQ(two.exit_code, 1);
  EXPECT_EQ(lines_of(two.err).size(), 2u) << two.err;
}

TEST(Remote, CtrlCEndsAnAnswer) {
  const RunningServer server({"-m", "nano"});
  Terminal terminal({"chat",
                     "--url",
                     "http://127.0.0.1:" + std::to_string(server.port()),
                     "--ignore-eos",
                     "--temperature",
                     "0",
                     "--quiet"},
                    {"TERM=xterm", "HOME=/nonexistent", "XDG_STATE_HOME=/nonexistent"});
  ASSERT_TRUE(terminal.shows("> ")) << terminal.screen();
  terminal.type("Hello!\n");
  ASSERT_TRUE(terminal.shows("nano")) << terminal.screen();
  terminal.type("\x03");
  ASSERT_TRUE(terminal.shows("stopped")) << terminal.screen();
  terminal.type("/exit\n");
  EXPECT_EQ(terminal.wait(), 0) << terminal.screen();
}

// Pieces, put together: "r:…" of reasoning, "c:…" of content.
std::string read(const std::string& events, size_t step) {
  std::string text;
  char last = 0;
  cli::EventReader reader([&](const AnswerPiece& piece) {
    const char kind = piece.kind == AnswerPiece::Kind::reasoning ? 'r' : 'c';
    if (kind != last) text += std::string(1, kind) + ":";
    last = kind;
    text += piece.text;
  });
  for (size_t at = 0; at < events.size(); at += step)
    reader.add(std::string_view(events).substr(at, step));
  reader.finish();
  return text;
}

TEST(EventReader, PutsPiecesTogetherHoweverTheyAreCut) {
  const auto event = [](const std::string& delta) {
    return "data: {\"choices\":[{\"delta\":" + delta + "}]}\r\n\r\n";
  };
  const std::string end =
      "data:{\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n";
  const std::string apart = ": comment\nevent: x\n" + event(R"({"reasoning_content":"é1"})") +
                            event(R"({"reasoning":"2"})") + event(R"({"content":"<think>3"})") +
                            end;
  const std::string tags =
      event(R"({"content":"<thi"})") + event(R"({"content":"nk>\n1</think>\n\n2"})") + end;
  for (const size_t step : {size_t{1}, size_t{3}, size_t{1000}}) {
    EXPECT_EQ(read(apart, step), "r:é12c:<think>3");
    EXPECT_EQ(read(tags, step), "r:1c:2");
  }
  EXPECT_THROW(read(event(R"({"content":"a"})"), 5), Error);
  EXPECT_EQ(
      read("data: {\"choices\":[{\"delta\":null},7]}\ndata: {\"choices\":3}\ndata: 5\n" + end, 9),
      "");
}

}  // namespace
}  // namespace qwen3::test
