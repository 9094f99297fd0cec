#include "eval/run/yaml_values.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"

namespace qwen3::eval {
namespace {

constexpr int64_t kMaxValues = 100'000;
constexpr int kMaxDepth = 32;
constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool all_in(std::string_view text, std::string_view set) {
  return text.find_first_not_of(set) == text.npos;
}

std::string without_underscores(std::string_view text) {
  std::string digits(text);
  digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
  return digits;
}

std::optional<int64_t> whole_integer(std::string_view digits, int base, bool negative) {
  std::string text = (negative ? "-" : "") + std::string(digits);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view take_sign(std::string_view text, bool& negative) {
  negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  return text;
}

// "1:30:05" as whole minutes and seconds of base 60; each part after the first below 60.
std::optional<double> sexagesimal(std::string_view text) {
  double value = 0;
  bool first = true;
  while (true) {
    const size_t colon = std::min(text.find(':'), text.size());
    const std::string_view part = text.substr(0, colon);
    const bool fits =
        first ? !part.empty() && part[0] >= '0' && part[0] <= '9' && all_in(part, "0123456789_")
              : (part.size() == 1 || (part.size() == 2 && part[0] <= '5')) &&
                    all_in(part, "0123456789");
    if (!fits) return std::nullopt;
    double number = 0;
    const std::string digits = without_underscores(part);
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    value = value * 60 + number;
    if (colon == text.size()) return value;
    text.remove_prefix(colon + 1);
    first = false;
  }
}

std::optional<Json> read_integer(std::string_view text) {
  bool negative = false;
  const std::string_view body = take_sign(text, negative);
  std::optional<int64_t> value;
  if (body.starts_with("0b") && body.size() > 2 && all_in(body.substr(2), "01_")) {
    value = whole_integer(without_underscores(body.substr(2)), 2, negative);
  } else if (body.starts_with("0x") && body.size() > 2 &&
             all_in(body.substr(2), "0123456789abcdefABCDEF_")) {
    value = whole_integer(without_underscores(body.substr(2)), 16, negative);
  } else if (body == "0") {
    value = 0;
  } else if (body.starts_with('0') && all_in(body, "01234567_")) {
    value = whole_integer(without_underscores(body), 8, negative);
  } else if (!body.empty() && body[0] >= '1' && body[0] <= '9' && all_in(body, "0123456789_")) {
    value = whole_integer(without_underscores(body), 10, negative);
  } else if (!body.empty() && body[0] >= '1' && body[0] <= '9' && body.find(':') != body.npos) {
    const std::optional<double> sixties = sexagesimal(body);
    if (sixties && *sixties < 9e15) value = static_cast<int64_t>(*sixties) * (negative ? -1 : 1);
  }
  if (!value) return std::nullopt;
  return Json(*value);
}

// [digits] "." [digits] with an exponent that must carry its sign.
bool is_float(std::string_view body) {
  const size_t dot = body.find('.');
  if (dot == body.npos) return false;
  const std::string_view whole = body.substr(0, dot);
  std::string_view rest = body.substr(dot + 1);
  const size_t exponent = rest.find_first_of("eE");
  if (exponent != rest.npos) {
    const std::string_view power = rest.substr(exponent + 1);
    if (power.size() < 2 || !one_of(power.substr(0, 1), {"+", "-"}) ||
        !all_in(power.substr(1), "0123456789")) {
      return false;
    }
    rest = rest.substr(0, exponent);
  }
  if (!all_in(rest, "0123456789_")) return false;
  if (whole.empty()) return !rest.empty() && rest[0] != '_';
  return whole[0] != '_' && all_in(whole, "0123456789_");
}

std::optional<Json> read_float(std::string_view text) {
  bool negative = false;
  const std::string_view body = take_sign(text, negative);
  const double sign = negative ? -1 : 1;
  if (one_of(body, {".inf", ".Inf", ".INF"})) {
    return Json(sign * std::numeric_limits<double>::infinity());
  }
  if (one_of(text, {".nan", ".NaN", ".NAN"})) return Json(std::nan(""));
  const bool signed_dot = body.size() < text.size() && body.starts_with('.');  // text, in 1.1
  if (is_float(body) && !signed_dot) {
    const std::string digits = without_underscores(body);
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return Json(sign * value);
  }
  const size_t dot = body.find('.');
  if (dot == body.npos || body.find(':') == body.npos) return std::nullopt;
  if (!all_in(body.substr(dot + 1), "0123456789_")) return std::nullopt;
  const std::optional<double> whole = sexagesimal(body.substr(0, dot));
  if (!whole) return std::nullopt;
  const std::string digits = "0." + without_underscores(body.substr(dot + 1)) + "0";
  double fraction = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), fraction);
  return Json(sign * (*whole + fraction));
}

Json read_scalar(const YAML::Node& node, std::string_view file) {
  const std::string& tag = node.Tag();
  if (tag == "!" || tag == fmt::format("{}str", kTagPrefix)) return node.Scalar();
  Json value = read_plain_scalar(node.Scalar());
  if (tag.empty() || tag == "?") return value;
  const bool fits = (tag == fmt::format("{}int", kTagPrefix) && value.is_number_integer()) ||
                    (tag == fmt::format("{}float", kTagPrefix) && value.is_number()) ||
                    (tag == fmt::format("{}bool", kTagPrefix) && value.is_boolean()) ||
                    (tag == fmt::format("{}null", kTagPrefix) && value.is_null());
  QWEN3_CHECK(fits,
              ErrorKind::corrupt_file,
              "{}: tag {}: expected !!str, !!int, !!float or !!bool with a value that fits",
              yaml_place(file, node),
              quote_for_message(tag));
  return value;
}

class Converter {
 public:
  explicit Converter(std::string_view file) : file_(file) {}

