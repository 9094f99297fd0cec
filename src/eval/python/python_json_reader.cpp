// json.loads. The open containers are a stack of our own, so that no input drives recursion, and
// every refusal says what Python says, at the place where Python says it.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/utf8.h"
#include "eval/python/python_json.h"

namespace qwen3::eval {
namespace {

constexpr size_t kMaxIntegerDigits = 4300;  // sys.get_int_max_str_digits()

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// What from_chars cannot hold is infinite or zero: by the place of the first digit that counts.
double out_of_range(std::string_view number) {
  const bool negative = number.front() == '-';
  int64_t place = 0;  // of the first digit that is not zero, in powers of ten
  const size_t e = std::min(number.find_first_of("eE"), number.size());
  const size_t point = std::min(number.find('.'), e);
  const size_t first = number.find_first_of("123456789");
  place =
      first < point ? static_cast<int64_t>(point - first) : -static_cast<int64_t>(first - point);
  bool large_exponent = false, negative_exponent = false;
  if (e < number.size()) {
    size_t at = e + 1;
    negative_exponent = number[at] == '-';
    if (number[at] == '-' || number[at] == '+') ++at;
    int64_t exponent = 0;
    const auto read = std::from_chars(number.data() + at, number.data() + number.size(), exponent);
    large_exponent = read.ec != std::errc() || exponent > std::numeric_limits<int64_t>::max() / 4;
    if (!large_exponent) place += negative_exponent ? -exponent : exponent;
  }
  const bool huge = large_exponent ? !negative_exponent : place > 0;
  const double size = huge ? std::numeric_limits<double>::infinity() : 0.0;
  return negative ? -size : size;
}

class Reader {
 public:
  Reader(std::string_view text, int max_depth, PyJsonProblem* problem)
      : text_(text), max_depth_(static_cast<size_t>(max_depth)), problem_(problem) {}

  std::optional<PyValue> read();

 private:
  enum class Step { failed, complete, opened };
  struct Frame {
    PyValue container;
    std::string key;  // of the entry being read, in a dict
  };

  // Each stops at the first thing wrong, having stored it.
  Step begin_value(PyValue& value);
  Step open(PyValue& value, char close);
  Step read_constant(PyValue& value);
  Step read_number(PyValue& value);
  Step read_integer(PyValue& value, std::string_view digits);
  bool read_key();
  bool read_string(std::string& out);  // at the opening quote
  bool read_escape(std::string& out, size_t quote);
  bool read_hex(char32_t& unit);  // at the u
  // Puts a complete value where it belongs and closes what ends after it.
  Step place(PyValue& value);

