// GET /v1/responses/{id}/input_items: a page of the items that a response answers.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace qwen3::server {

struct InputItemsQuery {
  int64_t limit = 20;
  std::string after = {};    // an item's id; "": from the beginning
  bool newest_first = true;  // order=desc
};

// Of the raw query of a target. Throws ApiError{400}.
InputItemsQuery read_input_items_query(std::string_view query);

// {"object":"list","data":[…],"first_id":…,"last_id":…,"has_more":…}. Throws ApiError{400} when no
// item has the id of `after`.
std::string input_items_page(const Json& items, const InputItemsQuery& query);

}  // namespace qwen3::server
