// Parses the input as a chat template and renders it with a small context under tight limits.
// Besides crashes and undefined behaviour it checks what callers rely on: errors are Errors with a
// valid UTF-8 message, and the segments of a render are its text.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/utf8.h"
#include "chat/template.h"

namespace {

const qwen3::Json& context() {
  static const qwen3::Json kContext = qwen3::parse_json(R"({
    "messages": [{"role": "system", "content": "S<|im_end|>"}, {"role": "user", "content": "h\u00e9 \ud83d\ude00\n"},
                 {"role": "assistant", "content": null, "reasoning_content": "r", "tool_calls": [
                   {"type": "function", "function": {"name": "f", "arguments": {"a": 1, "b": [true, null, 2.5]}}}]},
                 {"role": "tool", "content": "42"}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"items": 1}}}],
    "add_generation_prompt": true, "enable_thinking": false,
    "s": "ab,c", "n": 5, "x": -1.5, "l": [3, 1, "a"], "d": {"k": "v", "z": {}}, "big": 18446744073709551615
  })",
                                                        "fuzz context");
  return kContext;
}

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;
  const qwen3::TemplateLimits limits{
      .max_steps = 20'000, .max_depth = 24, .max_output_bytes = 1 << 16, .max_range = 1000};
  try {
    const auto chat =
        qwen3::ChatTemplate::parse({reinterpret_cast<const char*>(data), size}, "fuzz");
    const auto segments = chat.render_segments(context(), limits);
    const std::string text = qwen3::join_segments(segments);
    require(qwen3::utf8_valid(text) && text.size() <= (1u << 16));
    for (size_t i = 0; i < segments.size(); ++i) {
      require(!segments[i].text.empty());
      require(i == 0 || segments[i].trusted != segments[i - 1].trusted);
    }
  } catch (const qwen3::Error& e) {
    require(qwen3::utf8_valid(e.what()));
    require(e.kind() == qwen3::ErrorKind::invalid_argument ||
            e.kind() == qwen3::ErrorKind::corrupt_file ||
            e.kind() == qwen3::ErrorKind::unsupported);
  }
  return 0;
}
