// Tool calls in a model's output, cut into pieces where the input says. The first byte chooses the
// format and the end (the model's, or a limit); then a byte for the size of the pieces, and the text.
//
//   h or c (hermes, coder), H or C (cut)   size   <tool_call>…
//
// What callers rely on: pieces give what the whole gives; the content stands in the text where its
// ranges say, and in order; arguments are JSON objects of declared functions; and without a call
// and a cut the content is the text.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/utf8.h"
#include "chat/tool_calls.h"

namespace {

using qwen3::Json;
using qwen3::ToolDelta;

std::shared_ptr<const Json> tools() {
  static const auto kTools = std::make_shared<const Json>(qwen3::parse_json(R"([
    {"type": "function", "function": {"name": "f", "parameters": {
      "$defs": {"K": {"type": "object"}, "L": {"anyOf": [{"$ref": "#/$defs/L"}, {"$ref": "#/$defs/L"}]}},
      "properties": {"s": {"type": "string"}, "i": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "n": {"type": ["number", "string"]}, "b": {"type": "boolean"}, "o": {"$ref": "#/$defs/K"},
        "l": {"allOf": [{"type": "array"}]}, "e": {"enum": [1, "1", null]}, "r": {"$ref": "#/$defs/L"},
        "u": {}}}}},
    {"type": "function", "function": {"name": "g"}}])",
                                                                            "fuzz tools"));
  return kTools;
}

void require(bool condition) {
  if (!condition) std::abort();
}

ToolDelta parse(qwen3::ToolFormat format, std::string_view text, bool cut, size_t size) {
  const auto stream = qwen3::make_tool_call_stream(format, tools());
  ToolDelta all;
  for (size_t at = 0; at < text.size(); at += size) all.append(stream->push(text.substr(at, size)));
  all.append(stream->finish(cut));
  return all;
}

ToolDelta parse_in_two(qwen3::ToolFormat format, std::string_view text, bool cut, size_t at) {
  const auto stream = qwen3::make_tool_call_stream(format, tools());
  ToolDelta all = stream->push(text.substr(0, at));
  all.append(stream->push(text.substr(at)));
  all.append(stream->finish(cut));
  return all;
}

void check(const ToolDelta& whole, std::string_view text, bool cut) {
  std::string at_ranges;
  size_t before = 0;
  for (const auto& [begin, end] : whole.ranges) {
    require(before <= begin && begin < end && end <= text.size());
    at_ranges += text.substr(begin, end - begin);
    before = end;
  }
  require(at_ranges == whole.content);
  if (!cut) require(!whole.cut_call);
  if (whole.calls.empty() && !whole.cut_call) require(whole.content == text);
  for (const qwen3::ToolCall& call : whole.calls) {
    require(call.name == "f" || call.name == "g");
    if (call.arguments.size() < 300) {  // longer ones may hold a number that no double holds
      require(qwen3::parse_json(call.arguments, "arguments").is_object());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 4096) return 0;
  // Answers are well-formed UTF-8; the pieces below may cut characters.
  const std::string text = qwen3::utf8_lossy({reinterpret_cast<const char*>(data) + 2, size - 2});
  const bool cut = (data[0] & 0x20) == 0;
  const auto format =
      (data[0] & 1) != 0 ? qwen3::ToolFormat::qwen3_coder : qwen3::ToolFormat::hermes;
  const ToolDelta whole = parse(format, text, cut, text.size() + 1);
  check(whole, text, cut);
  require(parse(format, text, cut, 1) == whole);
  require(parse(format, text, cut, 1 + data[1] % 32) == whole);
  // Every split point of a short text, some of a long one.
  const size_t step = text.size() <= 128 ? 1 : 1 + text.size() / 16;
  for (size_t at = 1 + data[1] % step; at < text.size(); at += step) {
    require(parse_in_two(format, text, cut, at) == whole);
  }
  return 0;
}
