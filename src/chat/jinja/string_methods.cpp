// The methods of str and dict.
#include <algorithm>

#include "base/text.h"
#include "chat/jinja/functions.h"
#include "chat/jinja/strings.h"

namespace qwen3::jinja {

Text strip(Interpreter& in, const Text& text, const Value* chars, bool left, bool right) {
  const std::string_view view = text.view();
  std::u32string wanted;
  const bool white_space = chars == nullptr || chars->is_none();
  if (!white_space) {
    const std::string_view given = text_argument(in, *chars).view();
    in.meter.charge_bytes(8 * given.size());
    for (size_t at = 0; at < given.size();) wanted += utf8_decode(given, at);
  }
  in.meter.charge_bytes(view.size());
  const auto strips = [&](char32_t c) {
    if (white_space) return python_is_space(c);
    in.meter.charge_bytes(wanted.size());
    return wanted.find(c) != wanted.npos;
  };
  size_t begin = 0;
  size_t end = view.size();
  while (left && begin < end) {
    size_t next = begin;
    if (!strips(utf8_decode(view, next))) break;
    begin = next;
  }
  while (right && end > begin) {
    size_t at = end - 1;
    while ((static_cast<unsigned char>(view[at]) & 0xC0) == 0x80) --at;
    size_t next = at;
    if (!strips(utf8_decode(view, next))) break;
    end = at;
  }
  return text.slice(begin, end - begin);
}

Text replace(Interpreter& in, const Text& text, const Text& from, const Text& to, int64_t count) {
  const std::string_view view = text.view();
  in.meter.charge_bytes(4 * view.size());
  TextBuilder out;
  const auto add = [&](const Text& piece) {
    in.meter.charge_bytes(piece.size());
    in.meter.check_size(out.size() + piece.size());
    out.append(piece);
  };
  size_t at = 0;
  // An empty pattern matches before every code point and at the end.
  while (count != 0 && from.empty() && at <= view.size()) {
    add(to);
    --count;
    if (at == view.size()) return out.finish();
    const size_t n = code_point_bytes(view, at);
    add(text.slice(at, n));
    at += n;
  }
  while (count != 0 && !from.empty()) {
    const size_t hit = find_text(view, from.view(), at);
    if (hit == view.npos) break;
    add(text.slice(at, hit - at));
    add(to);
    at = hit + from.size();
    --count;
  }
  add(text.slice(at, view.size() - at));
  return out.finish();
}

std::vector<Value> split_lines(Interpreter& in, const Text& text, bool keep_ends) {
  const std::string_view view = text.view();
  in.meter.charge_bytes(8 * view.size());
  std::vector<Value> lines;
  size_t start = 0;
  for (size_t at = 0; at < view.size();) {
    const size_t end = at;
    const char32_t c = utf8_decode(view, at);
    if (!is_line_break(c)) continue;
    if (c == '\r' && at < view.size() && view[at] == '\n') ++at;
    in.meter.charge(1);
    lines.emplace_back(text.slice(start, (keep_ends ? at : end) - start));
    start = at;
  }
  if (start < view.size()) lines.emplace_back(text.slice(start, view.size() - start));
  return lines;
}

Text change_case(Interpreter& in, const Text& text, Case to) {
  return map_code_points(
      in, text, [to](std::string& out, char32_t c, size_t) { append_case(out, c, to); });
}

Text capitalize(Interpreter& in, const Text& text) {
  return map_code_points(in, text, [](std::string& out, char32_t c, size_t index) {
    append_case(out, c, index == 0 ? Case::title : Case::lower);
  });
}

namespace {

template <bool Left, bool Right>
Value method_strip(Interpreter& in, const Value& self, Args& args) {
  return strip(in, self.text(), bind(in, args, {""})[0], Left, Right);
}

template <Case To>
Value method_case(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  return change_case(in, self.text(), To);
}

Value method_capitalize(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  return capitalize(in, self.text());
}

// str.title(): a letter after anything that is not a letter starts a word.
Value method_title(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  bool in_word = false;
  return map_code_points(in, self.text(), [&](std::string& out, char32_t c, size_t) {
    append_case(out, c, in_word ? Case::lower : Case::title);
    in_word = is_alpha(c);
  });
}

Value method_swapcase(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  return map_code_points(in, self.text(), [](std::string& out, char32_t c, size_t) {
    append_case(out, c, is_upper(c) ? Case::lower : Case::upper);
  });
}

// startswith, endswith: a string or a tuple of strings; start and end count code points.
template <bool AtStart>
Value method_affix(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"", "", ""}, 1);
  const Value none;
  Value window = self;
  if (given[1] != nullptr || given[2] != nullptr) {
    window = in.slice(self, given[1] ? *given[1] : none, given[2] ? *given[2] : none, none);
  }
  const auto matches = [&](const Value& affix) {
    const std::string_view view = window.view();
    const std::string_view wanted = text_argument(in, affix).view();
    in.meter.charge_bytes(wanted.size());
    return AtStart ? view.starts_with(wanted) : view.ends_with(wanted);
  };
  if (given[0]->is(Kind::sequence) && given[0]->sequence()->type == SequenceType::tuple) {
    const auto& affixes = given[0]->sequence()->items;
    return Value(std::any_of(affixes.begin(), affixes.end(), matches));
  }
  return Value(matches(*given[0]));
}

