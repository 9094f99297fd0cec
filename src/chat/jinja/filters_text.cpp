// Filters on strings and numbers, and tojson.
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/text.h"
#include "chat/jinja/functions.h"
#include "chat/jinja/strings.h"

namespace qwen3::jinja {
namespace {

Value filter_string(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  return in.text(self);
}

Value filter_trim(Interpreter& in, const Value& self, Args& args) {
  return strip(in, in.text(self), bind(in, args, {"chars"})[0], true, true);
}

template <Case To>
Value filter_case(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  const Text text = in.text(self);
  return change_case(in, text, To).marked_as(text);
}

Value filter_capitalize(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  const Text text = in.text(self);
  return capitalize(in, text).marked_as(text);
}

// Jinja's title: words start after white space and after any of - ( { [ <
Value filter_title(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  bool in_word = false;
  return map_code_points(in, in.text(self), [&](std::string& out, char32_t c, size_t) {
    append_case(out, c, in_word ? Case::lower : Case::upper);
    in_word = !python_is_space(c) && c != '-' && c != '(' && c != '{' && c != '[' && c != '<';
  });
}

Value filter_replace(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"old", "new", "count"}, 2);
  return replace(in,
                 in.text(self),
                 in.text(*given[0]),
                 in.text(*given[1]),
                 integer_argument(in, given[2], -1, true));
}

Value filter_indent(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"width", "first", "blank"});
  if (self.is_undefined()) in.fail("{}", undefined_message(self.undefined()));
  const Text& text = text_argument(in, self);
  Text unit;
  if (given[0] != nullptr && given[0]->is_string()) {
    unit = given[0]->text();
  } else {
    const int64_t width = std::max<int64_t>(0, integer_argument(in, given[0], 4));
    in.meter.check_size(static_cast<size_t>(width));
    in.meter.charge_bytes(static_cast<size_t>(width));
    unit = Text(std::string(static_cast<size_t>(width), ' '), true);
  }
  const bool blank = flag_argument(given[2], false);
  // A newline is put after the text before it is split, so a last empty line counts as a line.
  const auto lines = split_lines(in, concat(text, Text("\n", true)), false);
  TextBuilder out;
  for (size_t i = 0; i < lines.size(); ++i) {
    const Text& line = lines[i].text();
    in.meter.charge_bytes(line.size() + unit.size());
    in.meter.check_size(out.size() + line.size() + unit.size());
    if (i > 0) out.append("\n", true);
    const bool indented = i == 0 ? flag_argument(given[1], false) : blank || !line.empty();
    if (indented) out.append(unit);
    out.append(line);
  }
  return out.finish();
}

Value filter_tojson(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = flag_argument(given[0], false);
  style.sort_keys = flag_argument(given[3], false);
  if (given[1] != nullptr && given[1]->is_string()) {
    style.indent_text = given[1]->view();
    if (style.indent_text.empty()) style.indent = 0;
  } else {
    const int64_t indent = integer_argument(in, given[1], -1, true);
    const bool is_given = given[1] != nullptr && !given[1]->is_none();
    if (indent > 1024) in.fail("tojson: indent of more than 1024");
    style.indent = is_given ? static_cast<int>(std::max<int64_t>(0, indent)) : -1;
  }
  const bool pretty = style.indent >= 0 || !style.indent_text.empty();
  style.item_separator = Text(pretty ? "," : ", ", true);
  style.key_separator = Text(": ", true);
  if (given[2] != nullptr && !given[2]->is_none()) {
    const auto separators = in.items(*given[2]);
    if (separators->items.size() != 2) in.fail("tojson: separators are a pair of strings");
    style.item_separator = text_argument(in, separators->items[0]);
    style.key_separator = text_argument(in, separators->items[1]);
  }
  return to_json_text(self, style, in.meter);
}

template <bool kForce>
Value filter_escape(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  const Text text = in.text(self);
  return escape_markup(in, kForce ? text.as_plain() : text);
}

Value filter_safe(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  return in.text(self).as_markup();
}

Value filter_format(Interpreter& in, const Value& self, Args& args) {
  if (!args.keywords.empty()) {
    if (!args.positional.empty()) in.fail("format takes positional or keyword arguments, not both");
    std::vector<std::pair<Value, Value>> entries;
    for (auto& [name, value] : args.keywords) entries.emplace_back(Text(name, true), value);
    return format_percent(in, in.text(self), make_dict(std::move(entries), in.meter));
  }
  return format_percent(in, in.text(self), in.list(args.positional, SequenceType::tuple));
}

