// String formatting: `"%s" % x` and "{}".format(x), with the common part of Python's conversions.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/text.h"
#include "chat/jinja/functions.h"
#include "chat/jinja/unicode.h"

namespace qwen3::jinja {
namespace {

struct Spec {
  bool left = false;       // '-' or '<'
  bool center = false;     // '^'
  bool right = false;      // '>'
  bool sign = false;       // '+'
  bool space = false;      // ' '
  bool zero = false;       // '0'
  bool alternate = false;  // '#'
  bool comma = false;      // ','
  std::string fill = " ";
  int64_t width = 0;
  int64_t precision = -1;
  char type = 0;
};

constexpr int64_t kMaxPrecision = 1000;

int64_t parse_count(Interpreter& in, std::string_view text, size_t& at) {
  int64_t value = 0;
  const auto read = std::from_chars(text.data() + at, text.data() + text.size(), value);
  if (read.ec == std::errc::result_out_of_range) in.fail("format: number too large");
  if (read.ec != std::errc()) return 0;
  at = static_cast<size_t>(read.ptr - text.data());
  in.meter.check_size(static_cast<size_t>(value));
  return value;
}

std::string digits_in_base(Int value, unsigned base, bool upper) {
  std::string out;
  do {
    const auto digit = static_cast<unsigned>(value % static_cast<Int>(base));
    out += (upper ? "0123456789ABCDEF" : "0123456789abcdef")[digit];
    value /= static_cast<Int>(base);
  } while (value != 0);
  std::reverse(out.begin(), out.end());
  return out;
}

void insert_commas(std::string& digits) {
  size_t end = digits.find_first_not_of("0123456789");
  if (end == digits.npos) end = digits.size();
  for (size_t at = end; at > 3; at -= 3) digits.insert(at - 3, 1, ',');
}

// sign, digits and prefix of a number; the caller pads.
struct NumberText {
  std::string sign;
  std::string digits;
};

void append_sign(NumberText& out, const Spec& spec, bool negative) {
  if (negative)
    out.sign += '-';
  else if (spec.sign)
    out.sign += '+';
  else if (spec.space)
    out.sign += ' ';
}

NumberText format_int(Interpreter& in, const Spec& spec, Int value) {
  NumberText out;
  append_sign(out, spec, value < 0);
  if (value < 0 && __builtin_sub_overflow(Int{0}, value, &value)) in.fail("integer too large");
  switch (spec.type) {
    case 'x':
    case 'X':
      out.digits = digits_in_base(value, 16, spec.type == 'X');
      break;
    case 'o':
      out.digits = digits_in_base(value, 8, false);
      break;
    case 'b':
      out.digits = digits_in_base(value, 2, false);
      break;
    default:
      out.digits = integer_text(value);
  }
  if (spec.comma) insert_commas(out.digits);
  if (spec.alternate &&
      (spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || spec.type == 'b')) {
    out.sign += '0';
    out.sign += spec.type;
  }
  return out;
}

NumberText format_float(const Spec& spec, double value) {
  NumberText out;
  append_sign(out, spec, std::signbit(value) && !std::isnan(value));
  const double magnitude = std::abs(value);
  const auto precision = spec.precision < 0 ? 6 : spec.precision;
  switch (spec.type) {
    case 'f':
    case 'F':
      out.digits = fmt::format("{:.{}f}", magnitude, precision);
      break;
    case '%':
      out.digits = fmt::format("{:.{}f}", magnitude * 100, precision) + "%";
      break;
    case 'e':
      out.digits = fmt::format("{:.{}e}", magnitude, precision);
      break;
    case 'E':
      out.digits = fmt::format("{:.{}E}", magnitude, precision);
      break;
    case 'g':
      out.digits = fmt::format("{:.{}g}", magnitude, std::max<int64_t>(1, precision));
      break;
    case 'G':
      out.digits = fmt::format("{:.{}G}", magnitude, std::max<int64_t>(1, precision));
      break;
    default:
      out.digits = spec.precision < 0
                       ? python_float_repr(magnitude)
                       : fmt::format("{:.{}g}", magnitude, std::max<int64_t>(1, precision));
  }
  if (spec.comma) insert_commas(out.digits);
  return out;
}

// Pads to the width; `number` may get zeros between sign and digits.
void append_padded(Interpreter& in,
                   TextBuilder& out,
                   const Spec& spec,
                   const Text& body,
                   const NumberText* number) {
  const size_t n = number != nullptr ? number->sign.size() + number->digits.size()
                                     : count_code_points(body.view());
  const size_t missing =
      static_cast<size_t>(spec.width) > n ? static_cast<size_t>(spec.width) - n : 0;
  in.meter.charge(missing / 16 + 1);
  in.meter.charge_bytes(body.size());
  in.meter.check_size(out.size() + missing * spec.fill.size() + n + body.size());
  const bool zeros = number != nullptr && spec.zero && !spec.left && !spec.center && !spec.right;
  size_t before = spec.left ? 0 : spec.center ? missing / 2 : missing;
  if (zeros) before = 0;
  for (size_t i = 0; i < before; ++i) out.append(spec.fill, false);
  if (number == nullptr) {
    out.append(body);
  } else {
    out.append(number->sign, false);
    if (zeros) out.append(std::string(missing, '0'), false);
    out.append(number->digits, false);
  }
  for (size_t i = before; i < missing && !zeros; ++i) out.append(spec.fill, false);
}

Text cut(const Text& text, int64_t precision) {
  if (precision < 0) return text;
  return text.slice(0, code_point_offset(text.view(), static_cast<size_t>(precision)));
}

Int as_int(Interpreter& in, const Value& value) {
  if (value.is_integral()) return value.integral();
  if (!value.is(Kind::floating)) in.fail("format: a number is needed, not {}", type_name(value));
  if (!std::isfinite(value.number()) || std::abs(value.number()) > 1e38)
    in.fail("integer too large");
  return static_cast<Int>(value.number());
}

// One %-conversion. The arguments of a format are a tuple or a mapping.
class PercentFormat {
 public:
  PercentFormat(Interpreter& in, const Text& format, const Value& arguments)
      : in_(in), format_(format), view_(format_.view()), arguments_(arguments) {
    is_tuple_ = arguments.is(Kind::sequence) && arguments.sequence()->type == SequenceType::tuple;
  }

