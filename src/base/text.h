// What several rooms do with text: ASCII case, white space, base64, and numbers and white space as
// Python has them (prompts and scores must equal what Python scripts make).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace qwen3 {

// Letters A to Z made small; other bytes stay.
std::string ascii_lower(std::string_view text);

// Without these characters at either end.
std::string_view trim(std::string_view text, std::string_view characters = " \t");

// What a file's first bytes say that it is, when it is one of the things that stand in the place of
// a download: a Git LFS pointer, a web page. With what to do, "a Git LFS pointer, …"; or empty.
std::string_view mistaken_download(std::string_view beginning);

// Whether it can be the name of a file or folder beside another, and nowhere else: not empty, "." or
// "..", without separators and NUL.
bool is_plain_file_name(std::string_view name);

// RFC 4648, with padding.
std::string base64(std::span<const uint8_t> bytes);
// Nothing unless it is that, word for word.
std::optional<std::string> from_base64(std::string_view text);

// str.isspace() of one character; in a str pattern also \s.
bool python_is_space(char32_t c);

// repr(float): 1.0, 123456789012345.0, 1e+16, 1e-05, 1.5e-07, inf, -inf, nan.
std::string python_float_repr(double value);

// One ASCII character inside a JSON string, as json.dumps(ensure_ascii=False) writes it.
void append_python_json(std::string& out, char c);

}  // namespace qwen3
