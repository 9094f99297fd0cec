// JSON text by appending to a string. A streamed answer is one small JSON object per token:
// building a tree for each would cost more than everything else the server does for it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"

namespace qwen3::server {

// With its quotes. Control characters are escaped, and so are U+0085, U+2028 and U+2029, at which
// some clients split lines of an event stream: more than json.dumps escapes (base/text.h).
// REQUIRES: well-formed UTF-8.
void append_json_string(std::string& out, std::string_view text);

// Any value, on one line, with the same escapes.
void append_json_value(std::string& out, const Json& value);

void append_json_number(std::string& out, int64_t value);

// A log probability: never below -9999, never NaN or infinite, because JSON has neither.
void append_json_logprob(std::string& out, float logprob);

// [1,2,3]
void append_json_ids(std::string& out, std::span<const int32_t> ids);

// The shortest text that reads back as the same float; 0 for what JSON cannot say.
void append_json_float(std::string& out, float value);

}  // namespace qwen3::server
