// The access log: one JSON object a line, whatever clients put into their requests.
#include <gtest/gtest.h>

#include <random>

#include "base/json.h"
#include "base/utf8.h"
#include "server/http/access_log.h"
#include "server/http/http_server.h"
#include "server/http/support.h"

namespace qwen3::server {
namespace {

using namespace testing;
using namespace std::string_literals;

std::vector<std::string> hostile_strings() {
  std::vector<std::string> out = {
      "\n{\"status\":200}",
      "\r\n",
      "\",\"key\":\"admin",
      "\\",
      "\\\"",
      "\\u0000",
      "\0after"s,
      "\x1B[2J\x1B[31m",
      "\xE2\x80\xA8",
      "\xE2\x80\xA9",
      "\xC2\x85",
      "\x7F",
      "\xFF\xFE",
      "\xC0\x80",
      "\xED\xA0\x80",
      "\xF4\x90\x80\x80",
      "\xF0\x9F\x98\x80",
      "%s%s%s%n",
      "${jndi:ldap://x}",
      "{0}{}",
      "</script><script>alert(1)</script>",
      "' OR 1=1 --",
      std::string(10'000, 'a'),
      std::string(10'000, '"'),
      std::string(10'000, '\n'),
      std::string(10'000, '\0'),
      "",
  };
  // Every single byte, and random bytes with a bias to the harmful ones.
  for (int byte = 0; byte < 256; ++byte) out.push_back(std::string(3, static_cast<char>(byte)));
  std::mt19937 random(7);
  const std::string harmful = "\"\\\n\r\t\0{}[],:\x1B\xE2\x80\xA8\xF0\x9F"s;
  while (out.size() < 600) {
    std::string text;
    const size_t size = random() % 2000;
    while (text.size() < size) {
      text.push_back(random() % 2 ? harmful[random() % harmful.size()]
                                  : static_cast<char>(random() % 256));
    }
    out.push_back(text);
  }
  return out;
}

// One object, printable ASCII, of bounded length, with the fields where they belong.
Json check_line(const std::string& line) {
  EXPECT_LE(line.size(), kMaxLogLine);
  for (const char c : line) EXPECT_TRUE(c >= 0x20 && c < 0x7F) << int{c};
  const Json entry = parse_json(line, "log");
  EXPECT_TRUE(entry.is_object());
  for (const char* field : {"time", "id", "peer", "key", "method", "path", "outcome"}) {
    EXPECT_TRUE(entry.at(field).is_string()) << field;
  }
  return entry;
}

TEST(AccessLog, HoldsWhateverItIsGiven) {
  for (const std::string& text : hostile_strings()) {
    AccessRecord record;
    record.id = record.peer = record.key = record.method = record.target = text;
    record.status = 200;
    record.outcome = "complete";
    for (int i = 0; i < 8; ++i)
      record.notes.emplace_back(std::to_string(i) + text, NoteValue(text));
    record.notes.emplace_back("status", NoteValue("0"));
    const Json entry = check_line(access_line(record));
    EXPECT_EQ(entry.at("status"), 200) << "a note took its place";
  }
}

TEST(AccessLog, KeepsWhatFits) {
  AccessRecord record;
  record.time = std::chrono::system_clock::time_point(std::chrono::milliseconds(1'764'000'000'123));
  record.id = "req-1";
  record.target = "/v1/models?key=secret";
  record.notes = {
      {"model", "qwen3 \xC3\xA9\xF0\x9F\x98\x80"}, {"prompt_tokens", int64_t{18}}, {"text", "18"}};
  const Json entry = check_line(access_line(record));
  EXPECT_EQ(entry.at("time"), "2025-11-24T16:00:00.123Z");
  EXPECT_EQ(entry.at("path"), "/v1/models");
  EXPECT_EQ(entry.at("notes").at("prompt_tokens"), 18);  // a number stays one
  EXPECT_EQ(entry.at("notes").at("text"), "18");
  EXPECT_EQ(entry.at("notes").at("model"), "qwen3 \xC3\xA9\xF0\x9F\x98\x80");
}

TEST(AccessLog, OfAServerUnderHostileRequests) {
  LogRecorder log;
  HttpOptions options = test_options();
  options.access_log = log.sink();
  HttpServer server(options,
                    routes_with([](const HttpRequest& request, std::shared_ptr<Exchange> e) {
                      e->note("model", request.body);
                      e->note("agent", std::string(request.header("user-agent")));
                      e->send({});
                    }));
  size_t n_requests = 0;
  for (const std::string& text : hostile_strings()) {
    for (const std::string& request :
         {get(server.port(), "/" + text, "Connection: close\r\n"),
          text + " /health HTTP/1.1\r\n" + host_line(server.port()) + "Connection: close\r\n\r\n",
          get(server.port(), "/v1/stream", "X-Request-Id: " + text + "\r\nConnection: close\r\n"),
          post(server.port(),
               "/v1/stream",
               text,
               "User-Agent: " + text + "\r\nConnection: close\r\n")}) {
      RawClient client(server.port());
      client.send(request);
      client.half_close();
      client.receive_all();
      EXPECT_EQ(client.received().find("X-Evil"), std::string::npos);
      ++n_requests;
    }
  }
  server.stop(5s);
  const std::vector<std::string> lines = log.lines();
  EXPECT_GE(lines.size(), n_requests / 2);
  for (const std::string& line : lines) check_line(line);
}

TEST(AccessLog, NeverShowsKeysQueriesOrBodies) {
  const std::string canary = "CANARY-0123456789-0123456789-0123456789";
  LogRecorder log;
  HttpOptions options = test_options();
  options.keys = {make_api_key("alice", canary, "test")};
  options.access_log = log.sink();
  HttpServer server(options, basic_routes());
  RawClient client(server.port());
  const std::string with_key = "Authorization: Bearer " + canary + "\r\n";
  client.send(post(server.port(), "/v1/echo", canary, with_key));
  EXPECT_EQ(client.answer()->body, canary);
  client.send(
      get(server.port(), "/v1/models/a?api_key=" + canary, "x-api-key: " + canary + "x\r\n"));
  const auto refused = client.answer();
  EXPECT_EQ(refused->status, 401);
  EXPECT_EQ(refused->body.find("CANARY"), std::string::npos);
  client.send(get(server.port(), "/health", with_key + "Cookie: " + canary + "\r\n"));
  client.answer();
  client.send("POST /v1/echo HTTP/1.1\r\n" + host_line(server.port()) + "Authorization : Bearer " +
              canary + "\r\n\r\n");
  EXPECT_EQ(client.answer()->status, 400);
  ASSERT_TRUE(wait_for([&] { return log.lines().size() == 4; }));
  for (const std::string& line : log.lines()) EXPECT_EQ(line.find("CANARY"), std::string::npos);
  const Json first = parse_json(log.lines()[0], "log");
  EXPECT_EQ(first.at("key"), "alice");
  EXPECT_EQ(first.at("status"), 200);
  EXPECT_EQ(first.at("method"), "POST");
  EXPECT_EQ(first.at("peer"), "127.0.0.1");
  EXPECT_GT(first.at("request_bytes"), 100);
  EXPECT_GT(first.at("response_bytes"), 500);
  EXPECT_EQ(first.at("outcome"), "complete");
}

}  // namespace
}  // namespace qwen3::server
