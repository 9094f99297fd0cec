// The client against a server that does everything wrong.
#include "eval/run/client.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "mock_server.h"
#include "support/expect_error.h"

namespace qwen3::eval {
namespace {

using test::chat_body;
using test::error_body;
using test::MockReply;
using test::MockRequest;
using test::MockServer;

EvalConfig config_for(const std::vector<std::string>& urls) {
  EvalConfig config;
  config.base_urls = urls;
  config.model_name = "mock";
  config.retry_base_seconds = 0.001;
  config.retry_max_seconds = 0.01;
  config.timeout_seconds = 60;
  config.server_wait_seconds = 60;
  return config;
}

// Asks n questions and waits for their replies.
std::map<uint64_t, Reply> ask_all(HttpClient& client, int n) {
  for (int i = 0; i < n; ++i) {
    client.ask({.tag = static_cast<uint64_t>(i), .prompt = "q" + std::to_string(i)});
  }
  std::map<uint64_t, Reply> replies;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (replies.size() < static_cast<size_t>(n) && std::chrono::steady_clock::now() < end) {
    for (Reply& reply : client.wait(std::chrono::milliseconds(100))) {
      EXPECT_TRUE(replies.emplace(reply.tag, reply).second) << "answered twice";
    }
  }
  EXPECT_EQ(replies.size(), static_cast<size_t>(n));
  return replies;
}

Reply ask_one(const EvalConfig& config, Mode mode = Mode::standard) {
  HttpClient client(config, mode, "secret");
  return ask_all(client, 1)[0];
}

std::string text_of(const Reply& reply) {
  const Answer* answer = std::get_if<Answer>(&reply.result);
  return answer != nullptr ? answer->text : "failure: " + std::get<Failure>(reply.result).message;
}

std::optional<Failure> failure_of(const Reply& reply) {
  const Failure* failure = std::get_if<Failure>(&reply.result);
  return failure != nullptr ? std::optional(*failure) : std::nullopt;
}

TEST(HttpClient, AsksAsTheServerWants) {
  MockRequest seen;
  MockServer server([&](const MockRequest& request) {
    seen = request;
    return MockReply{.body = chat_body("four")};
  });
  const Reply reply = ask_one(config_for({server.url()}));
  EXPECT_EQ(text_of(reply), "four");
  EXPECT_EQ(reply.attempts, 1);
  EXPECT_EQ(reply.server, server.url());
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.path, "/v1/chat/completions");
  EXPECT_NE(seen.head.find("Authorization: Bearer secret\r\n"), std::string::npos);
  EXPECT_NE(seen.head.find("Content-Type: application/json\r\n"), std::string::npos);
  EXPECT_EQ(seen.head.find("Expect:"), std::string::npos);
  EXPECT_EQ(seen.prompt(), "q0");
}

TEST(HttpClient, ManyAtOnceOverSeveralServers) {
  const auto echo = [](const MockRequest& request) {
    return MockReply{.body = chat_body("to " + request.prompt())};
  };
  MockServer a(echo);
  MockServer b(echo);
  HttpClient client(config_for({a.url(), b.url() + "/"}), Mode::standard, "EMPTY");
  const auto replies = ask_all(client, 200);
  for (const auto& [tag, reply] : replies) {
    EXPECT_EQ(text_of(reply), "to q" + std::to_string(tag));
  }
  EXPECT_EQ(a.n_chats() + b.n_chats(), 200);
  EXPECT_GT(a.n_chats(), 20);
  EXPECT_GT(b.n_chats(), 20);
}

// Each fault twice, then an answer: the answer is what counts, and never a part of one.
TEST(HttpClient, TriesAgainAfterEveryPassingFault) {
  const std::string whole = chat_body("whole");
  const std::string part = chat_body("part of a long answer");
  const std::vector<std::pair<const char*, MockReply>> faults = {
      {"500", {.status = 500, .body = error_body("oops")}},
      {"502 html", {.status = 502, .body = "<html>bad gateway</html>"}},
      {"429", {.status = 429, .body = error_body("slow down")}},
      {"408", {.status = 408}},
      {"409", {.status = 409}},
      {"reset before the body", {.body = part, .reset_after = 0}},
      {"reset in the body", {.body = part, .reset_after = 60}},
      {"reset before the last byte",
       {.body = part, .reset_after = static_cast<int64_t>(part.size()) - 1}},
      {"cut without a length", {.body = part.substr(0, 80), .without_length = true}},
      {"rubbish", {.body = "{\"choices\": [}"}},
      {"empty", {.body = ""}},
      {"no finish_reason", {.body = R"({"choices":[{"message":{"content":"part"}}]})"}},
      {"half a surrogate pair",
       {.body = R"({"choices":[{"message":{"content":"\ud800"},"finish_reason":"stop"}]})"}}};
  for (const auto& [name, fault] : faults) {
    const MockReply broken = fault;
    MockServer server([&](const MockRequest& request) {
      return request.number < 2 ? broken : MockReply{.body = whole};
    });
    const Reply reply = ask_one(config_for({server.url()}));
    EXPECT_EQ(text_of(reply), "whole") << name;
    EXPECT_EQ(reply.attempts, 3) << name;
  }
}

TEST(HttpClient, GivesUpAfterTheAttempts) {
  MockServer server([](const MockRequest&) {
    return MockReply{.status = 500, .body = error_body("out of luck")};
  });
  EvalConfig config = config_for({server.url()});
  config.attempts = 3;
  const Reply reply = ask_one(config);
  ASSERT_TRUE(failure_of(reply));
  EXPECT_EQ(failure_of(reply)->kind, FailureKind::server);
  EXPECT_EQ(failure_of(reply)->status, 500);
  EXPECT_EQ(failure_of(reply)->message, "out of luck");
  EXPECT_EQ(reply.attempts, 3);
  EXPECT_EQ(server.n_chats(), 3);
}

TEST(HttpClient, RefusalsAreFinal) {
  struct Case {
    int status;
    const char* message;
    FailureKind kind;
  };
  for (const Case& c :
       {Case{400, "temperature is wrong", FailureKind::rejected},
        Case{401, "bad key", FailureKind::unauthorized},
        Case{404, "The model `mock` does not exist.", FailureKind::not_found},
        Case{400, "This model's maximum context length is 5 tokens", FailureKind::context}}) {
    MockServer server([&](const MockRequest&) {
      return MockReply{.status = c.status, .body = error_body(c.message)};
    });
    const Reply reply = ask_one(config_for({server.url()}));
    ASSERT_TRUE(failure_of(reply)) << c.status;
    EXPECT_EQ(failure_of(reply)->kind, c.kind);
    EXPECT_EQ(failure_of(reply)->message, c.message);
    EXPECT_EQ(server.n_chats(), 1) << "asked again";
  }
}

TEST(HttpClient, StrictTakesContextErrorsForAnswers) {
  MockServer server([](const MockRequest&) {
    return MockReply{.status = 400, .body = error_body("maximum context length is 5")};
  });
  const Reply reply = ask_one(config_for({server.url()}), Mode::strict);
  ASSERT_TRUE(std::holds_alternative<Answer>(reply.result));
  EXPECT_TRUE(std::get<Answer>(reply.result).context_exceeded);
}

TEST(HttpClient, WaitsAsLongAsRetryAfterSays) {
  MockServer server([](const MockRequest& request) {
    return request.number == 0 ? MockReply{.status = 429, .headers = {"Retry-After: 1"}}
                               : MockReply{.body = chat_body("late")};
  });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(text_of(ask_one(config_for({server.url()}))), "late");
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(990));
}

