#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace qwen3 {

std::string ascii_lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::string_view trim(std::string_view text, std::string_view characters) {
  text.remove_prefix(std::min(text.find_first_not_of(characters), text.size()));
  return text.substr(0, text.find_last_not_of(characters) + 1);
}

std::string_view mistaken_download(std::string_view beginning) {
  if (beginning.starts_with("version https://git-lfs") || beginning.substr(0, 8) == "version ") {
    return "a Git LFS pointer, not the file itself; run git lfs pull in its folder, or hf download";
  }
  const size_t start = std::min(beginning.find_first_not_of(" \t\r\n"), beginning.size());
  const std::string page = ascii_lower(beginning.substr(start, 9));
  if (page.starts_with("<!doctyp") || page.starts_with("<html")) {
    return "a web page, not the file itself; download it again (was it a page to log in?)";
  }
  return {};
}

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

std::string base64(std::span<const uint8_t> bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t word = 0;
    for (size_t j = 0; j < 3; ++j) word = word << 8 | (i + j < bytes.size() ? bytes[i + j] : 0u);
    for (size_t j = 0; j < 4; ++j) {
      text += i + j <= bytes.size() ? kDigits[word >> (18 - 6 * j) & 63] : '=';
    }
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  const auto value_of = [](char c) -> uint32_t {
    if (c >= 'A' && c <= 'Z') return static_cast<uint32_t>(c - 'A');
    if (c >= 'a' && c <= 'z') return static_cast<uint32_t>(c - 'a') + 26;
    if (c >= '0' && c <= '9') return static_cast<uint32_t>(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
  };
  if (text.size() % 4 != 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    const size_t n = i + 4 == text.size() ? 4 - padding : 4;
    uint32_t word = 0;
    for (size_t j = 0; j < 4; ++j) {
      const uint32_t value = j < n ? value_of(text[i + j]) : 0;
      if (value > 63) return std::nullopt;
      word = word << 6 | value;
    }
    for (size_t j = 0; j + 1 < n; ++j) bytes += static_cast<char>(word >> (16 - 8 * j) & 255);
    if ((word & ((1u << (8 * (4 - n))) - 1)) != 0) return std::nullopt;  // bits of no byte
  }
  return bytes;
}

bool python_is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

std::string python_float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[32];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  const std::string sign = text.front() == '-' ? "-" : "";
  text.remove_prefix(sign.size());
  const size_t e = text.find('e');
  int exponent = 0;
  const size_t exponent_at = e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(text.data() + exponent_at, text.data() + text.size(), exponent);
  std::string digits(1, text[0]);
  if (e > 1) digits += text.substr(2, e - 2);
  const int n_digits = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    if (n_digits > 1) digits.insert(1, 1, '.');
    return fmt::format("{}{}e{}{:02}", sign, digits, exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) {
    return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  }
  if (n_digits <= exponent + 1) {
    return sign + digits + std::string(static_cast<size_t>(exponent + 1 - n_digits), '0') + ".0";
  }
  return sign + digits.insert(static_cast<size_t>(exponent) + 1, 1, '.');
}

void append_python_json(std::string& out, char c) {
  constexpr std::string_view kSpecial = "\"\\\n\r\t\b\f";
  constexpr std::string_view kLetters = "\"\\nrtbf";
  const auto code = static_cast<unsigned char>(c);
  if (code >= 0x20 && c != '"' && c != '\\') {
    out += c;
    return;
  }
  const size_t special = kSpecial.find(c);
  if (special != kSpecial.npos) {
    out.append(1, '\\').append(1, kLetters[special]);
  } else {
    out += fmt::format("\\u{:04x}", code);
  }
}

}  // namespace qwen3