Value filter_wordcount(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  const Text text = in.text(self);
  const std::string_view view = text.view();
  in.meter.charge_bytes(8 * view.size());
  int64_t words = 0;
  bool in_word = false;
  for (size_t at = 0; at < view.size();) {
    const char32_t c = utf8_decode(view, at);
    const bool word = is_alpha(c) || is_decimal(c) || c == '_';
    words += word && !in_word ? 1 : 0;
    in_word = word;
  }
  return Value::integer(words);
}

// The text of a number as int() and float() take it: outer white space and single underscores
// between digits are allowed.
std::optional<std::string> number_text(Interpreter& in, const Text& text) {
  const Text stripped = strip(in, text, nullptr, true, true);
  std::string digits(stripped.view());
  if (digits.size() > 4096) return std::nullopt;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (digits[i] != '_') continue;
    const auto is_alnum = [&](size_t at) {
      return at < digits.size() && std::isalnum(static_cast<unsigned char>(digits[at])) != 0;
    };
    if (i == 0 || !is_alnum(i - 1) || !is_alnum(i + 1)) return std::nullopt;
  }
  std::erase(digits, '_');
  return digits;
}

std::optional<Int> parse_int(Interpreter& in, const Text& text, int base) {
  const auto digits = number_text(in, text);
  if (!digits) return std::nullopt;
  std::string_view rest = *digits;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest.size() > 2 && rest[0] == '0') {
    const char mark = static_cast<char>(rest[1] | 0x20);
    const int marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked != 0 && (marked == base || base == 0)) {
      rest.remove_prefix(2);
      base = marked;
    }
  }
  if (base == 0) base = 10;
  if (rest.empty()) return std::nullopt;
  Int value = 0;
  for (const char c : rest) {
    const int digit = c >= '0' && c <= '9'                     ? c - '0'
                      : (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? (c | 0x20) - 'a' + 10
                                                               : 99;
    if (digit >= base) return std::nullopt;
    if (__builtin_mul_overflow(value, Int{base}, &value) ||
        __builtin_add_overflow(value, Int{digit}, &value)) {
      in.fail("integer too large");
    }
  }
  return negative ? -value : value;
}

std::optional<double> parse_float(Interpreter& in, const Text& text) {
  const auto digits = number_text(in, text);
  if (!digits) return std::nullopt;
  std::string_view rest = *digits;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest.empty() || rest[0] == '-' || rest[0] == '+' || rest.find('(') != rest.npos)
    return std::nullopt;
  double value = 0;
  const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (read.ptr != rest.data() + rest.size()) return std::nullopt;
  if (read.ec == std::errc::result_out_of_range) {
    // Too small or too large: decided by the sign of the exponent.
    const size_t e = rest.find_first_of("eE");
    value = e != rest.npos && rest.substr(e + 1).starts_with('-') ? 0.0 : HUGE_VAL;
  } else if (read.ec != std::errc()) {
    return std::nullopt;
  }
  return negative ? -value : value;
}

Int truncate(Interpreter& in, double value) {
  if (!std::isfinite(value)) in.fail("cannot convert {} to an integer", python_float_repr(value));
  if (std::abs(value) > 1e38) in.fail("integer too large");
  return static_cast<Int>(value);
}

void refuse_undefined(Interpreter& in, const Value& value) {
  if (value.is_undefined()) in.fail("{}", undefined_message(value.undefined()));
}

Value filter_int(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"default", "base"});
  refuse_undefined(in, self);
  Value fallback = given[0] == nullptr ? Value::integer(0) : *given[0];
  if (self.is_integral()) return Value(self.integral());
  if (self.is(Kind::floating)) {
    if (std::isnan(self.number())) return fallback;
    return Value(truncate(in, self.number()));
  }
  if (!self.is_string()) return fallback;
  const int64_t base = integer_argument(in, given[1], 10);
  if (base == 1 || base < 0 || base > 36) return fallback;
  if (const auto value = parse_int(in, self.text(), static_cast<int>(base))) return Value(*value);
  const auto value = parse_float(in, self.text());
  if (!value || !std::isfinite(*value)) return fallback;
  return Value(truncate(in, *value));
}

