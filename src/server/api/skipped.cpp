#include "server/api/skipped.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace qwen3::server {

void Skipped::add(std::string_view what, std::string_view type) {
  constexpr size_t kMost = 16;
  std::string kind =
      fmt::format("{}:{}", what, type.empty() ? "without_type" : quote_for_message(type, 60));
  if (kinds_.size() >= kMost || std::ranges::find(kinds_, kind) != kinds_.end()) return;
  kinds_.push_back(std::move(kind));
}

void Skipped::note(Exchange& exchange) const {
  if (!kinds_.empty()) exchange.note("skipped", fmt::format("{}", fmt::join(kinds_, ",")));
}

std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace qwen3::server
