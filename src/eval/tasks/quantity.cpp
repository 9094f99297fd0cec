#include "eval/tasks/quantity.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "base/text.h"
#include "eval/python/python_text.h"
#include "eval/tasks/answer_text.h"
#include "eval/tasks/exact_number.h"
#include "eval/tasks/latex_spelling.h"
#include "eval/tasks/plain_characters.h"

namespace qwen3::eval {
namespace {

// Every spelling with its symbol; plurals in "s" need no line of their own.
const std::map<std::string_view, std::string_view> kUnits = {
    {"mm", "mm"},         {"millimeter", "mm"}, {"millimetre", "mm"}, {"毫米", "mm"},
    {"cm", "cm"},         {"centimeter", "cm"}, {"centimetre", "cm"}, {"厘米", "cm"},
    {"dm", "dm"},         {"decimeter", "dm"},  {"decimetre", "dm"},  {"分米", "dm"},
    {"m", "m"},           {"meter", "m"},       {"metre", "m"},       {"米", "m"},
    {"km", "km"},         {"kilometer", "km"},  {"kilometre", "km"},  {"千米", "km"},
    {"公里", "km"},       {"in", "in"},         {"inch", "in"},       {"inche", "in"},
    {"英寸", "in"},       {"ft", "ft"},         {"foot", "ft"},       {"feet", "ft"},
    {"英尺", "ft"},       {"yd", "yd"},         {"yard", "yd"},       {"mi", "mi"},
    {"mile", "mi"},       {"英里", "mi"},       {"mg", "mg"},         {"milligram", "mg"},
    {"毫克", "mg"},       {"g", "g"},           {"gram", "g"},        {"克", "g"},
    {"kg", "kg"},         {"kilogram", "kg"},   {"千克", "kg"},       {"公斤", "kg"},
    {"t", "t"},           {"ton", "t"},         {"tonne", "t"},       {"吨", "t"},
    {"lb", "lb"},         {"pound", "lb"},      {"oz", "oz"},         {"ounce", "oz"},
    {"ml", "ml"},         {"milliliter", "ml"}, {"millilitre", "ml"}, {"毫升", "ml"},
    {"l", "l"},           {"liter", "l"},       {"litre", "l"},       {"升", "l"},
    {"s", "s"},           {"sec", "s"},         {"second", "s"},      {"秒", "s"},
    {"秒钟", "s"},        {"min", "min"},       {"minute", "min"},    {"分钟", "min"},
    {"h", "h"},           {"hr", "h"},          {"hour", "h"},        {"小时", "h"},
    {"day", "day"},       {"天", "day"},        {"日", "day"},        {"week", "week"},
    {"周", "week"},       {"星期", "week"},     {"month", "month"},   {"月", "month"},
    {"个月", "month"},    {"year", "year"},     {"年", "year"},       {"degree", "degree"},
    {"度", "degree"},     {"deg", "degree"},    {"rad", "rad"},       {"radian", "rad"},
    {"弧度", "rad"},      {"dollar", "$"},      {"usd", "$"},         {"美元", "$"},
    {"cent", "cent"},     {"美分", "cent"},     {"euro", "€"},        {"eur", "€"},
    {"欧元", "€"},        {"元", "¥"},          {"yuan", "¥"},        {"人民币", "¥"},
    {"rmb", "¥"},         {"unit", "unit"},     {"单位", "unit"},     {"个单位", "unit"},
    {"mph", "mi/h"},      {"kph", "km/h"},      {"hz", "hz"},         {"mol", "mol"},
    {"cc", "cm^{3}"},     {"kj", "kj"},         {"kw", "kw"},         {"kwh", "kwh"},
    {"hectare", "ha"},    {"ha", "ha"},         {"公顷", "ha"},       {"acre", "acre"},
    {"people", "people"}, {"person", "people"}, {"人", "people"},     {"个人", "people"}};

struct Multiplier {
  std::string_view word;
  int exponent;
};
constexpr Multiplier kMultipliers[] = {{"hundred", 2},
                                       {"thousand", 3},
                                       {"million", 6},
                                       {"billion", 9},
                                       {"trillion", 12},
                                       {"百万", 6},
                                       {"千万", 7},
                                       {"百", 2},
                                       {"千", 3},
                                       {"万", 4},
                                       {"亿", 8}};

// They change the number, or say that there is another one.
const std::set<std::string_view> kNoUnits = {"or",   "and",  "to",    "more",      "less", "fewer",
                                             "than", "at",   "least", "most",      "not",  "is",
                                             "mod",  "base", "half",  "dozen",     "over", "times",
                                             "if",   "for",  "about", "remainder", "in",   "pi"};
constexpr std::string_view kNoUnitCharacters[] = {"或",
                                                  "和",
                                                  "与",
                                                  "以",
                                                  "至",
                                                  "到",
                                                  "余",
                                                  "多",
                                                  "几",
                                                  "半",
                                                  "约",
                                                  "分之",
                                                  "不",
                                                  "打",
                                                  "倍",
                                                  "进制"};

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!(text = py_strip(text)).empty()) {
    const std::string_view word = py_first_word(text);
    text.remove_prefix(word.size());
    words.emplace_back(word);
  }
  return words;
}

