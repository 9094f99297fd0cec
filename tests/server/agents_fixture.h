// The Responses and Messages APIs in front of the scripted engine, and their streams as events.
#pragma once

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "server/api/fixture.h"
#include "server/messages/routes.h"
#include "server/responses/routes.h"

namespace qwen3::server {

// An event of a stream: its `event:` line and its data.
struct NamedEvent {
  std::string name;
  Json data;
};

inline std::vector<NamedEvent> read_events(std::string_view text) {
  std::vector<NamedEvent> events;
  while (!text.empty()) {
    const size_t end = text.find("\n\n");
    const size_t data = text.find("\ndata: ");
    if (end == text.npos || data >= end || !text.starts_with("event: ")) {
      ADD_FAILURE() << "no event: " << text.substr(0, 200);
      return events;
    }
    const std::string_view body = text.substr(data + 7, end - data - 7);
    EXPECT_EQ(body.find('\n'), body.npos);
    events.push_back({std::string(text.substr(7, data - 7)), parse_json(body, "event")});
    EXPECT_EQ(events.back().data["type"], events.back().name);
    text.remove_prefix(end + 2);
  }
  return events;
}

// Their names, with equal neighbours once.
inline std::vector<std::string> names_of(const std::vector<NamedEvent>& events) {
  std::vector<std::string> names;
  for (const NamedEvent& event : events) {
    if (names.empty() || names.back() != event.name) names.push_back(event.name);
  }
  return names;
}

class AgentsTest : public ApiTest {
 protected:
  void SetUp() override { start({.model_names = {"nano"}}); }

  void start(const ServiceOptions& options, Task task = Task::generate) {
    restart(options, task);
    for (auto more : {make_responses_routes(*service), make_messages_routes(*service)}) {
      std::ranges::move(more, std::back_inserter(routes));
    }
  }

  // A whole answer, whatever it is.
  Reply ask(const std::string& path, const Json& body) { return post(path, body); }

  std::vector<NamedEvent> stream(const std::string& path, Json body, const Client& client = {}) {
    body["stream"] = true;
    last_exchange = begin("POST", path, body.dump(), client);
    EXPECT_TRUE(last_exchange->run()) << body;
    EXPECT_EQ(last_exchange->response.content_type, "text/event-stream")
        << last_exchange->response.body;
    return read_events(last_exchange->response.body);
  }

  // The prompt of the last request, as text.
  std::string last_prompt() { return nano_text().decode(generator->requests.back().prompt_ids); }

  std::shared_ptr<FakeExchange> last_exchange;
};

}  // namespace qwen3::server