std::vector<Value> split_space(Interpreter& in, const Text& text, int64_t max, bool from_right) {
  const std::string_view view = text.view();
  in.meter.charge_bytes(8 * view.size());
  struct Word {
    size_t begin, end;
  };
  std::vector<Word> words;
  bool inside = false;
  for (size_t at = 0; at < view.size();) {
    const size_t start = at;
    const bool space = python_is_space(utf8_decode(view, at));
    if (!space && !inside) words.push_back({start, at});
    if (!space) words.back().end = at;
    inside = !space;
  }
  in.meter.charge(words.size());
  const size_t n = words.size();
  if (max >= 0 && n >= static_cast<size_t>(max) + 1) {
    // What is left over stays in one piece, with the white space at its outer end: "a b ".split
    // (None, 1) is ["a", "b "], and rsplit mirrors that.
    const auto keep = static_cast<size_t>(max);
    if (from_right) {
      words.erase(words.begin(), words.end() - static_cast<ptrdiff_t>(keep) - 1);
      words[0].begin = 0;
    } else {
      words.resize(keep + 1);
      words[keep].end = view.size();
    }
  }
  std::vector<Value> parts;
  for (const Word& word : words) parts.emplace_back(text.slice(word.begin, word.end - word.begin));
  return parts;
}

std::vector<Value> split_text(
    Interpreter& in, const Text& text, const Text& by, int64_t max, bool from_right) {
  if (by.empty()) in.fail("split() needs a separator that is not empty");
  const std::string_view view = text.view();
  in.meter.charge_bytes(4 * view.size());
  std::vector<size_t> hits;
  if (!from_right) {
    for (size_t at = find_text(view, by.view()); at != view.npos && max != 0; --max) {
      hits.push_back(at);
      at = find_text(view, by.view(), at + by.size());
    }
  } else {
    in.meter.charge_bytes(view.size() * std::min<size_t>(by.size(), 64));
    for (size_t end = view.size(); max != 0; --max) {
      const size_t at = end < by.size() ? view.npos : view.rfind(by.view(), end - by.size());
      if (at == view.npos) break;
      hits.push_back(at);
      end = at;
    }
    std::reverse(hits.begin(), hits.end());
  }
  in.meter.charge(hits.size());
  std::vector<Value> parts;
  size_t start = 0;
  for (const size_t hit : hits) {
    parts.emplace_back(text.slice(start, hit - start));
    start = hit + by.size();
  }
  parts.emplace_back(text.slice(start, view.size() - start));
  return parts;
}

template <bool FromRight>
Value method_split(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"sep", "maxsplit"});
  const int64_t max = integer_argument(in, given[1], -1);
  if (given[0] == nullptr || given[0]->is_none()) {
    return in.list(split_space(in, self.text(), max, FromRight));
  }
  return in.list(split_text(in, self.text(), text_argument(in, *given[0]), max, FromRight));
}

Value method_splitlines(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"keepends"});
  return in.list(split_lines(in, self.text(), flag_argument(given[0], false)));
}

template <bool FromRight>
Value method_partition(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {""}, 1);
  const Text by = text_argument(in, *given[0]);
  const auto parts = split_text(in, self.text(), by, 1, FromRight);
  if (parts.size() == 2) return in.list({parts[0], by, parts[1]}, SequenceType::tuple);
  if (FromRight) return in.list({Text(), Text(), self}, SequenceType::tuple);
  return in.list({self, Text(), Text()}, SequenceType::tuple);
}

Value method_replace(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"", "", "count"}, 2);
  return replace(in,
                 self.text(),
                 text_argument(in, *given[0]),
                 text_argument(in, *given[1]),
                 integer_argument(in, given[2], -1));
}

// find, rfind, index, rindex, count all search a window given in code points.
struct Window {
  Text text;
  size_t first;  // code points before it
};

Window search_window(Interpreter& in, const Value& self, const Value* start, const Value* end) {
  const Value none;
  if (start == nullptr && end == nullptr) return {self.text(), 0};
  const Value window = in.slice(self, start ? *start : none, end ? *end : none, none);
  int64_t first = integer_argument(in, start, 0, true);
  const auto n = static_cast<int64_t>(count_code_points(self.view()));
  if (first < 0) first = std::max<int64_t>(0, first + n);
  return {window.text(), static_cast<size_t>(std::min(first, n + 1))};
}