std::string_view symbol_of(std::string_view word) {
  auto found = kUnits.find(word);
  if (found == kUnits.end() && word.size() > 2 && word.ends_with('s')) {
    found = kUnits.find(word.substr(0, word.size() - 1));
  }
  return found == kUnits.end() ? std::string_view() : found->second;
}

struct Unit {
  std::string spelled;
  bool known = true;  // every word stands in the list
  bool valid = false;
};

// "square centimetres per second", "cm^2/s", "平方厘米"
Unit read_unit(std::string text) {
  Unit unit;
  for (const std::string_view gone : {"\\text",
                                      "\\mathrm",
                                      "\\mbox",
                                      "\\textrm",
                                      "\\cdot",
                                      "\\,",
                                      "\\ ",
                                      "\\;",
                                      "\\!",
                                      "~",
                                      "{",
                                      "}",
                                      "$",
                                      "(",
                                      ")"}) {
    replace_all(text, gone, gone == "\\cdot" ? " " : gone.size() == 2 || gone == "~" ? " " : "");
  }
  text = ascii_lower(text);
  replace_all(text, "/", " per ");
  replace_all(text, "每", " per ");
  replace_all(text, "-", " ");
  replace_all(text, "平方", "square ");
  replace_all(text, "立方", "cubic ");
  std::string power;
  for (std::string word : words_of(text)) {
    while (word.ends_with('.') || word.ends_with(',')) word.pop_back();
    if (word.empty()) continue;
    if (kNoUnits.contains(word) && word != "in") return unit;
    for (const std::string_view bad : kNoUnitCharacters) {
      if (word.find(bad) != std::string::npos) return unit;
    }
    if (word == "square" || word == "sq" || word == "cubic" || word == "cu") {
      power = word[0] == 's' ? "^{2}" : "^{3}";
      continue;
    }
    if (word == "per") {
      unit.spelled += '/';
      continue;
    }
    const size_t up = word.find('^');
    if (up != std::string::npos) {
      power = word.substr(up + 1);
      if (power != "2" && power != "3") return unit;
      power = "^{" + power + "}";
      word.resize(up);
    }
    if (word.find_first_of("0123456789\\^_=+*<>[]|") != std::string::npos) return unit;
    if (word.empty()) {  // "cm ^2"
      unit.spelled += power;
    } else {
      const std::string_view symbol = symbol_of(word);
      unit.known = unit.known && !symbol.empty();
      if (!unit.spelled.empty() && !unit.spelled.ends_with('/')) unit.spelled += ' ';
      if (symbol.empty() && word.size() > 2 && word.ends_with('s')) word.pop_back();
      unit.spelled += symbol.empty() ? word : std::string(symbol);
      unit.spelled += power;
    }
    power.clear();
  }
  unit.valid = !unit.spelled.empty() && power.empty();
  return unit;
}

