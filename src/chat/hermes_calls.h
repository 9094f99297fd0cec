// The JSON tool calls of Qwen3; see chat/tool_calls.h.
#pragma once

#include <memory>

#include "chat/call_reader.h"

namespace qwen3 {

std::unique_ptr<CallReader> make_hermes_reader();

}  // namespace qwen3
