// A body of POST /v1/messages as a chat request, and what its answer needs to know besides.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "server/api/skipped.h"
#include "server/api/turns.h"

namespace qwen3::server {

struct MessagesRequest {
  Json chat = Json::object();
  bool stream = false;
  bool omit_thinking = false;  // the blocks are there, their text is not
  Skipped skipped = {};
  std::vector<std::string> unread = {};  // names of fields
};

enum class MaxTokens { required, absent };  // absent: the tokens are only counted

// Throws ApiError{400}. Fields that only Anthropic's service could heed are noted.
MessagesRequest read_messages_request(const Json& body,
                                      const ChatAbilities& abilities,
                                      MaxTokens max_tokens);

}  // namespace qwen3::server
