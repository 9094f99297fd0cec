// Tool calls in a model's output, found while it streams.
//
//   hermes (Qwen3)   <tool_call>\n{"name": "f", "arguments": {...}}\n</tool_call>
//   qwen3_coder      <tool_call>\n<function=f>\n<parameter=k>\nv\n</parameter>\n</function>\n
//                    </tool_call>
//
// A call is handed out whole, once it is complete and valid: a client never holds half an argument
// that cannot be parsed. Content and calls together hold every character of the text but the markup
// of the calls: a value ends at its own end, not at a word inside that looks like one (coder_calls.h),
// and what only looks like a call is content, word for word: no opening tag, no end, no JSON, a
// function that is not declared, or quoted as code (code_spans.h). Two things are dropped: plain
// text behind the last call, as in vLLM, and a call inside of which a limit cut the output.
// Results do not depend on how the text was cut into pieces, and the time is linear in its length.
#pragma once

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

struct TextRange {
  size_t begin = 0;
  size_t end = 0;

  bool operator==(const TextRange&) const = default;
};

struct ToolDelta {
  std::string content;
  std::vector<TextRange> ranges;  // where in the text the content stands, ascending
  std::vector<ToolCall> calls;
  bool cut_call = false;  // the output was cut inside a call, which was dropped

  void add_content(std::string_view text, size_t at);
  void append(ToolDelta more);
  bool operator==(const ToolDelta&) const = default;
};

class ToolCallStream {
 public:
  virtual ~ToolCallStream() = default;
  // REQUIRES: all pieces together are well-formed UTF-8.
  virtual ToolDelta push(std::string_view text) = 0;
  // The end of the output, which the model made or a limit (`cut`). A last call that only lacks its
  // closing tag still counts.
  virtual ToolDelta finish(bool cut = false) = 0;
};

// The function that a tool declares, wrapped in {"function": …} or not; null if it has no name.
const Json* function_of(const Json& tool);

// The names of the functions of a request's tools, each once; empty for null.
std::vector<std::string> declared_functions(const Json& tools);

// `tools` is the request's list, shared by all streams of one request: it declares the functions
// that can be called, and for qwen3_coder the types of their parameters. Null: any can.
std::unique_ptr<ToolCallStream> make_tool_call_stream(ToolFormat format,
                                                      std::shared_ptr<const Json> tools);

// The whole output at once.
ToolDelta parse_tool_calls(ToolFormat format,
                           std::string_view text,
                           const Json& tools,
                           bool cut = false);

}  // namespace qwen3
