#include "server/http/access_log.h"

#include <fmt/format.h>

#include "base/utc_time.h"
#include "base/utf8.h"

namespace qwen3::server {

namespace {

constexpr size_t kMaxValue = 512;  // escaped bytes of one value

void append_unit(std::string& out, unsigned unit) {
  fmt::format_to(std::back_inserter(out), "\\u{:04x}", unit);
}

// As ASCII inside a JSON string; ill-formed bytes become U+FFFD.
std::string escape(char32_t c) {
  std::string out;
  if (c == '"' || c == '\\') {
    out = {'\\', static_cast<char>(c)};
  } else if (c >= 0x20 && c < 0x7F) {
    out = {static_cast<char>(c)};
  } else if (c < 0x10000) {
    append_unit(out, static_cast<unsigned>(c));
  } else {
    append_unit(out, 0xD800 + ((static_cast<unsigned>(c) - 0x10000) >> 10));
    append_unit(out, 0xDC00 + ((static_cast<unsigned>(c) - 0x10000) & 0x3FF));
  }
  return out;
}

// Cut between characters, marked by "...", so that escapes stay whole.
std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (size_t pos = 0; pos < text.size();) {
    const bool well_formed = utf8_sequence_length(text, pos) > 0;
    const char32_t c = well_formed ? utf8_decode(text, pos) : U'\uFFFD';
    if (!well_formed) ++pos;
    const std::string piece = escape(c);
    if (out.size() + piece.size() > kMaxValue) {
      out += "...";
      break;
    }
    out += piece;
  }
  return out + '"';
}

std::string json_note(const NoteValue& value) {
  const int64_t* number = std::get_if<int64_t>(&value);
  return number != nullptr ? fmt::format("{}", *number) : json_quoted(std::get<std::string>(value));
}

}  // namespace

std::string access_line(const AccessRecord& r) {
  const std::string_view path = std::string_view(r.target).substr(0, r.target.find('?'));
  std::string line =
      fmt::format(R"({{"time":"{}","id":{},"peer":{},"key":{},"method":{},"path":{},"status":{},)"
                  R"("request_bytes":{},"response_bytes":{},"ms":{:.3f},"outcome":{})",
                  utc_text(r.time, UtcPrecision::milliseconds),
                  json_quoted(r.id),
                  json_quoted(r.peer),
                  json_quoted(r.key),
                  json_quoted(r.method),
                  json_quoted(path),
                  r.status,
                  r.request_bytes,
                  r.response_bytes,
                  r.milliseconds,
                  json_quoted(r.outcome));
  // Notes keep to an object of their own, so that none can take the place of a field above.
  std::string notes;
  for (const auto& [key, value] : r.notes) {
    const std::string note =
        fmt::format("{}{}:{}", notes.empty() ? "" : ",", json_quoted(key), json_note(value));
    if (line.size() + notes.size() + note.size() + 16 <= kMaxLogLine) notes += note;
  }
  if (!notes.empty()) line += ",\"notes\":{" + notes + "}";
  return line + "}";
}

}  // namespace qwen3::server
