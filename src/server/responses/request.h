// A body of POST /v1/responses as a chat request, and what its answer needs to know besides.
//
//   instructions, input items, tools ──> messages, tools ──> the reader of chat requests
//
// A client of this API sends its whole history with every turn, with items of its other servers in
// it. So what cannot be understood is skipped and noted; only what would change the answer without
// a word is refused: images, files, a conversation that is kept elsewhere.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/json.h"
#include "server/api/skipped.h"
#include "server/api/turns.h"
#include "server/responses/tools.h"

namespace qwen3::server {

// What a request may refer to.
struct ResponseContext {
  ChatAbilities abilities = {};
  std::function<std::string(std::string_view prefix)> new_id = {};
  // The items up to the end of an answer that is kept, and one item of such; nothing when it is not
  // there. Null where nothing is kept.
  std::function<std::optional<Json>(const std::string& id)> conversation = {};
  std::function<std::optional<Json>(const std::string& id)> item = {};
};

struct ResponsesRequest {
  Json chat = Json::object();
  ResponseTools tools = {};
  Json echo = Json::object();  // members of the response object that repeat the request
  Json items = Json::array();  // the conversation so far, each with an id; empty unless `store`
  bool stream = false;
  bool summary = false;    // the reasoning goes out as its own summary
  bool encrypted = false;  // reasoning.encrypted_content is wanted
  bool store = false;
  Skipped skipped = {};
  std::vector<std::string> unread = {};  // names of fields
};

// Throws ApiError{400}.
ResponsesRequest read_responses_request(const Json& body, const ResponseContext& context);

// Opaque to clients, and no secret: a thought that travels through them. Nothing when it is not ours.
std::string seal_thought(const std::string& text);
std::optional<std::string> open_thought(const std::string& sealed);

}  // namespace qwen3::server
