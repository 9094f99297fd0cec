// The XML tool calls of Qwen3-Coder; see chat/tool_calls.h.
#pragma once

#include <memory>

#include "chat/tool_calls.h"

namespace qwen3 {

std::unique_ptr<ToolCallStream> make_coder_call_stream(const Json& tools, AcceptCall accept);

}  // namespace qwen3
