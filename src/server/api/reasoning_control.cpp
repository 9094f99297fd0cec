#include "server/api/reasoning_control.h"

#include <utility>

#include "server/api/fields.h"
#include "server/api/handlers.h"

namespace qwen3::server {

ReasoningControls::Place::Place(ReasoningControls& controls,
                                std::string id,
                                std::string client,
                                ThoughtSwitch end)
    : controls_(controls), id_(std::move(id)), client_(std::move(client)), end_(std::move(end)) {}

ReasoningControls::Place::~Place() {
  const std::lock_guard lock(controls_.mutex_);
  const auto [first, last] = controls_.places_.equal_range(id_);
  for (auto it = first; it != last; ++it) {
    if (it->second != this) continue;
    controls_.places_.erase(it);
    return;
  }
}

std::unique_ptr<ReasoningControls::Place> ReasoningControls::open(std::string id,
                                                                  const Client& client,
                                                                  ThoughtSwitch end) {
  std::unique_ptr<Place> place(new Place(*this, std::move(id), client.name, std::move(end)));
  const std::lock_guard lock(mutex_);
  places_.emplace(place->id_, place.get());
  return place;
}

bool ReasoningControls::end_thought(const std::string& id, const Client& client) {
  bool found = false;
  const std::lock_guard lock(mutex_);
  const auto [first, last] = places_.equal_range(id);
  for (auto it = first; it != last; ++it) {
    if (it->second->client_ != client.name) continue;
    *it->second->end_ = true;
    found = true;
  }
  return found;
}

void control_reasoning(Service& service, const HttpRequest& http, const ExchangePtr& exchange) {
  const Json body = request_body(http);
  Fields fields(body);
  const auto id = fields.text("id", 256);
  if (!id || id->empty()) refuse("id", "is missing; give the id of an answer that is under way");
  const auto action = fields.text("action", 64);
  if (action != "reasoning_end") {
    refuse("action",
           action ? "expected \"reasoning_end\", got \"" + quote_for_message(*action, 60) + "\""
                  : "is missing; expected \"reasoning_end\"");
  }
  const bool done = service.controls().end_thought(*id, http.client);
  exchange->send({.body = done ? R"({"success":true})"
                               : R"({"success":false,"message":"no answer of this id is under way )"
                                 R"(that was asked for with reasoning_control: true"})"});
}

}  // namespace qwen3::server
