// How values print: Python's str(), repr() and json.dumps().
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "chat/jinja/unicode.h"
#include "chat/jinja/value.h"

namespace qwen3::jinja {
namespace {

void append_quoted(TextBuilder& out, const Text& text, Meter& meter) {
  const std::string_view view = text.view();
  meter.charge_bytes(4 * view.size());
  const bool single = view.find('\'') == view.npos || view.find('"') != view.npos;
  const char quote = single ? '\'' : '"';
  out.append({&quote, 1}, false);
  text.for_each_run([&](std::string_view run, bool trusted) {
    std::string piece;
    for (size_t at = 0; at < run.size();) {
      const size_t start = at;
      const char32_t c = utf8_decode(run, at);
      if (c == static_cast<unsigned char>(quote) || c == '\\') {
        piece += '\\';
        piece += static_cast<char>(c);
      } else if (c == '\n') {
        piece += "\\n";
      } else if (c == '\r') {
        piece += "\\r";
      } else if (c == '\t') {
        piece += "\\t";
      } else if (is_printable(c)) {
        piece += run.substr(start, at - start);
      } else if (c < 0x100) {
        piece += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
      } else {
        const auto code = static_cast<uint32_t>(c);
        piece += c < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
      }
    }
    out.append(piece, trusted);
  });
  out.append({&quote, 1}, false);
}

void append_entries(TextBuilder& out,
                    const std::vector<std::pair<Value, Value>>& entries,
                    Meter& meter,
                    int depth) {
  out.append("{", false);
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out.append(", ", false);
    append_repr(out, entries[i].first, meter, depth + 1);
    out.append(": ", false);
    append_repr(out, entries[i].second, meter, depth + 1);
  }
  out.append("}", false);
}

void append_sequence(TextBuilder& out, const Sequence& sequence, Meter& meter, int depth) {
  static constexpr const char* kOpen[] = {
      "[", "(", "", "", "dict_keys([", "dict_values([", "dict_items(["};
  static constexpr const char* kClose[] = {"]", ")", "", "", "])", "])", "])"};
  const auto type = static_cast<size_t>(sequence.type);
  if (sequence.type == SequenceType::range) {
    const std::string step = integer_text(sequence.range_step);
    return out.append(fmt::format("range({}, {}{}{})",
                                  integer_text(sequence.range_start),
                                  integer_text(sequence.range_stop),
                                  step == "1" ? "" : ", ",
                                  step == "1" ? "" : step),
                      false);
  }
  if (sequence.type == SequenceType::iterator) return out.append("<generator object>", false);
  out.append(kOpen[type], false);
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    if (i > 0) out.append(", ", false);
    append_repr(out, sequence.items[i], meter, depth + 1);
  }
  if (sequence.type == SequenceType::tuple && sequence.items.size() == 1) out.append(",", false);
  out.append(kClose[type], false);
}

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Meter& meter) : style_(style), meter_(meter) {}

  void write(const Value& value, int level) {
    meter_.charge(3);
    meter_.check_size(out_.size());
    switch (value.kind()) {
      case Kind::none:
        return raw("null");
      case Kind::boolean:
        return raw(value.boolean() ? "true" : "false");
      case Kind::integer:
        return raw(integer_text(value.integral()));
      case Kind::floating:
        return write_number(value.number());
      case Kind::string:
        return write_string(value.text());
      case Kind::dict:
        return write_dict(*value.dict(), level);
      case Kind::sequence:
        if (value.sequence()->type <= SequenceType::tuple)
          return write_list(*value.sequence(), level);
        [[fallthrough]];
      default:
        meter_.fail("a {} cannot be written as JSON", type_name(value));
    }
  }

  Text finish() { return out_.finish(); }

 private:
  void raw(std::string_view text) { out_.append(text, false); }

  void write_number(double value) {
    if (std::isnan(value)) return raw("NaN");
    if (std::isinf(value)) return raw(value < 0 ? "-Infinity" : "Infinity");
    raw(python_float_repr(value));
  }

  bool pretty() const { return style_.indent >= 0 || !style_.indent_text.empty(); }

  void new_line(int level) {
    if (!pretty()) return;
    const size_t unit =
        style_.indent_text.empty() ? static_cast<size_t>(style_.indent) : style_.indent_text.size();
    meter_.check_size(unit * static_cast<size_t>(level));
    meter_.charge_bytes(unit * static_cast<size_t>(level));
    std::string line = "\n";
    for (int i = 0; i < level; ++i) {
      if (style_.indent_text.empty())
        line.append(unit, ' ');
      else
        line += style_.indent_text;
    }
    raw(line);
  }

  void write_list(const Sequence& list, int level) {
    if (list.items.empty()) return raw("[]");
    raw("[");
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out_.append(style_.item_separator);
      new_line(level + 1);
      write(list.items[i], level + 1);
    }
    new_line(level);
    raw("]");
  }

  void write_dict(const Dict& dict, int level) {
    if (dict.entries.empty()) return raw("{}");
    std::vector<const std::pair<Value, Value>*> order;
    for (const auto& entry : dict.entries) order.push_back(&entry);
    if (style_.sort_keys) {
      meter_.charge(order.size() * 16);
      std::stable_sort(order.begin(), order.end(), [this](const auto* a, const auto* b) {
        return less(a->first, b->first, meter_);
      });
    }
    raw("{");
    for (size_t i = 0; i < order.size(); ++i) {
      if (i > 0) out_.append(style_.item_separator);
      new_line(level + 1);
      write_key(order[i]->first);
      out_.append(style_.key_separator);
      write(order[i]->second, level + 1);
    }
    new_line(level);
    raw("}");
  }

  // Keys that are not strings print as JSON scalars inside quotes.
  void write_key(const Value& key) {
    if (key.is_string()) return write_string(key.text());
    if (!key.is_number() && !key.is_none())
      meter_.fail("a {} cannot be a JSON key", type_name(key));
    raw("\"");
    write(key, 0);
    raw("\"");
  }

  void write_string(const Text& text) {
    meter_.charge_bytes(4 * text.size());
    raw("\"");
    text.for_each_run([this](std::string_view run, bool trusted) {
      std::string piece;
      piece.reserve(run.size());
      for (size_t at = 0; at < run.size();) {
        const size_t n = code_point_bytes(run, at);
        if (n == 1)
          append_ascii(piece, run[at]);
        else if (!style_.ensure_ascii)
          piece += run.substr(at, n);
        else
          append_escaped(piece, run, at);
        at += n;
      }
      out_.append(piece, trusted);
    });
    raw("\"");
  }

  void append_ascii(std::string& piece, char c) const {
    if (c == 0x7F && style_.ensure_ascii) {
      piece += "\\u007f";
    } else {
      append_python_json(piece, c);
    }
  }

  static void append_escaped(std::string& piece, std::string_view run, size_t at) {
    auto c = static_cast<uint32_t>(utf8_decode(run, at));
    if (c >= 0x10000) {
      c -= 0x10000;
      piece += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (c >> 10), 0xDC00 + (c & 0x3FF));
    } else {
      piece += fmt::format("\\u{:04x}", c);
    }
  }

  const JsonStyle& style_;
  Meter& meter_;
  TextBuilder out_;
};

}  // namespace