  Text run() {
    in_.meter.charge_bytes(4 * view_.size());
    while (at_ < view_.size()) {
      const size_t percent = std::min(view_.find('%', at_), view_.size());
      out_.append(format_.slice(at_, percent - at_));
      at_ = percent;
      if (at_ < view_.size()) convert();
    }
    // Python lets anything with keys or indices go unused.
    const bool has_items = arguments_.is(Kind::dict) || arguments_.is_undefined() ||
                           (arguments_.is(Kind::sequence) && arguments_.sequence()->is_indexable());
    const bool unused =
        is_tuple_ ? next_ < arguments_.sequence()->items.size() : next_ == 0 && !has_items;
    if (unused) in_.fail("format: not all arguments were used");
    return out_.finish();
  }

 private:
  char peek() {
    if (at_ >= view_.size()) in_.fail("format: incomplete conversion");
    return view_[at_];
  }

  Value take() {
    if (named_) return std::exchange(named_value_, Value());
    if (is_tuple_) {
      const auto& items = arguments_.sequence()->items;
      if (next_ >= items.size()) in_.fail("format: not enough arguments");
      return items[next_++];
    }
    if (next_++ > 0) in_.fail("format: not enough arguments");
    return arguments_;
  }

  void parse_name() {
    named_ = peek() == '(';
    if (!named_) return;
    const size_t close = view_.find(')', at_);
    if (close == view_.npos) in_.fail("format: incomplete key");
    if (!arguments_.is(Kind::dict)) in_.fail("format: a mapping is needed");
    const std::string_view key = view_.substr(at_ + 1, close - at_ - 1);
    const Value* value = arguments_.dict()->find(key);
    if (value == nullptr) in_.fail("format: there is no key '{}'", key);
    named_value_ = *value;
    at_ = close + 1;
    ++next_;
  }

  int64_t parse_star_or_count() {
    if (peek() != '*') return parse_count(in_, view_, at_);
    ++at_;
    const Value count = take();
    const int64_t value = integer_argument(in_, &count, 0);
    in_.meter.check_size(static_cast<size_t>(std::abs(std::max<int64_t>(value, -INT64_MAX))));
    return value;
  }

