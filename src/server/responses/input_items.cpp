#include "server/responses/input_items.h"

#include <fmt/format.h>

#include <charconv>

#include "server/api/api_error.h"
#include "server/api/skipped.h"

namespace qwen3::server {
namespace {

constexpr int64_t kMostItemsOfPage = 100;

int64_t page_limit(std::string_view value) {
  int64_t limit = 0;
  const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), limit);
  if (error != std::errc() || stop != value.data() + value.size() || limit < 1 ||
      limit > kMostItemsOfPage) {
    refuse("limit",
           fmt::format(
               "expected 1 to {}, got \"{}\"", kMostItemsOfPage, quote_for_message(value, 60)));
  }
  return limit;
}

}  // namespace

InputItemsQuery read_input_items_query(std::string_view query) {
  InputItemsQuery out;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const size_t equals = pair.find('=');
    const std::string_view name = pair.substr(0, equals);
    const std::string_view value =
        equals == pair.npos ? std::string_view() : pair.substr(equals + 1);
    if (name == "limit") {
      out.limit = page_limit(value);
    } else if (name == "after") {
      out.after = value;
    } else if (name == "order") {
      if (value != "asc" && value != "desc") {
        refuse("order",
               fmt::format("expected asc or desc, got \"{}\"", quote_for_message(value, 60)));
      }
      out.newest_first = value == "desc";
    }
  }
  return out;
}

std::string input_items_page(const Json& items, const InputItemsQuery& query) {
  const size_t n = items.size();
  const auto nth = [&](size_t i) -> const Json& {
    return items[query.newest_first ? n - 1 - i : i];
  };
  size_t begin = 0;
  if (!query.after.empty()) {
    while (begin < n && text_at(nth(begin), "id") != query.after) ++begin;
    if (begin == n) refuse("after", "no item of this response has that id");
    ++begin;
  }
  const size_t end = std::min(n, begin + static_cast<size_t>(query.limit));
  Json data = Json::array();
  for (size_t i = begin; i < end; ++i) data.push_back(nth(i));
  Json page = {{"object", "list"}};
  page["first_id"] = data.empty() ? Json(nullptr) : data.front()["id"];
  page["last_id"] = data.empty() ? Json(nullptr) : data.back()["id"];
  page["has_more"] = end < n;
  page["data"] = std::move(data);
  return dump_json(page);
}

}  // namespace qwen3::server