  void skip_space() {
    while (at_ < text_.size() &&
           std::string_view(" \t\n\r").find(text_[at_]) != std::string::npos) {
      ++at_;
    }
  }
  bool next_is(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool refuse(std::string_view what, size_t at) {
    return refuse(PyJsonProblem::Kind::syntax, what, at);
  }
  bool refuse(PyJsonProblem::Kind kind, std::string_view what, size_t at);

  std::string_view text_;
  size_t max_depth_;
  PyJsonProblem* problem_;
  size_t at_ = 0;
  std::vector<Frame> stack_;
};

bool Reader::refuse(PyJsonProblem::Kind kind, std::string_view what, size_t at) {
  if (problem_ == nullptr) return false;
  const std::string_view before = text_.substr(0, at);
  const auto count = [](std::string_view part) {
    return static_cast<size_t>(
        std::count_if(part.begin(), part.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  };
  const size_t newline = before.rfind('\n');
  *problem_ = {.kind = kind,
               .what = std::string(what),
               .position = count(before),
               .line = static_cast<size_t>(std::count(before.begin(), before.end(), '\n')) + 1,
               .column = count(before.substr(newline + 1)) + 1};
  return false;
}

std::optional<PyValue> Reader::read() {
  if (text_.starts_with("\xEF\xBB\xBF")) {
    refuse("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0);
    return std::nullopt;
  }
  skip_space();
  PyValue value;
  do {
    Step step = begin_value(value);
    if (step == Step::complete) step = place(value);
    if (step == Step::failed) return std::nullopt;
  } while (!stack_.empty());
  skip_space();
  if (at_ < text_.size()) {
    refuse("Extra data", at_);
    return std::nullopt;
  }
  return value;
}

Reader::Step Reader::begin_value(PyValue& value) {
  if (at_ >= text_.size()) {
    refuse("Expecting value", at_);
    return Step::failed;
  }
  switch (text_[at_]) {
    case '"': {
      std::string string;
      if (!read_string(string)) return Step::failed;
      value = std::move(string);
      return Step::complete;
    }
    case '{':
      value = PyDict();
      return open(value, '}');
    case '[':
      value = PyList();
      return open(value, ']');
    default:
      return read_constant(value);
  }
}

Reader::Step Reader::open(PyValue& value, char closing) {
  if (stack_.size() >= max_depth_) {
    refuse(PyJsonProblem::Kind::too_deep, "maximum recursion depth exceeded", at_);
    return Step::failed;
  }
  ++at_;
  skip_space();
  if (next_is(closing)) {
    ++at_;
    return Step::complete;
  }
  stack_.push_back({std::move(value), {}});
  if (closing == '}' && !read_key()) return Step::failed;
  return Step::opened;
}

bool Reader::read_key() {
  if (!next_is('"')) return refuse("Expecting property name enclosed in double quotes", at_);
  if (!read_string(stack_.back().key)) return false;
  skip_space();
  if (!next_is(':')) return refuse("Expecting ':' delimiter", at_);
  ++at_;
  skip_space();
  return true;
}

Reader::Step Reader::place(PyValue& value) {
  while (!stack_.empty()) {
    Frame& frame = stack_.back();
    PyDict* dict = frame.container.dict();
    if (dict != nullptr) {
      dict->set(std::move(frame.key), std::move(value));
      frame.key.clear();
    } else {
      frame.container.list()->push_back(std::move(value));
    }
    skip_space();
    if (next_is(dict != nullptr ? '}' : ']')) {
      ++at_;
      value = std::move(frame.container);
      stack_.pop_back();
      continue;
    }
    if (!next_is(',')) {
      refuse("Expecting ',' delimiter", at_);
      return Step::failed;
    }
    ++at_;
    skip_space();
    if (dict != nullptr && !read_key()) return Step::failed;
    return Step::opened;
  }
  return Step::complete;
}

Reader::Step Reader::read_constant(PyValue& value) {
  struct Constant {
    std::string_view word;
    PyValue value;
  };
  static const Constant kConstants[] = {{"null", nullptr},
                                        {"true", true},
                                        {"false", false},
                                        {"NaN", std::numeric_limits<double>::quiet_NaN()},
                                        {"Infinity", std::numeric_limits<double>::infinity()},
                                        {"-Infinity", -std::numeric_limits<double>::infinity()}};
  for (const Constant& constant : kConstants) {
    if (!text_.substr(at_).starts_with(constant.word)) continue;
    at_ += constant.word.size();
    value = constant.value;
    return Step::complete;
  }
  return read_number(value);
}

// -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?, as much of it as there is.
Reader::Step Reader::read_number(PyValue& value) {
  const auto digits_from = [&](size_t from) {
    while (from < text_.size() && is_digit(text_[from])) ++from;
    return from;
  };
  const auto digit_at = [&](size_t at) { return at < text_.size() && is_digit(text_[at]); };
  const size_t start = at_;
  size_t end = start + (text_[start] == '-' ? 1 : 0);
  if (!digit_at(end)) {
    refuse("Expecting value", start);
    return Step::failed;
  }
  end = text_[end] == '0' ? end + 1 : digits_from(end);
  const size_t integer_end = end;
  if (end < text_.size() && text_[end] == '.' && digit_at(end + 1)) end = digits_from(end + 1);
  if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
    size_t exponent = end + 1;
    if (exponent < text_.size() && (text_[exponent] == '-' || text_[exponent] == '+')) ++exponent;
    if (digit_at(exponent)) end = digits_from(exponent);
  }
  at_ = end;
  const std::string_view number = text_.substr(start, end - start);
  if (end == integer_end) return read_integer(value, number);
  double result = 0;
  const auto read = std::from_chars(number.data(), number.data() + number.size(), result);
  value = read.ec == std::errc::result_out_of_range ? out_of_range(number) : result;
  return Step::complete;
}

Reader::Step Reader::read_integer(PyValue& value, std::string_view digits) {
  int64_t integer = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), integer);
  if (read.ec == std::errc()) {
    value = integer;
    return Step::complete;
  }
  const size_t n_digits = digits.size() - (digits.front() == '-' ? 1 : 0);
  if (n_digits > kMaxIntegerDigits) {
    refuse(PyJsonProblem::Kind::too_many_digits,
           fmt::format("Exceeds the limit ({} digits) for integer string conversion: value has {} "
                       "digits",
                       kMaxIntegerDigits,
                       n_digits),
           at_ - digits.size());
    return Step::failed;
  }
  value = PyBigInteger{std::string(digits)};
  return Step::complete;
}

bool Reader::read_string(std::string& out) {
  const size_t quote = at_++;
  out.clear();
  while (at_ < text_.size()) {
    const size_t start = at_;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
           static_cast<unsigned char>(text_[at_]) >= 0x20) {
      ++at_;
    }
    out.append(text_, start, at_ - start);
    if (at_ == text_.size()) break;
    if (text_[at_] == '"') {
      ++at_;
      return true;
    }
    if (text_[at_] != '\\') return refuse("Invalid control character at", at_);
    if (!read_escape(out, quote)) return false;
  }
  return refuse("Unterminated string starting at", quote);
}

bool Reader::read_escape(std::string& out, size_t quote) {
  static constexpr std::string_view kNames = "\"\\/bfnrt";
  static constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
  const size_t backslash = at_++;
  if (at_ == text_.size()) return refuse("Unterminated string starting at", quote);
  if (text_[at_] != 'u') {
    const size_t which = kNames.find(text_[at_]);
    if (which == std::string_view::npos) return refuse("Invalid \\escape", backslash);
    out += kMeant[which];
    ++at_;
    return true;
  }
  char32_t unit = 0;
  if (!read_hex(unit)) return false;
  const bool high = unit >= 0xD800 && unit < 0xDC00;
  if (high && text_.substr(at_).starts_with("\\u")) {
    const size_t second = at_++;
    char32_t low = 0;
    if (!read_hex(low)) return false;
    if (low >= 0xDC00 && low < 0xE000) {
      unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    } else {
      at_ = second;
    }
  }
  utf8_append(out, unit);
  return true;
}

bool Reader::read_hex(char32_t& unit) {
  const size_t u = at_;
  // Python wants a character after the four digits: the closing quote, at least.
  if (text_.size() - u <= 5) return refuse("Invalid \\uXXXX escape", u);
  for (size_t i = 1; i <= 4; ++i) {
    const int digit = hex_digit(text_[u + i]);
    if (digit < 0) return refuse("Invalid \\uXXXX escape", u);
    unit = unit << 4 | static_cast<char32_t>(digit);
  }
  at_ = u + 5;
  return true;
}

}  // namespace

std::string PyJsonProblem::message() const {
  if (kind != Kind::syntax) return what;
  return fmt::format("{}: line {} column {} (char {})", what, line, column, position);
}

std::optional<PyValue> py_loads(std::string_view text, PyJsonProblem* problem, int max_depth) {
  return Reader(text, max_depth, problem).read();
}

PyValue py_load(std::string_view text, std::string_view where) {
  PyJsonProblem problem;
  std::optional<PyValue> value = py_loads(text, &problem);
  QWEN3_CHECK(value.has_value(),
              ErrorKind::corrupt_file,
              "{}: not JSON: {}; got {}",
              where,
              problem.message(),
              quote_for_message(text));
  return std::move(*value);
}

}  // namespace qwen3::eval
