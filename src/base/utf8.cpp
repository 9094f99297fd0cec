#include "base/utf8.h"

namespace qwen3 {
namespace {

struct Scan {
  size_t length;    // bytes of the well-formed sequence, 0 if there is none
  size_t bad;       // when length is 0: bytes of the maximal ill-formed part (at least 1)
  bool incomplete;  // when length is 0: the text ended where a continuation byte could follow
};

// Table 3-7 of the Unicode standard: the second byte's range depends on the first.
Scan scan(std::string_view text, size_t pos) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char b0 = byte(pos);
  if (b0 < 0x80) return {1, 0, false};
  size_t need = 0;
  unsigned char low = 0x80, high = 0xBF;
  if (b0 >= 0xC2 && b0 <= 0xDF) {
    need = 1;
  } else if (b0 >= 0xE0 && b0 <= 0xEF) {
    need = 2;
    if (b0 == 0xE0) low = 0xA0;
    if (b0 == 0xED) high = 0x9F;
  } else if (b0 >= 0xF0 && b0 <= 0xF4) {
    need = 3;
    if (b0 == 0xF0) low = 0x90;
    if (b0 == 0xF4) high = 0x8F;
  } else {
    return {0, 1, false};
  }
  for (size_t i = 1; i <= need; ++i) {
    if (pos + i >= text.size()) return {0, i, true};
    if (byte(pos + i) < low || byte(pos + i) > high) return {0, i, false};
    low = 0x80;
    high = 0xBF;
  }
  return {need + 1, 0, false};
}

}  // namespace

size_t utf8_sequence_length(std::string_view text, size_t pos) { return scan(text, pos).length; }

bool utf8_incomplete_tail(std::string_view text, size_t* tail_bytes) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const size_t pos = text.size() - back;
    const auto b = static_cast<unsigned char>(text[pos]);
    if (b >= 0x80 && b <= 0xBF) continue;  // a continuation byte: the lead is further left
    const Scan s = scan(text, pos);
    *tail_bytes = back;
    return s.length == 0 && s.incomplete && s.bad == back;
  }
  return false;
}

size_t utf8_first_invalid(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    const size_t length = utf8_sequence_length(text, pos);
    if (length == 0) return pos;
    pos += length;
  }
  return std::string_view::npos;
}

bool utf8_valid(std::string_view text) {
  return utf8_first_invalid(text) == std::string_view::npos;
}

void utf8_append(std::string& out, char32_t c) {
  const auto put = [&](char32_t b) { out.push_back(static_cast<char>(b)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

std::string utf8_lossy(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const Scan s = scan(text, pos);
    if (s.length > 0) {
      out.append(text.substr(pos, s.length));
      pos += s.length;
    } else {
      out += "\xEF\xBF\xBD";
      pos += s.bad;
    }
  }
  return out;
}

}  // namespace qwen3
