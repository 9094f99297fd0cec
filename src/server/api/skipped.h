// Skipped: what a request says that this server passes over instead of refusing it, for the log. A
// client that keeps its history sends such a thing with every turn: refusing it once would end the
// conversation.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "server/http/http.h"

namespace qwen3::server {

class Skipped {
 public:
  // `what`: "item", "tool"; `type`: what the request calls it. Each kind once, the first 16.
  void add(std::string_view what, std::string_view type);
  void note(Exchange& exchange) const;
  const std::vector<std::string>& kinds() const { return kinds_; }

 private:
  std::vector<std::string> kinds_;
};

// The text under this key of an object; "" when there is none.
std::string text_at(const Json& object, const char* key);

}  // namespace qwen3::server