Value filter_float(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"default"});
  refuse_undefined(in, self);
  if (self.is_number()) return Value(self.number());
  if (self.is_string()) {
    if (const auto value = parse_float(in, self.text())) return Value(*value);
  }
  return given[0] == nullptr ? Value(0.0) : *given[0];
}

Value filter_abs(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  refuse_undefined(in, self);
  if (self.is(Kind::floating)) return Value(std::abs(self.number()));
  if (!self.is_integral()) in.fail("abs needs a number, not {}", type_name(self));
  return self.integral() < 0 ? in.binary(Operator::mul, self, Value::integer(-1))
                             : Value(self.integral());
}

double round_half_even(double value, int64_t digits) {
  if (!std::isfinite(value) || digits > 300) return value;
  if (digits < -300) return std::copysign(0.0, value);
  if (digits < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(value / unit) * unit;
  }
  // Decimal digits of the exact binary value, correctly rounded: as Python does it.
  const std::string text = fmt::format("{:.{}f}", value, digits);
  double rounded = 0;
  std::from_chars(text.data(), text.data() + text.size(), rounded);
  return rounded;
}

Value filter_round(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"precision", "method"});
  const int64_t digits = integer_argument(in, given[0], 0);
  const std::string_view method =
      given[1] == nullptr ? "common" : text_argument(in, *given[1]).view();
  refuse_undefined(in, self);
  if (method != "common" && method != "ceil" && method != "floor") {
    in.fail("round: method must be common, ceil or floor");
  }
  if (!self.is_number()) in.fail("round needs a number, not {}", type_name(self));
  if (method == "common") {
    if (!self.is_integral()) return Value(round_half_even(self.number(), digits));
    if (digits >= 0) return Value(self.integral());
    if (digits < -37) return Value::integer(0);
    Int unit = 1;
    for (int64_t i = 0; i > digits; --i) unit *= 10;
    const Int below = in.binary(Operator::floordiv, self, Value(unit)).integral();
    const Int rest = self.integral() - below * unit;
    const bool up = rest * 2 > unit || (rest * 2 == unit && (below & 1) != 0);
    return Value((below + (up ? 1 : 0)) * unit);
  }
  if (digits > 300 || digits < -300) in.fail("round: precision out of range");
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = self.number() * scale;
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Value filter_default(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"default_value", "boolean"});
  const bool missing = self.is_undefined() || (flag_argument(given[1], false) && !truthy(self));
  if (!missing) return self;
  return given[0] == nullptr ? Value(Text()) : *given[0];
}

Value filter_attr(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"name"}, 1);
  const Text& name = text_argument(in, *given[0]);
  const bool has_it = !self.is(Kind::dict) || find_method(self, name.view()) != nullptr;
  return has_it ? in.attribute(self, name) : Value(Undefined{name, type_name(self)});
}

constexpr NamedFunction kTextFilters[] = {
    {"trim", filter_trim},
    {"tojson", filter_tojson},
    {"string", filter_string},
    {"safe", filter_safe},
    {"upper", filter_case<Case::upper>},
    {"lower", filter_case<Case::lower>},
    {"capitalize", filter_capitalize},
    {"title", filter_title},
    {"replace", filter_replace},
    {"indent", filter_indent},
    {"escape", filter_escape<false>},
    {"e", filter_escape<false>},
    {"forceescape", filter_escape<true>},
    {"format", filter_format},
    {"wordcount", filter_wordcount},
    {"default", filter_default},
    {"d", filter_default},
    {"attr", filter_attr},
};

constexpr NamedFunction kNumberFilters[] = {
    {"int", filter_int}, {"float", filter_float}, {"abs", filter_abs}, {"round", filter_round}};

}  // namespace

Text escape_markup(Interpreter& in, const Text& text) {
  if (text.is_markup()) return text;
  const Text escaped = map_code_points(in, text, [](std::string& out, char32_t c, size_t) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        utf8_append(out, c);
    }
  });
  return escaped.as_markup();
}

std::span<const NamedFunction> text_filters() { return kTextFilters; }
std::span<const NamedFunction> number_filters() { return kNumberFilters; }

Function find_filter(std::string_view name) {
  for (const auto& filters : {text_filters(), sequence_filters(), number_filters()}) {
    for (const NamedFunction& filter : filters) {
      if (filter.name == name) return filter.function;
    }
  }
  return nullptr;
}

}  // namespace qwen3::jinja