  Spec parse_spec() {
    Spec spec;
    for (;; ++at_) {
      const char c = peek();
      if (c == '-')
        spec.left = true;
      else if (c == '+')
        spec.sign = true;
      else if (c == ' ')
        spec.space = true;
      else if (c == '0')
        spec.zero = true;
      else if (c == '#')
        spec.alternate = true;
      else
        break;
    }
    spec.width = parse_star_or_count();
    if (spec.width < 0) spec.left = true, spec.width = -spec.width;
    if (peek() == '.') {
      ++at_;
      spec.precision = std::max<int64_t>(0, parse_star_or_count());
    }
    while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++at_;
    spec.type = peek();
    ++at_;
    return spec;
  }

  void convert() {
    in_.meter.charge(4);
    ++at_;
    parse_name();
    Spec spec = parse_spec();
    if (spec.type == '%') return out_.append("%", true);
    const Value value = take();
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a':
        return append_padded(
            in_, out_, spec, cut(as_text(value, spec.type), spec.precision), nullptr);
      case 'c':
        return append_padded(in_, out_, spec, character(value), nullptr);
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return append_int(spec, value);
      case 'f':
      case 'F':
      case 'e':
      case 'E':
      case 'g':
      case 'G': {
        if (!value.is_number()) in_.fail("format: a number is needed, not {}", type_name(value));
        if (spec.precision > kMaxPrecision) in_.fail("format: precision too large");
        const NumberText number = format_float(spec, value.number());
        return append_padded(in_, out_, spec, {}, &number);
      }
      default:
        in_.fail("format: unsupported conversion");
    }
  }

  void append_int(const Spec& spec, const Value& value) {
    const bool based = spec.type == 'x' || spec.type == 'X' || spec.type == 'o';
    if (based && !value.is_integral())
      in_.fail("format: an integer is needed, not {}", type_name(value));
    if (spec.precision > kMaxPrecision) in_.fail("format: precision too large");
    NumberText number = format_int(in_, spec, as_int(in_, value));
    if (spec.precision > static_cast<int64_t>(number.digits.size())) {
      number.digits.insert(0, static_cast<size_t>(spec.precision) - number.digits.size(), '0');
    }
    append_padded(in_, out_, spec, {}, &number);
  }

  Text as_text(const Value& value, char type) {
    if (type == 's') return in_.text(value);
    TextBuilder repr;
    append_repr(repr, value, in_.meter);
    return repr.finish();
  }

  Text character(const Value& value) {
    if (value.is_string() && count_code_points(value.view()) == 1) return value.text();
    if (!value.is_integral()) in_.fail("format: %c needs one character");
    const Int code = value.integral();
    if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
      in_.fail("format: %c out of range");
    std::string text;
    utf8_append(text, static_cast<char32_t>(code));
    return Text(text, false);
  }

  Interpreter& in_;
  const Text format_;
  std::string_view view_;
  const Value arguments_;
  bool is_tuple_ = false;
  bool named_ = false;
  Value named_value_;
  size_t next_ = 0;
  size_t at_ = 0;
  TextBuilder out_;
};

// [[fill]align][sign][#][0][width][,][.precision][type]
Spec parse_brace_spec(Interpreter& in, std::string_view text) {
  Spec spec;
  size_t at = 0;
  const auto is_align = [&](size_t i) {
    return i < text.size() && (text[i] == '<' || text[i] == '>' || text[i] == '^');
  };
  const size_t fill = text.empty() ? 0 : code_point_bytes(text, 0);
  if (fill > 0 && is_align(fill)) {
    spec.fill = text.substr(0, fill);
    at = fill;
  }
  if (is_align(at)) {
    spec.left = text[at] == '<';
    spec.center = text[at] == '^';
    spec.right = text[at] == '>';
    ++at;
  }
  const auto flag = [&](char c) { return at < text.size() && text[at] == c && (++at, true); };
  spec.sign = flag('+');
  if (!spec.sign && !flag('-')) spec.space = flag(' ');
  spec.alternate = flag('#');
  spec.zero = flag('0');
  if (at < text.size() && text[at] >= '0' && text[at] <= '9')
    spec.width = parse_count(in, text, at);
  spec.comma = flag(',');
  if (flag('.')) spec.precision = parse_count(in, text, at);
  if (spec.precision > kMaxPrecision) in.fail("format: precision too large");
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size()) in.fail("format: unsupported format specifier");
  return spec;
}