std::string integer_text(Int value) {
  if (value == 0) return "0";
  const bool negative = value < 0;
  std::string digits;
  while (value != 0) {
    const int digit = static_cast<int>(value % 10);
    digits += static_cast<char>('0' + std::abs(digit));
    value /= 10;
  }
  if (negative) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return digits;
}

void append_repr(TextBuilder& out, const Value& value, Meter& meter, int depth) {
  meter.charge(3);
  meter.check_size(out.size());
  meter.check_depth(depth);
  switch (value.kind()) {
    case Kind::undefined:
      return out.append("Undefined", false);
    case Kind::none:
      return out.append("None", false);
    case Kind::boolean:
      return out.append(value.boolean() ? "True" : "False", false);
    case Kind::integer:
      return out.append(integer_text(value.integral()), false);
    case Kind::floating:
      return out.append(python_float_repr(value.number()), false);
    case Kind::string:
      return append_quoted(out, value.text(), meter);
    case Kind::sequence:
      return append_sequence(out, *value.sequence(), meter, depth);
    case Kind::dict:
      return append_entries(out, value.dict()->entries, meter, depth);
    case Kind::space: {
      std::vector<std::pair<Value, Value>> entries;
      for (const auto& [name, attribute] : value.space()->attributes) {
        entries.emplace_back(Text(name, false), attribute);
      }
      out.append("<Namespace ", false);
      append_entries(out, entries, meter, depth);
      return out.append(">", false);
    }
    case Kind::callable:
      return out.append(fmt::format("<function {}>", value.callable()->name()), false);
    case Kind::loop: {
      Loop& loop = *value.loop();
      return out.append(fmt::format("<LoopContext {}/{}>", loop.index0 + 1, loop.length()), false);
    }
  }
}

Text to_text(const Value& value, Meter& meter) {
  if (value.is_string()) return value.text();
  if (value.is_undefined()) return {};
  TextBuilder out;
  append_repr(out, value, meter);
  return out.finish();
}

Text to_json_text(const Value& value, const JsonStyle& style, Meter& meter) {
  JsonWriter writer(style, meter);
  writer.write(value, 0);
  return writer.finish();
}

}  // namespace qwen3::jinja
