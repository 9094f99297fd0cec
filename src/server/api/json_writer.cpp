#include "server/api/json_writer.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <iterator>

namespace qwen3::server {
namespace {

constexpr float kLogprobFloor = -9999.0f;

// Bytes that cannot simply be copied: control characters, quote, backslash, and the first bytes of
// U+0085 (C2 85) and U+2028/U+2029 (E2 80 A8/A9).
constexpr std::array<bool, 256> kSpecial = [] {
  std::array<bool, 256> special{};
  for (size_t c = 0; c < 0x20; ++c) special[c] = true;
  special['"'] = special['\\'] = special[0x7F] = special[0xC2] = special[0xE2] = true;
  return special;
}();

void append_escape(std::string& out, unsigned code) {
  fmt::format_to(std::back_inserter(out), "\\u{:04x}", code);
}

// Appends what text[at] begins with; returns its length in bytes.
size_t append_special(std::string& out, std::string_view text, size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  switch (byte) {
    case '"':
      out += "\\\"";
      return 1;
    case '\\':
      out += "\\\\";
      return 1;
    case '\n':
      out += "\\n";
      return 1;
    case '\r':
      out += "\\r";
      return 1;
    case '\t':
      out += "\\t";
      return 1;
    default:
      break;
  }
  const std::string_view rest = text.substr(at);
  if (rest.starts_with("\xC2\x85")) {
    append_escape(out, 0x85);
    return 2;
  }
  if (rest.starts_with("\xE2\x80\xA8") || rest.starts_with("\xE2\x80\xA9")) {
    append_escape(out, rest[2] == '\xA8' ? 0x2028 : 0x2029);
    return 3;
  }
  if (byte < 0x20 || byte == 0x7F) {
    append_escape(out, byte);
  } else {
    out += text[at];
  }
  return 1;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  size_t copied = 0;
  for (size_t at = 0; at < text.size();) {
    if (!kSpecial[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    out.append(text, copied, at - copied);
    at += append_special(out, text, at);
    copied = at;
  }
  out.append(text, copied);
  out += '"';
}

void append_json_value(std::string& out, const Json& value) {
  const std::string text = dump_json(value);
  size_t copied = 0;
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte != 0xC2 && byte != 0xE2) {  // they stand in strings only; the rest is escaped already
      ++at;
      continue;
    }
    out.append(text, copied, at - copied);
    at += append_special(out, text, at);
    copied = at;
  }
  out.append(text, copied);
}

void append_json_number(std::string& out, int64_t value) {
  fmt::format_to(std::back_inserter(out), "{}", value);
}

void append_json_float(std::string& out, float value) {
  fmt::format_to(std::back_inserter(out), "{}", std::isfinite(value) ? value : 0.0f);
}

void append_json_logprob(std::string& out, float logprob) {
  const float value = std::isnan(logprob) || logprob < kLogprobFloor ? kLogprobFloor : logprob;
  fmt::format_to(std::back_inserter(out), "{}", value > 0 ? 0.0f : value);
}

void append_json_ids(std::string& out, std::span<const int32_t> ids) {
  out += '[';
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += ',';
    append_json_number(out, ids[i]);
  }
  out += ']';
}

}  // namespace qwen3::server