void append_formatted(Interpreter& in, TextBuilder& out, const Value& value, Spec spec) {
  constexpr std::string_view kIntTypes = "dxXob";
  constexpr std::string_view kFloatTypes = "fFeEgG%";
  const bool plain = spec.type == 0;
  if (value.is_number() && !(plain && value.is(Kind::boolean))) {
    const bool as_float =
        value.is(Kind::floating) || kFloatTypes.find(spec.type) != kFloatTypes.npos;
    if (as_float ? !plain && kFloatTypes.find(spec.type) == kFloatTypes.npos
                 : !plain && kIntTypes.find(spec.type) == kIntTypes.npos) {
      in.fail("format: unknown format code for {}", type_name(value));
    }
    const NumberText number =
        as_float ? format_float(spec, value.number()) : format_int(in, spec, value.integral());
    return append_padded(in, out, spec, {}, &number);
  }
  const bool needs_string = spec.width > 0 || spec.precision >= 0 || !plain;
  if (!value.is_string() && !value.is(Kind::boolean) && needs_string) {
    in.fail("format: unsupported format specifier for {}", type_name(value));
  }
  if (!plain && spec.type != 's') in.fail("format: unknown format code for {}", type_name(value));
  if (!spec.center && !spec.right) spec.left = true;
  append_padded(in, out, spec, cut(in.text(value), spec.precision), nullptr);
}

}  // namespace

Text format_percent(Interpreter& in, const Text& format, const Value& arguments) {
  return PercentFormat(in, format, arguments).run();
}

// Fields are {}, {0}, {name} with .attribute and [index] after, !s or !r, and a flat specifier.
Text format_braces(Interpreter& in, const Text& format, Args& args) {
  const std::string_view view = format.view();  // nothing below grows its buffer
  in.meter.charge_bytes(4 * view.size());
  TextBuilder out;
  size_t automatic = 0;
  for (size_t at = 0; at < view.size();) {
    const size_t brace = std::min(view.find_first_of("{}", at), view.size());
    out.append(format.slice(at, brace - at));
    at = brace;
    if (at >= view.size()) break;
    if (at + 1 < view.size() && view[at + 1] == view[at]) {
      out.append(format.slice(at, 1));
      at += 2;
      continue;
    }
    const size_t close = view.find('}', at);
    if (view[at] == '}' || close == view.npos) in.fail("format: single brace in the format string");
    std::string_view field = view.substr(at + 1, close - at - 1);
    if (field.find('{') != field.npos) in.fail("format: nested fields are not supported");
    at = close + 1;
    in.meter.charge(4);
    const size_t colon = field.find(':');
    const Spec spec = parse_brace_spec(in, colon == field.npos ? "" : field.substr(colon + 1));
    field = field.substr(0, colon);
    const size_t bang = field.find('!');
    const std::string_view conversion = bang == field.npos ? "" : field.substr(bang + 1);
    field = field.substr(0, bang);
    const size_t name_end = std::min(field.find_first_of(".["), field.size());
    const std::string name(field.substr(0, name_end));
    Value value;
    size_t index = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), index);
    if (name.empty() || (read.ec == std::errc() && read.ptr == name.data() + name.size())) {
      if (name.empty()) index = automatic++;
      if (index >= args.positional.size()) in.fail("format: there is no argument {}", index);
      value = args.positional[index];
    } else {
      size_t i = 0;
      while (i < args.keywords.size() && args.keywords[i].first != name) ++i;
      if (i == args.keywords.size()) in.fail("format: there is no argument '{}'", name);
      value = args.keywords[i].second;
    }
    for (size_t p = name_end; p < field.size();) {
      const bool is_attribute = field[p] == '.';
      const size_t end = std::min(
          is_attribute ? field.find_first_of(".[", p + 1) : field.find(']', p), field.size());
      const Text key(std::string(field.substr(p + 1, end - p - 1)), true);
      value = is_attribute ? in.attribute(value, key) : in.item(value, Value(key));
      p = is_attribute ? end : end + 1;
    }
    if (conversion == "r") {
      TextBuilder repr;
      append_repr(repr, value, in.meter);
      value = repr.finish();
    } else if (conversion == "s") {
      value = in.text(value);
    } else if (!conversion.empty()) {
      in.fail("format: unknown conversion");
    }
    append_formatted(in, out, value, spec);
  }
  return out.finish();
}

}  // namespace qwen3::jinja