template <bool FromRight, bool MustExist>
Value method_find(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"", "", ""}, 1);
  const Window window = search_window(in, self, given[1], given[2]);
  const std::string_view view = window.text.view();
  const std::string_view wanted = text_argument(in, *given[0]).view();
  in.meter.charge_bytes(view.size() * (FromRight ? std::min<size_t>(wanted.size() + 1, 64) : 1));
  const size_t hit = window.first > count_code_points(self.view()) ? view.npos
                     : FromRight                                   ? view.rfind(wanted)
                                                                   : find_text(view, wanted);
  if (hit != view.npos) {
    return Value::integer(
        static_cast<int64_t>(window.first + count_code_points(view.substr(0, hit))));
  }
  if (MustExist) in.fail("substring not found");
  return Value::integer(-1);
}

Value method_count(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"", "", ""}, 1);
  const Window window = search_window(in, self, given[1], given[2]);
  const std::string_view wanted = text_argument(in, *given[0]).view();
  const std::string_view view = window.text.view();
  in.meter.charge_bytes(view.size());
  if (wanted.empty()) return Value::integer(static_cast<int64_t>(count_code_points(view)) + 1);
  int64_t n = 0;
  for (size_t at = find_text(view, wanted); at != view.npos;
       at = find_text(view, wanted, at + wanted.size()))
    ++n;
  return Value::integer(n);
}

Value method_join(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {""}, 1);
  TextBuilder out;
  bool first = true;
  const auto all = in.items(*given[0]);
  for (const Value& item : all->items) {
    const Text& text = text_argument(in, item);
    in.meter.check_size(out.size() + text.size() + self.text().size());
    in.meter.charge_bytes(text.size() + self.text().size());
    if (!first) out.append(self.text());
    out.append(text);
    first = false;
  }
  return out.finish();
}

template <bool Prefix>
Value method_remove_affix(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {""}, 1);
  const std::string_view affix = text_argument(in, *given[0]).view();
  const std::string_view view = self.view();
  if (affix.empty() || !(Prefix ? view.starts_with(affix) : view.ends_with(affix))) return self;
  return self.text().slice(Prefix ? affix.size() : 0, view.size() - affix.size());
}

Value method_isprintable(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  in.meter.charge_bytes(8 * self.text().size());
  const std::string_view view = self.view();
  for (size_t at = 0; at < view.size();) {
    if (!is_printable(utf8_decode(view, at))) return Value(false);
  }
  return Value(true);
}

// True when the string is not empty and every code point passes.
template <bool (*Check)(char32_t)>
Value method_every(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  in.meter.charge_bytes(8 * self.text().size());
  const std::string_view view = self.view();
  bool every = !view.empty();
  for (size_t at = 0; every && at < view.size();) every = Check(utf8_decode(view, at));
  return Value(every);
}

template <bool (*Wanted)(char32_t), bool (*Unwanted)(char32_t)>
Value method_is_case(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  in.meter.charge_bytes(8 * self.text().size());
  const std::string_view view = self.view();
  bool any = false;
  for (size_t at = 0; at < view.size();) {
    const char32_t c = utf8_decode(view, at);
    if (Unwanted(c)) return Value(false);
    any |= Wanted(c);
  }
  return Value(any);
}

Value method_isascii(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  in.meter.charge_bytes(self.text().size());
  const std::string_view view = self.view();
  return Value(std::none_of(view.begin(), view.end(), [](char c) { return (c & 0x80) != 0; }));
}

enum class Pad { left, right, center };

template <Pad Where>
Value method_pad(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"", ""}, 1);
  const int64_t width = integer_argument(in, given[0], 0);
  const Text fill = given[1] == nullptr ? Text(" ", true) : text_argument(in, *given[1]);
  if (count_code_points(fill.view()) != 1) in.fail("the fill character must be one character");
  const auto n = static_cast<int64_t>(count_code_points(self.view()));
  if (width <= n) return self;
  const auto missing = static_cast<size_t>(width - n);
  in.meter.check_size(missing);
  in.meter.check_size(missing * fill.size() + self.text().size());
  in.meter.charge(missing);
  // Python's center puts the odd cell on the left when the width is odd.
  const size_t left = Where == Pad::right ? missing
                      : Where == Pad::left
                          ? 0
                          : missing / 2 + (missing & static_cast<size_t>(width) & 1);
  TextBuilder out;
  for (size_t i = 0; i < left; ++i) out.append(fill);
  out.append(self.text());
  for (size_t i = left; i < missing; ++i) out.append(fill);
  return out.finish();
}