TEST(HttpClient, ASlowReplyIsATimeout) {
  MockServer server([](const MockRequest&) {
    return MockReply{.body = chat_body("too late"), .delay = std::chrono::seconds(60)};
  });
  EvalConfig config = config_for({server.url()});
  config.timeout_seconds = 0.1;
  config.attempts = 2;
  const Reply reply = ask_one(config);
  ASSERT_TRUE(failure_of(reply));
  EXPECT_EQ(failure_of(reply)->kind, FailureKind::timeout);
  EXPECT_EQ(reply.attempts, 2);
}

TEST(HttpClient, TheDeadlineEndsAllAttempts) {
  MockServer server([](const MockRequest&) { return MockReply{.status = 500}; });
  EvalConfig config = config_for({server.url()});
  config.attempts = 1000;
  config.retry_base_seconds = config.retry_max_seconds = 0.2;
  config.deadline_seconds = 0.5;
  const Reply reply = ask_one(config);
  ASSERT_TRUE(failure_of(reply));
  EXPECT_EQ(failure_of(reply)->kind, FailureKind::deadline);
}

TEST(HttpClient, AReplyWithoutEndIsCutOff) {
  MockServer server(
      [](const MockRequest&) { return MockReply{.body = std::string(100'000, ' ')}; });
  EvalConfig config = config_for({server.url()});
  config.max_response_bytes = 10'000;
  const Reply reply = ask_one(config);
  ASSERT_TRUE(failure_of(reply));
  EXPECT_EQ(failure_of(reply)->kind, FailureKind::too_large);
}

// Nobody listens, or 503: no attempt is lost, and the question goes to whoever is there.
TEST(HttpClient, ServersThatAreAwayCostNothing) {
  std::string gone;
  {
    gone = MockServer([](const MockRequest&) { return MockReply{}; }).url();
  }
  MockServer busy([](const MockRequest& request) {
    return request.number < 3 ? MockReply{.status = 503, .body = error_body("loading")}
                              : MockReply{.body = chat_body("here")};
  });
  EvalConfig config = config_for({gone, busy.url()});
  config.attempts = 1;
  HttpClient client(config, Mode::standard, "EMPTY");
  for (const auto& [tag, reply] : ask_all(client, 20)) EXPECT_EQ(text_of(reply), "here");
}

TEST(HttpClient, EndsWhenNoServerIsThere) {
  std::string gone;
  {
    gone = MockServer([](const MockRequest&) { return MockReply{}; }).url();
  }
  EvalConfig config = config_for({gone});
  config.server_wait_seconds = 0.05;
  HttpClient client(config, Mode::standard, "EMPTY");
  EXPECT_ERROR(ask_all(client, 3), ErrorKind::io, "no server has answered", gone, "again");
  EXPECT_ERROR(
      client.find_servers([] { return false; }, [](const std::string&) {}), ErrorKind::io, gone);
}

TEST(HttpClient, SurvivesRestartsOfTheServer) {
  const auto handler = [](const MockRequest& request) {
    return MockReply{.body = chat_body("to " + request.prompt()),
                     .delay = std::chrono::milliseconds(2)};
  };
  auto server = std::make_unique<MockServer>(handler);
  const uint16_t port = server->port();
  EvalConfig config = config_for({server->url()});
  config.attempts = 1000;
  HttpClient client(config, Mode::standard, "EMPTY");
  constexpr uint64_t kQuestions = 300;
  constexpr uint64_t kUnderWay = 8;
  std::map<uint64_t, std::string> answers;
  uint64_t n_asked = 0;
  int n_restarts = 0;
  while (answers.size() < kQuestions) {
    for (; n_asked < kQuestions && n_asked < answers.size() + kUnderWay; ++n_asked) {
      client.ask({.tag = n_asked, .prompt = std::to_string(n_asked)});
    }
    for (const Reply& reply : client.wait(std::chrono::milliseconds(20))) {
      EXPECT_TRUE(answers.emplace(reply.tag, text_of(reply)).second);
    }
    if (answers.size() / 15 > static_cast<size_t>(n_restarts)) {
      server.reset();
      server = std::make_unique<MockServer>(handler, port);
      ++n_restarts;
    }
  }
  ASSERT_EQ(answers.size(), kQuestions);
  for (const auto& [tag, text] : answers) EXPECT_EQ(text, "to " + std::to_string(tag));
  EXPECT_GE(n_restarts, 15);
}

TEST(HttpClient, LearnsWhatServersSayAboutThemselves) {
  MockServer server([](const MockRequest&) { return MockReply{}; });
  EvalConfig config = config_for({server.url()});
  HttpClient client(config, Mode::standard, "EMPTY");
  std::vector<std::string> notes;
  client.find_servers([] { return false; },
                      [&](const std::string& line) { notes.push_back(line); });
  EXPECT_EQ(dump_json(client.served()), R"([{"model":{"id":"mock","max_model_len":4096}}])");
  EXPECT_TRUE(notes.empty());

  config.model_name = "other";
  HttpClient stranger(config, Mode::standard, "EMPTY");
  stranger.find_servers([] { return false; },
                        [&](const std::string& line) { notes.push_back(line); });
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("does not list the model other"), std::string::npos);
}

TEST(HttpClient, RefusesAddressesThatAreNone) {
  for (const char* url : {"", "file:///etc/passwd", "ftp://host/", "http://", "http://h/v1?x=1"}) {
    EXPECT_ERROR(HttpClient(config_for({url}), Mode::standard, "EMPTY"),
                 ErrorKind::invalid_argument,
                 "base_url");
  }
  EXPECT_ERROR(HttpClient(config_for({"http://h/v1"}), Mode::standard, "a\r\nHost: b"),
               ErrorKind::invalid_argument,
               "API key");
  // A password is not shown.
  try {
    HttpClient(config_for({"ftp://user:hunter2@host/"}), Mode::standard, "EMPTY");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("hunter2"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace qwen3::eval
