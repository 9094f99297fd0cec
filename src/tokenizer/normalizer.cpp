#include "tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/unicode_classes.h"

namespace qwen3 {
namespace {

struct Active {
  size_t before;  // start of the code point in front of it, or its own start at the text's start
  size_t at;
};

// First kNfcActive code point at or after pos; {size, size} if there is none.
// REQUIRES: pos is 0 or the code point before pos is not active.
Active find_active(std::string_view text, size_t pos) {
  const UnicodeClassTable& classes = unicode_classes();
  size_t before = pos;
  while (pos < text.size()) {
    const size_t ascii_end = skip_ascii(text, pos);
    if (ascii_end > pos) before = ascii_end - 1;
    pos = ascii_end;
    if (pos == text.size()) break;
    const size_t at = pos;
    if (classes[utf8_decode(text, pos)] & kNfcActive) return {before, at};
    before = at;
  }
  return {text.size(), text.size()};
}

// End of the active code points that begin at pos.
size_t active_end(std::string_view text, size_t pos) {
  const UnicodeClassTable& classes = unicode_classes();
  while (pos < text.size()) {
    size_t next = pos;
    if (!(classes[utf8_decode(text, next)] & kNfcActive)) break;
    pos = next;
  }
  return pos;
}

void decompose(std::string_view text, std::vector<utf8proc_int32_t>& out) {
  for (size_t pos = 0; pos < text.size();) {
    const auto c = static_cast<utf8proc_int32_t>(utf8_decode(text, pos));
    utf8proc_int32_t parts[8];  // the longest canonical decomposition has four
    int boundary = 0;
    const utf8proc_ssize_t n =
        utf8proc_decompose_char(c, parts, std::size(parts), UTF8PROC_DECOMPOSE, &boundary);
    QWEN3_CHECK(n >= 0 && n <= static_cast<utf8proc_ssize_t>(std::size(parts)),
                ErrorKind::internal,
                "normalizer: U+{:04X} has no usable decomposition",
                static_cast<uint32_t>(c));
    out.insert(out.end(), parts, parts + n);
  }
}

int combining_class(utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; }

// Sorts each run of combining marks by combining class, keeping the order of equal classes.
void order_marks(std::vector<utf8proc_int32_t>& points) {
  const auto is_starter = [](utf8proc_int32_t c) { return combining_class(c) == 0; };
  for (auto begin = points.begin(); begin != points.end();) {
    begin = std::find_if_not(begin, points.end(), is_starter);
    const auto end = std::find_if(begin, points.end(), is_starter);
    std::stable_sort(begin, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(a) < combining_class(b);
    });
    begin = end;
  }
}

void append_nfc(std::string_view text, std::string& out, std::vector<utf8proc_int32_t>& points) {
  points.clear();
  decompose(text, points);
  order_marks(points);
  const utf8proc_ssize_t n =
      utf8proc_normalize_utf32(points.data(),
                               static_cast<utf8proc_ssize_t>(points.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  for (utf8proc_ssize_t i = 0; i < n; ++i) utf8_append(out, static_cast<char32_t>(points[i]));
}

// Whether the code point in front of an active one may take part. A few dozen marks are newer than
// the Unicode version of Hugging Face's NFC: it leaves them alone, where utf8proc would sort them.
bool composes(std::string_view text, size_t before) {
  const auto c = static_cast<utf8proc_int32_t>(utf8_decode(text, before));
  return combining_class(c) == 0;
}

}  // namespace

std::string_view to_nfc(std::string_view text, std::string& storage) {
  Active active = find_active(text, 0);
  if (active.at == text.size()) return text;
  storage.clear();
  storage.reserve(text.size());
  std::vector<utf8proc_int32_t> points;
  size_t done = 0;
  while (active.at < text.size()) {
    const size_t end = active_end(text, active.at);
    const size_t begin = composes(text, active.before) ? active.before : active.at;
    storage.append(text, done, begin - done);
    append_nfc(text.substr(begin, end - begin), storage, points);
    done = end;
    active = find_active(text, end);
  }
  storage.append(text, done);
  return storage;
}

}  // namespace qwen3
