#include "chat/json_text.h"

#include <charconv>

#include "base/error.h"
#include "chat/jinja/value.h"

namespace qwen3 {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

std::optional<Json> try_json(std::string_view text) {
  try {
    return parse_json(text, "JSON");
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Behind the quote that closes the string at text[at], or the end of the text.
size_t string_end(std::string_view text, size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

bool begins_number(char c) { return c == '-' || (c >= '0' && c <= '9'); }

size_t number_end(std::string_view text, size_t at) {
  const size_t end = text.find_first_not_of("+-.eE0123456789", at);
  return end == text.npos ? text.size() : end;
}

// The text with the numbers that no double can hold replaced by the largest power of ten.
std::string with_smaller_numbers(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    if (text[at] == '"') {
      end = string_end(text, at);
    } else if (begins_number(text[at])) {
      end = number_end(text, at);
      double value = 0;
      const auto read = std::from_chars(text.data() + at, text.data() + end, value);
      if (read.ec == std::errc::result_out_of_range && read.ptr == text.data() + end) {
        out += "1e308";
        at = end;
        continue;
      }
    }
    out += text.substr(at, end - at);
    at = end;
  }
  return out;
}

}  // namespace

std::string python_json(const Json& value) {
  // The value was parsed within limits of its own.
  const TemplateLimits unlimited{
      .max_steps = INT64_MAX / 2, .max_depth = 4096, .max_output_bytes = INT64_MAX / 2};
  jinja::Meter meter("JSON", unlimited);
  jinja::JsonStyle style;
  style.item_separator = jinja::Text(", ", true);
  style.key_separator = jinja::Text(": ", true);
  return std::string(jinja::to_json_text(jinja::from_json(value, meter), style, meter).view());
}

std::optional<Json> read_json(std::string_view text) {
  if (auto value = try_json(text)) return value;
  // Only then is it worth a second look.
  const std::string smaller = with_smaller_numbers(text);
  return smaller == text ? std::nullopt : try_json(smaller);
}

std::string python_spelling(std::string_view json) {
  std::string out;
  for (size_t at = 0; at < json.size();) {
    const char c = json[at];
    if (c == '"') {
      const size_t end = string_end(json, at);
      out += python_json(parse_json(json.substr(at, end - at), "string"));
      at = end;
      continue;
    }
    if (kSpace.find(c) == kSpace.npos) out += c;
    if (c == ',' || c == ':') out += ' ';
    ++at;
  }
  return out;
}

std::string_view member_text(std::string_view object, std::string_view name) {
  int depth = 0;
  bool is_key = true;  // of the object, when its depth is 1
  bool found = false;
  size_t begin = 0;
  for (size_t at = 0; at < object.size();) {
    const char c = object[at];
    size_t end = at + 1;
    if (c == '"') {
      end = string_end(object, at);
      if (depth == 1 && is_key) {
        const Json key = parse_json(object.substr(at, end - at), "key");
        found = key.get_ref<const std::string&>() == name;
      }
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (depth == 1 && (c == ',' || c == '}')) {
      if (found) return object.substr(begin, at - begin);
      is_key = true;
    } else if (depth == 1 && c == ':') {
      is_key = false;
      begin = end;
    }
    if (c == '}' || c == ']') --depth;
    at = end;
  }
  return {};
}

}  // namespace qwen3
