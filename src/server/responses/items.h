// The input items of a Responses request as turns of a chat.
#pragma once

#include <set>
#include <string>

#include "server/api/fields.h"
#include "server/api/turns.h"
#include "server/responses/request.h"

namespace qwen3::server {

class ItemReader {
 public:
  // Adds to `turns` and, as they come, to the tools, skipped and items of `request`.
  ItemReader(const ResponseContext& context, Turns& turns, ResponsesRequest& request)
      : context_(context), turns_(turns), request_(request) {}

  // Text, or a list of items. `path` names it in errors. Throws ApiError{400}.
  void read(const Json& input, const std::string& path);

 private:
  void read_item(const Json& item, const std::string& path);
  void read_message(const Json& item, const std::string& path);
  void read_reasoning(const Json& item, const std::string& path);
  void read_call(const Json& item, const std::string& path, bool custom);
  void read_output(const Json& item, const std::string& path);
  void read_reference(const Json& item, const std::string& path);
  std::string text_of(const Json& content, const std::string& path);
  void append_part(std::string& text, const Json& part, const Place& place);
  void keep(const Json& item, std::string_view id_prefix);

  const ResponseContext& context_;
  Turns& turns_;
  ResponsesRequest& request_;
  bool inside_reference_ = false;
  std::set<std::string> referenced_ = {};
};

}  // namespace qwen3::server
