#include "chat/jinja/unicode.h"

#include <string.h>  // memmem
#include <utf8proc.h>

#include <algorithm>

#include "base/utf8.h"

namespace qwen3::jinja {
namespace {

struct FullMapping {
  char32_t from;
  const char* upper;
  const char* title;
};
constexpr FullMapping kFullMappings[] = {
    {0xDF, "SS", "Ss"},
    {0xFB00, "FF", "Ff"},
    {0xFB01, "FI", "Fi"},
    {0xFB02, "FL", "Fl"},
    {0xFB03, "FFI", "Ffi"},
    {0xFB04, "FFL", "Ffl"},
    {0xFB05, "ST", "St"},
    {0xFB06, "ST", "St"},
};

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

}  // namespace

size_t count_code_points(std::string_view view) {
  return static_cast<size_t>(std::count_if(view.begin(), view.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

size_t code_point_offset(std::string_view view, size_t index) {
  size_t at = 0;
  while (index > 0 && at < view.size()) {
    at += code_point_bytes(view, at);
    --index;
  }
  return at;
}

size_t find_text(std::string_view text, std::string_view what, size_t from) {
  if (from > text.size() || text.size() - from < what.size()) return std::string_view::npos;
  if (what.empty()) return from;
  const void* hit = memmem(text.data() + from, text.size() - from, what.data(), what.size());
  if (hit == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(hit) - text.data());
}

bool is_line_break(char32_t c) {
  return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool is_printable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_upper(char32_t c) {
  return c < 0x80 ? (c >= 'A' && c <= 'Z') : category(c) == UTF8PROC_CATEGORY_LU;
}

bool is_lower(char32_t c) {
  return c < 0x80 ? (c >= 'a' && c <= 'z') : category(c) == UTF8PROC_CATEGORY_LL;
}

bool is_alpha(char32_t c) {
  if (c < 0x80) return is_upper(c) || is_lower(c);
  switch (category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return true;
    default:
      return false;
  }
}

bool is_decimal(char32_t c) {
  return c < 0x80 ? (c >= '0' && c <= '9') : category(c) == UTF8PROC_CATEGORY_ND;
}

void append_case(std::string& out, char32_t c, Case to) {
  if (c < 0x80) {
    const bool change = to == Case::lower ? is_upper(c) : is_lower(c);
    out += static_cast<char>(change ? c ^ 0x20 : c);
    return;
  }
  if (to != Case::lower) {
    for (const FullMapping& mapping : kFullMappings) {
      if (mapping.from == c) {
        out += to == Case::upper ? mapping.upper : mapping.title;
        return;
      }
    }
  } else if (c == 0x130) {  // dotted capital I
    out += "i\xCC\x87";
    return;
  }
  const auto code = static_cast<utf8proc_int32_t>(c);
  utf8_append(out,
              static_cast<char32_t>(to == Case::upper   ? utf8proc_toupper(code)
                                    : to == Case::lower ? utf8proc_tolower(code)
                                                        : utf8proc_totitle(code)));
}

}  // namespace qwen3::jinja