  // An alias may stand inside its own anchor, so depth is bounded here and not by the text.
  Json convert(const YAML::Node& node, int depth = 0) {
    QWEN3_CHECK(++n_values_ <= kMaxValues && depth <= kMaxDepth,
                ErrorKind::corrupt_file,
                "{}: more than {} values, or nested deeper than {}; use fewer aliases",
                yaml_place(file_, node),
                kMaxValues,
                kMaxDepth);
    if (node.IsScalar()) return read_scalar(node, file_);
    if (node.IsSequence()) {
      Json list = Json::array();
      for (const YAML::Node& item : node) list.push_back(convert(item, depth + 1));
      return list;
    }
    return node.IsMap() ? convert_map(node, depth) : Json();
  }

 private:
  Json convert_map(const YAML::Node& node, int depth) {
    Json object = Json::object();
    for (const auto& entry : node) {
      const bool text = entry.first.IsScalar() && read_scalar(entry.first, file_).is_string();
      QWEN3_CHECK(text && entry.first.Scalar() != "<<",
                  ErrorKind::corrupt_file,
                  "{}: expected a key that is text; quote it if it looks like a number, and write "
                  "merged maps out",
                  yaml_place(file_, entry.first));
      const std::string& key = entry.first.Scalar();
      QWEN3_CHECK(!object.contains(key),
                  ErrorKind::corrupt_file,
                  "{}: \"{}\" is given twice; keep one",
                  yaml_place(file_, entry.first),
                  quote_for_message(key));
      object[key] = convert(entry.second, depth + 1);
    }
    return object;
  }

  std::string_view file_;
  int64_t n_values_ = 0;
};

}  // namespace

Json read_plain_scalar(std::string_view text) {
  if (one_of(text, {"", "~", "null", "Null", "NULL"})) return Json();
  if (one_of(text, {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) return true;
  if (one_of(text, {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) {
    return false;
  }
  if (const auto integer = read_integer(text)) return *integer;
  if (const auto number = read_float(text)) return *number;
  return std::string(text);
}

std::string yaml_place(std::string_view file, const YAML::Node& node) {
  return fmt::format("{}: line {}", file, node.Mark().line + 1);
}

Json yaml_to_json(const YAML::Node& node, std::string_view file) {
  return Converter(file).convert(node);
}

YAML::Node parse_yaml(const std::string& text, std::string_view file) {
  QWEN3_CHECK(utf8_valid(text),
              ErrorKind::corrupt_file,
              "{}: not valid UTF-8 at byte {}; convert the file to UTF-8",
              file,
              utf8_first_invalid(text));
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    QWEN3_CHECK(documents.size() <= 1,
                ErrorKind::corrupt_file,
                "{}: expected one YAML document; got {}",
                file,
                documents.size());
    return documents.empty() ? YAML::Node() : documents.front();
  } catch (const YAML::Exception& error) {
    fail(ErrorKind::corrupt_file,
         "{}: line {}: {}; expected YAML",
         file,
         error.mark.line + 1,
         quote_for_message(error.msg));
  }
}

}  // namespace qwen3::eval
