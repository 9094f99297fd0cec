// The messages of Anthropic's API, made of content blocks, as turns of a chat.
//
//   text, thinking, tool_use ──> the assistant's turn      tool_result ──> a turn of "tool"
//
// In one message of the user the results come first, whatever stands before them: templates expect
// them right behind the calls.
#pragma once

#include <string>

#include "base/json.h"
#include "server/api/skipped.h"
#include "server/api/turns.h"

namespace qwen3::server {

// `system`: text, or a list of text blocks. `messages`: a list. Throw ApiError{400} with the path.
void read_system(const Json& system, Turns& turns, Skipped& skipped);
void read_blocks(const Json& messages, Turns& turns, Skipped& skipped);

}  // namespace qwen3::server