Value method_zfill(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {""}, 1);
  const int64_t width = integer_argument(in, given[0], 0);
  const std::string_view view = self.view();
  const auto n = static_cast<int64_t>(count_code_points(view));
  if (width <= n) return self;
  in.meter.check_size(static_cast<size_t>(width - n) + view.size());
  in.meter.charge_bytes(static_cast<size_t>(width - n));
  const bool sign = !view.empty() && (view[0] == '-' || view[0] == '+');
  TextBuilder out;
  out.append(self.text().slice(0, sign ? 1 : 0));
  out.append(std::string(static_cast<size_t>(width - n), '0'), false);
  out.append(self.text().slice(sign ? 1 : 0, view.size() - (sign ? 1 : 0)));
  return out.finish();
}

Value method_format(Interpreter& in, const Value& self, Args& args) {
  return format_braces(in, self.text(), args);
}

Value method_format_map(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {""}, 1);
  if (!given[0]->is(Kind::dict)) in.fail("format_map() needs a mapping");
  Args named;
  in.meter.charge(given[0]->dict()->entries.size());
  for (const auto& [name, value] : given[0]->dict()->entries) {
    if (name.is_string()) named.keywords.emplace_back(std::string(name.view()), value);
  }
  return format_braces(in, self.text(), named);
}

template <SequenceType Type>
Value dict_view(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  std::vector<Value> items;
  in.meter.charge(2 * self.dict()->entries.size());
  for (const auto& [key, value] : self.dict()->entries) {
    if (Type == SequenceType::dict_keys)
      items.push_back(key);
    else if (Type == SequenceType::dict_values)
      items.push_back(value);
    else
      items.push_back(in.list({key, value}, SequenceType::tuple));
  }
  return in.list(std::move(items), Type);
}

Value dict_get(Interpreter& in, const Value& self, Args& args) {
  const auto given = bind(in, args, {"", ""}, 1);
  if (const Value* value = self.dict()->find(*given[0], in.meter)) return *value;
  return given[1] == nullptr ? Value() : *given[1];
}

Value dict_copy(Interpreter& in, const Value& self, Args& args) {
  no_arguments(in, args);
  return self;  // values never change
}

constexpr NamedFunction kStringMethods[] = {
    {"strip", method_strip<true, true>},
    {"split", method_split<false>},
    {"startswith", method_affix<true>},
    {"endswith", method_affix<false>},
    {"lstrip", method_strip<true, false>},
    {"rstrip", method_strip<false, true>},
    {"rsplit", method_split<true>},
    {"replace", method_replace},
    {"upper", method_case<Case::upper>},
    {"lower", method_case<Case::lower>},
    {"casefold", method_case<Case::lower>},
    {"title", method_title},
    {"capitalize", method_capitalize},
    {"swapcase", method_swapcase},
    {"join", method_join},
    {"find", method_find<false, false>},
    {"rfind", method_find<true, false>},
    {"index", method_find<false, true>},
    {"rindex", method_find<true, true>},
    {"count", method_count},
    {"splitlines", method_splitlines},
    {"partition", method_partition<false>},
    {"rpartition", method_partition<true>},
    {"removeprefix", method_remove_affix<true>},
    {"removesuffix", method_remove_affix<false>},
    {"isspace", method_every<python_is_space>},
    {"isalpha", method_every<is_alpha>},
    {"isdigit", method_every<is_decimal>},
    {"isdecimal", method_every<is_decimal>},
    {"isnumeric", method_every<is_decimal>},
    {"isalnum", method_every<[](char32_t c) { return is_alpha(c) || is_decimal(c); }>},
    {"isprintable", method_isprintable},
    {"isupper", method_is_case<is_upper, is_lower>},
    {"islower", method_is_case<is_lower, is_upper>},
    {"isascii", method_isascii},
    {"ljust", method_pad<Pad::left>},
    {"rjust", method_pad<Pad::right>},
    {"center", method_pad<Pad::center>},
    {"zfill", method_zfill},
    {"format", method_format},
    {"format_map", method_format_map},
    {"encode", nullptr},
    {"expandtabs", nullptr},
    {"isidentifier", nullptr},
    {"istitle", nullptr},
    {"maketrans", nullptr},
    {"translate", nullptr},
};

constexpr NamedFunction kDictMethods[] = {
    {"items", dict_view<SequenceType::dict_items>},
    {"get", dict_get},
    {"keys", dict_view<SequenceType::dict_keys>},
    {"values", dict_view<SequenceType::dict_values>},
    {"copy", dict_copy},
    {"fromkeys", nullptr},
    {"pop", nullptr},
    {"popitem", nullptr},
    {"clear", nullptr},
    {"update", nullptr},
    {"setdefault", nullptr},
};

}  // namespace

std::span<const NamedFunction> string_methods() { return kStringMethods; }
std::span<const NamedFunction> dict_methods() { return kDictMethods; }

}  // namespace qwen3::jinja
