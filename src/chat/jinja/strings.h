// String functions that filters and methods share. All keep the origin of every byte.
#pragma once

#include <string_view>
#include <vector>

#include "chat/jinja/interpreter.h"
#include "chat/jinja/unicode.h"

namespace qwen3::jinja {

// str.strip(chars) on the chosen sides; white space when `chars` is null or None.
Text strip(Interpreter& in, const Text& text, const Value* chars, bool left, bool right);
// str.replace; count < 0 means all.
Text replace(Interpreter& in, const Text& text, const Text& from, const Text& to, int64_t count);
std::vector<Value> split_lines(Interpreter& in, const Text& text, bool keep_ends);
Text change_case(Interpreter& in, const Text& text, Case to);
Text capitalize(Interpreter& in, const Text& text);
// Maps each code point through f(out, c, index of the code point).
template <typename F>
Text map_code_points(Interpreter& in, const Text& text, F&& f) {
  in.meter.charge_bytes(8 * text.size());
  TextBuilder out;
  size_t index = 0;
  text.for_each_run([&](std::string_view run, bool trusted) {
    std::string piece;
    piece.reserve(run.size());
    for (size_t at = 0; at < run.size();) f(piece, utf8_decode(run, at), index++);
    out.append(piece, trusted);
  });
  return out.finish();
}

}  // namespace qwen3::jinja