// Where the unit begins; npos: there is none.
size_t unit_start(std::string_view text) {
  int depth = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const std::string_view rest = text.substr(at);
    if (depth == 0 && at > 0) {
      for (const std::string_view mark :
           {"\\text{", "\\mathrm{", "\\mbox{", "\\textrm{", "^\\circ", "^{\\circ}", "\\degree"}) {
        if (rest.starts_with(mark)) return at;
      }
      if (is_cjk_at(text, at)) return at;
      const bool behind_number = is_ascii_digit(text[at - 1]) || text[at - 1] == ' ';
      if (is_ascii_letter(text[at]) && behind_number) {
        const std::string unit(rest);
        const size_t end =
            std::min(rest.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"),
                     rest.size());
        const Unit read = end > 1 || rest.find('/') == end ? read_unit(unit) : Unit{};
        const size_t before = text.find_last_not_of(' ', at - 1);
        const bool number = before != std::string_view::npos &&
                            (is_ascii_digit(text[before]) || text[before] == '}');
        const std::string first = ascii_lower(rest.substr(0, end));
        const bool multiplier = std::any_of(std::begin(kMultipliers),
                                            std::end(kMultipliers),
                                            [&](const Multiplier& m) { return m.word == first; });
        if (number && ((read.valid && read.known) || multiplier)) return at;
      }
    }
    depth += text[at] == '{' || text[at] == '(' || text[at] == '[';
    depth -= text[at] == '}' || text[at] == ')' || text[at] == ']';
  }
  return std::string_view::npos;
}

}  // namespace

Quantity read_quantity(std::string_view text) {
  text = py_strip(text);
  Quantity quantity{.value = std::string(text), .unit = {}, .exponent = 0};
  if (text.size() > kLongestFormula) return quantity;
  std::string sign;
  if (text.starts_with("-") && text.size() > 1 && !is_ascii_digit(text[1])) {
    sign = "-";
    text = py_strip(text.substr(1));
  }
  for (const std::string_view currency : {"\\$", "€", "£", "¥"}) {
    if (!text.starts_with(currency)) continue;
    quantity.unit = currency == "\\$" ? "$" : currency;
    text = py_strip(text.substr(currency.size()));
    quantity.value = sign + std::string(text);
  }
  if (quantity.unit.empty() && !sign.empty()) text = quantity.value;
  const size_t start = unit_start(text);
  if (start == std::string_view::npos) return quantity;
  std::string_view value = py_strip(text.substr(0, start));
  const bool number = parse_exact_number(value).has_value();
  std::string behind(text.substr(start));
  for (const std::string_view circle : {"^{\\circ}", "^\\circ", "\\degree"}) {
    if (behind.starts_with(circle)) behind = "degree " + behind.substr(circle.size());
  }
  // "5 million dollars": the word multiplies, what is behind it is the unit.
  int exponent = 0;
  if (number) {
    const size_t word = std::min(behind.find_first_of("{"), behind.size());
    std::string inside =
        behind.starts_with("\\") && word < behind.size() ? behind.substr(word + 1) : behind;
    inside = ascii_lower(py_strip(inside));
    for (const Multiplier& m : kMultipliers) {
      if (!inside.starts_with(m.word)) continue;
      const std::string rest = inside.substr(m.word.size());
      if (is_ascii_letter(m.word[0]) && !rest.empty() && is_ascii_letter(rest[0])) continue;
      if (m.word == "千" && (rest.starts_with("米") || rest.starts_with("克"))) continue;
      exponent = m.exponent;
      behind = rest;
      break;
    }
  }
  const std::string_view left = py_strip(behind);
  if (exponent != 0 && left.find_first_not_of("}. ") == std::string_view::npos) {
    quantity.value =
        sign.empty() || quantity.unit.empty() ? std::string(value) : sign + std::string(value);
    quantity.exponent = exponent;
    return quantity;
  }
  const Unit unit = read_unit(behind);
  if (!unit.valid || (!number && !unit.known)) return quantity;
  const bool both = !quantity.unit.empty();
  if (both && quantity.unit != unit.spelled) return quantity;
  quantity.value = both ? sign + std::string(value) : std::string(value);
  quantity.unit = unit.spelled;
  quantity.exponent = exponent;
  return quantity;
}

}  // namespace qwen3::eval
