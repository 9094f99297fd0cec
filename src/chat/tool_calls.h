// Tool calls in a model's output, found while it streams.
//
//   hermes (Qwen3)   <tool_call>\n{"name": "f", "arguments": {...}}\n</tool_call>
//   qwen3_coder      <tool_call>\n<function=f>\n<parameter=k>\nv\n</parameter>\n</function>\n
//                    </tool_call>
//
// A call is handed out whole, once it is complete and valid: a client never holds half an argument
// that cannot be parsed. Text before the first call is content and streams; plain text between and
// after calls is dropped, as in vLLM. What looked like a call and is none (bad JSON, no name, not
// accepted) is content, word for word; but when the output was cut inside a call, what there is of
// it is nothing to show and is dropped. Results do not depend on how the text was cut into pieces,
// and the time is linear in its length.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace qwen3 {

enum class ToolFormat { hermes, qwen3_coder };

struct ToolCall {
  std::string name;
  std::string arguments;  // JSON text of an object

  bool operator==(const ToolCall&) const = default;
};

struct ToolDelta {
  std::string content;
  std::vector<ToolCall> calls;
  bool cut_call = false;  // the output was cut inside a call, which was dropped

  void append(ToolDelta more);
  bool operator==(const ToolDelta&) const = default;
};

class ToolCallStream {
 public:
  virtual ~ToolCallStream() = default;
  virtual ToolDelta push(std::string_view text) = 0;
  // The end of the output, which the model made or a limit (`cut`). A last call that only lacks its
  // closing tag still counts.
  virtual ToolDelta finish(bool cut = false) = 0;
};

// Whether a complete call is one. Empty: every one is.
using AcceptCall = std::function<bool(const ToolCall&)>;

// `tools` is the request's list, shared by all streams of one request; qwen3_coder takes the types
// of parameters from it. Null: there is none.
std::unique_ptr<ToolCallStream> make_tool_call_stream(ToolFormat format,
                                                      std::shared_ptr<const Json> tools,
                                                      AcceptCall accept = {});

// The whole output at once.
ToolDelta parse_tool_calls(ToolFormat format,
                           std::string_view text,
                           const Json& tools,
                           bool cut = false);

}  // namespace qwen3
